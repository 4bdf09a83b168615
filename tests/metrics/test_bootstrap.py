"""The bootstrap's parts by hand-made numbers: what is drawn, interval, p."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.bootstrap import interval, p_value, rank_draws, resample_weights


@pytest.mark.parametrize("cells", [1, 7, 20, 10_000])
def test_every_item_is_drawn_as_often_and_no_resample_is_lost(cells: int) -> None:
    """However few rows are held at once; one row at the least."""
    weights = np.concatenate(list(resample_weights(4, 3000, seed=1, cells=cells)))
    assert weights.shape == (3000, 4) and (weights.sum(axis=1) == 4).all()
    # Each count is binomial(4, 1/4): mean 1, variance 3/4.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 * (0.75 / 3000) ** 0.5
    assert weights.var(axis=0) == pytest.approx([0.75] * 4, rel=0.1)


def test_an_interval_leaves_a_fortieth_out_on_each_side() -> None:
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
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
