"""Ablation grids: what to train, and the table of it, beside the paper's where it has one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import DataError, UsageError, nearest
from bench.files import yaml_lines
from bench.files.untrusted import fitting, read_json
from bench.results.files import SWEEPS
from leaderboards.table import Board, Chart, Point, Row, Series, ranked

SCHEMA = 2  # of the record that `bench sweep` writes
FILES = (
    Path(__file__).with_name("reference") / "ablations.yaml",  # the paper's
    Path(__file__).with_name("parts.yaml"),  # ours
)
MEAN = "geometric mean"  # what the paper selects by
COLUMNS = ("Vb@1", "CIDEr", MEAN)
PAPER = "paper "
TASK = "ablations"  # what their boards are filed under


@dataclass(frozen=True)
class Cell:
    """One row of a grid: `set` as for `bench train --set`; `base` is the model before training.

    `metrics` are the published numbers. A row of several `seeds` shows their mean.
    """

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)
    base: bool = False
    seeds: list[int] = field(default_factory=lambda: [0])

    @property
    def values(self) -> dict[str, float]:
        """The published numbers with their geometric mean."""
        return {**self.metrics, MEAN: geometric_mean(self.metrics)}


@dataclass(frozen=True)
class Grid:
    """An ablation on VidSitu; `first` heads the column of what is varied.

    `columns` are the metrics of a grid of our own; a published one has the paper's, and none named.
    """

    title: str
    first: str
    source: str
    table: str
    split: str
    rows: list[Cell]
    footnote: str = ""
    columns: list[str] = field(default_factory=list)

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
    found = yaml_lines.read(file).plain()
    with fitting(file, "correct it"):
        made = {
            name: Grid(**{**entry, "rows": [Cell(**row) for row in entry["rows"]]})
            for name, entry in found.items()
        }
        for one in made.values():
            for row in one.rows:
                _check(row, published=not one.columns)
    return made


def _check(row: Cell, published: bool) -> None:
    """TypeError for a row that cannot be trained or shown."""
    if not isinstance(row.set, dict) or not all(isinstance(seed, int) for seed in row.seeds):
        raise TypeError(f"row '{row.name}': set or seeds")
    if published:
        if set(row.metrics) | {MEAN} != set(COLUMNS):
            raise TypeError(f"row '{row.name}' needs metrics {COLUMNS[0]} and {COLUMNS[1]}")
        float(row.values[MEAN])


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


def grid_boards(record: dict[str, Any]) -> list[Board]:
    """The tables of a sweep's record: beside the paper's; or, of a grid of our own, the numbers and
    how far each row is from the first."""
    one = grid(record["grid"])
    title = f"{one.title}: {record['model']} on {record['source']}"
    toy = " (toy world: not comparable with {})" if record["toy"] else ""
    if one.columns:
        on = f"{record['model']} on {record['source']}{toy.format('real videos')}"
        less = f"{one.title}, less {one.reference.name} of the same seeds: {on}"
        return [
            _grid_board(
                f"{one.title}: {on}", one, list(one.columns), _rows(record, one, "metrics")
            ),
            _differences(less, record, one),
        ]
    columns = [*COLUMNS, *(PAPER + name for name in COLUMNS)]
    rows = [
        replace(row, values={PAPER + n: value for n, value in cell.values.items()} | row.values)
        for cell, row in zip(one.rows, _rows(record, one, "metrics"), strict=True)
    ]
    return [_grid_board(title + toy.format("the paper's columns"), one, columns, rows)]


def _rows(record: dict[str, Any], one: Grid, what: str) -> list[Row]:
    """A row for every cell, measured or not; `what` of the record's rows are its values."""
    measured = {row["name"]: row for row in record["rows"]}
    rows = []
    for cell in one.rows:
        if (found := measured.get(cell.name)) is None:
            rows.append(Row(cell.name, "published", {}, remark="not run yet", notes=one.notes))
            continue
        shown = found.get(what, {})
        values = {name: shown[name] for name in one.measured if name in shown}
        seeds = found["seeds"]
        several = f", mean of seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else ""
        rows.append(
            Row(
                cell.name,
                "partial" if "partial" in found["coverage"] else "measured",
                {name: entry["value"] for name, entry in values.items()},
                {name: (entry["low"], entry["high"]) for name, entry in values.items()},
                found["coverage"] + several,
                notes=one.notes,
            )
        )
    return rows


def _differences(title: str, record: dict[str, Any], one: Grid) -> Board:
    """Each row less the first, of the same videos; ≈ where the interval holds zero."""
    rows = [
        replace(row, notes=(), tied=tuple(
            name for name, (low, high) in row.bounds.items() if low <= 0 <= high
        ))
        for row in _rows(record, one, "differences")
        if row.model != one.reference.name
    ]  # fmt: skip
    return Board(title, TASK, one.table, list(one.columns), rows, {}, one.first)


def published_grids(without: set[str]) -> list[Board]:
    """The paper's tables alone, of the grids that no record shows already."""
    found = []
    for name, one in grids().items():
        if name in without or one.columns:
            continue
        rows = [
            Row(cell.name, "published", cell.values, remark=f"{one.source}, {one.table}",
                notes=one.notes)
            for cell in one.rows
        ]  # fmt: skip
        found.append(_grid_board(f"{one.title}: ViT-L/14, published", one, list(COLUMNS), rows))
    return found


def _grid_board(title: str, one: Grid, columns: list[str], rows: list[Row]) -> Board:
    """Rows stay in the grid's order; higher is better throughout a grid."""

    def fair(row: Row, name: str) -> bool:
        return row.kind != "partial" or name.startswith(PAPER)

    higher = dict.fromkeys(columns, True)
    return Board(title, TASK, one.table, columns, ranked(rows, higher, fair), higher, one.first)


def grid_chart(record: dict[str, Any]) -> Chart:
    """The geometric mean of every cell with its interval, beside the paper's."""
    published = grid(record["grid"])
    measured = [
        Point(row["name"], entry["value"], entry["low"], entry["high"])
        for row in record["rows"] if "partial" not in row["coverage"]
        for entry in [row["metrics"][MEAN]]
    ]  # fmt: skip
    series, note = [Series(f"{record['model']}, measured", measured)], ""
    if not published.columns:
        paper = [Point(cell.name, cell.values[MEAN]) for cell in published.rows]
        series.append(Series("paper", paper))
        note = "The paper's points are ViT-L/14 on the real VidSitu."
    if record["toy"]:
        note = f"Measured on the toy world: only trends can be compared. {note}".strip()
    series = [one for one in series if all(math.isfinite(p.y) for p in one.points)]
    return Chart(published.title, published.first, MEAN, "dots", series, note)


def load_records(folder: Path) -> list[dict[str, Any]]:
    """Every sweep's record below a results folder. DataError names a damaged one."""
    found = []
    for path in sorted((folder / SWEEPS).glob("*/*/*.json")):
        record = read_json(path, "run the sweep again")
        if not isinstance(record, dict) or record.get("kind") != "sweep":
            raise DataError(f"{path}: no record of `bench sweep`; run the sweep again")
        if record.get("schema") != SCHEMA:
            raise DataError(f"{path}: of another version; run the sweep again")
        with fitting(path, "run the sweep again"):  # what cannot be shown is damaged
            grid_boards(record)
            grid_chart(record)
        found.append(record)
    return found
