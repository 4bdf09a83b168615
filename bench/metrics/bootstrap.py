"""The bootstrap over clusters: resamples, a metric's replicates, and its 95 % interval.

Items of one cluster (the captions of a video, the clips of a film) are no independent draws, so
whole clusters are drawn. Which interval a metric has, and how often it holds the truth, is in
docs/statistics.md; `python -m tests.statistics` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

RULES = 2  # raised whenever the interval of the same predictions could change
CELLS = 4_000_000  # numbers held at once: 32 MB an array
LEVEL = 0.05
NORMAL = 1.959963984540054  # its 97.5 % quantile
FEW = 50  # clusters below which Student's t takes the normal distribution's place
EDGE = 15  # hits, or misses, below which a share's resamples say too little of it

# Weights float64 [b, clusters], how often each is drawn -> the metric in each of b resamples.
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Mean:
    """A mean over items: `total` of their values and their `count` by cluster, float64 [clusters].

    A `share` is a mean of 0 and 100. A `skewed` one has a tail that its interval must follow.
    """

    total: np.ndarray
    count: np.ndarray
    share: bool = False
    skewed: bool = False

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = quotient(weights @ self.total, weights @ self.count)
        return found

    def error(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The standard error of the mean in each resample, float64 [b]; of the sample without."""
        if weights is None:
            weights = np.ones((1, len(self.total)))
        mean = self(weights)
        squares = [self.total**2, self.total * self.count, self.count**2]
        total, both, count = (weights @ square for square in squares)
        spread = np.maximum(total - 2 * mean * both + mean**2 * count, 0)
        found: np.ndarray = quotient(np.sqrt(spread), weights @ self.count)
        return found


@dataclass(frozen=True)
class Replicates:
    """A metric of one run: its `value`, and its `values` float64 [B] in resamples of the clusters.

    `mean` where the metric is one, `errors` [B] of a skewed one. Of the same clusters and seed,
    those of two runs are paired.
    """

    value: float
    values: np.ndarray
    clusters: int
    mean: Mean | None = None
    errors: np.ndarray | None = None


@dataclass(frozen=True)
class Sample:
    """What a run's metrics are computed from: each a function of how often a cluster is drawn."""

    clusters: int
    statistics: Mapping[str, Statistic]

    def replicates(self, resamples: int, seed: int) -> dict[str, Replicates]:
        """Every metric in `resamples` resamples; all metrics draw the same clusters."""
        values: dict[str, list[np.ndarray]] = {name: [] for name in self.statistics}
        errors: dict[str, list[np.ndarray]] = {}
        means = {name: one for name, one in self.statistics.items() if isinstance(one, Mean)}
        sums = np.array([part for one in means.values() for part in (one.total, one.count)])
        for weights in resample_weights(self.clusters, resamples, seed):
            drawn = iter(sums @ weights.T) if means else iter(())  # all in one product
            for name, statistic in self.statistics.items():
                found = quotient(next(drawn), next(drawn)) if name in means else statistic(weights)
                values[name].append(found)
                if name in means and means[name].skewed:
                    errors.setdefault(name, []).append(means[name].error(weights))
        whole = np.ones((1, self.clusters))
        return {
            name: Replicates(
                float(statistic(whole)[0]), np.concatenate(values[name]), self.clusters,
                statistic if isinstance(statistic, Mean) else None,
                np.concatenate(errors[name]) if name in errors else None,
            )
            for name, statistic in self.statistics.items()
        }  # fmt: skip

    def intervals(self, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
        """The 95 % interval of every metric; none where there is but one cluster."""
        if self.clusters < 2:
            return {}
        return {name: bounds(found) for name, found in self.replicates(resamples, seed).items()}


def rank_draws(
    ranks: np.ndarray, clusters: np.ndarray, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """R@k, MdR and MnR in each of `resamples` resamples, float64 [resamples].

    `ranks` int [M] from 1; `clusters` [M] names what each query is drawn with, such as its video.
    """
    from bench.metrics.resampling import rank_statistics

    cluster, size = index_of(clusters.tolist())
    sample = Sample(size, rank_statistics(np.asarray(ranks), cluster, size))
    return {name: one.values for name, one in sample.replicates(resamples, seed).items()}


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


def bounds(found: Replicates) -> tuple[float, float]:
    """The 95 % interval of a metric: of percentiles, but for three cases.

    A share near 0 or 100 has Wilson's interval, a skewed mean the bootstrap-t's, and with few
    clusters percentiles are moved away from the value by Student's t.
    """
    mean = found.mean
    if mean is not None and mean.share:
        share, size = found.value / 100, _effective_size(mean, found.clusters)
        if size * min(share, 1 - share) < EDGE:
            low, high = wilson(share, size, NORMAL * widening(found.clusters))
            return 100 * low, 100 * high
    if mean is not None and found.errors is not None:
        return _studentised(found, float(mean.error()[0]))
    low, high = (
        found.value + widening(found.clusters) * (bound - found.value)
        for bound in interval(found.values)
    )
    return (max(low, 0.0) if found.values.min() >= 0 else low), high


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of replicates: order statistics, nothing between two of them.

    So `p_value` is at most 0.05 just where zero lies outside the interval of differences.

    >>> interval(np.arange(1.0, 1000.0))
    (25.0, 975.0)
    """
    rank = max(1, int(LEVEL / 2 * (len(values) + 1)))
    ordered = np.partition(values, [rank - 1, len(values) - rank])
    return float(ordered[rank - 1]), float(ordered[len(values) - rank])


def p_value(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller share of resamples on one side of zero.

    One is added to both counts, so that a finite number of resamples never gives p = 0.

    >>> p_value(np.array([0.5] * 9))
    0.2
    """
    sides = (np.sum(differences <= 0) + 1, np.sum(differences >= 0) + 1)
    return min(1.0, 2.0 * float(min(sides)) / (len(differences) + 1))


def wilson(share: float, size: float, quantile: float = NORMAL) -> tuple[float, float]:
    """Wilson's score interval of a share among `size` independent items.

    >>> "%.3f to %.3f" % wilson(0.0, 100)
    '0.000 to 0.037'
    """
    square = quantile**2
    centre = share + square / (2 * size)
    half = quantile * np.sqrt(share * (1 - share) / size + square / (4 * size**2))
    low, high = ((centre + side * half) / (1 + square / size) for side in (-1, 1))
    return (0.0 if share == 0 else float(low)), (1.0 if share == 1 else float(high))


@cache
def widening(clusters: int) -> float:
    """What a distance is multiplied by, since few clusters' own spread is not known well.

    Student's t in place of the normal quantile, and one degree of freedom less in the variance.
    """
    if not 2 <= clusters < FEW:
        return 1.0
    return student(clusters - 1) / NORMAL * float(np.sqrt(clusters / (clusters - 1)))


def student(freedom: float, share: float = 1 - LEVEL / 2) -> float:
    """Student's t quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients; 0 where there is nothing to divide by."""
    zero = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    return np.divide(numerator, denominator, out=zero, where=np.asarray(denominator) > 0)


def index_of(clusters: Sequence[object]) -> tuple[np.ndarray, int]:
    """The number of each item's cluster, int [items], and how many clusters there are."""
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    return index.reshape(-1), len(names)


def _effective_size(mean: Mean, clusters: int) -> float:
    """As how many independent items a share's items count."""
    share, error = float(mean(np.ones((1, clusters)))[0]) / 100, float(mean.error()[0]) / 100
    if error == 0:  # all hits, or none
        return float(clusters)
    return min(share * (1 - share) / error**2, float(mean.count.sum()))


def _studentised(found: Replicates, error: float) -> tuple[float, float]:
    """The bootstrap-t interval: quantiles of (replicate - value) / its error, times the error."""
    assert found.errors is not None
    low, high = interval(quotient(found.values - found.value, found.errors))
    return found.value - high * error, found.value - low * error
