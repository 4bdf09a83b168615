"""Metrics where there is nothing to count, or a prediction too few."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.coreference import f1
from bench.metrics.verbs import relation_metrics, relation_scores, verb_scores


@pytest.mark.parametrize(
    "counts", [[0, 0, 0, 0], [0, 0, 0, 3], [0, 3, 0, 0], [0, 3, 0, 3]], ids=str
)
def test_f1_of_nothing_in_common_is_zero(counts: list[float]) -> None:
    """Nothing predicted, nothing to find, or neither."""
    assert f1(np.array([counts], float)) == 0.0


def test_f1_is_of_sums_over_videos() -> None:
    """Precision 3 of 4, recall 3 of 6; not the mean of each video's."""
    counts = np.array([[1, 1, 1, 3], [2, 3, 2, 3]], float)
    assert f1(counts) == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def test_relations_of_which_none_counts() -> None:
    assert relation_metrics({}) == {"Top_1": 0.0, "Macro_Top_1": 0.0, "Len": 0.0}


def test_a_missing_prediction_is_refused() -> None:
    truth = [[["a", "a", "b"], ["c", "c", "c"]]]
    assert relation_scores([[["a", "b", "b"], ["c", "c", "x"]]], truth) == {
        "a": [(0, True), (0, False)], "c": [(0, True), (0, True), (0, False)]
    }  # fmt: skip
    for predicted in ([[["a", "b", "b"]]], [[["a", "b", "b"], ["c", "c"]]], [[]]):
        with pytest.raises(ValueError, match="answers are needed"):
            relation_scores(predicted, truth)
    for predicted in ([], [*truth, *truth]):
        with pytest.raises(ValueError, match="zip"):
            relation_scores(predicted, truth)
    with pytest.raises(ValueError, match="0 predicted videos for 1"):
        verb_scores([], [[["run.01"] * 10]])
