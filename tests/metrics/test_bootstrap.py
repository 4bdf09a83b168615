"""The bootstrap's parts by hand-made numbers: what is drawn, interval, p."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.metrics.bootstrap import (
    Mean,
    Replicates,
    Sample,
    bounds,
    interval,
    p_value,
    rank_draws,
    resample_weights,
    widening,
    wilson,
)
from bench.metrics.resampling import macro, mean, median, sample_of


@pytest.mark.parametrize("cells", [1, 7, 20, 10_000])
def test_every_item_is_drawn_as_often_and_no_resample_is_lost(cells: int) -> None:
    """However few rows are held at once; one row at the least."""
    weights = np.concatenate(list(resample_weights(4, 3000, seed=1, cells=cells)))
    assert weights.shape == (3000, 4) and (weights.sum(axis=1) == 4).all()
    # Each count is binomial(4, 1/4): mean 1, variance 3/4.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 * (0.75 / 3000) ** 0.5
    assert weights.var(axis=0) == pytest.approx([0.75] * 4, rel=0.1)


def test_an_interval_leaves_a_fortieth_out_on_each_side() -> None:
    """Order statistics, nothing between two of them."""
    assert interval(np.arange(1.0, 10_000)) == (250.0, 9750.0)
    assert interval(np.arange(1001.0)[::-1]) == (24.0, 976.0)
    assert interval(np.array([3.0, 3.0])) == (3.0, 3.0)


def test_p_counts_the_smaller_side_twice_and_adds_one_to_each() -> None:
    """Of 9 draws 2 are at most zero: 2 * (2 + 1) / (9 + 1)."""
    draws = np.array([0.5] * 7 + [-0.5] * 2)
    assert p_value(draws) == p_value(-draws) == pytest.approx(0.6)
    assert p_value(np.array([0.5] * 9)) == p_value(np.array([-0.5] * 9)) == pytest.approx(0.2)
    assert p_value(np.array([0.0] * 2 + [0.5] * 7)) == pytest.approx(0.6)  # zero is on both sides


def test_draws_do_not_depend_on_the_order_of_the_queries() -> None:
    ranks, videos = np.array([3, 1, 7, 2, 2]), np.array(["b", "a", "b", "c", "a"])
    given = rank_draws(ranks, videos, 50, seed=0)
    shuffled = rank_draws(ranks[[4, 2, 0, 3, 1]], videos[[4, 2, 0, 3, 1]], 50, seed=0)
    for name, values in given.items():
        np.testing.assert_allclose(values, shuffled[name])


def share(hits: int, items: int) -> Replicates:
    values = 100.0 * (np.arange(items) < hits)
    return Sample(items, {"m": Mean(values, np.ones(items), share=True)}).replicates(999, 0)["m"]


@pytest.mark.parametrize(("hits", "expected"), [(0, (0, 3.70)), (1, (0.18, 5.45))])
def test_a_share_near_its_ends_has_wilsons_interval(
    hits: int, expected: tuple[float, float]
) -> None:
    """0 of 100 is no proof of nothing; the figures are Wilson's of any textbook's table."""
    assert bounds(share(hits, 100)) == pytest.approx(expected, abs=0.01)
    low, high = bounds(share(100 - hits, 100))
    assert (100 - high, 100 - low) == pytest.approx(expected, abs=0.01)
    assert bounds(share(50, 100)) == interval(share(50, 100).values)


def test_hits_that_come_in_clusters_count_as_fewer() -> None:
    """Two hits in one of fifty clusters of two say less than in two clusters."""
    count = np.full(50, 2.0)
    together, alone = np.zeros(50), np.zeros(50)
    together[0], alone[:2] = 200, 100
    one, two = (
        bounds(Sample(50, {"m": Mean(total, count, share=True)}).replicates(99, 0)["m"])
        for total in (together, alone)
    )
    assert one[0] < two[0] < 2 < two[1] < one[1]
    nothing = Sample(50, {"m": Mean(np.zeros(50), count, share=True)}).replicates(99, 0)["m"]
    assert bounds(nothing) == pytest.approx((0, 100 * wilson(0, 50)[1]))


def test_a_long_tail_moves_the_interval_of_a_mean_towards_it() -> None:
    """By its bootstrap-t: further up than the percentiles, which lag behind a heavy tail."""
    ranks = np.random.default_rng(1).lognormal(1.5, 1.5, 60)
    plain, skewed = (
        Sample(60, {"m": Mean(ranks, np.ones(60), skewed=tail)}).replicates(999, 0)["m"]
        for tail in (False, True)
    )
    assert np.array_equal(plain.values, skewed.values)
    low, high = bounds(skewed)
    assert low > bounds(plain)[0] and high > bounds(plain)[1] and low < ranks.mean() < high


def test_few_clusters_widen_an_interval_by_students_t() -> None:
    values = np.random.default_rng(0).normal(50, 5, 24)
    found = Sample(24, {"m": mean(values)}).replicates(9999, 0)["m"]
    low, high = bounds(found)
    factor = stats.t.ppf(0.975, 23) / stats.norm.ppf(0.975) * math.sqrt(24 / 23)
    width = np.subtract(*interval(found.values)[::-1])
    assert high - low == pytest.approx(factor * width) and factor > 1.07
    assert (high - low) / 2 == pytest.approx(
        stats.t.ppf(0.975, 23) * values.std(ddof=1) / math.sqrt(24), rel=0.05
    )
    assert widening(50) == 1 and widening(49) > 1


def test_one_cluster_has_no_interval() -> None:
    assert Sample(1, {"m": mean(np.ones(1))}).intervals(99, 0) == {}


def test_clusters_are_drawn_whole() -> None:
    """Videos of one film alike: the spread is of ten films, not of forty videos."""
    values = np.repeat(np.arange(10.0), 4)
    videos = [f"{film}" for film in range(10) for _ in range(4)]

    def plain(weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = weights @ values / weights.sum(axis=1)
        return found

    found = sample_of({"mean": mean(values), "plain": plain}, videos).replicates(4000, 0)
    for one in found.values():
        assert one.clusters == 10 and one.value == pytest.approx(4.5)
        assert one.values.std() == pytest.approx(np.arange(10).std() / 10**0.5, rel=0.05)
    assert found["mean"].values == pytest.approx(found["plain"].values)


def test_a_threshold_keeps_the_groups_of_the_whole_sample() -> None:
    """A verb of five events does not count in a resample that draws its video three times."""
    parts, counts = np.array([[8.0, 0.0], [6.0, 5.0]]), np.array([[10.0, 0.0], [10.0, 5.0]])
    statistic = macro(parts, counts, threshold=9)
    weights = np.array([[1.0, 1.0], [0.0, 3.0], [2.0, 0.0], [0.5, 0.0]])
    assert statistic(weights) == pytest.approx([0.7, 0.6, 0.8, 0.8])  # nor does one drop out


def test_a_median_far_from_the_samples_is_found() -> None:
    """Most items are in one of sixty clusters: without it the median is nowhere near."""
    cluster = np.repeat(np.arange(60), [1000, *[1] * 59])
    values = np.where(cluster == 0, 1000, cluster)
    weights = np.concatenate([*resample_weights(60, 40, 0)])
    plain = [np.median(np.repeat(values, row[cluster].astype(int))) for row in weights]
    assert min(plain) < 60 and max(plain) == 1000
    assert np.array_equal(median(values, cluster, 60)(weights), plain)


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("clusters", [3, 12, 60, 400])
def test_medians_are_those_of_the_drawn_items(clusters: int, scale: float) -> None:
    """Whether near the sample's or far off, as few clusters make them."""
    random = np.random.default_rng(clusters)
    cluster = np.sort(random.integers(0, clusters, 500))
    values = np.ceil(scale * random.exponential(size=500)) + 50 * (cluster % 3)
    statistic = median(values, cluster, clusters)
    weights = np.concatenate([*resample_weights(clusters, 60, 0)])
    kept = weights[weights[:, np.unique(cluster)].sum(axis=1) > 0]
    plain = [np.median(np.repeat(values, row[cluster].astype(int))) for row in kept]
    assert np.array_equal(statistic(kept), plain)
