"""Which moments of a clip are looked at: pure functions of its duration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.contracts import Plan
from bench.errors import UsageError

EPSILON = 1e-6  # seconds; container time stamps are rounded to their time base


@dataclass(frozen=True)
class Uniform:
    """The centres of `frames` equal parts (METHOD 7)."""

    frames: int = 12

    @property
    def key(self) -> str:
        return f"uniform-{self.frames}"

    def times(self, duration: float) -> list[float]:
        return [duration * (i + 0.5) / self.frames for i in range(self.frames)]


@dataclass(frozen=True)
class PerEvent:
    """VidSitu: the centres of `frames` equal parts of each of `events` equal events.

    With 4 frames and 2 s events that is 0.25 s and 0.75 s of each second (REFERENCES: VELOCITI).
    """

    frames: int = 4
    events: int = 5

    @property
    def key(self) -> str:
        return f"events-{self.events}x{self.frames}"

    def times(self, duration: float) -> list[float]:
        return Uniform(self.frames * self.events).times(duration)


@dataclass(frozen=True)
class FirstOfSecond:
    """CLIP4Clip: the first frame of each second; more than `max_frames` are thinned by linspace."""

    max_frames: int = 12

    @property
    def key(self) -> str:
        return f"1fps-{self.max_frames}"

    def times(self, duration: float) -> list[float]:
        seconds = np.arange(max(1, int(np.ceil(duration - EPSILON))))
        if len(seconds) > self.max_frames:
            chosen = np.linspace(0, len(seconds) - 1, self.max_frames, dtype=int)
            seconds = seconds[chosen]
        return [float(second) for second in seconds]


def parse_plan(key: str) -> Plan:
    """The plan of a key such as `uniform-12`, `events-5x4` or `1fps-12`. UsageError otherwise."""
    if match := re.fullmatch(r"uniform-([1-9]\d{0,3})", key):
        return Uniform(int(match[1]))
    if match := re.fullmatch(r"events-([1-9]\d?)x([1-9]\d{0,2})", key):
        return PerEvent(frames=int(match[2]), events=int(match[1]))
    if match := re.fullmatch(r"1fps-([1-9]\d{0,3})", key):
        return FirstOfSecond(int(match[1]))
    raise UsageError(f"unknown sampling plan '{key}'; known: uniform-N, events-PxT, 1fps-N")


def frame_indices(timestamps: np.ndarray, times: Sequence[float]) -> np.ndarray:
    """The frame on screen at each of `times`: the last whose time stamp is not later.

    `timestamps` are ascending seconds [F]; returns int64 [T], at least 0.
    """
    found = np.searchsorted(timestamps, np.asarray(times) + EPSILON, side="right") - 1
    return np.maximum(found, 0)
