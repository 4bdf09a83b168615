"""Which moments of a clip are looked at: pure plans, and the mapping of moments to frames.

Plans of ours are of seconds, so that a video's frame rate makes no difference. Published systems
number frames instead: theirs are plans by index.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from bench.contracts import Plan
from bench.errors import UsageError

EPSILON = 1e-6  # seconds; a moment computed as 0.99999999 still meets the frame at 1.0
_LONG = 1e6  # seconds; no plan gives a longer clip more frames
MOST_FRAMES = 256  # of a clip, by a plan that counts by the second


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


@dataclass(frozen=True)
class PerSecond:
    """The centres of `rate` equal parts of each second: 0.25, 0.75, 1.25 ... for two.

    Of a clip shorter than half a part its middle; of a long one at most 256, spread evenly.
    """

    rate: int = 1

    @property
    def key(self) -> str:
        return f"fps-{self.rate}"

    def times(self, duration: float) -> list[float]:
        """At least one second from the clip's start, ascending."""
        count = math.ceil(duration * self.rate - 0.5 - EPSILON)
        if count > MOST_FRAMES:
            return _centres(0.0, duration, MOST_FRAMES)
        return _centres(0.0, count / self.rate, count) if count > 0 else [duration / 2]


@dataclass(frozen=True)
class ByIndex(ABC):
    """A published system's plan: `frames` of a clip by their numbers, whatever their times."""

    frames: int
    rule: ClassVar[str]

    @property
    def key(self) -> str:
        return f"{self.rule}-{self.frames}"

    @abstractmethod
    def indices(self, count: int, rate: float) -> list[int]:
        """Ascending frames of a clip that has `count`, at least one, shown at `rate` a second."""

    def times(self, duration: float) -> list[float]:
        """Their seconds in a clip of 25 frames a second."""
        return [index / 25 for index in self.indices(max(1, round(duration * 25)), 25.0)]


class Middles(ByIndex):
    """The middles of equal parts; all frames of a clip that has fewer (TVTSv2, Frozen)."""

    rule = "middles"

    def indices(self, count: int, rate: float) -> list[int]:
        bounds = np.linspace(0, count, min(self.frames, count) + 1).astype(int)
        return [int(one + other - 1) // 2 for one, other in pairwise(bounds)]


class Steps(ByIndex):
    """Equal steps over the clip, from half a step on; a short one's frames repeat (BT-Adapter)."""

    rule = "steps"

    def indices(self, count: int, rate: float) -> list[int]:
        step = (count - 1) / self.frames
        return [int(np.round(part * step)) + int(step / 2) for part in range(self.frames)]


class Centres(ByIndex):
    """The centres of equal parts, rounded down (mmaction's SampleFrames, ViFi-CLIP)."""

    rule = "centres"

    def indices(self, count: int, rate: float) -> list[int]:
        part = count / self.frames
        return [int(number * part + part / 2) for number in range(self.frames)]


class Parts(ByIndex):
    """The middles of nearly equal parts, longer ones first; the last frame repeats (VAST)."""

    rule = "parts"

    def indices(self, count: int, rate: float) -> list[int]:
        length, longer = divmod(count, self.frames)
        found, start = [], 0
        for part in range(self.frames):
            size = length + (part < longer)  # 0 behind the frames of a short clip: its last one
            found.append(start + (size + 1) // 2 - 1)
            start += size
        return found


class Seconds(ByIndex):
    """The first frame of each second, the rate cut to a whole number (CLIP4Clip).

    At most `frames`, spread evenly. `FirstOfSecond` is the same rule by the clock: at 29.97 frames
    a second this one is ever earlier.
    """

    rule = "seconds"

    def indices(self, count: int, rate: float) -> list[int]:
        firsts = range(0, count, max(1, int(round(rate, 2))))  # 25 may be measured as 24.9999
        if len(firsts) <= self.frames:
            return list(firsts)
        return [firsts[n] for n in np.linspace(0, len(firsts) - 1, self.frames, dtype=int)]


class Linspace(ByIndex):
    """Equal steps from the first frame to the last, rounded down; a short clip's frames repeat."""

    rule = "linspace"

    def indices(self, count: int, rate: float) -> list[int]:
        return [int(number) for number in np.linspace(0, count - 1, self.frames, dtype=int)]


class Starts(ByIndex):
    """The firsts of equal parts; a short clip's frames repeat (transformers' video processors)."""

    rule = "starts"

    def indices(self, count: int, rate: float) -> list[int]:
        return [part * count // self.frames for part in range(self.frames)]


class Spread(ByIndex):
    """From the first frame to the last in equal steps, rounded down (PE-AV's video processor)."""

    rule = "spread"

    def indices(self, count: int, rate: float) -> list[int]:
        steps = max(1, self.frames - 1)
        return [int(part * (count - 1) / steps) for part in range(self.frames)]


BY_INDEX = {
    plan.rule: plan for plan in (Middles, Steps, Centres, Parts, Seconds, Linspace, Starts, Spread)
}
CHOICES: dict[str, Callable[[int], Plan]] = {
    "uniform": Uniform,
    "linspace": Linspace,
    "middle": Middles,
    "first-of-second": FirstOfSecond,
    "fps": PerSecond,
}
"""The plans that a run can choose, each of a number of frames; of `fps` it is that of a second."""


def chosen_frames(
    plan: Plan, timestamps: Sequence[float], duration: float, start: float, end: float
) -> list[int]:
    """The indices of the frames that `plan` takes between `start` and `end` of a file.

    `timestamps` are ascending seconds, one a frame of the file, `duration` its length. Where no
    frame begins in the span, the one that is shown there is all of it.
    """
    if not isinstance(plan, ByIndex):
        return frame_indices(timestamps, [start + time for time in plan.times(end - start)])
    first, last = (bisect_left(timestamps, moment - EPSILON) for moment in (start, end))
    if first == last:
        first, last = max(0, first - 1), max(1, first)
    rate = len(timestamps) / duration
    return [first + index for index in plan.indices(last - first, rate)]


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
def _counts(key: str, shortest: float = EPSILON) -> range:
    """How many frames a clip of `shortest` seconds or more can have under a plan."""
    plan = parse_plan(key)
    return range(len(plan.times(shortest)), len(plan.times(_LONG)) + 1)


def usual_counts(plan: Plan) -> range:
    """How many frames a plan gives clips of a second or more. UsageError for an unknown plan."""
    return _counts(plan.key, 1.0)


def frame_counts(plan: Plan) -> range:
    """How many frames a clip can have under a plan, by its length."""
    return _counts(plan.key)


def parse_plan(key: str) -> Plan:
    """The plan whose `key` this is. UsageError names the known forms."""
    if match := re.fullmatch(r"uniform-([1-9]\d*)", key):
        return Uniform(int(match[1]))
    if match := re.fullmatch(r"events-([1-9]\d*)x([1-9]\d*)", key):
        return PerEvent(frames=int(match[2]), events=int(match[1]))
    if match := re.fullmatch(r"1fps-([1-9]\d*)", key):
        return FirstOfSecond(int(match[1]))
    if match := re.fullmatch(r"fps-([1-9]\d*)", key):
        return PerSecond(int(match[1]))
    if match := re.fullmatch(rf"({'|'.join(BY_INDEX)})-([1-9]\d*)", key):
        return BY_INDEX[match[1]](int(match[2]))
    raise UsageError(
        f"unknown sampling plan '{key}'; known are uniform-<frames>, "
        "events-<events>x<frames>, 1fps-<most frames> and fps-<a second>, and by frame numbers "
        + ", ".join(f"{rule}-<frames>" for rule in BY_INDEX)
    )
