"""Percentile bootstrap of retrieval ranks, resampled by video."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.metrics.retrieval import CUTOFFS

CELLS = 4_000_000  # numbers held at once: 32 MB an array


def resample_weights(
    items: int, resamples: int, seed: int, cells: int = CELLS
) -> Iterator[np.ndarray]:
    """Yield float64 [b, items] counts of draws with replacement, `resamples` rows in all."""
    random = np.random.default_rng(seed)
    rows = max(1, cells // items)
    for at in range(0, resamples, rows):
        count = min(rows, resamples - at)
        drawn = random.integers(0, items, (count, items))
        drawn += np.arange(count)[:, None] * items
        yield np.bincount(drawn.ravel(), minlength=count * items).reshape(count, items).astype(
            np.float64
        )  # fmt: skip


def rank_intervals(
    ranks: np.ndarray, clusters: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """95 % intervals of R@k, MdR and MnR.

    `ranks` int [M] from 1; `clusters` int [M] names each query's video: captions of one video are
    no independent draws, so whole videos are resampled. Deterministic for a seed.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    order = np.argsort(ranks, kind="stable")
    ordered, cluster = ranks[order].astype(np.float64), cluster[order]
    values = np.stack([100.0 * (ordered <= k) for k in CUTOFFS] + [ordered], axis=1)
    draws = []
    items = int(cluster.max()) + 1
    # Counts are spread over all queries below: with many to a video, fewer rows fit at once.
    for weights in resample_weights(items, resamples, seed, CELLS * items // len(ranks)):
        each = weights[:, cluster]
        cumulative = np.cumsum(each, axis=1)
        total = cumulative[:, -1]
        means = each @ values / total[:, None]
        draws.append(np.column_stack([means, _medians(ordered, cumulative, total)]))
    bounds = np.percentile(np.concatenate(draws), [50 * (1 - level), 50 * (1 + level)], axis=0)
    names = [*(f"R@{k}" for k in CUTOFFS), "MnR", "MdR"]
    return {
        name: (float(low), float(high)) for name, (low, high) in zip(names, bounds.T, strict=True)
    }


def _medians(ordered: np.ndarray, cumulative: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The ordinary median of each weighted sample: the mean of the middle two where even."""
    lower, upper = np.ceil(total / 2), np.floor(total / 2) + 1
    return np.array([
        (ordered[np.searchsorted(row, low)] + ordered[np.searchsorted(row, high)]) / 2
        for row, low, high in zip(cumulative, lower, upper, strict=True)
    ])  # fmt: skip
