"""Metrics in bootstrap resamples of videos: each a function of sums over videos.

So a resample is a weighted sum, and a thousand of them are a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.metrics.bootstrap import resample_weights

# Weights [b, videos] -> the metric in each of b resamples.
Statistic = Callable[[np.ndarray], np.ndarray]
Replicates = dict[str, np.ndarray]  # metric -> its value in each resample


def resampled(
    statistics: dict[str, Statistic], videos: int, resamples: int, seed: int
) -> Replicates:
    """Every statistic in `resamples` resamples of the videos, float64 [resamples] each."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    for weights in resample_weights(videos, resamples, seed):
        for name, statistic in statistics.items():
            found[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def mean(values: np.ndarray) -> Statistic:
    """Mean of one value a video."""
    return lambda weights: weights @ values / weights.sum(axis=1)


def sums(
    video: np.ndarray, group: np.ndarray, values: np.ndarray, videos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of item values by video and group, both [videos, groups]."""
    groups = int(group.max(initial=0)) + 1
    place = video * groups + group
    total = np.bincount(place, values, videos * groups).reshape(videos, groups)
    counts = np.bincount(place, minlength=videos * groups).reshape(videos, groups)
    return total, counts.astype(float)


def macro(parts: np.ndarray, counts: np.ndarray, threshold: int = 0) -> Statistic:
    """Mean over groups of a group's mean; `parts` and `counts` as from `sums`.

    Groups with at most `threshold` items are left out.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        number = weights @ counts
        kept = number > threshold
        means = np.divide(weights @ parts, number, out=np.zeros_like(number), where=kept)
        return _shares(means.sum(axis=1), kept.sum(axis=1))

    return statistic


def f1(counts: np.ndarray) -> Statistic:
    """Mean over rounds [rounds, videos, 4] of F1 from summed precision and recall fractions."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        values = []
        for round_ in counts:
            p_num, p_den, r_num, r_den = (weights @ round_).T
            precision, recall = _shares(p_num, p_den), _shares(r_num, r_den)
            values.append(_shares(2 * precision * recall, precision + recall))
        mean: np.ndarray = np.mean(values, axis=0)
        return mean

    return statistic


def _shares(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients; 0 where there is nothing to divide by."""
    zero = np.zeros(np.shape(numerator))
    return np.divide(numerator, denominator, out=zero, where=np.asarray(denominator) > 0)
