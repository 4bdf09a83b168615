"""A model that knows nothing, for tests of what is made of its results."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.contracts import Adapter


class Guess(Adapter):
    """Knows `share` of what a text and a video have in common, by the name of the seed."""

    embed_dim, image_size = 8, 16

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed

    @property
    def fingerprint(self) -> str:
        return f"guess-{self.seed}"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        pixels = frames.reshape(len(frames), -1)[:, ::97].astype(np.float32)
        return pixels @ np.random.default_rng(self.seed).normal(size=(pixels.shape[1], 8)).astype(
            np.float32
        )  # fmt: skip

    def encode_texts(self, texts: Any) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=(len(texts), 8)).astype(np.float32)
