"""ViFi-CLIP (arXiv 2212.03640), ViT-B/16: CLIP fine-tuned on Kinetics-400, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adapters.clip_base import architecture
from adapters.system import IMAGENET, OPENCV, Release, SystemBase, system_card
from adapters.torch_adapter import FrameAdapter
from adapters.weights import find_weights, local_weights
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup, normalise
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Centres

VERSION = 1  # raise it when a change here could change a feature
RELEASE = Release(
    "ViFi-CLIP B/16", "vifi-clip-b16.pth",
    "the zero-shot table in README.md of github.com/muzairkhattak/ViFi-CLIP",
)  # fmt: skip
OPENAI = "ViT-B-16-quickgelu"  # whose token embedding it has, and its file has not
EMBED_DIM, IMAGE_SIZE = 512, 224
# Sets that its evaluation of actions has, configs/zero_shot and configs/few_shot.
ACTIONS = ("hmdb51", "ucf101", "kinetics400", "ssv2")
NAMES = "its own lists write UCF101's classes as one word, BrushingTeeth; here they are words"
REMARKS = (
    "an action recogniser: its authors published no retrieval; captions stand for class names",
    "longer captions, at which the official tokenizer fails, are cut",
)


class ViFiCLIPAdapter(FrameAdapter):
    """ViFi-CLIP by its `checkpoint`, beside OpenAI's ViT-B/16. MissingWeights without either."""

    pooling: ClassVar[str] = "mean of frame features as they are, L2-normalised"

    def __init__(self, name: str, run: RunConfig, checkpoint: str | None = None) -> None:
        files = _found(run, checkpoint, find_weights)
        base = SystemBase(
            RELEASE.system, files, EMBED_DIM, _pixels(), *IMAGENET, run.cache_folder,
            lambda: _read(files),
        )  # fmt: skip
        super().__init__(name, run, base)
        self.published = _published()

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of it; see `bench.capabilities`."""
        return system_card(
            RELEASE.system, "vifi_clip",
            lambda: _found(run, settings.get("checkpoint"), local_weights)["weights"],
            (_pixels(), *IMAGENET), _published(), embed_dim=EMBED_DIM,
        )  # fmt: skip

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        _found(run, settings.get("checkpoint"), local_weights)

    @property
    def fingerprint(self) -> str:
        """Hash of both weights, preprocessing and precision."""
        return digest("vifi_clip", VERSION, *self.base.key(self.precision))

    def pool(self, frame_features: np.ndarray) -> np.ndarray:
        """Frame features [T, D] -> [D] of length 1: their mean as they are, then normalised."""
        return normalise(frame_features.mean(axis=0))


def _pixels() -> Preprocessing:
    return Preprocessing(IMAGE_SIZE, scaled=round(IMAGE_SIZE * 256 / 224), **OPENCV)


def _published() -> dict[str, Setup]:
    """Its evaluation of actions, configs/zero_shot: 32 frames, a single view."""
    setup = Setup(Centres(32), _pixels(), remarks=REMARKS)
    actions = replace(setup, remarks=())
    return {
        "msrvtt": setup, "lsmdc": setup, **dict.fromkeys(ACTIONS, actions),
        "ucf101": replace(actions, remarks=(NAMES,)),
    }  # fmt: skip


def _found(
    run: RunConfig, checkpoint: str | None, weights: Callable[[str, str, RunConfig], Path]
) -> dict[str, Path]:
    return {
        "weights": RELEASE.found(run, checkpoint),
        "openai_sha256": weights(OPENAI, "openai", run),
    }


def _read(files: Mapping[str, Path]) -> Any:
    from adapters.checkpoint import read_state, read_tensors, unprefixed
    from adapters.vifi_clip_model import load

    state, openai = unprefixed(read_tensors(files["weights"])), read_state(files["openai_sha256"])
    return load(state, openai, files["weights"], RELEASE.remedy, architecture(OPENAI))
