"""Kept results of three made-up models, for all that reads results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Adapter
from bench.engine import evaluate
from bench.results import save


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


@pytest.fixture(scope="session")
def kept(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three models on the small toy world, below one folder."""
    folder = tmp_path_factory.mktemp("kept")
    run = RunConfig(cache=folder / "cache", resamples=200)
    task = bench.load_task("msrvtt", str(toy))
    for seed in range(3):
        save(evaluate(Guess(f"guess-{seed}", seed), task, run), folder / "results")
    return folder
