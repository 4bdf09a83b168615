"""Many clips: time grows with their number, memory for features does not.

Features of generated clips are kept first; then a process of its own finds them all in the store
and pools each clip. It may hold but 1 MiB of features: at every size nearly all are read twice,
once when they are looked for and once when they are pooled.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Source
from bench.features.extraction import clip_features
from bench.features.work import Silent, Work
from bench.video import Uniform
from tasks.msrvtt import MSRVTT
from tests.perf.table import Figure, median, peak_mib, seconds, told

DIM, FRAMES = 64, 12


class Generated(Adapter):
    """Never asked to encode: everything is in the store."""

    name, fingerprint, embed_dim, image_size = "generated", "generated-64", DIM, 32

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise AssertionError("all features are kept")

    encode_texts = encode_frames  # type: ignore[assignment]


def figures(folder: Path, quick: bool) -> list[Figure]:
    """A figure a size; the ratio is the time a clip of the smallest size to that of this one."""
    sizes, rounds = ([20, 40], 1) if quick else ([12_500, 25_000, 50_000, 100_000], 3)
    root = folder / "scale"
    shutil.rmtree(root, ignore_errors=True)
    _fill(root, sizes[-1])
    os.sync()  # or the first sizes are measured while the disk is still writing
    measured: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for size in sizes * rounds:
        measured[size].append(told("-m", "tests.perf.scale", str(root), str(size)))
    shutil.rmtree(root)
    return [_figure(size, measured[size], sizes[0], measured[sizes[0]]) for size in sizes]


def _figure(
    size: int, runs: list[dict[str, float]], least: int, first: list[dict[str, float]]
) -> Figure:
    times = [one["seconds"] for one in runs]
    peak = max(one["peak_mib"] for one in runs)
    grown, more = peak - max(one["peak_mib"] for one in first), size - least
    slope = f", {1024 * grown / more:.2f} KiB for each further clip" if more else ""
    spent = statistics.median(times) / size
    return Figure(
        "Scale", f"{size:,} clips found, read and pooled", f"{median(times)}, {peak:.0f} MiB",
        f"{size * FRAMES * DIM * 4 / 2**20:.0f} MiB of features",
        [one["seconds"] / least / (time / size) for one, time in zip(first, times, strict=True)],
        0.8 if more else None, note=f"{1e6 * spent:.0f} µs a clip{slope}.",
        extra={"clip_seconds": spent, **({"clip_bytes": grown * 2**20 / more} if more else {})},
    )  # fmt: skip


def _task(root: Path, size: int) -> MSRVTT:
    clips = [Clip(f"c{at}", root / "videos" / str(at // 1000) / f"{at}.mp4") for at in range(size)]
    source = Source("scale", root)
    return MSRVTT("rehearsal", source, "scale", clips, [], Uniform(FRAMES), expected=size)


def _fill(root: Path, size: int) -> None:
    from bench.features.extraction import frame_store
    from bench.files.tensor_store import TensorStore, digest

    task, run, adapter = _task(root, size), RunConfig(cache=root / "cache"), Generated()
    frames = frame_store(Work(adapter, task, run, Silent()))
    store = TensorStore(run.cache_folder / "features")
    chooser = np.random.default_rng(0)
    record = {"decoder": "none", "times": [float(at) for at in range(FRAMES)]}
    for clip in task.clips:
        assert clip.path
        clip.path.parent.mkdir(parents=True, exist_ok=True)
        clip.path.touch()
        features = chooser.standard_normal((FRAMES, DIM), np.float32)
        key = digest("clip", adapter.fingerprint, frames.key(clip))
        store.put(key, {"features": features}, record)


def _measure(root: Path, size: int) -> dict[str, Any]:
    adapter: Any = Generated()
    run = RunConfig(cache=root / "cache", memory=1)

    def walk() -> None:
        features = clip_features(Work(adapter, _task(root, size), run, Silent()))
        pooled = np.lib.format.open_memmap(root / "pooled.npy", "w+", np.float32, (size, DIM))
        for at, clip in enumerate(features):
            pooled[at] = adapter.pool(features[clip])

    spent = seconds(walk)
    return {"seconds": spent, "peak_mib": peak_mib()}


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
