"""What the suite measures, how pairs are timed, and the page they are written to."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # where `-m tests.perf` works
PACKAGES = ("torch", "open_clip_torch", "numpy", "av", "decord", "opencv-python-headless")


@dataclass(frozen=True)
class Figure:
    """One line: what we do, against what, the ratios round by round, the goal and a remark.

    `ratios` are ours to the other as the goal reads (larger is better), or empty where `ours` is an
    absolute figure with a limit; then `met` says whether it keeps it.
    """

    area: str
    what: str
    ours: str
    other: str
    ratios: Sequence[float] = ()
    goal: float | None = None
    met: bool | None = None
    note: str = ""
    extra: dict[str, float] = field(default_factory=dict)  # what docs/scaling.md is worked out from

    @property
    def kept(self) -> bool | None:
        """Whether the goal is met, by the median; None where there is none."""
        if self.goal is not None:
            return statistics.median(self.ratios) >= self.goal
        return self.met

    def cells(self) -> list[str]:
        """The line of the table."""
        shown = ""
        if self.ratios:
            shown = f"{_short(statistics.median(self.ratios))}"
            if len(self.ratios) > 1:
                shown += f" [{_short(min(self.ratios))}, {_short(max(self.ratios))}]"
        goal = "" if self.goal is None else f"≥ {_short(self.goal)}"
        kept = {True: "yes", False: "**no**", None: ""}[self.kept]
        return [self.what, self.ours, self.other, shown, goal, kept]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(
    first: Callable[[], float], second: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Both in turn, `rounds` times, in changing order: what disturbs the machine meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            times[side].append((first, second)[side]())
    return times


def command(*words: str) -> float:
    """The wall time of a whole process of this interpreter, imports included."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    spent = time.perf_counter() - began
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return spent


def told(*words: str) -> dict[str, float]:
    """The line of JSON that a process of this interpreter prints of what it measured."""
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def peak_mib() -> float:
    """The most memory that this process had; `ru_maxrss` would start from its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def median(times: Sequence[float], unit: str = "s", scale: float = 1.0) -> str:
    """The median with the spread, as `1.23 s [1.20, 1.31]`."""
    found = [value * scale for value in times]
    shown = f"{_short(statistics.median(found))} {unit}"
    return shown if len(found) < 2 else f"{shown} [{_short(min(found))}, {_short(max(found))}]"


def machine() -> str:
    """The processor, its cores that this process may use, and the versions that matter."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines()
             if line.startswith("model name")] if info.is_file() else []  # fmt: skip
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (f"{names[0] if names else platform.machine()}, {cores} cores, no GPU; "
            f"Python {platform.python_version()}, {versions}")  # fmt: skip


def page(figures: Sequence[Figure], head: str) -> str:
    """The figures as markdown, an area a table; remarks stand below their table."""
    from tabulate import tabulate

    parts = [head]
    for area in dict.fromkeys(figure.area for figure in figures):
        chosen = [figure for figure in figures if figure.area == area]
        table = tabulate(
            [figure.cells() for figure in chosen],
            ["what", "ours", "against", "ratio", "goal", "met"], tablefmt="github",
            disable_numparse=True,
        )  # fmt: skip
        notes = [f"- {figure.what}: {figure.note}" for figure in chosen if figure.note]
        parts += [f"## {area}", table, *(["\n".join(notes)] if notes else [])]
    return "\n\n".join(parts) + "\n"
