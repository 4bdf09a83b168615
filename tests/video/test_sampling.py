"""Plans: the moments they look at and their keys."""

from __future__ import annotations

import pytest

from bench.contracts import Plan
from bench.errors import UsageError
from bench.video import (
    FirstOfSecond,
    Linspace,
    PerEvent,
    PerSecond,
    Uniform,
    frame_indices,
    parse_plan,
)
from bench.video.sampling import CHOICES, usual_counts


@pytest.mark.parametrize(
    ("plan", "duration", "times"),
    [
        (Uniform(1), 10.0, [5.0]),
        (Uniform(4), 8.0, [1.0, 3.0, 5.0, 7.0]),
        (PerEvent(), 10.0, [0.25 + 0.5 * n for n in range(20)]),
        (PerEvent(frames=1, events=2), 4.0, [1.0, 3.0]),
        (FirstOfSecond(), 0.04, [0]),
        (FirstOfSecond(), 3.0, [0, 1, 2]),
        (FirstOfSecond(), 3.0000000001, [0, 1, 2]),
        (FirstOfSecond(), 3.2, [0, 1, 2, 3]),
        (FirstOfSecond(3), 10.0, [0, 4, 9]),
        (PerSecond(), 0.4, [0.2]),
        (PerSecond(), 0.6, [0.5]),
        (PerSecond(), 3.0, [0.5, 1.5, 2.5]),
        (PerSecond(), 3.4, [0.5, 1.5, 2.5]),
        (PerSecond(2), 2.3, [0.25, 0.75, 1.25, 1.75, 2.25]),
        (FirstOfSecond(), 30.0, [0, 2, 5, 7, 10, 13, 15, 18, 21, 23, 26, 29]),
    ],
)
def test_the_moments_of_a_plan(plan: Plan, duration: float, times: list[float]) -> None:
    assert plan.times(duration) == pytest.approx(times)


@pytest.mark.parametrize(
    ("plan", "key"),
    [
        (Uniform(), "uniform-12"),
        (PerEvent(), "events-5x4"),
        (FirstOfSecond(), "1fps-12"),
        (PerEvent(frames=8, events=3), "events-3x8"),
        (PerSecond(2), "fps-2"),
        (Linspace(8), "linspace-8"),
    ],
)
def test_a_key_names_its_plan(plan: Plan, key: str) -> None:
    assert plan.key == key
    assert parse_plan(key) == plan


@pytest.mark.parametrize("key", ["", "uniform", "uniform-0", "events-5", "1fps-x", "uniform-12 "])
def test_an_unknown_key_is_answered_with_the_known_forms(key: str) -> None:
    with pytest.raises(UsageError, match=r"uniform-<frames>, events-.*, 1fps-.* and fps-"):
        parse_plan(key)


def test_a_moment_shows_the_last_frame_that_began_by_then() -> None:
    timestamps = [0.0, 0.1, 0.5, 1.0]
    times = [-1.0, 0.0, 0.09, 0.0999999999, 0.1, 0.49, 0.9, 1.0, 99.0]
    assert frame_indices(timestamps, times) == [0, 0, 0, 1, 1, 1, 2, 3, 3]


@pytest.mark.parametrize(("count", "indices"), [(9, [0, 2, 5, 8]), (2, [0, 0, 0, 1]), (1, [0] * 4)])
def test_linspace_is_from_the_first_frame_to_the_last(count: int, indices: list[int]) -> None:
    assert Linspace(4).indices(count, 25.0) == indices


def test_the_usual_counts_of_the_plans_to_choose() -> None:
    counts = {name: usual_counts(made(4)) for name, made in CHOICES.items()}
    exact = range(4, 5)
    assert counts == {"uniform": exact, "linspace": exact, "middle": exact,
                      "first-of-second": range(1, 5), "fps": range(4, 257)}  # fmt: skip
