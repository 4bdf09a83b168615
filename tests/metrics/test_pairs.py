"""Accuracy of pairs: strict, each test alike in the mean, whole clusters drawn."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.pairs import is_right, pair_metrics, pair_statistics

TESTS = ["verb", "verb", "verb", "verb", "agent", "agent", "control"]
RIGHT = np.array([1, 0, 0, 0, 1, 0, 1], bool)


def test_a_tie_is_wrong_and_odd_scores_are_none() -> None:
    assert is_right(np.array([[1.0, 0.9], [0.9, 1.0], [0.5, 0.5], [0.0, -1.0]])).tolist() == [
        True, False, False, True,
    ]  # fmt: skip
    for odd in ([[0.1, np.nan]], [[0.1, np.inf]], [[0.1]], [0.1, 0.2], [[0.1, 0.2, 0.3]]):
        with pytest.raises(ValueError, match="two finite numbers"):
            is_right(np.array(odd))


def test_every_test_counts_alike_and_the_control_not_at_all() -> None:
    found = pair_metrics(TESTS, RIGHT, ("control",))
    assert found == {
        "accuracy": (25 + 50) / 2, "accuracy/verb": 25, "accuracy/agent": 50,
        "accuracy/control": 100,
    }  # fmt: skip
    assert pair_metrics(TESTS, RIGHT)["accuracy"] == pytest.approx((25 + 50 + 100) / 3)
    for tests in (["control"], []):
        with pytest.raises(ValueError, match="there is no mean"):
            pair_metrics(tests, np.ones(len(tests), bool), ("control",))


def test_a_resample_repeats_whole_clusters() -> None:
    """Each statistic on weights equals the metrics of pairs that are written out so often."""
    cluster = np.array([0, 0, 1, 2, 1, 2, 0])
    statistics = pair_statistics(TESTS, RIGHT, cluster, 3, ("control",))
    for weights in ([1, 1, 1], [2, 0, 1], [0, 3, 1], [1, 2, 0]):
        drawn = [pair for pair, of in enumerate(cluster) for _ in range(weights[of])]
        whole = pair_metrics([TESTS[pair] for pair in drawn], RIGHT[drawn], ("control",))
        found = {name: one(np.array([weights], float))[0] for name, one in statistics.items()}
        for name, value in whole.items():
            assert found[name] == pytest.approx(value)
