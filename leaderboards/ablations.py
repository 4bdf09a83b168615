"""The published ablation grids: what to train, and the table to stand beside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import located
from bench.errors import DataError, UsageError, nearest
from bench.reading import fitting, read_json
from bench.results import SWEEPS
from leaderboards.table import Board, Chart, Point, Row, Series, ranked

SCHEMA = 1  # of the record that `bench sweep` writes
FILE = Path(__file__).with_name("reference") / "ablations.yaml"
MEAN = "geometric mean"  # what the paper selects by
COLUMNS = ("Vb@1", "CIDEr", MEAN)
PAPER = "paper "
TASK = "ablations"  # what their boards are filed under


@dataclass(frozen=True)
class Cell:
    """One row of a grid: `set` as for `bench train --set`; `base` is the model before training."""

    name: str
    metrics: dict[str, float]
    set: dict[str, Any] = field(default_factory=dict)
    base: bool = False

    @property
    def values(self) -> dict[str, float]:
        """The published numbers with their geometric mean."""
        return {**self.metrics, MEAN: geometric_mean(self.metrics)}


@dataclass(frozen=True)
class Grid:
    """A published ablation on VidSitu; `first` heads the column of what is varied."""

    title: str
    first: str
    source: str
    table: str
    split: str
    rows: list[Cell]
    footnote: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """The footnotes of every row."""
        return (self.footnote,) if self.footnote else ()


def grids(file: Path = FILE) -> dict[str, Grid]:
    """Every published grid by name. DataError names the file and the faulty grid."""
    found = located.read(file).plain()
    with fitting(file, "correct it"):
        made = {
            name: Grid(**{**entry, "rows": [Cell(**row) for row in entry["rows"]]})
            for name, entry in found.items()
        }
        for row in (row for one in made.values() for row in one.rows):
            if set(row.metrics) | {MEAN} != set(COLUMNS) or not isinstance(row.set, dict):
                raise TypeError(f"row '{row.name}' needs metrics {COLUMNS[0]} and {COLUMNS[1]}")
            float(row.values[MEAN])
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


def grid_board(record: dict[str, Any]) -> Board:
    """The table of a sweep's record: measured columns, then the paper's, in the paper's order."""
    published = grid(record["grid"])
    measured = {row["name"]: row for row in record["rows"]}
    rows = []
    for cell in published.rows:
        values = {PAPER + name: value for name, value in cell.values.items()}
        bounds = {}
        found = measured.get(cell.name)
        if found:
            values |= {name: found["metrics"][name]["value"] for name in COLUMNS}
            bounds = {name: (found["metrics"][name]["low"], found["metrics"][name]["high"])
                      for name in COLUMNS}  # fmt: skip
        kind = (
            "published"
            if not found
            else "partial"
            if "partial" in found["coverage"]
            else "measured"
        )
        rows.append(
            Row(cell.name, kind, values, bounds,
                found["coverage"] if found else "not run yet",
                notes=published.notes)
        )  # fmt: skip
    toy = " (toy world: not comparable with the paper's columns)" if record["toy"] else ""
    title = f"{published.title}: {record['model']} on {record['source']}{toy}"
    columns = [*COLUMNS, *(PAPER + name for name in COLUMNS)]
    return _grid_board(title, published, columns, rows)


def published_grids(without: set[str]) -> list[Board]:
    """The paper's tables alone, of the grids that no record shows already."""
    found = []
    for name, one in grids().items():
        if name in without:
            continue
        rows = [
            Row(cell.name, "published", cell.values, remark=f"{one.source}, {one.table}",
                notes=one.notes)
            for cell in one.rows
        ]  # fmt: skip
        found.append(_grid_board(f"{one.title}: ViT-L/14, published", one, list(COLUMNS), rows))
    return found


def _grid_board(title: str, one: Grid, columns: list[str], rows: list[Row]) -> Board:
    """Rows stay in the paper's order; higher is better throughout a grid."""

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
    paper = [Point(cell.name, cell.values[MEAN]) for cell in published.rows]
    note = "The paper's points are ViT-L/14 on the real VidSitu."
    if record["toy"]:
        note = f"Measured on the toy world: only trends can be compared. {note}"
    series = [Series(f"{record['model']}, measured", measured), Series("paper", paper)]
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
            grid_board(record)
            grid_chart(record)
        found.append(record)
    return found
