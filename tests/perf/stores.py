"""Reading the stores back against reading the same bytes; what opening and the two forms cost.

From the disk the goal is that reading costs what the disk does; from the page cache, where there is
no disk to wait for, the figures tell what Python adds.
"""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import bench
from bench.contracts import Clip
from bench.files.tensor_store import TensorStore, digest
from bench.video import FrameStore, Uniform
from tests.perf import videos
from tests.perf.table import Figure, interleaved, median, seconds

TIMES = [float(at) for at in range(12)]


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Features and frames of 1,000 videos, 23,000 clips, raw frames against lossless WebP."""
    rounds, count, many = (1, 20, 50) if quick else (5, 1000, 23_000)
    found = [*_features(folder, count, rounds), *_frames(folder, quick, rounds)]
    return [*found, _opening(folder, many, rounds)]


def _same_bytes(paths: list[Path]) -> float:
    """Seconds to read whole files, one after the other."""

    def read() -> None:
        for path in paths:
            with path.open("rb", buffering=0) as file:
                file.readall()

    return seconds(read)


def _read_back(
    what: str, paths: list[Path], read: Callable[[], object], rounds: int
) -> tuple[Figure, float]:
    """Ours, which `read`s what lies in `paths`, against its bytes; and the seconds of ours."""
    ours, limit = interleaved(lambda: seconds(read), lambda: _same_bytes(paths), rounds)
    return _figure(what, ours, limit), statistics.median(ours)


def _from_disk(what: str, paths: list[Path], read: Callable[[], object], rounds: int) -> Figure:
    """The same with the files out of the page cache."""

    def forgotten() -> None:
        for path in paths:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def ours() -> float:
        forgotten()
        return seconds(read)

    def theirs() -> float:
        forgotten()
        return _same_bytes(paths)

    os.sync()  # only what is written can be forgotten
    cold, limit = interleaved(ours, theirs, rounds)
    speed = sum(path.stat().st_size for path in paths) / statistics.median(limit) / 2**20
    note = f"{speed:,.0f} MiB/s is what the disk gives."
    return replace(_figure(f"{what}, from the disk", cold, limit), goal=0.8, note=note)


def _figure(what: str, ours: list[float], limit: list[float]) -> Figure:
    return Figure(
        "Stores", what, median(ours, "ms", 1000),
        f"{median(limit, 'ms', 1000)}: the same files' bytes",
        [b / a for a, b in zip(ours, limit, strict=True)],
    )  # fmt: skip


def _features(folder: Path, count: int, rounds: int) -> list[Figure]:
    store = TensorStore(folder / "features")
    chooser = np.random.default_rng(0)
    keys = [digest("perf", number) for number in range(count)]
    written = seconds(lambda: [
        store.put(key, {"features": chooser.standard_normal((12, 512), np.float32)},
                  {"decoder": "none", "times": TIMES})
        for key in keys
    ])  # fmt: skip
    paths = [store.path(key) for key in keys]

    def read() -> object:
        return list(store.get_each(keys))

    what = f"features of {count:,} videos read back"
    cold = _from_disk(what, paths, read, rounds)
    warm, spent = _read_back(what, paths, read, rounds)
    size = sum(path.stat().st_size for path in paths) / count
    shutil.rmtree(folder / "features")
    warm = replace(
        warm,
        note=f"from the page cache; {size / 1024:.1f} KiB a video of 12 x 512; writing took "
        f"{1e6 * written / count:.0f} µs a video.",
        extra={"feature_read": spent / count, "feature_write": written / count},
    )  # fmt: skip
    return [cold, warm]


def _frames(folder: Path, quick: bool, rounds: int) -> list[Figure]:
    """Of generated 240p videos and of the toy world, both forms."""
    generated = videos.source(folder, videos.SHORT if quick else videos.SMALL, 4 if quick else 32)
    found = []
    for name, source in (("generated 240p", str(generated)), ("toy world", "toy")):
        clips = [clip for clip in bench.load_task("msrvtt", source).clips if clip.path][:32]
        clips = clips[:4] if quick else clips
        for form in ("raw", "webp"):
            found += _form(folder, name, form, clips, rounds)
    return found


def _form(folder: Path, name: str, form: str, clips: list[Clip], rounds: int) -> list[Figure]:
    root = folder / f"frames-{form}"
    store = FrameStore(root, 224, Uniform(12), form=form)
    filled = seconds(lambda: list(store.fill(clips, 2)))
    keys = [store.key(clip) for clip in clips]
    paths = [store.path(key) for key in keys]

    def read() -> None:
        for key in keys:
            store.load(key)

    what = f"{form} frames of {len(clips)} clips read back, {name}"
    cold = [_from_disk(what, paths, read, rounds)] if form == "raw" else []
    warm, spent = _read_back(what, paths, read, rounds)
    size = sum(path.stat().st_size for path in paths) / len(paths)
    shutil.rmtree(root)
    warm = replace(
        warm,
        note=f"{size / 1024:.0f} KiB a clip of 12 frames at 224 x 224; decoding and writing took "
        f"{1000 * filled / len(clips):.0f} ms a clip with two workers, their start included.",
        extra={f"{form}_bytes": size, f"{form}_read": spent / len(clips)},
    )  # fmt: skip
    return [*cold, warm]


def _opening(folder: Path, count: int, rounds: int) -> Figure:
    """Knowing which of many clips a store has: their keys, and a look at each name."""
    root = folder / "opening"
    (root / "videos").mkdir(parents=True, exist_ok=True)
    clips = [Clip(f"c{at}", root / "videos" / f"{at}.mp4") for at in range(count)]
    for clip in clips:
        assert clip.path
        clip.path.touch()
    fresh = FrameStore(root / "frames", 224, Uniform(12))
    for clip in clips[::2]:
        path = fresh.path(fresh.key(clip))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def opened() -> None:
        store = FrameStore(root / "frames", 224, Uniform(12))
        assert sum(store.has(store.key(clip)) for clip in clips) == (count + 1) // 2

    times = [seconds(opened) for _ in range(rounds)]
    shutil.rmtree(root)
    return Figure("Stores", f"which of {count:,} clips are there", median(times), "0.5 s",
                  met=statistics.median(times) <= 0.5,
                  note="every clip's file is looked at, its key worked out, its entry looked up; "
                  "opening the store itself reads nothing.")  # fmt: skip
