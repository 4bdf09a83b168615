"""SIGKILL at seeded random moments, then the same command again: the same bits, nothing left over.

Moments are drawn evenly over what the uninterrupted command takes, or over the end of it where its
work is. Several kills follow each other before a command may finish. Every second kill takes the
process alone: what it started must then end by itself; the others take all of its processes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import unpacking
from tests.faults.harness import (
    REPORT,
    RUN,
    SOURCE,
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
# `bench` that is killed between the two renames by which a folder takes another's place where the
# file system cannot exchange names.
BETWEEN = """
import os, runpy, signal, sys
from pathlib import Path
from bench.files import atomic, leftovers
atomic._exchanged = lambda *_: False
rename = Path.rename
def once(self, target):
    rename(self, target)
    if str(target).endswith(leftovers.OLD):
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = once
sys.argv[0] = "bench"
runpy.run_module("bench", run_name="__main__")
"""
ANSWER = ("run", "--task", "vidsitu", "--model", "clip-tiny", *SOURCE)
EPOCHS = ("--set", "vidsitu.epochs=40")


def _results(place: Place) -> None:
    place.bench(*RUN)
    shutil.rmtree(place.cache)


def _features(place: Place) -> None:
    """All that a head is trained on, and no head."""
    place.bench(*ANSWER)
    shutil.rmtree(place.output)
    shutil.rmtree(place.cache / "learnt")


def _archive(place: Place) -> None:
    unpacking.write(place.cache / "weights" / unpacking.NAME)


def _in_training(place: Place) -> bool:
    """Whether a head has a checkpoint and is not finished."""
    found = list((place.cache / "learnt").rglob("last.safetensors"))
    return any(not path.with_name("head.safetensors").exists() for path in found)


def _in_re_ranking(place: Place) -> bool:
    """Whether scores of some clips are kept, and no result."""
    return any((place.cache / "matches").rglob("*.safetensors")) and not any(
        place.output.rglob("*.json")
    )


def _half_done(place: Place) -> bool:
    return bool(leftovers(place.root))


@dataclass(frozen=True)
class Killing:
    """A command to kill `full` times, or `quick` times, in a place that was prepared."""

    words: tuple[str, ...]
    full: int
    quick: int
    in_a_row: int = 5
    prepare: Callable[[Place], object] = lambda place: None
    program: tuple[str, ...] | None = None
    begins: float = 0.0  # the share of its time before its work
    seen: Callable[[Place], bool] = _half_done
    mark: str = "left a lock or half a file"


COMMANDS = {
    "bench run": Killing(RUN, 15, 3),
    "bench run, while it trains a head": Killing(
        (*ANSWER, *EPOCHS), 25, 0, 4, _features, begins=0.4, seen=_in_training,
        mark="left a head in training"),
    "bench train": Killing(TRAIN, 20, 3),
    "bench sweep": Killing(SWEEP, 15, 0, 8),
    "bench report": Killing(REPORT, 70, 3, prepare=_results),
    "bench export of answers": Killing(
        ("export", "vidsitu", "--model", "clip-tiny", *SOURCE, "--split", "testvb", *EPOCHS,
         "--output", "answers.json"), 14, 0, 4, _features),
    "bench export of a model": Killing(
        ("export", "--model", "srlclip-tiny", "--output", "model.safetensors"), 25, 0, 5,
        begins=0.6),
    "a run that re-ranks": Killing(
        (), 20, 0, 5, program=(sys.executable, "-m", "tests.faults.reranking"), begins=0.5,
        seen=_in_re_ranking, mark="left some of the scores"),
    "the unpacking of OpenAI's archive": Killing(
        (), 35, 2, 5, _archive, (sys.executable, "-m", "tests.faults.unpacking"), begins=0.6),
}  # fmt: skip


@dataclass
class Tally:
    """What came of the kills of one command."""

    mark: str = ""
    kills: int = 0
    seen: int = 0  # kills after which what `mark` says was there
    finished: int = 0
    seconds: float = 0.0  # of the uninterrupted command
    problems: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In words."""
        if self.problems:
            return f"{len(self.problems)} FAULTS, the first: {self.problems[0]}"
        return (
            f"{self.seen} {self.mark}; {self.finished} restarted commands ended in the bits of the "
            f"uninterrupted one ({self.seconds:.1f} s); every store opens, no temporary file, lock "
            "or process is left"
        )


def kill_and_restart(name: str, kills: int, seed: int = 0) -> Tally:
    """Kill the command `kills` times in all; every few times let it finish, and compare."""
    killing = COMMANDS[name]
    tally = Tally(killing.mark)
    rng = random.Random(f"{name} {seed}")
    with workshop() as folder:
        whole = _prepared(killing, folder)
        began = time.monotonic()
        _whole(whole, killing)
        tally.seconds = span = time.monotonic() - began
        expected = contents(whole.root)
        shutil.rmtree(whole.root)
        while tally.kills < kills:
            place = _prepared(killing, folder)
            tokens, before = list[str](), tally.kills
            for _ in range(min(killing.in_a_row, kills - tally.kills)):
                tokens.append(f"{name}-{os.getpid()}-{tally.kills}")
                moment, began = rng.uniform(killing.begins, 1) * span, time.monotonic()
                if not _killed(place, killing, moment, bool(tally.kills % 2), tokens[-1]):
                    if len(tokens) == 1:  # uninterrupted, and quicker than measured
                        span = time.monotonic() - began
                    break  # it had finished before: the next round begins anew
                tally.kills += 1
                tally.seen += killing.seen(place)
            if tally.kills > before:
                _finish(place, killing, expected, tokens, tally)
            shutil.rmtree(place.root)
    return tally


def _prepared(killing: Killing, folder: Path) -> Place:
    """A fresh place with what the command needs, made once."""
    place, made = Place.at(folder / "place"), folder / "made"
    if not made.exists():
        killing.prepare(place)
        place.root.rename(made)
    shutil.copytree(made, place.root, dirs_exist_ok=True)
    return place


def _start(place: Place, killing: Killing, token: str = "") -> subprocess.Popen[str]:
    program = {} if killing.program is None else {"program": list(killing.program)}
    return place.start(*killing.words, token=token, **program)


def _whole(place: Place, killing: Killing) -> None:
    """To the end; AssertionError where it fails."""
    program = {} if killing.program is None else {"program": list(killing.program)}
    place.bench(*killing.words, **program)


def _killed(place: Place, killing: Killing, moment: float, alone: bool, token: str) -> bool:
    process = _start(place, killing, token)
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
    place: Place, killing: Killing, expected: dict[str, str], tokens: list[str], tally: Tally
) -> None:
    kills = f"after kill {tally.kills}"
    try:
        _whole(place, killing)
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


def between_renames(times: int) -> Tally:
    """Kill a training in the instant in which its model has no name, and train again."""
    tally = Tally("left no model where it belongs, and both beside")
    with workshop() as folder:
        place = Place.at(folder / "place")
        began = time.monotonic()
        place.bench(*TRAIN)
        tally.seconds = time.monotonic() - began
        expected = contents(place.root)
        (model,) = (place.output / "train").glob("*/model")
        for _ in range(times):
            process = place.start(*TRAIN, program=[sys.executable, "-c", BETWEEN, "--quiet"])
            process.communicate(timeout=280)
            assert process.returncode == -signal.SIGKILL, process.returncode
            tally.kills += 1
            beside = sorted(path.name for path in model.parent.glob(".tmp-*/*"))
            tally.seen += not model.exists() and beside == ["model", "model-old"]
            _finish(place, Killing(TRAIN, 0, 0), expected, [], tally)
    return tally


def rows(quick: bool) -> list[FaultRow]:
    """Kills of every command, two commands at a time; the full run has more than 200."""
    wanted = {name: one.quick if quick else one.full for name, one in COMMANDS.items()}
    wanted = {name: kills for name, kills in wanted.items() if kills}
    with ThreadPoolExecutor(2) as at_once:
        tallies = list(at_once.map(kill_and_restart, wanted, wanted.values()))
        tallies.append(between_renames(1 if quick else 4))
    return [
        FaultRow(AREA, f"SIGKILL of {name}", tally.kills, tally.outcome)
        for name, tally in zip(
            [*wanted, "bench train between the two renames of its model"], tallies, strict=True
        )
    ]
