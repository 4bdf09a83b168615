"""Filling the store: in order, once, and on through hangs and crashes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import read, write_video

from bench.contracts import Clip, Failure
from bench.errors import BenchError, UsageError
from bench.files.tensor_store import TensorStore
from bench.video import DecodedFrames, FrameStore, PerEvent, Uniform, pool

GREET = "import json, sys, os, time; print('{}', flush=True)\n"


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames", 128, Uniform(3))


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the workers run `code` instead, after the greeting."""
    monkeypatch.setattr(pool, "COMMAND", [sys.executable, "-c", GREET + code])


def kinds(outcomes: Iterator[tuple[Clip, DecodedFrames | Failure]]) -> list[tuple[str, str]]:
    return [(c.id, o.kind if isinstance(o, Failure) else o.decoder) for c, o in outcomes]


def test_clips_come_in_order_and_the_second_time_from_the_store(
    tmp_path: Path, mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    clips = [Clip(f"c{n}", mp4, start=n / 10, end=n / 10 + 1) for n in range(10)]
    clips[3] = Clip("none", None)
    clips[5] = Clip("gone", tmp_path / "gone.mp4")
    clips[7] = Clip("empty", tmp_path / "empty.mp4")
    clips.append(replace(clips[0], id="again"))
    first = list(store.fill(clips, workers=2))
    assert [clip for clip, _ in first] == clips
    failed = {o.clip: o.kind for _, o in first if isinstance(o, Failure)}
    assert failed == {"none": "missing", "gone": "missing", "empty": "empty"}
    for clip, outcome in first:
        if isinstance(outcome, DecodedFrames):
            at = round(clip.start * 30)
            assert [read(frame) for frame in outcome.frames] == [at + 5, at + 15, at + 25]
            assert outcome.frames.dtype == np.uint8 and outcome.times.dtype == np.float64

    monkeypatch.setattr(pool, "COMMAND", ["false"])
    fine = [clip for clip in clips if clip.id not in failed]
    for clip, outcome in store.fill(fine, workers=2):
        assert isinstance(outcome, DecodedFrames)
        found = store.get(clip)
        assert found is not None
        np.testing.assert_array_equal(found.frames, outcome.frames)
    with pytest.raises(BenchError, match="do not start"):
        list(store.fill([Clip("new", mp4, start=2.5)], workers=1))


def test_the_key_tells_apart_what_gives_other_frames(tmp_path: Path, store: FrameStore) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"one")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    clip = Clip("c", path)
    keys = [
        store.key(clip),
        store.key(replace(clip, start=1.0)),
        store.key(replace(clip, end=2.0)),
        store.key(Clip("c", folder)),
        store.key(Clip("c", folder, frames_fps=3.0)),
        replace(store, pixels=64).key(clip),
        replace(store, plan=PerEvent()).key(clip),
        replace(store, decoder="pyav").key(clip),
    ]
    assert store.key(replace(clip, id="other", frames_fps=3.0)) == keys[0]
    path.write_bytes(b"other")
    (folder / "2.jpg").write_bytes(b"one")
    keys += [store.key(clip), store.key(Clip("c", folder))]
    for changed in (path, folder / "2.jpg"):  # as large as before: its time tells
        os.utime(changed, ns=(0, 12345))
    keys += [store.key(clip), store.key(Clip("c", folder))]
    for changed in (path, folder / "2.jpg"):  # of the same size and date: another file has its name
        other = tmp_path / "other"
        other.write_bytes(changed.read_bytes()[::-1])
        os.utime(other, ns=(0, 12345))
        other.rename(changed)
    keys += [store.key(clip), store.key(Clip("c", folder))]
    assert len(set(keys)) == len(keys)
    assert store.get(clip) is None and store.get(Clip("c", None)) is None


def test_lossless_frames_are_the_same_bits_in_less_space(
    tmp_path: Path, mp4: Path, store: FrameStore
) -> None:
    small = FrameStore(tmp_path / "small", 128, Uniform(3), form="webp")
    ((_, raw),), ((_, packed),) = (
        list(s.fill([Clip("c", mp4)], workers=1)) for s in (store, small)
    )
    assert isinstance(raw, DecodedFrames) and isinstance(packed, DecodedFrames)
    np.testing.assert_array_equal(raw.frames, packed.frames)
    key = store.key(Clip("c", mp4))
    assert key == small.key(Clip("c", mp4))  # whoever has either form needs no other
    assert small.path(key).stat().st_size < store.path(key).stat().st_size / 2


def test_the_processes_run_ahead_only_so_far(
    mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    submit = pool.Pool.submit

    def noted(self: pool.Pool, job: dict[str, object]) -> object:
        asked.append(str(job["id"]))
        return submit(self, job)

    monkeypatch.setattr(pool.Pool, "submit", noted)
    monkeypatch.setattr("bench.video.store.AHEAD", 2)
    clips = [Clip(f"c{n}", mp4, start=n / 20) for n in range(9)]
    with store.fill(clips, workers=1) as filling:
        assert next(filling)[0].id == "c0" and asked == ["c0", "c1", "c2"]


def test_closing_frees_a_reader_that_waits(
    mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "time.sleep(600)")
    with ThreadPoolExecutor(1) as reader:
        filling = store.fill([Clip(n, mp4, start=k / 10) for k, n in enumerate("ab")], workers=1)
        waiting = reader.submit(next, filling)
        time.sleep(0.5)
        filling.close()
        with pytest.raises(BenchError, match="decoding was stopped"):
            waiting.result(timeout=10)


def test_a_damaged_entry_is_decoded_again(mp4: Path, store: FrameStore) -> None:
    clip = Clip("c", mp4)
    list(store.fill([clip], workers=1))
    (entry,) = (path for path in store.root.rglob("*") if path.is_file())
    entry.write_bytes(entry.read_bytes()[:50])
    assert store.get(clip) is None
    ((_, outcome),) = store.fill([clip], workers=1)
    assert isinstance(outcome, DecodedFrames)
    assert [path for path in store.root.rglob("*") if path.is_file()] == [entry]


def test_an_entry_by_other_hands_is_decoded_again(mp4: Path, store: FrameStore) -> None:
    clip = Clip("c", mp4)
    key = store.key(clip)
    arrays = {"frames": np.zeros((2, 3, 3, 3), np.uint8), "times": np.zeros(2)}
    TensorStore(store.root).put(key, arrays, {"decoder": "theirs"})
    ((_, outcome),) = store.fill([clip], workers=1)
    assert isinstance(outcome, DecodedFrames)
    assert outcome.decoder != "theirs"
    assert len(outcome.frames) == len(outcome.times)


def test_a_hang_costs_its_clip_only(
    mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        "for line in sys.stdin:\n"
        "    if json.loads(line)['id'] == 'hangs': time.sleep(600)\n"
        """    print('{"kind": "empty", "reason": "lived"}', flush=True)\n""",
    )
    clips = [Clip(name, mp4, start=n / 10) for n, name in enumerate(["a", "hangs", "b"])]
    assert kinds(store.fill(clips, workers=1, timeout=1.0)) == [
        ("a", "empty"), ("hangs", "timeout"), ("b", "empty")
    ]  # fmt: skip


def test_a_crash_costs_its_clip_only(
    mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        "for line in sys.stdin:\n"
        "    if json.loads(line)['id'] == 'crashes': os.abort()\n"
        """    print('{"kind": "empty", "reason": "lived"}', flush=True)\n""",
    )
    clips = [Clip(name, mp4, start=n / 10) for n, name in enumerate(["a", "crashes", "b"])]
    assert kinds(store.fill(clips, workers=1)) == [
        ("a", "empty"), ("crashes", "broken"), ("b", "empty")
    ]  # fmt: skip


def test_closing_early_ends_the_processes(
    tmp_path: Path, mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        f"open({str(tmp_path)!r} + f'/{{os.getpid()}}.pid', 'w').close()\n"
        "for line in sys.stdin:\n"
        "    if json.loads(line)['id'] != 'first': time.sleep(600)\n"
        """    print('{"kind": "empty", "reason": "first"}', flush=True)\n""",
    )
    names = ["first", *"abcd"]
    outcomes = store.fill([Clip(n, mp4, start=k / 10) for k, n in enumerate(names)], workers=2)
    assert next(outcomes)[0].id == "first"
    began = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began < 5
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_store_that_cannot_be_written_ends_the_run(tmp_path: Path, mp4: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FrameStore(tmp_path / "file" / "frames", 128, Uniform(3))
    with pytest.raises(BenchError, match=r"cannot write .*move away the file"):
        list(store.fill([Clip("c", mp4)], workers=1))


def test_a_plan_that_workers_cannot_know_is_refused(tmp_path: Path) -> None:
    class Odd:
        key = "odd"

        def times(self, duration: float) -> list[float]:
            return [duration / 2]

    with pytest.raises(UsageError, match="unknown sampling plan 'odd'"):
        FrameStore(tmp_path, 128, Odd())


def test_libraries_that_print_do_not_disturb_the_answers(
    tmp_path: Path, mp4: Path, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        monkeypatch,
        "import bench.video.worker as worker\n"
        "decode = worker.decode\n"
        "def noisy(*args):\n"
        "    os.write(1, b'noise\\n'); print('more', flush=True)\n"
        "    return decode(*args)\n"
        "worker.decode = noisy\n"
        # The stand-in has greeted already, so the worker's own greeting answers no job.
        "real = os.write\n"
        "os.write = lambda f, b: real(f, b) if b'ready' not in b else 0\n"
        "worker.main()\n",
    )
    path = write_video(tmp_path / "ü \udcff.mp4", frames=6)
    ((_, outcome),) = store.fill([Clip("c", path)], workers=1)
    assert isinstance(outcome, DecodedFrames)
    assert [read(frame) for frame in outcome.frames] == [1, 3, 5]
