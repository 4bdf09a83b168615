"""Paired differences of runs: intervals, p values, several training seeds, several models.

Formulas and what they were measured to do: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.metrics.bootstrap import (
    FEW,
    LEVEL,
    Replicates,
    interval,
    p_value,
    student,
    widening,
)

FEWEST = 6  # clusters; with fewer no difference is beyond chance at 5 %: two of 2**5 sign patterns
ZERO = 1e-9  # what sums of other order leave of no difference
POWER = 2.80  # standard errors of the difference that 80 % of tests at 5 % find
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A difference with its 95 % interval, two-sided p, and standard error.

    p is at most 0.05 just where zero lies outside the interval, which is infinite where nothing can
    be tested.
    """

    value: float
    low: float
    high: float
    p: float
    error: float

    @property
    def apart(self) -> bool:
        """Whether it is more than chance at 5 %."""
        return self.p <= LEVEL

    @property
    def detectable(self) -> float:
        """The smallest difference that would have been found in four of five such samples."""
        return POWER * self.error


def paired(first: Sequence[Replicates], second: Sequence[Replicates], seed: int = 0) -> Estimate:
    """`second` less `first`, each a model's runs over training seeds, on the same clusters.

    One run a side: over clusters alone. Several: over clusters and seeds; a single run beside
    several is a model that no seed changes. ValueError for other numbers of runs, or clusters.
    """
    runs = max(len(first), len(second))
    if not pairable(first, second):
        raise ValueError(f"{len(first)} runs beside {len(second)}")
    if len({one.clusters for one in (*first, *second)}) > 1:
        raise ValueError("runs of different items")
    sides = [list(side) * (runs if len(side) == 1 else 1) for side in (first, second)]
    pairs = list(zip(*sides, strict=True))
    value = _exact(float(np.mean([two.value - one.value for one, two in pairs])))
    means = all(one.mean is not None for pair in pairs for one in pair)
    if first[0].clusters < FEWEST:
        spread = float(np.std(_values(pairs, seed), ddof=1)) if len(first[0].values) > 1 else 0.0
        return Estimate(value, -math.inf, math.inf, 1.0, spread)
    if runs > 1 and means:
        return two_way(np.stack([_by_cluster(*_sums(*pair)) for pair in pairs], axis=1))
    if means and first[0].clusters < FEW:
        return sign_flips(*_sums(*pairs[0]), len(first[0].values), seed)
    values = value + widening(first[0].clusters) * (_values(pairs, seed) - value)
    values[np.abs(values) < ZERO] = 0.0
    low, high = interval(values)
    return Estimate(value, low, high, p_value(values), float(values.std()))


def pairable(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether runs of two sides can be paired: as many on both, or one alone."""
    return len(first) == len(second) or 1 in (len(first), len(second))


def two_way(differences: np.ndarray) -> Estimate:
    """The mean of paired differences [clusters, seeds], of clusters and seeds drawn at random.

    Each seed meets all clusters, so both make the mean uncertain: a two-way analysis of variance
    without replication, the variance not below that of one of the two alone, Satterthwaite's
    degrees of freedom.
    """
    clusters, seeds = differences.shape
    mean = float(differences.mean())
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - rows[:, None] - columns + mean
    of_clusters = seeds * float(((rows - mean) ** 2).sum()) / (clusters - 1)
    of_seeds = clusters * float(((columns - mean) ** 2).sum()) / (seeds - 1)
    of_both = float((rest**2).sum()) / ((clusters - 1) * (seeds - 1))
    parts = of_clusters + of_seeds - of_both
    variance = max(parts, of_clusters, of_seeds) / (clusters * seeds)
    below = (
        of_clusters**2 / (clusters - 1) + of_seeds**2 / (seeds - 1)
        + of_both**2 / ((clusters - 1) * (seeds - 1))
    )  # fmt: skip
    # A variance that was raised to the floor is that of the clusters or of the seeds alone.
    freedom = max(parts, of_clusters, of_seeds) ** 2 / below if below > 0 else 1.0
    return _student_estimate(_exact(mean), math.sqrt(variance), freedom)


def sign_flips(total: np.ndarray, count: np.ndarray, resamples: int, seed: int) -> Estimate:
    """A mean difference, `total` [clusters] over `count`, tested by turning whole clusters' signs.

    p is the share of sign patterns whose sum is at least as far from zero, the one that was seen
    counted in. The interval are the differences that the same patterns do not reject: a pattern
    rejects what does not lie between the means of the clusters that it turns and of the others.
    """
    value = _exact(float(total.sum() / count.sum()))
    random = np.random.default_rng(seed)
    turned = (random.integers(0, 2, (resamples, len(total)))).astype(np.float64)
    parts = [(part @ total, part @ count) for part in (turned, 1 - turned)]
    # All turned or none: no difference at all lies outside.
    means = [np.divide(t, c, out=np.full(len(t), np.nan), where=c > 0) for t, c in parts]
    low, high = np.fmin(*means), np.fmax(*means)
    whole = np.isnan(means).any(axis=0)
    low[whole], high[whole] = -math.inf, math.inf
    rank = max(1, int(LEVEL * (resamples + 1)))
    bounds = np.sort(low)[rank - 1], np.sort(high)[-rank]
    within = int(((low <= ZERO) & (high >= -ZERO)).sum())
    spread = total - value * count
    error = math.sqrt(float((spread**2).sum()) * len(total) / (len(total) - 1)) / count.sum()
    return Estimate(
        value, _exact(float(bounds[0])), _exact(float(bounds[1])),
        (1 + within) / (1 + resamples), error,
    )  # fmt: skip


def tied(rows: Sequence[Sequence[Replicates]], higher: bool, seed: int = 0) -> list[bool]:
    """Which of the models, each with its runs, are statistically tied with the best in one metric.

    Of two by their paired difference. Of more, or where runs cannot be paired by seed, by the
    largest standardised difference of any two (max-T over all pairs), so that among equal models
    the chance of setting any apart from the best is 5 %, however many there are.
    """
    values = [float(np.mean([run.value for run in runs])) for runs in rows]
    best = int(np.argmax(values) if higher else np.argmin(values))
    if len(rows) == 2 and pairable(*rows):
        other = 1 - best
        alike = not paired(rows[best], rows[other], seed).apart
        return [True if row == best else alike for row in range(2)]
    one = [pooled(runs, (seed, place)) for place, runs in enumerate(rows)]
    centred = np.stack([run.values - run.value for run in one])
    largest = np.zeros(centred.shape[1])
    errors = np.zeros((len(rows), len(rows)))
    for i in range(len(rows)):
        for j in range(i):
            gap = centred[i] - centred[j]
            errors[i, j] = errors[j, i] = gap.std()
            if errors[i, j] > ZERO:
                np.maximum(largest, np.abs(gap) / errors[i, j], out=largest)
    rank = math.ceil((1 - LEVEL) * (len(largest) + 1))
    critical = float(np.sort(largest)[min(rank, len(largest)) - 1]) * widening(one[0].clusters)
    return [
        bool(one[0].clusters < FEWEST or abs(value - values[best]) <= critical * error + ZERO)
        for value, error in zip(values, errors[best], strict=True)
    ]


def pooled(runs: Sequence[Replicates], seed: int | Sequence[int] = 0) -> Replicates:
    """The mean of a model's runs over training seeds, clusters and seeds both drawn anew.

    The pigeonhole bootstrap: each resample draws clusters, the same for every run, and runs. It
    is a little wide, for what is left after both is counted twice.
    """
    if len(runs) == 1:
        return runs[0]
    drawn = np.random.default_rng(seed).integers(0, len(runs), (len(runs[0].values), len(runs)))
    values = np.stack([run.values for run in runs], axis=1)
    found = np.take_along_axis(values, drawn, axis=1).mean(axis=1)
    mean = float(np.mean([run.value for run in runs]))
    return replace(runs[0], value=mean, values=found, mean=None, errors=None)


def over_seeds(runs: Sequence[Replicates], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of a model's runs, over clusters and training seeds."""
    means = [run.mean for run in runs if run.mean is not None]
    if len(means) == len(runs) and runs[0].clusters > 1:
        found = two_way(np.stack([_by_cluster(one.total, one.count) for one in means], axis=1))
        return found.low, found.high
    one = pooled(runs, seed)
    low, high = (
        one.value + widening(one.clusters) * (bound - one.value) for bound in interval(one.values)
    )
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """p values after Holm's correction for so many tests, in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    found, largest = [0.0] * len(p_values), 0.0
    for place, which in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[which]))
        found[which] = largest
    return found


def _student_estimate(value: float, error: float, freedom: float) -> Estimate:
    from scipy.special import stdtr

    if error <= ZERO:
        return Estimate(value, value, value, 1.0 if value == 0 else 0.0, error)
    half = student(freedom) * error
    p = 2 * float(stdtr(freedom, -abs(value) / error))
    return Estimate(value, value - half, value + half, p, error)


def _values(pairs: Sequence[tuple[Replicates, Replicates]], seed: int) -> np.ndarray:
    """The replicates of the difference, of one pair or pooled over seeds."""
    gaps = [
        replace(two, value=two.value - one.value, values=two.values - one.values)
        for one, two in pairs
    ]
    return pooled(gaps, seed).values.copy()


def _sums(one: Replicates, two: Replicates) -> tuple[np.ndarray, np.ndarray]:
    """By cluster: the sum of the items' differences, and their number."""
    assert one.mean is not None and two.mean is not None
    return two.mean.total - one.mean.total, two.mean.count


def _by_cluster(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """What each cluster says of a mean, float64 [clusters], so that their mean is the mean.

    Of clusters of different size: the mean, and a cluster's distance from it by its size.
    """
    mean = total.sum() / count.sum()
    found: np.ndarray = mean + len(total) / count.sum() * (total - mean * count)
    return found


def _exact(value: float) -> float:
    return 0.0 if abs(value) < ZERO else value
