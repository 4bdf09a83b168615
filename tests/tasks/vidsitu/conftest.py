"""A small VidSitu of made-up features: what a clip shows is written into its features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.contracts import Adapter, Features, Source, Workplace
from bench.features.work import Silent
from tasks.vidsitu.annotations import EVENTS
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.task import VidSitu

SMALL = {
    "width": 32, "layers": 1, "heads": 2, "feed_forward": 64, "vc_layers": 1, "dropout": 0.0,
    "learning_rate": 5e-3, "epochs": 3, "batch_videos": 4,
}  # fmt: skip
DIM = 16
GOLDEN_CASE = Path(__file__).parents[2] / "golden" / "vidsitu" / "small"


class Seeing(Adapter):
    """Knows nothing of pixels; `contextual` gives it a video module of its own."""

    name, embed_dim, image_size, fingerprint = "seeing", DIM, 16, "seeing-1"

    def __init__(self, contextual: bool = False) -> None:
        self.contextual = contextual

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return frames.reshape(len(frames), -1)[:, :DIM].astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([np.random.default_rng(len(t)).normal(size=DIM) for t in texts], np.float32)

    def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if not self.contextual:
            return None
        return frame_features.mean(axis=2), frame_features.mean(axis=(1, 2))


@pytest.fixture
def settings() -> HeadSettings:
    return HeadSettings(**SMALL)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy world's annotations of 30 training and 5 validation clips, without videos."""
    from tasks.toyworld.writers import _vidsitu

    root = tmp_path_factory.mktemp("tree")
    texts, _ = _vidsitu(root, 0, 0.05)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "videos").mkdir()
    return root


@pytest.fixture
def golden_tree(tmp_path: Path) -> Path:
    """The small golden case as an annotation tree."""
    root = tmp_path / "golden-tree"
    for name, target in (
        ("split", "split_files/vseg_split_valid_lb.json"),
        ("vsann", "vseg_ann_files/vsann_valid_lb.json"),
        ("vinfo", "vinfo_files/vinfo_valid_lb.json"),
    ):
        (root / target).parent.mkdir(parents=True)
        (root / target).write_bytes((GOLDEN_CASE / f"{name}.json").read_bytes())
    return root


@pytest.fixture
def source(tree: Path) -> Source:
    return Source("lab", tree, settings=dict(SMALL))


@pytest.fixture
def task(source: Source) -> VidSitu:
    return VidSitu.load(source)


@pytest.fixture
def features(task: VidSitu) -> Features:
    """Each event's frames are its verb's own vector, and a little noise."""
    generator = np.random.default_rng(0)
    codes = {verb: generator.normal(size=DIM) for verb in task.verbs}
    clips = {}
    for clip in [*task.support, *task.clips]:
        annotation = task.training.get(clip.id) or task.truth[clip.id].references[0]
        verbs = [event.verb_id for event in annotation.events]
        shown = np.repeat([codes[verb] for verb in verbs], 4, axis=0)
        noise = generator.normal(size=(4 * len(EVENTS), DIM)) / 10
        clips[clip.id] = (shown + noise).astype(np.float32)
    by_word = {verb.partition(".")[0].replace("_", " "): code for verb, code in codes.items()}
    said = [re.search(r"the action is (.+?)(?: where,| \.)", text) for text in task.texts]
    texts = np.array([by_word[found[1]] for found in said if found], np.float32)
    assert len(texts) == len(task.texts)
    return Features(clips, texts)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "learnt", "cpu", 0, Silent())
