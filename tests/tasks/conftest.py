"""A small toy world of pairs: VELOCITI's rows and clips, and VidSitu's annotations of the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from adapters.open_clip import OpenCLIPAdapter
from bench.config import RunConfig
from bench.contracts import Source
from tasks.toyworld import write
from tasks.toyworld.writers import _WRITERS

SCALE = 0.06  # six clips


@pytest.fixture(scope="session")
def toy_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VELOCITI's six clips; VidSitu's tree has its files, and no clips of its own."""
    root = write(tmp_path_factory.mktemp("toy-pairs"), tasks=("velociti",), scale=SCALE)
    files, _ = _WRITERS["vidsitu"](root / "vidsitu", 0, SCALE)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "vidsitu" / "source.json").write_text('{"protocol": "toy"}')
    return root


@pytest.fixture
def lab(toy_pairs: Path) -> Source:
    """The tree with VELOCITI's clips."""
    tree = toy_pairs / "vidsitu" / "vidsitu_annotations"
    return Source("lab", toy_pairs, tree, toy_pairs / "velociti" / "videos")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> OpenCLIPAdapter:
    """The small CLIP that ships."""
    run = RunConfig(cache=tmp_path_factory.mktemp("tiny"), device="cpu")
    return OpenCLIPAdapter("clip-tiny", run, arch="clip-tiny", pretrained="shipped")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run whose frames and features are made once for all tests of pairs."""
    return dataclasses.replace(
        RunConfig(), cache=tmp_path_factory.mktemp("pairs-cache"), workers=1, resamples=99
    )
