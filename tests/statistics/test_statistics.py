"""The quick part of the simulations: fewer repetitions, and what chance then allows."""

from __future__ import annotations

import pytest

from tests.statistics.__main__ import QUICK
from tests.statistics.simulations import Simulation, simulations


@pytest.mark.slow
@pytest.mark.parametrize("one", [*simulations()], ids=lambda one: one.what)
def test_intervals_hold_the_truth_and_tests_err_as_seldom_as_they_say(one: Simulation) -> None:
    assert abs(one.percent(QUICK) - one.expected) <= one.allowed(QUICK)


def test_a_simulation_notices_an_interval_that_is_too_narrow() -> None:
    """Half of the width holds the truth in two of three cases."""
    narrow = Simulation("narrow", 95.0, 1500, 150, lambda random: bool(abs(random.normal()) < 0.98))
    assert abs(narrow.percent(QUICK) - narrow.expected) > narrow.allowed(QUICK)
