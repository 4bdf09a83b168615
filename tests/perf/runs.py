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
    """Cold, second model and warm, for both encoders and two shapes of videos."""
    rounds = 1 if quick else 3
    found = []
    shapes = [(videos.SHORT, 4)] if quick else [(videos.SMALL, 32), (videos.LARGE, 16)]
    for shape, count in shapes:
        source = videos.source(folder, shape, count)
        tiny = TINY.format(ROOT / "adapters/tiny/clip-tiny.safetensors")
        found += _against_the_common_way(folder, source, "clip-tiny", tiny, rounds)
        if not quick:
            model = videos.random_b32(folder)
            found += _against_the_common_way(folder, source, "ViT-B/32", model, rounds)
    return found


def _against_the_common_way(
    folder: Path, source: Path, name: str, model: str, rounds: int
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
        "cold run": (colds, [b / a for a, b in zip(colds, usual, strict=True)], 2.0),
        "second model": (seconds, [middle / value for value in seconds], 4.0),
        "warm run": (warms, [middle / value for value in warms], 50.0),
    }
    return [
        Figure("Whole runs against the common way", f"{what}: {kind}", median(times),
               median(usual), found, goal)
        for kind, (times, found, goal) in ratios.items()
    ]  # fmt: skip
