"""What each turn of a protocol does to a model's numbers, as a table and a chart."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bench.report.tables import Board, Chart, Point, Row, Series
from bench.results.document import Count, Number, Value, toy_remark

TASK = "protocols"  # what the boards are filed under
LESS = ("R@1", "R@10", "v2t/R@1")  # metrics whose differences the table has
TOY = toy_remark("real videos")


class TurnRow(Struct):
    """One turn in a record, as `bench.training.protocol_sweep` writes it."""

    switch: str
    name: str
    coverage: str
    partial: bool
    plan: str | None
    truncated: Count
    metrics: dict[str, Value]
    differences: dict[str, Value]
    holm: Number = 1.0


class Record(Struct):
    """What a kept record must be to be shown."""

    task: str
    model: str
    protocol: str
    toy: bool
    primary: str
    clusters: Count
    left_out: list[str]
    rows: list[TurnRow]


def protocol_board(record: dict[str, Any]) -> Board:
    """A row a turn: the primary metric, and how far this and others are from the default's."""
    primary = record["primary"]
    rows = [_row(row, primary) for row in record["rows"]]
    title = f"What the protocol does: {record['model']} on {record['protocol']}"
    columns = [primary, *(less(name) for name in LESS)]
    toy = TOY if record["toy"] else ""
    return Board(title + toy, TASK, record["protocol"], columns, rows, {}, "turned",
                 _notes(record), toy, grid=True)  # fmt: skip


def less(name: str) -> str:
    """How a difference to the default is headed."""
    return f"{name} less"


def _row(row: dict[str, Any], primary: str) -> Row:
    values = {primary: row["metrics"][primary]}
    values |= {less(name): row["differences"][name] for name in LESS if name in row["differences"]}
    bounds = {name: (one["low"], one["high"]) for name, one in values.items()
              if one["low"] is not None}  # fmt: skip
    gaps = {name: pair for name, pair in bounds.items() if name != primary}
    return Row(
        row["name"], "partial" if row["partial"] else "measured",
        {name: one["value"] for name, one in values.items()}, bounds, _remark(row),
        tied=tuple(name for name, (low, high) in gaps.items() if low <= 0 <= high),
    )  # fmt: skip


def _remark(row: dict[str, Any]) -> str:
    said = [row["coverage"], f"{row['switch']} {row['plan']}" if row["switch"] == "plan" else ""]
    said += [f"{row['truncated']} texts cut" if row["truncated"] else ""]
    said += [f"Holm's p {row['holm']:.3f}" if "holm" in row else ""]
    lost = row["switch"] != "default" and not row["differences"]
    return "; ".join(filter(None, [*said, "other items answered: not compared" if lost else ""]))


def _notes(record: dict[str, Any]) -> tuple[str, ...]:
    tested = sum(bool(row["differences"]) for row in record["rows"])
    return (
        f"less: paired difference to the default protocol, with its 95 % interval over "
        f"{record['clusters']} groups of videos, for these weights; ≈ where it holds zero. Of "
        f"{tested} turns one in twenty misses zero by chance: Holm's p is corrected for all.",
        *(f"left out: {one}" for one in record["left_out"]),
    )


def protocol_chart(record: dict[str, Any]) -> Chart:
    """The paired difference of the primary metric, a row a turn."""
    primary = record["primary"]
    points = [
        Point(row["name"], gap["value"], gap["low"], gap["high"])
        for row in record["rows"] if primary in row["differences"]
        for gap in [row["differences"][primary]]
    ]  # fmt: skip
    note = f"{primary} less that of {record['protocol']}, paired, with 95 % intervals over videos."
    return Chart(f"What the protocol does: {record['model']} on {record['protocol']}", "turned",
                 f"{primary}, less the default protocol's", "rows",
                 [Series(record["model"], points)], note, toy=record["toy"], grid=True)  # fmt: skip
