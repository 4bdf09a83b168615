"""Boards as tables for the terminal, as wide as it is: a number is never cut."""

from __future__ import annotations

import io
import sys
from textwrap import wrap
from typing import Any

from bench.errors import printable
from bench.report.tables import Board, Row
from bench.report.text import LEGEND, arrow, difference, footnotes, number, parted
from bench.results.document import interval

# How much a table tells, each with the former.
NUMBERS, INTERVALS, REMARKS = range(3)
DOUBTFUL = ("partial", "stale", "edited")  # kinds that a narrow table names beside the model
WIDE = 160  # columns, where the output is no terminal
READABLE = 100  # columns of a paragraph
NARROW = 60  # columns below which names of models have to do with less
NAME, REMARK = 18, 24  # columns that names of models and remarks have at least
HEAD = 18  # the most that a line of a header takes
PADDING = 3  # a rule and two blanks beside every column


def tables(found: list[Board]) -> str:
    """The boards and what their marks mean, in colour where the terminal shows colour."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else WIDE)
    for board in found:
        _show(console, board)
        console.print()
    _say(console, LEGEND)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")


def _show(console: Any, board: Board) -> None:
    """One board. Where it is too wide, first remarks go, then intervals; then it becomes several
    tables, divided between columns."""
    detail, parts = _divided(console, board)
    for columns in parts:
        console.print(_table(board, columns, detail, console.width))
    if detail != REMARKS:
        for row in board.rows:
            if row.flagged:
                _say(console, f"{row.model}: {row.remark}")
        left = "sources" if detail == INTERVALS else "intervals and sources"
        console.print(f"{left}: a wider terminal, or --format md", style="dim")
    listed = [f"[{place}] {note}" for note, place in footnotes(board).items()]
    for note in (*board.notes, *listed):
        _say(console, note)


def _say(console: Any, text: str) -> None:
    """A paragraph, broken between words."""
    from rich.text import Text

    console.print(Text(printable(text)), width=min(console.width, READABLE))


def _divided(console: Any, board: Board) -> tuple[int, list[list[str]]]:
    """How much detail there is room for, and the columns of each table."""

    def fits(columns: list[str], detail: int) -> bool:
        table = _table(board, columns, detail, console.width)
        needed = sum(column.min_width + PADDING for column in table.columns) + 1
        return bool(needed <= console.width)

    for detail in (REMARKS, INTERVALS):
        if fits(board.columns, detail):
            return detail, [board.columns]
    parts: list[list[str]] = [[]]
    for name in board.columns:
        if parts[-1] and not fits([*parts[-1], name], NUMBERS):
            parts.append([])
        parts[-1].append(name)
    return NUMBERS, parts


def _table(board: Board, columns: list[str], detail: int, room: int) -> Any:
    """A rich table of some columns, with as much as `detail` says, in `room` columns of a screen.

    Names and remarks are folded into what the numbers leave. rich would take a column for as wide
    as its longest word, and cut its lines.
    """
    from rich.table import Table
    from rich.text import Text

    names = [_model(row, board, detail) for row in board.rows]
    cells = {n: [_cell(row, n, detail > NUMBERS) for row in board.rows] for n in columns}
    heads = {name: Text(_head(board, name)) for name in columns}
    widths = {name: _widest([heads[name], *cells[name]]) for name in columns}
    longest = _widest([Text(printable(board.first)), *names])
    least = REMARK if detail == REMARKS else 0
    left = room - sum(width + PADDING for width in widths.values()) - PADDING - 1
    left -= least + PADDING if least else 0
    narrowest = min(longest, NAME if room >= NARROW else NAME * 2 // 3)
    wide = max(narrowest, min(longest, left, 48 if least else 24))

    table = Table(title=Text(printable(board.title)), title_justify="left", expand=False)
    table.add_column(Text(printable(board.first)), overflow="fold", min_width=narrowest,
                     width=wide)  # fmt: skip
    for name in columns:
        table.add_column(heads[name], justify="right", no_wrap=True, min_width=widths[name])
    if least:
        table.add_column("coverage or source", overflow="fold", style="dim", min_width=least,
                         max_width=max(least, least + left - wide))  # fmt: skip
    for place, (row, rule) in enumerate(parted(board)):
        if rule:
            table.add_section()
        remark = [_remark(row, board)] if least else []
        numbers = [cells[name][place] for name in columns]
        table.add_row(names[place], *numbers, *remark, style=_style(row))
    return table


def _widest(texts: list[Any]) -> int:
    """Columns of a screen that the longest line of texts takes."""
    lines = (line for text in texts for line in text.split("\n"))
    return max((line.cell_len for line in lines), default=0)


def _head(board: Board, name: str) -> str:
    """A column's name, a part a line, and the arrow beside the last."""
    parts = printable(name).replace("/", "/ ").split()
    lines = [line for part in parts for line in wrap(part, HEAD)]
    return f"{chr(10).join(lines)} {arrow(board, name)}".rstrip()


def _style(row: Row) -> str:
    return {"measured": "", "stale": "red", "edited": "red"}.get(row.kind, "dim")


def _model(row: Row, board: Board, detail: int) -> Any:
    from rich.text import Text

    notes = footnotes(board)
    marks = "".join(f" [{notes[note]}]" for note in row.notes)
    marks += f" ({row.kind})" if row.kind in DOUBTFUL and detail != REMARKS else ""
    return Text(printable(row.model) + marks)


def _remark(row: Row, board: Board) -> Any:
    from rich.text import Text

    gap = difference(row, board.columns)
    return Text(printable("; ".join(filter(None, [row.remark, gap and f"{gap} to published"]))))


def _cell(row: Row, name: str, bounds: bool) -> Any:
    from rich.text import Text

    if name not in row.values:
        return Text("")
    style = "bold" if name in row.best else "underline" if name in row.second else ""
    text = Text("~" if row.about else "").append(number(row, name), style)
    text.append("≈" if name in row.tied else "?" if name in row.untested else "")
    if bounds and name in row.bounds:
        text.append("\n" + interval(*row.bounds[name]), "dim")
    return text
