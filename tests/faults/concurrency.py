"""Two commands at once on the same stores and output: nothing broken, and nothing done twice.

What is done twice is seen in processor time: of both together against that of one alone, less what
every process needs to start and to find its work done (a command repeated in the same place).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.harness import (
    RUN,
    SWEEP,
    TRAIN,
    Place,
    contents,
    differences,
    ended,
    leftovers,
    workshop,
)
from tests.faults.table import FaultRow

AREA = "Two at once"
PAIRS = {"run": RUN, "train": TRAIN, "sweep": SWEEP}


@dataclass
class Together:
    """Two commands against one: processor seconds of one, of one that finds all done, of two."""

    alone: float = 0.0
    idle: float = 0.0
    both: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In words."""
        if self.problems:
            return f"{len(self.problems)} FAULTS, the first: {self.problems[0]}"
        return (
            f"the bits of one; {self.both:.1f} s of processor time for both, {self.alone:.1f} s "
            f"for one, {self.idle:.1f} s for one that finds everything done (the second also "
            "starts its own model and decoding processes)"
        )


def two_at_once(command: Sequence[str]) -> Together:
    """Start the same command twice in one place and compare with one alone."""
    found = Together()
    with workshop() as folder:
        place = Place.at(folder / "place")
        found.alone, found.idle = _processor(place, command, 1), _processor(place, command, 1)
        expected = contents(place.root)
        place.root.rename(folder / "alone")
        place = Place.at(folder / "place")
        found.both = _processor(place, command, 2)
        if wrong := differences(expected, contents(place.root)):
            found.problems.append(f"{len(wrong)} files differ, such as {wrong[0]}")
        if left := leftovers(place.root):
            found.problems.append(f"left behind {left[0]}")
    return found


def _processor(place: Place, command: Sequence[str], times: int) -> float:
    """Processor seconds of `times` simultaneous commands and of their workers."""
    before = os.times()
    running = [place.start(*command) for _ in range(times)]
    for process in running:
        _, err = process.communicate(timeout=280)
        assert process.returncode == 0, err[-1500:]
    after = os.times()
    return (after.children_user + after.children_system
            - before.children_user - before.children_system)  # fmt: skip


def killed_beside(seconds: float) -> list[str]:
    """Two trainings in one folder, the one at work killed: the other must take over and finish."""
    problems: list[str] = []
    with workshop() as folder:
        whole = Place.at(folder / "whole")
        whole.bench(*TRAIN)
        expected = contents(whole.output)
        place = Place.at(folder / "place", cache=whole.cache)
        first = place.start(*TRAIN, token="first")
        time.sleep(seconds)
        second = place.start(*TRAIN, token="second")
        time.sleep(seconds)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        _, err = second.communicate(timeout=280)
        if second.returncode:
            return [f"the second ended with {second.returncode}: {err[-300:]}"]
        if wrong := differences(expected, contents(place.output)):
            problems.append(f"{len(wrong)} files differ, such as {wrong[0]}")
        if left := leftovers(place.root):
            problems.append(f"left behind {left[0]}")
        if not ended("first"):
            problems.append("processes of the killed one live on")
    return problems


def dead_locks() -> list[str]:
    """Kill a run while it holds a lock; the next must pass and clear up."""
    with workshop() as folder:
        place = Place.at(folder / "place")
        place.bench(*RUN)
        expected = contents(place.root)
        running = place.start("run", *RUN[1:], "--seed", "1", token="locks")
        deadline = time.monotonic() + 60
        # The head is learnt under a lock: kill while it is held.
        while (
            not list((place.cache / "learnt").glob("*/*/.lock-*")) and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        if not list((place.cache / "learnt").glob("*/*/.lock-*")):
            return ["the kill left no lock: nothing was tried"]
        began = time.monotonic()
        place.bench(*RUN, "--seed", "1")
        place.bench(*RUN)
        problems = [f"left behind {one}" for one in leftovers(place.root)]
        if time.monotonic() - began > 120:
            problems.append("the lock of a dead run blocked")
        found = contents(place.root)
        lost = [name for name in differences(expected, found) if name in expected]
        return problems + [f"changed: {name}" for name in lost]


def rows(quick: bool) -> list[FaultRow]:
    """Pairs of the same command, a killed holder of a lock, locks of the dead."""
    found = [
        FaultRow(AREA, f"two bench {name} of the same, started together", 1,
                 two_at_once(command).outcome)
        for name, command in PAIRS.items() if not (quick and name != "run")
    ]  # fmt: skip
    if not quick:
        killed = [problem for wait in (4.0, 5.0, 6.0) for problem in killed_beside(wait)]
        found.append(FaultRow(AREA, "two bench train in one folder, the first killed", 3,
                              _said(killed, "the second waited, went on and ended in the bits of "
                                            "one never disturbed")))  # fmt: skip
    passed = _said(dead_locks(), "the next run passed it and removed it")
    return [*found, FaultRow(AREA, "a lock held by a run that was killed", 1, passed)]


def _said(problems: list[str], fine: str) -> str:
    return f"{len(problems)} FAULTS, the first: {problems[0]}" if problems else fine
