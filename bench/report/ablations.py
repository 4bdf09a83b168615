"""Ablation grids as tables and charts, beside the paper's numbers where it has some."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import DataError
from bench.files.untrusted import read_json, well_formed
from bench.report.protocols import Record, protocol_board, protocol_chart
from bench.report.tables import Board, Chart, Point, Row, Series, ranked
from bench.results.document import toy_remark
from bench.results.files import SWEEPS
from bench.training.grids import (
    COLUMNS,
    MEAN,
    PROTOCOL_SCHEMA,
    PROTOCOLS,
    SCHEMA,
    Grid,
    grid,
    grids,
)

PAPER = "paper "
PAPERS = "The paper's points are ViT-L/14 on real videos."
TASK = "ablations"  # what their boards are filed under


def is_partial(row: dict[str, Any]) -> bool:
    """Whether a run of a record's row did not answer all; older records say it in words alone."""
    return bool(row.get("partial", "partial" in row["coverage"]))


def grid_boards(record: dict[str, Any]) -> list[Board]:
    """The tables of a sweep's record: beside the paper's; or, of a grid of our own, the numbers and
    how far each row is from the first. A protocol's has one."""
    if record.get("kind") == PROTOCOLS:
        return [protocol_board(record)]
    one = grid(record["grid"])
    title = f"{one.title}: {record['model']} on {record['source']}"
    other = "real videos" if one.columns else "the paper's columns"
    toy = toy_remark(other) if record["toy"] else ""
    if one.columns:
        on = f"{record['model']} on {record['source']}"
        less = f"{one.title}, less {one.reference.name} of the same seeds: {on}"
        rows = _rows(record, one, "metrics")
        return [
            _grid_board(f"{one.title}: {on}", one, list(one.columns), rows, toy),
            _differences(less, record, one, toy),
        ]
    columns = [*COLUMNS, *(PAPER + name for name in COLUMNS)]
    rows = [
        replace(row, values={PAPER + n: value for n, value in cell.values.items()} | row.values)
        for cell, row in zip(one.rows, _rows(record, one, "metrics"), strict=True)
    ]
    return [_grid_board(title, one, columns, rows, toy)]


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
        partial = is_partial(found)
        tied = found.get("tied")  # older records were not tested
        rows.append(Row(
            cell.name,
            "partial" if partial else "measured",
            {name: entry["value"] for name, entry in values.items()},
            {
                name: (entry["low"], entry["high"])
                for name, entry in values.items() if entry["low"] is not None
            },
            found["coverage"] + several,
            tied=tuple(name for name in values if name in (tied or ())),
            untested=tuple(values) if tied is None and not partial else (),
            notes=one.notes,
        ))  # fmt: skip
    return rows


def _differences(title: str, record: dict[str, Any], one: Grid, toy: str) -> Board:
    """Each row less the first, of the same videos; ≈ where the two are statistically tied."""
    rows = [
        replace(row, notes=(), untested=(), tied=tuple(
            name for name, (low, high) in row.bounds.items() if low <= 0 <= high
        ))
        for row in _rows(record, one, "differences")
        if row.model != one.reference.name
    ]  # fmt: skip
    return Board(title + toy, TASK, one.table, list(one.columns), rows, {}, one.first,
                 toy=toy, grid=True)  # fmt: skip


def published_grids(without: set[str], task: str | None = None) -> list[Board]:
    """The paper's tables alone, of the grids (of `task`) that no record shows already."""
    found = []
    for name, one in grids().items():
        if name in without or one.columns or task not in (None, one.task):
            continue
        rows = [
            Row(cell.name, "published", cell.values, remark=f"{one.source}, {one.table}",
                notes=one.notes)
            for cell in one.rows
        ]  # fmt: skip
        found.append(_grid_board(f"{one.title}: ViT-L/14, published", one, list(COLUMNS), rows))
    return found


def _grid_board(title: str, one: Grid, columns: list[str], rows: list[Row], toy: str = "") -> Board:
    """Rows stay in the grid's order; higher is better throughout a grid."""

    def fair(row: Row, name: str) -> bool:
        return row.kind != "partial" or name.startswith(PAPER)

    higher = dict.fromkeys(columns, True)
    made = [
        replace(row, tied=_unlike(row.tied, row.best), untested=_unlike(row.untested, row.best))
        for row in ranked(rows, higher, fair)
    ]
    return Board(title + toy, TASK, one.table, columns, made, higher, one.first,
                 toy=toy, grid=True)  # fmt: skip


def _unlike(names: tuple[str, ...], best: tuple[str, ...]) -> tuple[str, ...]:
    """What is marked of a row: where it is the best itself, nothing."""
    return tuple(name for name in names if name not in best)


def grid_charts(record: dict[str, Any]) -> list[Chart]:
    """The charted metric of every cell with its interval, and the paper's; or a protocol's.

    Numbers of drawn videos and the paper's are no two of one axis.
    """
    if record.get("kind") == PROTOCOLS:
        return [protocol_chart(record)]
    published = grid(record["grid"])
    measured = [
        Point(row["name"], entry["value"], entry["low"], entry["high"])
        for row in record["rows"] if not is_partial(row)
        for entry in [row["metrics"][published.charted]]
    ]  # fmt: skip
    ours = Series(f"{record['model']}, measured", measured)
    paper = [] if published.columns else [
        Series("paper", [Point(cell.name, cell.values[MEAN]) for cell in published.rows])
    ]  # fmt: skip
    paper = [one for one in paper if all(math.isfinite(p.y) for p in one.points)]
    title, what = published.title, published.charted

    def chart(name: str, series: list[Series], note: str, toy: bool) -> Chart:
        return Chart(name, published.first, what, "dots", series, note, toy=toy, grid=True)

    if paper and record["toy"]:
        return [chart(title, [ours], "", True),
                chart(f"{title}, in the paper", paper, PAPERS, False)]  # fmt: skip
    return [chart(title, [ours, *paper], PAPERS if paper else "", record["toy"])]


def task_of(record: dict[str, Any]) -> str:
    """The task that a sweep was evaluated on."""
    return str(record["task"] if record.get("kind") == PROTOCOLS else grid(record["grid"]).task)


def find_records(folder: Path) -> list[Path]:
    """The files of every sweep's record below a results folder."""
    return sorted((folder / SWEEPS).glob("*/*/*.json"))


def load_record(path: Path) -> dict[str, Any]:
    """One sweep's record. DataError names a damaged one."""
    record = read_json(path, "run the sweep again")
    if not isinstance(record, dict) or record.get("kind") not in ("sweep", PROTOCOLS):
        raise DataError(f"{path}: no record of `bench sweep`; run the sweep again")
    if record.get("schema") != (PROTOCOL_SCHEMA if record["kind"] == PROTOCOLS else SCHEMA):
        raise DataError(f"{path}: of another version; run the sweep again")
    with well_formed(path, "run the sweep again"):  # what cannot be shown is damaged
        if record["kind"] == PROTOCOLS:
            msgspec.convert(record, Record)
        grid_boards(record)
        grid_charts(record)
    return record
