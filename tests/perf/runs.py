"""Whole processes, imports included: ours against the common way."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

from tests.perf import videos
from tests.perf.encoding import write_config
from tests.perf.table import ROOT, Figure, command, interleaved, median

TINY = "open_clip:clip-tiny/{}"


def figures(folder: Path, quick: bool) -> list[Figure]:
    """clip-tiny, which costs little: what is left is decoding and the harness."""
    shapes = [(videos.SHORT, 4)] if quick else [(videos.SMALL, 128), (videos.LARGE, 48)]
    tiny = TINY.format(ROOT / "adapters/tiny/clip-tiny.safetensors")
    return of_model(folder, "clip-tiny", tiny, shapes, 1 if quick else 2)


def of_model(
    folder: Path,
    name: str,
    model: str,
    shapes: list[tuple[videos.Shape, int]],
    rounds: int,
    note: str = "",
) -> list[Figure]:
    """Cold, second model and warm, on videos of each shape; `note` belongs to the first two."""
    return [
        figure for shape, count in shapes
        for figure in _against_the_common_way(
            folder, videos.source(folder, shape, count), name, model, rounds, note
        )
    ]  # fmt: skip


def _against_the_common_way(
    folder: Path, source: Path, name: str, model: str, rounds: int, note: str
) -> list[Figure]:
    settings = str(write_config(folder))

    def run() -> float:
        return command("-m", "bench", "--config", settings, "run", "--task", "msrvtt", "--source",
                       str(source), "--model", model, "--quiet",
                       "--output", str(folder / "results"))  # fmt: skip

    def cold() -> float:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        return run()

    def second() -> float:
        """As for another model of the same size: frames are kept, features are not."""
        shutil.rmtree(folder / "cache" / "features", ignore_errors=True)
        return run()

    def common() -> float:
        return command("-m", "tests.perf.peers", str(source), model)

    what = f"{name}, {source.name.replace('-', ', ')} videos"
    colds, usual = interleaved(cold, common, rounds)
    seconds = [second() for _ in range(rounds)]
    warms = [run() for _ in range(rounds)]
    middle = statistics.median(usual)
    ratios = {
        "cold run": (colds, [b / a for a, b in zip(colds, usual, strict=True)], 2.0, note),
        "second model": (seconds, [middle / value for value in seconds], 4.0, note),
        "warm run": (warms, [middle / value for value in warms], 50.0, ""),
    }
    return [
        Figure("Whole runs against the common way", f"{what}: {kind}", median(times),
               median(usual), found, goal, note=remark)
        for kind, (times, found, goal, remark) in ratios.items()
    ]  # fmt: skip
