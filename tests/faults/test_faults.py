"""The quick part of the faults; `make faults` has all of them."""

from __future__ import annotations

import pytest

from tests.faults import concurrency, disks, kills
from tests.faults.disks import TARGETS, Target, can_mount, full_disk
from tests.faults.harness import RUN, SOURCE, SWEEP, TRAIN, Place, ended, workshop

pytestmark = pytest.mark.slow
SMALL = ("run", "--task", "msrvtt", "--model", "clip-tiny", *SOURCE)


@pytest.mark.parametrize("name", ["bench run", "bench report", "the unpacking of OpenAI's archive"])
def test_killed_and_restarted(name: str) -> None:
    tally = kills.kill_and_restart(name, 2, seed=1)
    assert tally.kills == 2 and tally.finished and not tally.problems


def test_two_runs_at_once_do_the_work_of_one() -> None:
    found = concurrency.two_at_once(SMALL)
    assert not found.problems


@pytest.mark.skipif(not can_mount(), reason="needs to mount a small disk")
def test_a_full_disk() -> None:
    target = TARGETS[0]
    small = Target(target.what, SMALL, target.below, target.sizes[1:2])
    assert full_disk(small) == (1, [])


def test_every_command_names_what_cannot_be_written() -> None:
    with workshop() as folder:
        place = Place.at(folder / "place")
        for below, command in (("cache", RUN), ("results", TRAIN), ("results", SWEEP)):
            (place.root / below).write_text("")
            assert not disks.refused(disks.attempt(place, command, token="way"), below)
            (place.root / below).unlink()
        assert ended("way")
