"""SIGKILL at seeded random moments, then the same command again: the same bits, nothing left over.

Moments are drawn evenly over what the uninterrupted command takes. Several kills follow each other
before a command may finish. Every second kill takes the process alone: what it started must then
end by itself; the others take all of its processes at once.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.harness import (
    REPORT,
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

AREA = "Killed at any moment"
COMMANDS = {"run": RUN, "train": TRAIN, "sweep": SWEEP, "report": REPORT}
FULL = {"run": 70, "train": 50, "sweep": 30, "report": 50}
QUICK = {"run": 3, "train": 3, "sweep": 0, "report": 3}
IN_A_ROW = {"run": 5, "train": 5, "sweep": 10, "report": 5}


@dataclass
class Tally:
    """What came of the kills of one command."""

    kills: int = 0
    finished: int = 0
    seconds: float = 0.0  # of the uninterrupted command
    problems: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In words."""
        if self.problems:
            return f"{len(self.problems)} FAULTS, the first: {self.problems[0]}"
        return (
            f"{self.finished} restarted commands ended in the bits of the uninterrupted one "
            f"({self.seconds:.1f} s); every store opens, no temporary file, lock or process is left"
        )


def kill_and_restart(name: str, kills: int, seed: int = 0) -> Tally:
    """Kill the command `kills` times in all; every few times let it finish, and compare."""
    tally = Tally()
    rng = random.Random(f"{name} {seed}")
    with workshop() as folder:
        whole = _prepared(name, folder)
        began = time.monotonic()
        whole.bench(*COMMANDS[name])
        tally.seconds = time.monotonic() - began
        expected = contents(whole.root)
        shutil.rmtree(whole.root)
        while tally.kills < kills:
            place = _prepared(name, folder)
            tokens = []
            for _ in range(min(IN_A_ROW[name], kills - tally.kills)):
                tokens.append(f"{name}-{os.getpid()}-{tally.kills}")
                alone = bool(tally.kills % 2)
                if not _killed(place, name, rng.uniform(0, tally.seconds), alone, tokens[-1]):
                    break  # it had finished before: the next round begins anew
                tally.kills += 1
            _finish(place, name, expected, tokens, tally)
            shutil.rmtree(place.root)
    return tally


def _prepared(name: str, folder: Path) -> Place:
    """A fresh place; for a report one with results, of one and the same run, and no more."""
    place = Place.at(folder / "place")
    if name == "report":
        made = folder / "results"
        if not made.exists():
            place.bench(*RUN)
            place.output.rename(made)
            shutil.rmtree(place.cache)
        shutil.copytree(made, place.output)
    return place


def _killed(place: Place, name: str, moment: float, alone: bool, token: str) -> bool:
    process = place.start(*COMMANDS[name], token=token)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        if alone:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return process.returncode == -signal.SIGKILL


def _finish(
    place: Place, name: str, expected: dict[str, str], tokens: list[str], tally: Tally
) -> None:
    kills = f"after kill {tally.kills}"
    try:
        place.bench(*COMMANDS[name])
        found = contents(place.root)  # opens every store
    except Exception as error:
        tally.problems.append(f"{kills}: {' '.join(str(error).split())[:300]}")
        return
    tally.finished += 1
    if wrong := differences(expected, found):
        tally.problems.append(f"{kills}: {len(wrong)} files differ, such as {wrong[0]}")
    if left := leftovers(place.root):
        tally.problems.append(f"{kills}: left behind {left[0]}")
    tally.problems += [f"{kills}: processes of {one} live on" for one in tokens if not ended(one)]


def rows(quick: bool) -> list[FaultRow]:
    """Kills of every command; the full run has 200."""
    found = []
    for name, kills in (QUICK if quick else FULL).items():
        if kills:
            tally = kill_and_restart(name, kills)
            found.append(FaultRow(AREA, f"SIGKILL of bench {name}", tally.kills, tally.outcome))
    return found
