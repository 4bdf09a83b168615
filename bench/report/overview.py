"""All tasks at a glance: one row a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bench import registry
from bench.contracts import Task
from bench.report.boards import TOY, task_class
from bench.report.tables import Board, Row


def overview(found: list[Board]) -> list[Board]:
    """One row a model over all tasks: a board of the published protocols, and one of the toy world.

    Of several boards of a protocol the one with most measured rows is taken. Rows with dual softmax
    and rows read off a chart stay on their own boards. What holds measured rows stands first.
    """
    named = dict.fromkeys(board.task for board in found)
    tasks = [one for name in named if (one := task_class(name)) and one.overview]
    made = []
    for toy in (False, True):
        parts = [part for task in tasks if (part := _part(found, task, toy)) is not None]
        if parts:
            made.append(_joined(parts, toy))
    return sorted(made, key=lambda board: all(row.kind == "published" for row in board.rows))


def _part(found: list[Board], task: type[Task], toy: bool) -> Board | None:
    wanted = f"{task.name}/toy" if toy else task.published_protocol()
    chosen = [board for board in found if (board.task, board.protocol) == (task.name, wanted)]
    return max(chosen, key=lambda b: sum(row.kind == "measured" for row in b.rows), default=None)


def _joined(parts: list[Board], toy: bool) -> Board:
    rows: dict[tuple[str, str], Row] = {}
    columns: list[str] = []
    higher: dict[str, bool] = {}
    for board in parts:
        shown = [name for name in registry.task_class(board.task).overview if name in board.columns]
        columns += [f"{board.task} {name}" for name in shown]
        higher |= {f"{board.task} {name}": board.higher[name] for name in shown}
        smaller = [row for row in board.rows if row.kind == "chance"][1:]  # of fewer videos
        for row in board.rows:
            if row.about or row.dual_softmax or row in smaller or row.kind == "ceiling":
                continue
            key = (row.kind, row.model) if row.kind != "chance" else ("chance", "(baseline)")
            rows[key] = _merged(rows.get(key, Row(key[1], row.kind, {})), row, board.task, shown)
    order = ("measured", "partial", "edited", "stale", "chance", "published")
    ordered = sorted(rows.values(), key=lambda row: order.index(row.kind))
    kept = [row for row in ordered if row.values]
    if toy:
        return Board(f"all tasks{TOY}", "overview", "toy", columns, kept, higher, toy=TOY)
    return Board("all tasks on real videos", "overview", "published", columns, kept, higher)


def _merged(whole: Row, row: Row, task: str, shown: list[str]) -> Row:
    """`whole` with the task's columns of `row`; the remark tells each task's coverage."""

    def named(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{task} {name}" for name in shown if name in names)

    def valued(values: dict[str, Any]) -> dict[str, Any]:
        return {f"{task} {name}": values[name] for name in shown if name in values}

    remark = row.remark if row.kind in ("chance", "published") else f"{task} {row.remark}"
    remarks = dict.fromkeys("; ".join(filter(None, [whole.remark, remark])).split("; "))
    return replace(
        whole,
        values=whole.values | valued(row.values),
        bounds=whole.bounds | valued(row.bounds),
        differences=whole.differences | valued(row.differences),
        best=whole.best + named(row.best),
        second=whole.second + named(row.second),
        tied=whole.tied + named(row.tied),
        untested=whole.untested + named(row.untested),
        spread=whole.spread | valued(row.spread),
        notes=tuple(dict.fromkeys(whole.notes + row.notes)),
        provenance="+".join(filter(None, [whole.provenance, row.provenance])),
        remark="; ".join(remarks),  # what two tasks say alike, once
        link=whole.link or row.link,
        own=whole.own or row.own,
    )
