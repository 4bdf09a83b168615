"""Many clips: time grows with their number, memory for features does not.

Features of generated clips are kept first; then a process of its own finds them all in the store
and pools each clip. It may hold but 1 MiB of features: at every size nearly all are read twice,
once when they are looked for and once when they are pooled.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Source
from bench.encoding import Silent, Work, clip_features
from bench.video import Uniform
from tasks.msrvtt import MSRVTT
from tests.perf.table import ROOT, Figure, peak_mib, seconds

DIM, FRAMES = 64, 12


class Generated(Adapter):
    """Never asked to encode: everything is in the store."""

    name, fingerprint, embed_dim, image_size = "generated", "generated-64", DIM, 32

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise AssertionError("all features are kept")

    encode_texts = encode_frames  # type: ignore[assignment]


def figures(folder: Path, quick: bool) -> list[Figure]:
    """A figure a size; the ratio is the time a clip of the smallest size to that of this one."""
    sizes = [20, 40] if quick else [12_500, 25_000, 50_000, 100_000]
    root = folder / "scale"
    shutil.rmtree(root, ignore_errors=True)
    _fill(root, sizes[-1])
    measured = []
    for size in sizes:
        command = [sys.executable, "-m", "tests.perf.scale", str(root), str(size)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        measured.append({"size": size, **json.loads(done.stdout)})
    shutil.rmtree(root)
    each = [told["seconds"] / told["size"] for told in measured]
    first = measured[0]
    found = []
    for told, spent in zip(measured, each, strict=True):
        grown = told["peak_mib"] - first["peak_mib"]
        more = told["size"] - first["size"]
        slope = f", {1024 * grown / more:.2f} KiB for each further clip" if more else ""
        features = told["size"] * FRAMES * DIM * 4 / 2**20
        found.append(
            Figure("Scale", f"{told['size']:,} clips found, read and pooled",
                   f"{told['seconds']:.1f} s, {told['peak_mib']:.0f} MiB",
                   f"{features:.0f} MiB of features", [each[0] / spent],
                   note=f"{1e6 * spent:.0f} µs a clip{slope}.",
                   extra={"clip_seconds": spent,
                          **({"clip_bytes": grown * 2**20 / more} if more else {})})
        )  # fmt: skip
    return found


def _task(root: Path, size: int) -> MSRVTT:
    clips = [Clip(f"c{at}", root / "videos" / str(at // 1000) / f"{at}.mp4") for at in range(size)]
    source = Source("scale", root)
    return MSRVTT("rehearsal", source, "scale", clips, [], Uniform(FRAMES), expected=size)


def _fill(root: Path, size: int) -> None:
    from bench.cache import TensorStore, digest
    from bench.encoding import frame_store

    task, run, adapter = _task(root, size), RunConfig(cache=root / "cache"), Generated()
    frames = frame_store(adapter, task, run)
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
