"""Paired differences by hand-made numbers: what is tested, over what, and how it is corrected."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from bench.metrics.bootstrap import Mean, Replicates, Sample, Statistic
from bench.metrics.differences import (
    Estimate,
    holm,
    over_seeds,
    paired,
    pooled,
    sign_flips,
    tied,
    two_way,
)

B = 999


def run(values: np.ndarray, resamples: int = B) -> Replicates:
    """One value a cluster."""
    sample = Sample(len(values), {"m": Mean(values.astype(float), np.ones(len(values)))})
    return sample.replicates(resamples, 0)["m"]


def smooth(values: np.ndarray) -> Replicates:
    """The same mean, not known to be one."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = weights @ values / weights.sum(axis=1)
        return found

    named: dict[str, Statistic] = {"m": statistic}
    return Sample(len(values), named).replicates(B, 0)["m"]


def agrees(found: Estimate) -> bool:
    """p is at most 0.05 just where zero lies outside of the interval."""
    return (found.p <= 0.05) == (not found.low <= 0 <= found.high)


@pytest.mark.parametrize("clusters", [6, 24, 49, 50, 300])
@pytest.mark.parametrize("make", [run, smooth])
def test_p_and_interval_agree(clusters: int, make: object) -> None:
    """Also where a difference is just at the border, of which there are enough here."""
    random = np.random.default_rng(clusters)
    border = 0
    for _ in range(60):
        one, noise = random.normal(size=(2, clusters))
        gap = 2 / math.sqrt(clusters) * random.normal()
        found = paired([make(one)], [make(one + gap + noise)])  # type: ignore[operator]
        assert agrees(found) and found.low <= found.value <= found.high
        border += 0.01 < found.p < 0.2
    assert border > 10


def test_equal_runs_do_not_differ_though_they_round_otherwise() -> None:
    """What sums of another order leave is no difference."""
    values = np.random.default_rng(0).normal(size=200)
    for make in (run, smooth):
        for noise in (0.0, 1e-12):
            found = paired([make(values)], [make(values + noise)])
            assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_few_clusters_are_tested_by_turning_their_signs() -> None:
    """Against every pattern of six clusters: 2 of 64 are as far out, or further."""
    gaps = np.array([3.0, 2.0, 4.0, 1.0, 5.0, 2.5])
    whole = [abs(np.dot(signs, gaps)) for signs in product((-1, 1), repeat=6)]
    exact = np.mean(np.array(whole) >= gaps.sum() - 1e-9)
    assert exact == 2 / 64
    found = paired([run(np.zeros(6), 9999)], [run(gaps, 9999)])
    assert found.p == pytest.approx(exact, abs=0.006) and found.apart
    gaps[3] = -1.0  # now the pattern with that sign turned lies further out
    found = paired([run(np.zeros(6), 9999)], [run(gaps, 9999)])
    assert found.p == pytest.approx(4 / 64, abs=0.008) and not found.apart


def test_a_p_by_signs_is_never_zero() -> None:
    """The pattern that was seen counts, whatever the others are."""
    assert sign_flips(np.ones(40), np.ones(40), B, 0).p == 1 / (B + 1)


def test_clusters_of_different_size_count_by_their_items() -> None:
    """Of two clusters' means 10 and 0 with 9 and 1 items each ten times over: 9, not 5."""
    total, count = np.tile([90.0, 0.0], 10), np.tile([9.0, 1.0], 10)
    found = sign_flips(total, count, B, 0)
    assert found.value == 9
    one = Sample(20, {"m": Mean(np.zeros(20), count)}).replicates(B, 0)["m"]
    two = Sample(20, {"m": Mean(total, count)}).replicates(B, 0)["m"]
    assert paired([one], [two]).value == 9
    assert paired([one] * 1, [two, two]).value == pytest.approx(9)


def test_nothing_is_tested_with_fewer_than_six_clusters() -> None:
    found = paired([run(np.zeros(5))], [run(np.full(5, 50.0))])
    assert (found.low, found.high, found.p) == (-math.inf, math.inf, 1)
    assert tied([[run(np.zeros(5))], [run(np.full(5, 50.0))]], True) == [True, True]
    assert all(tied([[run(np.full(5, level))] for level in (1.0, 2.0, 50.0)], True))


def test_two_way_variance_is_that_of_the_table() -> None:
    """Mean squares of clusters, seeds and rest, as an analysis of variance gives them."""
    table = np.random.default_rng(3).normal(size=(8, 3)) + np.arange(8)[:, None] + [0, 5, 9]
    n, s = table.shape
    rows, columns, mean = table.mean(1), table.mean(0), table.mean()
    of_rows = s * ((rows - mean) ** 2).sum() / (n - 1)
    of_columns = n * ((columns - mean) ** 2).sum() / (s - 1)
    rest = ((table - rows[:, None] - columns + mean) ** 2).sum() / ((n - 1) * (s - 1))
    parts = of_rows + of_columns - rest
    variance = parts / (n * s)
    freedom = parts**2 / (
        of_rows**2 / (n - 1) + of_columns**2 / (s - 1) + rest**2 / ((n - 1) * (s - 1))
    )
    found = two_way(table)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert found.value == pytest.approx(mean) and found.error == pytest.approx(variance**0.5)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(mean) / variance**0.5, freedom))


def test_the_variance_is_not_below_that_of_clusters_or_seeds_alone() -> None:
    """Where the rest varies more than both, the difference of mean squares could be negative."""
    noise = np.random.default_rng(0).normal(size=(40, 3))
    table = noise - noise.mean(axis=0) - noise.mean(axis=1, keepdims=True)
    table += 1e-3 * np.random.default_rng(1).normal(size=(40, 1))
    found = two_way(table)
    rows = table.mean(axis=1)
    assert found.error**2 >= 0.999 * rows.var(ddof=1) / 40 > 0


def test_seeds_widen_a_difference_that_every_video_shares() -> None:
    """Three trainings that end 0, 5 and 10 apart: sure of these weights, not of the method."""
    base = np.random.default_rng(0).normal(size=300)
    first = [run(base) for _ in range(3)]
    second = [run(base + gap + 0.1 * np.random.default_rng(gap).normal(size=300))
              for gap in (0, 5, 10)]  # fmt: skip
    assert paired(first[:1], second[1:2]).apart
    assert not paired(first, second).apart
    assert not paired(first[:1], second).apart  # one run beside several
    others = [smooth(base), *[smooth(base + gap) for gap in (0, 5, 10)]]
    assert not paired(others[:1], others[1:]).apart  # by the pigeonhole bootstrap
    low, high = over_seeds(second)
    assert low < 0 and high > 10
    with pytest.raises(ValueError, match="2 runs beside 3"):
        paired(first[:2], second)


def test_pooled_replicates_vary_with_seeds_and_with_clusters() -> None:
    random = np.random.default_rng(0)
    levels = (0.0, 30.0)
    runs = [run(level + random.normal(size=100)) for level in levels]
    found = pooled(runs)
    assert found.value == pytest.approx(15, abs=0.5)
    # Two runs drawn of two: one or the other twice in half of the resamples.
    assert np.mean(np.abs(found.values - 15) > 10) == pytest.approx(0.5, abs=0.06)
    same = pooled([runs[0], runs[0]])
    assert same.values.std() == pytest.approx(runs[0].values.std())


def test_equal_models_are_tied_however_many_there_are() -> None:
    """Of ten equal models the best of them is no better; pairwise tests would say so of some."""
    random = np.random.default_rng(4)
    common = random.normal(size=400)
    rows = [[run(common + 0.5 * random.normal(size=400))] for _ in range(10)]
    values = [runs[0].value for runs in rows]
    best = rows[int(np.argmax(values))]
    alone = [paired(best, runs).apart for runs in rows]
    assert any(alone) and all(tied(rows, True))
    better = [*rows, [run(common + 1.0)]]
    assert tied(better, True) == [False] * 10 + [True]
    assert tied([[run(-rows_[0].mean.total)] for rows_ in better if rows_[0].mean], False) == (
        [False] * 10 + [True]
    )


def test_rows_of_two_and_of_three_seeds_are_compared_all_the_same() -> None:
    """Their runs cannot be paired one by one: the two are compared as more rows are."""
    random = np.random.default_rng(0)
    base = random.normal(size=200)
    one, two, far = (
        [run(base + level + 0.05 * random.normal(size=200)) for _ in range(seeds)]
        for level, seeds in ((0.0, 2), (0.001, 3), (9.0, 3))
    )
    assert tied([one, two], True) == [True, True]
    assert tied([one, far], True) == [False, True] and tied([one, far], False) == [True, False]


def test_holm_corrects_from_the_smallest_p_on() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_could_have_been_seen_is_2_8_standard_errors() -> None:
    gaps = np.random.default_rng(0).normal(size=100)
    found = paired([run(np.zeros(100), 9999)], [run(gaps, 9999)])
    assert found.detectable == pytest.approx(2.8 * gaps.std() / 10, rel=0.03)
