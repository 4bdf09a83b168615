"""The result document: what `bench run` and `bench score` write and every command reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from bench.contracts import MOST_RESAMPLES, Failure

SCHEMA = 1
DAGGER = "†"  # before a departure that rescores by all queries together
MOST = sys.float_info.max
# JSON has numbers of any size; what no float can hold is none that could be shown.
Number = Annotated[float, Meta(ge=-MOST, le=MOST)]
Count = Annotated[int, Meta(ge=0)]


def toy_remark(other: str = "published numbers") -> str:
    """What a title ends with where the videos are drawn; `other` are not to be set beside it."""
    return f" (toy world: not comparable with {other})"


def interval(low: float, high: float) -> str:
    """A 95 % interval as everything prints it: `[19.7, 31.7]`."""
    return f"[{low:.1f}, {high:.1f}]"


class Value(Struct, frozen=True):
    """A metric with its 95 % bootstrap interval; both bounds are null where there is none."""

    value: Number
    low: Number | None
    high: Number | None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval of one bound")

    @property
    def bounds(self) -> str:
        """The interval as it follows the value, a blank before it; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f" {interval(self.low, self.high)}"


class Reading(Struct, frozen=True):
    """A metric's unit and direction."""

    unit: str
    higher_is_better: bool


class Coverage(Struct, frozen=True):
    """How much was answered: items of the full set, answered items, clips asked for and failed.

    `support` are the clips that a task learns from.
    """

    expected: Count
    answered: Count
    clips: Count
    missing: Count
    broken: Count
    limit: Count | None = None
    support: Count = 0
    support_failed: Count = 0

    def __post_init__(self) -> None:
        if self.answered > self.expected:
            raise ValueError("more answered than expected")


class Data(Struct, frozen=True):
    """Which source was read, and the hash of its annotations and videos."""

    name: str
    fingerprint: str | None = None


class Texts(Struct, frozen=True):
    """How many texts there were, and how many of them the model could not read whole."""

    count: Count
    truncated: Count


class Lines(Struct, frozen=True):
    """The prediction lines' file, beside the document, and its SHA-256."""

    file: str
    sha256: str

    def __post_init__(self) -> None:
        if PurePath(self.file).name in ("", "..") or "\0" in self.file:
            raise ValueError("the prediction lines' file has no name")


class Published(Struct, frozen=True):
    """How frames were prepared and texts cut (in tokens) by the protocol `published`.

    `remarks` are quirks of the official evaluation that were kept.
    """

    preprocessing: str
    text_length: Count | None = None
    remarks: list[str] = []


class Settings(Struct, frozen=True):
    """What the numbers depend on beside model and data; `task` are the task's own settings.

    `intervals` are the rules by which intervals were made: 1 of before clusters and order
    statistics.
    `departures` are what the protocol's name has after that of the task's list.
    """

    resamples: Annotated[int, Meta(ge=0, le=MOST_RESAMPLES)]
    seed: Count
    intervals: Count = 1
    task: dict[str, Any] = {}
    plan: str | UnsetType = UNSET
    decoder: str | UnsetType = UNSET
    decoders: list[str] | UnsetType = UNSET
    timestamps: str | UnsetType = UNSET
    batch_frames: Count | UnsetType = UNSET
    departures: list[str] | UnsetType = UNSET
    published: Published | UnsetType = UNSET


class Document(Struct, frozen=True, kw_only=True):
    """One model on one task. A scored file has a `kind`, and nothing that only a run knows.

    `model` has at least a name; the rest is what its adapter says of it. `command` is the command
    line that makes this result, word by word and beginning with `bench`; `configuration` the
    settings in force (`bench.results.request`). A call from Python has no command.
    """

    schema: int = SCHEMA
    task: str
    task_version: int
    protocol: str
    kind: str | UnsetType = UNSET
    source: Data
    model: dict[str, Any]
    metrics: dict[str, Value]
    metric_info: dict[str, Reading]
    primary: str
    coverage: Coverage
    chance: dict[str, Number]
    floor: str | UnsetType = UNSET
    ceiling: dict[str, Number] | UnsetType = UNSET
    warnings: list[str]
    texts: Texts | UnsetType = UNSET
    settings: Settings | UnsetType = UNSET
    command: list[str] | UnsetType = UNSET
    configuration: dict[str, Any] | UnsetType = UNSET
    environment: dict[str, Any] | UnsetType = UNSET
    started: str | UnsetType = UNSET
    encoded: dict[str, Count] | UnsetType = UNSET
    seconds: dict[str, Number] | UnsetType = UNSET
    failures: list[Failure] | UnsetType = UNSET
    predictions: Lines | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w-]{0,60}", self.task):  # it becomes a file's
            raise ValueError("the task's name is none")
        if not isinstance(self.model.get("name"), str):
            raise ValueError("the model has no name")
        if self.command is not UNSET and self.command[:1] != ["bench"]:
            raise ValueError("the command is none of bench")  # it may be copied into a shell
        if unread := self.metrics.keys() - self.metric_info.keys():
            raise ValueError(f"metric_info does not say how to read '{min(unread)}'")
        if self.primary not in self.metrics:
            raise ValueError("the primary metric has no value")
        if self.chance.keys() - self.metric_info.keys():
            raise ValueError("chance of no known metric")
        if self.ceiling and self.ceiling.keys() - self.metric_info.keys():
            raise ValueError("ceiling of no known metric")

    @property
    def name(self) -> str:
        """The model's."""
        return str(self.model["name"])

    @property
    def values(self) -> dict[str, float]:
        """Metric name to value, as in the tables."""
        return {name: one.value for name, one in self.metrics.items()}

    @property
    def complete(self) -> bool:
        """Whether all that was asked for was answered; `--limit` leaves items out on purpose."""
        return not self.coverage.missing and not self.coverage.broken

    @property
    def partial(self) -> bool:
        """Whether items of the full set have no answer, for whatever reason."""
        return self.coverage.answered < self.coverage.expected

    @property
    def toy(self) -> bool:
        """Whether the numbers are of the toy world, which no published ones are comparable with."""
        return self.protocol.partition(",")[0].endswith("/toy")

    @property
    def covered(self) -> str:
        """How much was answered, as tables print it."""
        coverage = self.coverage
        return f"{coverage.answered}/{coverage.expected}" + (" partial" if self.partial else "")

    @property
    def task_settings(self) -> dict[str, Any]:
        """The task's settings; none of a scored file, which no run made."""
        return self.settings.task if self.settings else {}

    @property
    def departures(self) -> list[str]:
        """What sets it apart from its task's own protocol."""
        return (self.settings.departures if self.settings else None) or []

    @property
    def rescored(self) -> bool:
        """Whether every query's scores depend on all the others, as those of a dual softmax do."""
        return any(one.startswith(DAGGER) for one in self.departures)

    @property
    def lines(self) -> str:
        """The SHA-256 of its prediction lines; empty where none were kept."""
        return self.predictions.sha256 if self.predictions else ""


def valued(
    values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> dict[str, Value]:
    """Each metric with its interval, where it has one."""
    return {
        name: Value(value, *intervals.get(name, (None, None))) for name, value in values.items()
    }


def of_json(data: Any) -> Document:
    """The document of plain JSON data. ValueError, in one line, for what cannot be true."""
    return msgspec.convert(data, Document)


def to_json(document: Document) -> dict[str, Any]:
    """The document as plain JSON data."""
    found: dict[str, Any] = msgspec.to_builtins(document, enc_hook=_plain)
    return found


def _plain(value: Any) -> Any:
    """A number of numpy, as tasks and adapters compute them, as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a result")


def finite(*values: Any) -> bool:
    """Whether all are numbers that a float can hold: not NaN, not infinite, not beyond both."""
    try:
        msgspec.convert(values, tuple[Number, ...])
    except msgspec.ValidationError:
        return False
    return True
