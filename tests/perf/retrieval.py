"""Ranking among many: memory grows with the features, time with the pairs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tests.perf.table import Figure, peak_mib, seconds, told

DIM = 512


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Sets up to 100,000 texts and videos, each in a process of its own."""
    sizes = [500, 1000] if quick else [25_000, 100_000]
    found = []
    for size in sizes:
        one = told("-m", "tests.perf.retrieval", str(size))
        pairs = size * size / one["seconds"] / 1e6
        found.append(
            Figure("Retrieval", f"retrieval, {size:,} x {size:,}, ranks and tops both ways",
                   f"{one['seconds']:.1f} s, {one['peak_mib']:,.0f} MiB",
                   f"2,048 MiB; {pairs:.1f} million pairs/s", met=one["peak_mib"] < 2048,
                   note=f"of the peak, {one['inputs_mib']:,.0f} MiB are the two sets of features.")
        )  # fmt: skip
    return found


def _measure(size: int) -> None:
    """Rank random features of 512 dimensions in a process of its own; prints a JSON line."""
    from bench.contracts import normalise
    from bench.metrics.retrieval import ranks_from_features

    chooser = np.random.default_rng(0)
    texts = chooser.standard_normal((size, DIM), np.float32)
    videos = normalise(texts + chooser.standard_normal((size, DIM), np.float32) * 3)
    texts = normalise(texts)
    spent = seconds(lambda: ranks_from_features(texts, videos, np.arange(size)))
    inputs = (texts.nbytes + videos.nbytes) / 2**20
    print(json.dumps({"seconds": spent, "peak_mib": peak_mib(), "inputs_mib": inputs}))


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
