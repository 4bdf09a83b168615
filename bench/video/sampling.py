"""Which moments of a clip are looked at: pure plans, and the mapping of moments to frames."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bench.contracts import Plan
from bench.errors import UsageError

EPSILON = 1e-6  # seconds; a moment computed as 0.99999999 still meets the frame at 1.0
_LONG = 1e6  # seconds; no plan gives a longer clip more frames


def _centres(start: float, length: float, parts: int) -> list[float]:
    return [start + length * (part + 0.5) / parts for part in range(parts)]


@dataclass(frozen=True)
class Uniform:
    """The centres of `frames` equal parts of the clip."""

    frames: int = 12

    @property
    def key(self) -> str:
        return f"uniform-{self.frames}"

    def times(self, duration: float) -> list[float]:
        """`frames` seconds from the clip's start, ascending."""
        return _centres(0.0, duration, self.frames)


@dataclass(frozen=True)
class PerEvent:
    """The centres of `frames` equal parts of each of `events` equal events (such as 5 of 2 s)."""

    frames: int = 4
    events: int = 5

    @property
    def key(self) -> str:
        return f"events-{self.events}x{self.frames}"

    def times(self, duration: float) -> list[float]:
        """`events * frames` seconds from the clip's start, event after event."""
        length = duration / self.events
        return [
            time
            for event in range(self.events)
            for time in _centres(event * length, length, self.frames)
        ]


@dataclass(frozen=True)
class FirstOfSecond:
    """The first frame of each second, at most `max_frames` spread evenly (CLIP4Clip)."""

    max_frames: int = 12

    @property
    def key(self) -> str:
        return f"1fps-{self.max_frames}"

    def times(self, duration: float) -> list[float]:
        """1 to `max_frames` whole seconds from the clip's start, ascending."""
        seconds = max(1, math.ceil(duration - EPSILON))
        if seconds <= self.max_frames:
            return [float(second) for second in range(seconds)]
        return [float(second) for second in np.linspace(0, seconds - 1, self.max_frames, dtype=int)]


def frame_indices(timestamps: Sequence[float], times: Sequence[float]) -> list[int]:
    """For each time the index of the last frame shown by then, at least 0.

    `timestamps` are ascending seconds, in the same clock as `times`.
    """
    return [max(0, bisect_right(timestamps, time + EPSILON) - 1) for time in times]


def planned_times(found: Any, plan: Plan) -> np.ndarray | None:
    """Moments that a store has kept, float64 [T], if `plan` can have led to them; else None.

    Whatever `found` is: they are numbers, finite, in order, and as many as the plan gives a clip.
    """
    try:
        times = np.asarray(found)
    except (ValueError, TypeError, OverflowError):  # such as lists of several lengths
        return None
    if times.dtype != np.float64 or times.ndim != 1 or len(times) not in _counts(plan.key):
        return None
    return times if np.isfinite(times).all() and (np.diff(times) >= 0).all() else None


@lru_cache
def _counts(key: str) -> range:
    """How many frames a clip can have under a plan, by its length."""
    plan = parse_plan(key)
    return range(len(plan.times(EPSILON)), len(plan.times(_LONG)) + 1)


def parse_plan(key: str) -> Plan:
    """The plan whose `key` this is. UsageError names the known forms."""
    if match := re.fullmatch(r"uniform-([1-9]\d*)", key):
        return Uniform(int(match[1]))
    if match := re.fullmatch(r"events-([1-9]\d*)x([1-9]\d*)", key):
        return PerEvent(frames=int(match[2]), events=int(match[1]))
    if match := re.fullmatch(r"1fps-([1-9]\d*)", key):
        return FirstOfSecond(int(match[1]))
    raise UsageError(
        f"unknown sampling plan '{key}'; known are uniform-<frames>, "
        "events-<events>x<frames> and 1fps-<most frames>"
    )
