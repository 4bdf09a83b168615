"""How fast commands start, imports included."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.perf import videos
from tests.perf.encoding import write_config
from tests.perf.table import Figure, command, interleaved, median


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Help, a list, and a run for which everything is on disk."""
    rounds, count = (1, 4) if quick else (5, 1000)
    settings = str(write_config(folder))
    source = videos.source(folder, videos.SHORT, count)
    run = ("-m", "bench", "--config", settings, "run", "--task", "msrvtt", "--source", str(source),
           "--model", "clip-tiny", "--quiet", "--output", str(folder / "results"))  # fmt: skip
    command(*run)
    helps = [command("-m", "bench", "--help") for _ in range(rounds)]
    lists = [command("-m", "bench", "list", "models") for _ in range(rounds)]
    warms, imports = interleaved(
        lambda: command(*run), lambda: command("-c", "import torch"), rounds
    )
    share = [b / a for a, b in zip(warms, imports, strict=True)]
    middle = statistics.median
    return [
        Figure("Start", "`bench --help`", median(helps), "0.3 s", met=middle(helps) <= 0.3),
        Figure("Start", "`bench list models`", median(lists), "0.5 s", met=middle(lists) <= 0.5),
        Figure("Start", f"warm `bench run`, {count} pairs", median(warms), "5 s",
               met=middle(warms) <= 5),
        Figure("Start", "the same against `import torch` alone", median(warms), median(imports),
               share, 0.5,
               note="the goal is that half of a warm run may be PyTorch's import; a warm run needs "
               "no model and does not import PyTorch at all."),
    ]  # fmt: skip
