"""The run: failures named, stores reused, adapters held to their contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Adapter, Features, Task, Workplace
from bench.engine import evaluate
from bench.errors import BenchError
from bench.features.extraction import clip_features
from bench.features.validation import StoredFeatures
from bench.features.work import Silent, Work
from bench.files.tensor_store import TensorStore
from bench.metrics import device_ranks, retrieval
from bench.results.files import load_all, save
from bench.results.timing import profile
from bench.video import FrameStore, Preprocessing, decode
from bench.video.store import CHANGED
from tests.video.clips import headless_note, remux, write_video


class Mean(Adapter):
    """Mean colour of a frame; a text's letter counts. Counts what it is asked to encode."""

    name = "mean"
    embed_dim = 3
    image_size = 16
    fingerprint = "mean-1"

    def __init__(self) -> None:
        self.frames = self.texts = 0

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        self.frames += len(frames)
        assert frames.dtype == np.uint8 and frames.shape[1:] == (16, 16, 3)
        return frames.reshape(len(frames), -1, 3).mean(axis=1).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += len(texts)
        return np.array([[1 + text.count(c) for c in "abc"] for text in texts], np.float32)


def test_a_second_run_encodes_nothing_and_a_second_model_decodes_nothing(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Mean()
    result = evaluate(first, task, run)
    assert first.frames == 12 * len(task.clips) and first.texts == len(task.texts)
    assert result.complete and result.data["coverage"]["answered"] == task.expected

    again = Mean()
    warm = evaluate(again, task, run)
    assert warm.predictions == result.predictions
    assert warm.data["settings"] == result.data["settings"]  # decoders and time stamps included
    assert again.frames == again.texts == 0

    monkeypatch.setattr("sys.executable", "/nonexistent/python")  # no worker can start
    other = Mean()
    other.fingerprint = "mean-2"
    assert evaluate(other, task, run).metrics == result.metrics
    assert other.frames == first.frames and other.texts == first.texts


def test_many_products_are_made_on_the_models_device(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few are not, nor are those of a model that says no device: its numbers are the same."""
    made: list[str] = []

    class Noted(device_ranks.DeviceRanks):
        def __init__(self, device: str, *given: Any) -> None:
            made.append(device)
            super().__init__(device, *given)

    class OnDevice(Mean):
        device = "cpu:0"  # another name of the CPU stands for an accelerator

    monkeypatch.setattr(device_ranks, "DeviceRanks", Noted)
    few = evaluate(OnDevice(), task, run)
    monkeypatch.setattr(retrieval, "MANY", 1)
    plain = evaluate(Mean(), task, run)
    assert made == []
    many = evaluate(OnDevice(), task, run)
    assert made == ["cpu:0"]
    assert few.predictions == plain.predictions == many.predictions


def test_a_warm_run_learns_with_the_threads_of_a_cold_one(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All features kept, no model is loaded: the threads are set all the same."""
    import torch

    order: list[object] = []
    monkeypatch.setattr(torch, "set_num_threads", order.append)
    monkeypatch.setattr(type(task), "learn", lambda *_: order.append("learn"), raising=False)
    task.support, task.clips = task.clips[:3], task.clips[3:]
    run = dataclasses.replace(run, threads=3)
    for _ in ("cold", "warm"):
        evaluate(Mean(), task, run)
    assert order == [3, "learn", 3, "learn"]


def test_features_beyond_the_memory_are_read_again(task: Task, run: RunConfig) -> None:
    whole = evaluate(Mean(), task, run)
    for memory in (0, 1):
        small = dataclasses.replace(run, memory=memory, cache=run.cache_folder / str(memory))
        for _ in ("cold", "warm"):
            assert evaluate(Mean(), task, small).predictions == whole.predictions
    one = np.ones((4, 3), np.float32)
    held = StoredFeatures(TensorStore(run.cache_folder / "x"), one.nbytes)
    held.add("a", "ka", one)
    held.add("b", "kb", one)
    assert list(held) == ["a", "b"] and held["a"] is one
    with pytest.raises(BenchError, match=r"kb\.safetensors vanished"):
        held["b"]


def test_a_result_tells_where_the_time_went(task: Task, run: RunConfig) -> None:
    first = evaluate(Mean(), task, run).document
    assert first.encoded == {"frames": 12 * len(task.clips), "texts": len(task.texts)}
    seconds = first.seconds or {}
    assert 0 <= seconds["total"] - sum(v for k, v in seconds.items() if k != "total") < 5
    shown = profile(first)
    assert "decode (waiting)" in shown and f"{12 * len(task.clips)} at " in shown
    for width in (60, 80, 120):
        lines = profile(first, width).splitlines()
        assert max(map(len, lines)) <= width and sum(" %  " in line for line in lines) > 8
    warm = evaluate(Mean(), task, run).document
    assert warm.encoded == {"frames": 0, "texts": 0} and "load model" not in profile(warm)


def test_interrupted_runs_end_in_the_same_bits(task: Task, run: RunConfig) -> None:
    whole = evaluate(Mean(), task, run)
    elsewhere = dataclasses.replace(run, cache=run.cache_folder / "other")

    class Interrupted(Mean):
        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            if self.frames:
                raise KeyboardInterrupt
            return super().encode_frames(frames)

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), task, elsewhere)
    resumed = Mean()
    assert evaluate(resumed, task, elsewhere).predictions == whole.predictions
    assert 0 < resumed.frames < 12 * len(task.clips)


def test_failures_are_named_and_counted(task: Task, run: RunConfig) -> None:
    paths = [clip.path for clip in task.clips[:2]]
    assert paths[0] and paths[1]
    paths[0].write_bytes(b"")
    paths[1].unlink()
    result = evaluate(Mean(), task, run)
    assert [failure.kind for failure in result.failures] == ["empty", "missing"]
    coverage = result.data["coverage"]
    assert (coverage["missing"], coverage["broken"]) == (1, 1)
    assert coverage["answered"] == coverage["expected"] - 2


def test_frames_are_prepared_as_the_adapter_says(task: Task, run: RunConfig) -> None:
    class Squashed(Mean):
        fingerprint = "mean-squashed"

        @property
        def preprocessing(self) -> Preprocessing:
            return Preprocessing(16, "squash")

    path = task.clips[0].path
    assert path
    write_video(path)  # wider than high
    seen: list[np.ndarray] = []
    for model in (Mean(), Squashed()):
        clips = clip_features(Work(model, task, run, Silent()))
        seen.append(clips[task.clips[0].id])
    expected = decode(task.clips[0], task.plan, Preprocessing(16, "squash")).frames
    np.testing.assert_array_equal(seen[1], Mean().encode_frames(expected))
    assert not np.array_equal(*seen)


def exchange(one: Path, other: Path) -> None:
    """As `mv` does it: each file keeps its size and date."""
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_a_video_exchanged_during_a_run_plants_no_wrong_features(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another size or not; put back afterwards, as if nothing had been."""
    true = evaluate(Mean(), task, dataclasses.replace(run, cache=run.cache_folder / "true"))
    paths = [clip.path for clip in task.clips]
    first, other = paths[0], paths[-1]
    assert first and other
    fill = FrameStore.fill

    def late(self: FrameStore, *given: Any) -> Any:
        exchange(first, other)
        return fill(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(FrameStore, "fill", late)
        during = evaluate(Mean(), task, run)
    assert {one.clip for one in during.failures} == {task.clips[0].id, task.clips[-1].id}
    assert {one.reason for one in during.failures} == {CHANGED}
    exchange(first, other)
    after = evaluate(Mean(), task, run)
    assert after.complete and after.metrics == true.metrics
    assert [line["score"] for line in after.predictions] == [
        line["score"] for line in true.predictions
    ]


def test_an_odd_clip_is_a_remark_and_no_failure(task: Task, run: RunConfig) -> None:
    first, second = (clip.path for clip in task.clips[:2])
    assert first and second
    plain = write_video(second)
    remux(plain, first, headless_note, stored_order=True)
    for _ in range(2):  # the second time from the stores
        result = evaluate(Mean(), task, run)
        assert result.complete
        assert sorted(name.split(", ")[1:] for name in result.data["settings"]["decoders"]) == [
            [], ["tolerant"]
        ]  # fmt: skip
        (line,) = (line for line in result.data["warnings"] if "tolerant" in line)
        assert line.startswith(f"msrvtt: 1 of {len(task.clips)} videos")
        assert line.endswith(f"the first, {task.clips[0].id}")


def test_clips_to_learn_from_are_encoded_and_not_counted(task: Task, run: RunConfig) -> None:
    """`support` has features when the task learns; what fails there is told, not scored."""
    support, asked = task.clips[:4], task.clips[4:]
    assert support[0].path
    support[0].path.write_bytes(b"")
    seen: list[set[str]] = []

    def learn(features: Features, adapter: Adapter, place: Workplace) -> str:
        seen.append(set(features.clips))
        assert place.folder.is_relative_to(run.cache_folder) and place.seed == run.seed
        return "learnt"

    task.support, task.clips = support, asked
    kept = {clip.id for clip in asked}
    pairs = [pair for pair in zip(task.texts, task.owners, strict=True) if pair[1] in kept]
    task.texts, task.owners = map(list, zip(*pairs, strict=True))
    task.learn = learn  # type: ignore[method-assign]
    result = evaluate(Mean(), task, run)
    assert seen == [{clip.id for clip in [*support[1:], *asked]}]
    assert result.complete and result.data["coverage"]["support_failed"] == 1
    assert "1 of 4 clips to learn from could not be read" in result.data["warnings"][-1]


def test_what_is_learnt_from_has_the_same_bits_whatever_is_asked(
    task: Task, run: RunConfig
) -> None:
    batches: list[tuple[int, ...]] = []

    class Watched(Mean):
        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            batches.append(frames.shape[:1])
            return super().encode_frames(frames)

    run = dataclasses.replace(run, batch_frames=36)  # three clips a group
    task.support, task.clips = task.clips[:4], task.clips[4:8]
    clip_features(Work(Watched(), task, run, Silent()))
    assert [count // 12 for (count,) in batches] == [3, 1, 3, 1]


def test_no_readable_video_is_an_error(task: Task, run: RunConfig) -> None:
    for clip in task.clips:
        assert clip.path
        clip.path.write_bytes(b"")
    task.remarks = ["the first is near another"]
    with pytest.raises(BenchError, match=r"none of .* videos could be read.*near another"):
        evaluate(Mean(), task, run)


def test_what_was_assumed_of_the_data_is_in_the_result(task: Task, run: RunConfig) -> None:
    task.remarks = ["read as Windows-1252"]
    assert evaluate(Mean(), task, run).document.warnings[0] == "read as Windows-1252"


@pytest.mark.parametrize(
    ("value", "says"), [(np.nan, "NaN"), (np.inf, "NaN or infinite"), (None, "was promised")]
)
def test_an_adapter_that_breaks_its_contract(
    task: Task, run: RunConfig, value: float | None, says: str
) -> None:
    class Bad(Mean):
        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            good = super().encode_frames(frames)
            return good[:, :2] if value is None else good * np.float32(value)

    with pytest.raises(BenchError, match=says):
        evaluate(Bad(), task, run)


def test_a_collapsed_model_scores_as_nothing_and_is_told(task: Task, run: RunConfig) -> None:
    class Collapsed(Mean):
        fingerprint = "collapsed"

        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            return np.ones((len(frames), 3), np.float32)

    result = evaluate(Collapsed(), task, run)
    assert result.metrics["R@1"] == 0 and result.data["warnings"]


def test_save_and_load(task: Task, run: RunConfig, tmp_path: Path) -> None:
    result = evaluate(Mean(), task, run)
    path = save(result, tmp_path / "results")
    variant = save(result, tmp_path / "other", {"roles": "predicted", "beam": 3})
    assert variant.name == "mean.beam-3.roles-predicted.json"
    (document,) = load_all(tmp_path / "results")
    assert document.metrics == result.document.metrics and document.predictions
    lines = path.with_name(document.predictions.file).read_text().splitlines()
    assert len(lines) == len(result.predictions)


def test_the_readme_interface(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = bench.load_task("msrvtt", str(toy), limit=6)
    result = bench.evaluate(Mean(), task)
    assert str(result).startswith("mean on msrvtt/toy (6/24 partial): R@1 ")
    assert result.data["coverage"]["limit"] == 6
