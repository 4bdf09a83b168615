"""Models of clips run as models of frames do: kept, resumed, shared, and asked for VidSitu."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Adapter, Plan, Task
from bench.engine import evaluate
from bench.errors import BenchError
from bench.features.doctor import examine
from bench.features.extraction import clip_features
from bench.features.work import Silent, Work
from bench.results.timing import profile
from bench.video import FirstOfSecond, decode
from tests.video.clips import write_video


class Motion(Adapter):
    """A clip's mean colour and how it changes from its first to its last frame."""

    name, embed_dim, image_size, fingerprint = "motion", 6, 16, "motion-1"

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    @property
    def frames(self) -> int:
        return sum(call[0] * call[1] for call in self.calls)

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        assert clips.dtype == np.uint8 and clips.shape[2:] == (16, 16, 3)
        self.calls.append(clips.shape[:2])
        colours = clips.reshape(*clips.shape[:2], -1, 3).mean(axis=2)
        moved = colours[:, -1] - colours[:, 0]
        return np.concatenate([colours.mean(axis=1), moved], axis=1).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[1 + text.count(c) for c in "abcdef"] for text in texts], np.float32)


class Interrupted(Motion):
    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        if self.calls:
            raise KeyboardInterrupt
        return super().encode_clips(clips)


def elsewhere(run: RunConfig, **changes: object) -> RunConfig:
    return dataclasses.replace(run, cache=run.cache_folder / "elsewhere", **changes)  # type: ignore[arg-type]


def test_clips_are_encoded_whole_and_once(task: Task, run: RunConfig) -> None:
    first = Motion()
    result = evaluate(first, task, run)
    assert first.calls == [(8, 12)] * (len(task.clips) // 8)  # 96 frames at once
    assert result.document.encoded == {"frames": 12 * len(task.clips), "texts": len(task.texts)}
    assert f"{12 * len(task.clips)} at " in profile(result.document)
    work = Work(Motion(), task, run, Silent())
    clips = clip_features(work)
    for clip in task.clips[::7]:
        frames = decode(clip, task.plan, 16).frames
        np.testing.assert_array_equal(clips[clip.id], Motion().encode_clips(frames[None]))
    again = Motion()
    assert evaluate(again, task, run).predictions == result.predictions
    assert again.calls == [] and work.encoded == {"frames": 0, "texts": 0}


def test_an_interrupted_run_ends_in_the_same_bits(task: Task, run: RunConfig) -> None:
    whole = evaluate(Motion(), task, run)
    other = elsewhere(run)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), task, other)
    resumed = Motion()
    assert evaluate(resumed, task, other).predictions == whole.predictions
    assert 0 < resumed.frames == 12 * len(task.clips) - 96


def test_features_beyond_the_memory_are_read_again(task: Task, run: RunConfig) -> None:
    whole = evaluate(Motion(), task, run)
    assert evaluate(Motion(), task, elsewhere(run, memory=0)).predictions == whole.predictions


def test_clips_of_another_length_are_encoded_by_themselves(task: Task, run: RunConfig) -> None:
    """What is kept of a clip is the same whichever clips are in its group."""
    for clip, seconds in zip(task.clips, (1, 3, 1, 2), strict=False):
        assert clip.path
        write_video(clip.path, frames=30 * seconds)
    plan: Plan = FirstOfSecond()
    task = dataclasses.replace(task, clips=task.clips[:4], plan=plan)
    adapter = Motion()
    found = clip_features(Work(adapter, task, run, Silent()))
    assert adapter.calls == [(2, 1), (1, 3), (1, 2)]
    for clip in task.clips:
        frames = decode(clip, plan, 16).frames
        np.testing.assert_array_equal(found[clip.id], Motion().encode_clips(frames[None]))


def test_kept_features_of_another_form_are_made_again(task: Task, run: RunConfig) -> None:
    from bench.files.tensor_store import TensorStore

    whole = evaluate(Motion(), task, run)
    store = TensorStore(run.cache_folder / "features")
    clips = clip_features(Work(Motion(), task, run, Silent()))
    key = clips.key(task.clips[0].id)
    found = store.get(key)
    assert found and found[0]["features"].shape == (1, 6)
    store.put(key, {"features": np.ones((12, 6), np.float32)}, found[1])
    again = Motion()
    assert evaluate(again, task, run).predictions == whole.predictions and again.calls == [(8, 12)]


def test_an_adapter_encodes_frames_or_clips(task: Task, run: RunConfig) -> None:
    class Neither(Adapter):
        name, embed_dim, image_size, fingerprint = "neither", 3, 16, "x"

        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            return np.ones((len(texts), 3), np.float32)

    class Both(Motion):
        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            return np.ones((len(frames), 6), np.float32)

    with pytest.raises(BenchError, match="neither: its adapter Neither has no encode_frames"):
        evaluate(Neither(), task, run)
    with pytest.raises(BenchError, match="motion: its adapter Both has both encode_frames and"):
        evaluate(Both(), task, run)


def test_a_video_model_that_breaks_its_contract(task: Task, run: RunConfig) -> None:
    class PerFrame(Motion):
        def encode_clips(self, clips: np.ndarray) -> np.ndarray:
            return np.repeat(super().encode_clips(clips), clips.shape[1], axis=0)

    with pytest.raises(BenchError, match=r"shape \[96, 6\] where \[8, 6\] was promised"):
        evaluate(PerFrame(), task, run)


def test_frames_that_make_no_clips_are_refused(task: Task, run: RunConfig) -> None:
    task.parts = 5  # type: ignore[misc]
    with pytest.raises(BenchError, match="12 frames are not those of 5 clips"):
        evaluate(Motion(), task, run)


def test_the_doctor_examines_clips() -> None:
    texts = ["a dog chases a cab", "a bee", "faded", "decade"]
    frames = np.random.default_rng(0).integers(0, 256, (4, 5, 16, 16, 3), np.uint8)
    found = {one.check: one for one in examine(Motion(), frames, texts)}
    assert [name for name, one in found.items() if one.ok is False] == []
    assert found["spread of videos"].says == "4 tell apart"

    class Leaking(Motion):
        def encode_clips(self, clips: np.ndarray) -> np.ndarray:
            found = super().encode_clips(clips)
            return found - found.mean(axis=0) / 2

    wrong = [one.check for one in examine(Leaking(), frames, texts) if one.ok is False]
    assert wrong == ["batches"]


def started(*launch: str, data: Path, cache: Path, out: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, "-m", "tests.features.video_run"]
    return subprocess.Popen([*command, str(data), str(cache), str(out)], env=environment, cwd=root)


def said(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.slow
def test_a_killed_run_and_two_processes_come_to_the_bits_of_one(toy: Path, tmp_path: Path) -> None:
    clips = 12 * len(bench.load_task("msrvtt", str(toy)).clips)
    one, killed, two = (tmp_path / name for name in ("one", "killed", "two"))
    assert started(data=toy, cache=tmp_path / "a", out=one).wait(120) == 0
    whole = said(Path(f"{one}.0"))
    assert whole["frames"] == clips

    process = started(data=toy, cache=tmp_path / "b", out=killed)
    store = tmp_path / "b" / "features"
    while len(list(store.rglob("*.safetensors"))) < 6 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL and not Path(f"{killed}.0").exists()
    assert started(data=toy, cache=tmp_path / "b", out=killed).wait(120) == 0
    resumed = said(Path(f"{killed}.0"))
    assert resumed["predictions"] == whole["predictions"] and 0 < resumed["frames"] < clips

    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29531")
    assert started(*launch, data=toy, cache=tmp_path / "c", out=two).wait(200) == 0
    shared = [said(Path(f"{two}.{rank}")) for rank in (0, 1)]
    assert all(part["predictions"] == whole["predictions"] for part in shared)
    assert [part["frames"] for part in shared] == [clips / 2, clips / 2]
