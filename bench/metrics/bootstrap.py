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


def rank_draws(
    ranks: np.ndarray, clusters: np.ndarray, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """R@k, MdR and MnR in each of `resamples` resamples, float64 [resamples].

    `ranks` int [M] from 1; `clusters` [M] names each query's video: captions of one video are no
    independent draws, so whole videos are resampled. The same clusters and seed draw the same
    videos, so that two models' draws are paired.
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
    names = [*(f"R@{k}" for k in CUTOFFS), "MnR", "MdR"]
    return dict(zip(names, np.concatenate(draws).T, strict=True))


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a metric's values in the resamples.

    >>> interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def p_value(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller share of resamples on one side of zero.

    One is added to both counts, so that a finite number of resamples never gives p = 0.

    >>> p_value(np.array([0.5] * 9))
    0.2
    """
    sides = (np.sum(differences <= 0) + 1, np.sum(differences >= 0) + 1)
    return min(1.0, 2.0 * float(min(sides)) / (len(differences) + 1))


def _medians(ordered: np.ndarray, cumulative: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The ordinary median of each weighted sample: the mean of the middle two where even."""
    lower, upper = np.ceil(total / 2), np.floor(total / 2) + 1
    return np.array([
        (ordered[np.searchsorted(row, low)] + ordered[np.searchsorted(row, high)]) / 2
        for row, low, high in zip(cumulative, lower, upper, strict=True)
    ])  # fmt: skip
