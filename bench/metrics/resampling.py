"""Metrics as functions of how often each cluster is drawn: sums over clusters, and what is made
of them.

So a resample is a weighted sum, and thousands of them are a matrix product.
"""

from __future__ import annotations

import numpy as np

from bench.metrics.bootstrap import Mean, Sample, Statistic, index_of, quotient
from bench.metrics.retrieval import CUTOFFS

Statistics = dict[str, Statistic]


def rank_statistics(ranks: np.ndarray, cluster: np.ndarray, clusters: int) -> Statistics:
    """R@k, MdR and MnR of `ranks` int [M] from 1; `cluster` int [M] numbers each query's cluster.

    R@k in percent.
    """
    count = np.bincount(cluster, minlength=clusters).astype(np.float64)
    found: Statistics = {
        f"R@{k}": Mean(100.0 * np.bincount(cluster, ranks <= k, clusters), count, share=True)
        for k in CUTOFFS
    }
    found["MnR"] = Mean(np.bincount(cluster, ranks, clusters), count, skewed=True)
    return {**found, "MdR": median(ranks, cluster, clusters)}


def median(values: np.ndarray, cluster: np.ndarray, clusters: int) -> Statistic:
    """The ordinary median of each weighted sample: the mean of the middle two where even."""
    distinct, place = np.unique(values.astype(np.float64), return_inverse=True)
    place = place.reshape(-1)
    shares = np.cumsum(np.bincount(place)) / len(values)
    # A resample's median lies near the sample's: what is far off is counted together.
    near = 0.05 + 3 / np.sqrt(clusters)
    first = int(np.searchsorted(shares, 0.5 - near))
    last = int(np.searchsorted(shares, 0.5 + near)) + 1
    middle = np.clip(place, first - 1, last) - (first - 1)
    table = _counts(cluster, middle, clusters, last - first + 2)

    def statistic(weights: np.ndarray) -> np.ndarray:
        lower, upper = _middle(weights @ table)
        if lower.min() == 0 or upper.max() == last - first + 1:  # or not so near: counted in full
            full = _counts(cluster, place, clusters, len(distinct))
            lower, upper = _middle(weights @ full)
            return (distinct[lower] + distinct[upper]) / 2
        return (distinct[lower + first - 1] + distinct[upper + first - 1]) / 2

    return statistic


def _counts(cluster: np.ndarray, place: np.ndarray, clusters: int, places: int) -> np.ndarray:
    """How many items a cluster has at each place, float64 [clusters, places]."""
    found = np.bincount(cluster * places + place, minlength=clusters * places)
    return found.reshape(clusters, places).astype(np.float64)


def _middle(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of the lower and the upper middle item by `counts` [b, places]."""
    cumulative = np.cumsum(counts, axis=1)
    total = cumulative[:, -1:]
    lower = (cumulative < np.ceil(total / 2)).sum(axis=1)
    return lower, (cumulative < np.floor(total / 2) + 1).sum(axis=1)


def mean(values: np.ndarray, share: bool = False) -> Mean:
    """Mean of one value a cluster."""
    return Mean(values.astype(np.float64), np.ones(len(values)), share)


def sums(
    cluster: np.ndarray, group: np.ndarray, values: np.ndarray, clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of item values by cluster and group, both [clusters, groups]."""
    groups = int(group.max(initial=0)) + 1
    place = cluster * groups + group
    total = np.bincount(place, values, clusters * groups).reshape(clusters, groups)
    counts = np.bincount(place, minlength=clusters * groups).reshape(clusters, groups)
    return total, counts.astype(float)


def macro(parts: np.ndarray, counts: np.ndarray, threshold: int = 0) -> Statistic:
    """Mean over groups of a group's mean; `parts` and `counts` as from `sums`.

    Groups with at most `threshold` items are left out. Which these are is fixed, by the whole
    sample: a resample repeats whole clusters, so that rarer groups would pass in it.
    """
    kept = counts.sum(axis=0) > threshold
    parts, counts = parts[:, kept], counts[:, kept]

    def statistic(weights: np.ndarray) -> np.ndarray:
        number = weights @ counts
        means = quotient(weights @ parts, number)
        return quotient(means.sum(axis=1), (number > 0).sum(axis=1))

    return statistic


def f1(counts: np.ndarray) -> Statistic:
    """Mean over rounds [rounds, clusters, 4] of F1 from summed precision and recall fractions."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        values = []
        for round_ in counts:
            p_num, p_den, r_num, r_den = (weights @ round_).T
            precision, recall = quotient(p_num, p_den), quotient(r_num, r_den)
            values.append(quotient(2 * precision * recall, precision + recall))
        mean: np.ndarray = np.mean(values, axis=0)
        return mean

    return statistic


def scaled(statistic: Statistic, factor: float) -> Statistic:
    """`factor` times a metric."""
    if isinstance(statistic, Mean):
        return Mean(factor * statistic.total, statistic.count, statistic.share, statistic.skewed)
    return lambda weights: factor * statistic(weights)


def sample_of(statistics: Statistics, clusters: list[str]) -> Sample:
    """A sample of metrics of videos, of which `clusters` [videos] names what are drawn together."""
    cluster, size = index_of(clusters)
    if size == len(clusters):  # each by itself
        return Sample(size, statistics)
    return Sample(size, {name: _by(one, cluster, size) for name, one in statistics.items()})


def _by(statistic: Statistic, cluster: np.ndarray, clusters: int) -> Statistic:
    """A metric of videos by how often their clusters are drawn."""
    if isinstance(statistic, Mean):
        total, count = (
            np.bincount(cluster, part, clusters) for part in (statistic.total, statistic.count)
        )
        return Mean(total, count, statistic.share, statistic.skewed)
    return lambda weights: statistic(weights[:, cluster])
