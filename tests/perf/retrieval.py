"""Ranking among many: memory grows with the features, time with the pairs."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tests.perf import peers
from tests.perf.table import Figure, interleaved, median, peak_mib, seconds, told

DIM = 512


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Sets up to 100,000 texts and videos, each in a process of its own."""
    sizes = [500, 1000] if quick else [25_000, 100_000]
    found = _side_by_side(500 if quick else 12_000, 1 if quick else 5)
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


def _side_by_side(size: int, rounds: int) -> list[Figure]:
    """Against float64 products, which must give the same ranks, and against flat faiss searches."""
    from bench.metrics.retrieval import ranks_from_features

    def ours() -> object:
        return ranks_from_features(texts, videos, owner)

    owner, what = np.arange(size), f"ranks and tops both ways, {size:,} x {size:,}"
    texts, videos = _features(size)
    found, (t2v, v2t) = (
        ranks_from_features(texts, videos, owner),
        peers.ranks_in_float64(texts, videos),
    )
    assert (found.t2v == t2v).all() and (found.v2t == v2t).all()
    against: list[tuple[str, Any, float | None, str]] = [
        ("all products in float64", peers.ranks_in_float64, 4.0, "the ranks are equal.")
    ]
    if find_spec("faiss"):  # of the extra `perf`; the tests go through without it
        alike = float(np.mean(peers.flat_searches(texts, videos) == found.t2v_top))
        note = f"of faiss's best ten, {100 * alike:.2f} % stand where ours do; it gives no ranks."
        against.append(("two flat faiss searches, tops alone", peers.flat_searches, None, note))
    figures = []
    for name, peer, goal, note in against:
        mine, theirs = interleaved(
            lambda: seconds(ours),
            lambda peer=peer: seconds(lambda: peer(texts, videos)),  # type: ignore[misc]
            rounds,
        )
        ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
        figures.append(Figure("Retrieval", what, median(mine), f"{median(theirs)}: {name}", ratios,
                              goal, note=note))  # fmt: skip
    return figures


def _features(size: int) -> tuple[np.ndarray, np.ndarray]:
    from bench.contracts import normalise

    chooser = np.random.default_rng(0)
    texts = chooser.standard_normal((size, DIM), np.float32)
    videos = normalise(texts + chooser.standard_normal((size, DIM), np.float32) * 3)
    return normalise(texts), videos


def _measure(size: int) -> None:
    """Rank random features of 512 dimensions in a process of its own; prints a JSON line."""
    from bench.metrics.retrieval import ranks_from_features

    texts, videos = _features(size)
    spent = seconds(lambda: ranks_from_features(texts, videos, np.arange(size)))
    inputs = (texts.nbytes + videos.nbytes) / 2**20
    print(json.dumps({"seconds": spent, "peak_mib": peak_mib(), "inputs_mib": inputs}))


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
