"""Shared fixtures: a cache of the session's own, and a small toy world drawn once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Task
from bench.engine import evaluate
from bench.results.files import save
from tasks.retrieval import RetrievalTask
from tasks.toyworld import write
from tests.guess import Guess


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test reads or writes the user's cache, results or bench.yaml."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    yield cache


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenth of the toy world's retrieval sets: 36 videos or so a task."""
    root = tmp_path_factory.mktemp("toy")
    write(root, tasks=("msrvtt", "lsmdc"), scale=0.1)
    return root


@pytest.fixture
def task(toy: Path, tmp_path: Path) -> Task:
    """The small toy world's MSRVTT on a copy that a test may damage."""
    return bench.load_task("msrvtt", str(shutil.copytree(toy, tmp_path / "data")))


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    """With a cache of the test's own."""
    return RunConfig(cache=tmp_path / "cache", workers=2, resamples=50)


@pytest.fixture(scope="session")
def toy_vidsitu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundredth of the toy world's VidSitu: 6 training clips, 1 or 2 others a split."""
    root = tmp_path_factory.mktemp("toy-vidsitu")
    write(root, tasks=("vidsitu",), scale=0.01)
    return root


@pytest.fixture(scope="session")
def kept(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three models on the small toy world, below one folder; its videos stand alone."""
    folder = tmp_path_factory.mktemp("kept")
    run = RunConfig(cache=folder / "cache", resamples=200)
    task = bench.load_task("msrvtt", str(toy))
    assert isinstance(task, RetrievalTask)
    task.clusters.clear()  # two groups are too few for a test
    for seed in range(3):
        save(evaluate(Guess(f"guess-{seed}", seed), task, run), folder / "results")
    return folder
