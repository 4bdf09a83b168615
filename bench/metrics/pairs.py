"""Pairs of a true and a false caption: how often the true one scores higher (docs/pairs.md).

Chance is 50 %. A tie is no hit: a model whose scores are all alike is to score 0, not 50 or 100.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from bench.metrics.bootstrap import Mean
from bench.metrics.resampling import Statistics, macro, sums

MEAN = "accuracy"  # of all tests; `accuracy/TEST` is one's
CHANCE = 50.0


def metric_name(test: str) -> str:
    """What the accuracy of one test is called."""
    return f"{MEAN}/{test}"


def is_right(scores: np.ndarray) -> np.ndarray:
    """bool [N] of `scores` [N, 2], those of the true and of the false captions.

    ValueError for another shape, NaN and infinity.

    >>> is_right(np.array([[0.3, 0.2], [0.2, 0.3], [0.3, 0.3]])).tolist()
    [True, False, False]
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] != 2 or not np.isfinite(scores).all():
        raise ValueError("scores of pairs are two finite numbers each")
    return scores[:, 0] > scores[:, 1]


def pair_metrics(
    tests: Sequence[str], right: np.ndarray, control: Collection[str] = ()
) -> dict[str, float]:
    """Accuracy of each test in percent, in order of appearance, and their mean: each counts alike.

    `tests` [N] and `right` bool [N] are of N pairs. The tests of `control` are not in the mean.
    ValueError where no others are there.

    >>> pair_metrics(["verb", "verb", "agent"], np.array([True, False, True]))
    {'accuracy': 75.0, 'accuracy/verb': 50.0, 'accuracy/agent': 100.0}
    """
    one = np.ones((1, 1))
    statistics = pair_statistics(tests, right, np.zeros(len(tests), int), 1, control)
    return {name: float(statistic(one)[0]) for name, statistic in statistics.items()}


def pair_statistics(
    tests: Sequence[str],
    right: np.ndarray,
    cluster: np.ndarray,
    clusters: int,
    control: Collection[str] = (),
) -> Statistics:
    """`pair_metrics` as functions of how often each cluster is drawn; `cluster` int [N]."""
    names = list(dict.fromkeys(tests))
    counted = [name for name in names if name not in control]
    if not counted:
        raise ValueError(f"no pairs but of {', '.join(names) or 'no test'}: there is no mean")
    group = np.array([names.index(test) for test in tests])
    total, count = sums(cluster, group, 100.0 * np.asarray(right), clusters)
    columns = [names.index(name) for name in counted]
    return {
        MEAN: macro(total[:, columns], count[:, columns]),
        **{metric_name(name): Mean(total[:, place], count[:, place], share=True)
           for place, name in enumerate(names)},
    }  # fmt: skip
