"""Ablation grids: what each row trains; the paper's and our own, from leaderboards/."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.errors import UsageError, nearest
from bench.files import yaml_lines
from bench.files.untrusted import well_formed
from bench.results.document import Number

DATA = Path(str(files("leaderboards")))
FILES = (
    DATA / "reference" / "ablations.yaml",  # the paper's
    DATA / "parts.yaml",  # ours
)
SCHEMA = 2  # of the record that `bench sweep` writes
PROTOCOLS, PROTOCOL_SCHEMA = "protocol sweep", 1  # the kind of `bench sweep protocol`'s, and its
MEAN = "geometric mean"  # what the paper selects by
COLUMNS = ("Vb@1", "CIDEr", MEAN)


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a grid: `set` as for `bench train --set`; `base` is the model before training.

    `metrics` are the published numbers. A row of several `seeds` shows their mean.
    """

    name: str
    metrics: dict[str, Number] = {}
    set: dict[str, Any] = {}
    base: bool = False
    seeds: list[int] = msgspec.field(default_factory=lambda: [0])

    @property
    def values(self) -> dict[str, float]:
        """The published numbers with their geometric mean."""
        return {**self.metrics, MEAN: geometric_mean(self.metrics)}


class Grid(Struct, frozen=True, forbid_unknown_fields=True):
    """An ablation, evaluated on `task` and `also`; `first` heads the column of what is varied.

    `columns` are the metrics of a grid of our own, those of the tasks in `also` as `TASK/METRIC`; a
    published one has the paper's, and none named.
    """

    title: str
    task: str
    first: str
    source: str
    table: str
    split: str
    rows: list[Cell]
    footnote: str = ""
    columns: list[str] = []
    also: list[str] = []

    @property
    def tasks(self) -> list[str]:
        """Every task that a row is evaluated on."""
        return [self.task, *self.also]

    @property
    def charted(self) -> str:
        """The metric that the grid's chart shows."""
        return MEAN if {"Vb@1", "CIDEr"} <= set(self.measured) else self.measured[0]

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics that a row of the grid shows."""
        return tuple(self.columns) or COLUMNS

    @property
    def reference(self) -> Cell:
        """What the rows of a grid of our own are compared with: its first."""
        return self.rows[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """The footnotes of every row."""
        return (self.footnote,) if self.footnote else ()


def grids(*files: Path) -> dict[str, Grid]:
    """Every grid of `files`, or of ours, by name. DataError names the file and the faulty grid."""
    return {name: one for file in files or FILES for name, one in _read(file).items()}


def _read(file: Path) -> dict[str, Grid]:
    with well_formed(file, "correct it"):
        made = msgspec.convert(yaml_lines.read(file).plain(), dict[str, Grid])
        for row in (row for one in made.values() if not one.columns for row in one.rows):
            if set(row.metrics) | {MEAN} != set(COLUMNS):
                raise TypeError(f"row '{row.name}' needs metrics {COLUMNS[0]} and {COLUMNS[1]}")
    return made


def grid(name: str) -> Grid:
    """One grid. UsageError names the nearest known one."""
    known = _published()
    if name not in known:
        raise UsageError(f"unknown grid '{name}'{nearest(name, list(known))}; "
                         f"known: {', '.join(known)}")  # fmt: skip
    return known[name]


@lru_cache
def _published() -> dict[str, Grid]:
    return grids()


def geometric_mean(metrics: dict[str, Any]) -> Any:
    """Of Vb@1 and CIDEr: numbers, or arrays of bootstrap draws."""
    return (metrics["Vb@1"] * metrics["CIDEr"]) ** 0.5
