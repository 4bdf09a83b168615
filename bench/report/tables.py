"""What a board and a chart are, apart from how they are made and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a board.

    `kind` is measured, partial, stale, edited, published, chance or ceiling; only measured
    rows are ranked.
    `tied` names the metrics in which it is statistically tied with the best, `untested` those in
    which that is not known. `spread` is the standard deviation over training seeds. `differences`
    are to the published value of the same model. `notes` are footnotes. `provenance` is the id of
    the result it came from, or several joined by +, or empty. `rank` is that among the measured
    rows by the primary metric, 1 the best, equals alike. `frames` are those of a clip, in words,
    `size` the parameters, `link` words of the remark and the address of what they name, and `own`
    says that the published row is of the paper that this benchmark belongs to.
    """

    model: str
    kind: str
    values: dict[str, float]
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    remark: str = ""
    best: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    spread: dict[str, float] = field(default_factory=dict)
    about: bool = False  # read off a chart: no exact number
    dual_softmax: bool = False  # knows the whole test set; its name has a dagger
    differences: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: str = ""
    flagged: bool = False  # its remark must be read with its numbers
    rank: int | None = None
    frames: str = ""
    size: int | None = None
    link: tuple[str, str] | None = None
    own: bool = False

    @property
    def results(self) -> list[str]:
        """The ids of the results that it came from."""
        return self.provenance.split("+") if self.provenance else []


@dataclass(frozen=True)
class Lead:
    """How far the best measured row of a board is ahead in the primary metric, in its `unit`.

    `gap` is to `second`, the next row, and positive where the metric is better, with the 95 %
    interval of the paired difference; None where that was not tested. `second` is empty where
    nothing else was measured. `tied` and `untested` name the rows that are statistically tied with
    the best, and those that could not be tested.
    """

    metric: str
    unit: str
    best: str
    second: str = ""
    gap: float = 0.0
    interval: tuple[float, float] | None = None
    tied: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """All rows of one protocol. `higher` says which way a column is better, where that is known.

    `notes` hold for the board as a whole. `toy` is what the title ends with where the data are
    drawn, `lead` what can be said of the best row, and `grid` says that it is an ablation's.
    """

    title: str
    task: str
    protocol: str
    columns: list[str]
    rows: list[Row]
    higher: dict[str, bool] = field(default_factory=dict)
    first: str = "model"  # what the first column is called
    notes: tuple[str, ...] = ()
    toy: str = ""
    lead: Lead | None = None
    grid: bool = False

    @property
    def heading(self) -> str:
        """The title without the remark on drawn data."""
        return self.title.removesuffix(self.toy)


def ranked(
    rows: list[Row],
    higher: dict[str, bool],
    fair: Callable[[Row, str], bool] = lambda row, name: True,
) -> list[Row]:
    """`rows` with the best and the second of each metric marked; equals share a place.

    A metric that only one of them has, or whose better way is not known, is not ranked; nor is what
    is not `fair` to set beside the rest.
    """
    best: list[tuple[str, ...]] = [() for _ in rows]
    second = list(best)
    for name, up in higher.items():
        values = [row.values[name] for row in rows if name in row.values and fair(row, name)]
        order = sorted(set(values), reverse=up)[:2] if len(values) > 1 else []
        for marks, value in zip((best, second), order, strict=False):
            for place, row in enumerate(rows):
                if row.values.get(name) == value and fair(row, name):
                    marks[place] += (name,)
    return [replace(row, best=one, second=two)
            for row, one, two in zip(rows, best, second, strict=True)]  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A value, with the bounds of its interval where it has one. `x` is a number or a category."""

    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one model or one setting, in order."""

    name: str
    points: list[Point]


@dataclass(frozen=True)
class Chart:
    """`kind` is line (x a number), dots (x a category, with intervals) or scatter (x a number).

    `rows` are one series of categories below each other, each a difference from zero.
    `log` draws x in decades. `note` says what is seen; `toy` that it is of drawn data, `grid` that
    it is an ablation's.
    """

    title: str
    x: str
    y: str
    kind: str
    series: list[Series]
    note: str = ""
    log: bool = False
    toy: bool = False
    grid: bool = False


@dataclass(frozen=True)
class Figure:
    """A gallery: `body` is HTML in which everything from the data has been escaped."""

    title: str
    note: str
    body: str
    toy: bool = False


@dataclass(frozen=True)
class Card:
    """Where the numbers of one result come from, for people.

    `facts` are names and what is known; `command` repeats the result, as far as `note` says.
    """

    title: str
    facts: list[tuple[str, str]]
    command: str
    note: str


@dataclass(frozen=True)
class Page:
    """All that the HTML report shows. `provenance` and `cards` are by the id of a result: the
    document as it is kept, and what of it is shown.
    """

    title: str
    made: str
    boards: list[Board]
    charts: list[Chart]
    figures: list[Figure]
    provenance: dict[str, dict[str, Any]]
    cards: dict[str, Card] = field(default_factory=dict)
