"""Boards as text: markdown, LaTeX (booktabs), CSV, JSON, and tables for the terminal."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from bench.errors import printable
from bench.looking import markdown_cell
from leaderboards.table import Board, Row

LEGEND = (
    "Best measured in bold, second underlined, ≈ not told apart from the best by a paired "
    "bootstrap (95 %), [95 % interval], ↑ higher is better, ↓ lower is better."
)


def render(found: list[Board], format_: str) -> str:
    """Boards as `rich`, `md`, `latex`, `csv` or `json`. Foreign text is escaped for the format."""
    if format_ == "json":
        return json.dumps([asdict(board) for board in found], indent=2, ensure_ascii=False)
    if format_ == "csv":
        return _csv(found)
    if format_ == "rich":
        return "\n".join(map(_rich, found)) + f"\n{LEGEND}"
    return "\n\n".join(_table(board, format_) for board in found)


def number(row: Row, name: str) -> str:
    """A value as boards print it: one decimal; a published one as printed there."""
    value = row.values[name]
    if row.about:
        return f"{value:g}"
    printed = row.kind != "chance" and name not in row.bounds
    return f"{value:.2f}" if printed and abs(round(value, 1) - value) > 1e-9 else f"{value:.1f}"


def difference(row: Row, columns: list[str]) -> str:
    """How far a row is from the published value of the same model."""
    return ", ".join(
        f"{name} {row.differences[name]:+.1f}" for name in columns if name in row.differences
    )


def footnotes(board: Board) -> dict[str, int]:
    """The number of every footnote, in order of appearance."""
    notes = dict.fromkeys(note for row in board.rows for note in row.notes)
    return {note: place for place, note in enumerate(notes, 1)}


def arrow(board: Board, name: str) -> str:
    """Which way a column is better, where that is known."""
    if name not in board.higher:
        return ""
    return "↑" if board.higher[name] else "↓"


def _cells(board: Board, latex: bool) -> tuple[list[str], list[list[str]]]:
    """Head and lines, with markup of markdown or LaTeX."""
    notes = footnotes(board)
    gaps = any(row.differences for row in board.rows)
    head = [_escape(board.first, latex), "kind"]
    for name in board.columns:
        mark = arrow(board, name)
        if latex:
            mark = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}.get(mark, "")
        head.append(f"{_escape(name, latex)} {mark}".rstrip())
    head += ["difference to published"] if gaps else []
    head.append("coverage or source")
    lines = []
    for row in board.rows:
        marks = ",".join(str(notes[note]) for note in row.notes)
        raised = (r"\textsuperscript{%s}" if latex else "<sup>%s</sup>") % marks if marks else ""
        cells = [_escape(row.model, latex) + raised, row.kind]
        cells += [_cell(row, name, latex) for name in board.columns]
        cells += [_escape(difference(row, board.columns), latex)] if gaps else []
        lines.append([*cells, _escape(row.remark, latex)])
    return head, lines


def _cell(row: Row, name: str, latex: bool) -> str:
    if name not in row.values:
        return ""
    text = number(row, name)
    if row.about:
        text = (r"$\sim$" if latex else "~") + text
    if name in row.best:
        text = f"\\textbf{{{text}}}" if latex else f"**{text}**"
    elif name in row.second:
        text = f"\\underline{{{text}}}" if latex else f"<ins>{text}</ins>"
    if name in row.tied:
        text += r"$\approx$" if latex else "≈"
    if name in row.bounds:
        low, high = row.bounds[name]
        text += f" [{low:.1f}, {high:.1f}]"
    return text


def _table(board: Board, format_: str) -> str:
    from tabulate import tabulate

    latex = format_ == "latex"
    head, lines = _cells(board, latex)
    notes = [f"{place}. {_escape(note, latex)}" for note, place in footnotes(board).items()]
    if latex:
        body = tabulate(lines, headers=head, tablefmt="latex_raw", disable_numparse=True)
        for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
            body = body.replace("\\hline", rule, 1)
        return "\n".join([f"% {board.title}", body, *(f"% {note}" for note in notes)])
    align = ["left", "left", *["right"] * len(board.columns)]
    align += ["left"] * (len(head) - len(align))
    table = tabulate(lines, headers=head, tablefmt="github", colalign=align, disable_numparse=True)
    parts = [f"### {_escape(board.title, False)}", table]
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def _rich(board: Board) -> str:
    """A table for the terminal, as wide as the terminal is, in colour where it shows colour."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(board.title)), title_justify="left", expand=False)
    table.add_column(printable(board.first), overflow="fold", min_width=12)
    for name in board.columns:
        table.add_column(f"{name} {arrow(board, name)}".rstrip(), justify="right")
    table.add_column("coverage or source", overflow="fold", style="dim")
    notes = footnotes(board)
    for row in board.rows:
        marks = "".join(f" [{notes[note]}]" for note in row.notes)
        cells = [Text(printable(row.model) + marks), *(_terminal(row, n) for n in board.columns)]
        gap = difference(row, board.columns)
        remark = "; ".join(filter(None, [row.remark, f"{gap} to published" if gap else ""]))
        quiet = "" if row.kind == "measured" else "dim" if row.kind != "stale" else "red"
        table.add_row(*cells, Text(printable(remark)), style=quiet)
    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else 160)
    console.print(table)
    for note, place in notes.items():
        console.print(Text(f"[{place}] {printable(note)}"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _terminal(row: Row, name: str):  # type: ignore[no-untyped-def]  # rich is imported late
    from rich.text import Text

    if name not in row.values:
        return Text("")
    style = "bold" if name in row.best else "underline" if name in row.second else ""
    text = Text("~" if row.about else "").append(number(row, name), style)
    text.append("≈" if name in row.tied else "")
    if name in row.bounds:
        low, high = row.bounds[name]
        text.append(f"\n{low:.1f}..{high:.1f}", "dim")
    return text


def _escape(text: str, latex: bool) -> str:
    if not latex:
        return markdown_cell(text)
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    special |= {"†": r"$\dagger$"}
    return "".join(special.get(character, character) for character in printable(text))


def _inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _csv(found: list[Board]) -> str:
    out = io.StringIO()
    columns = list(dict.fromkeys(name for board in found for name in board.columns))
    writer = csv.writer(out, lineterminator="\n")
    limits = [f"{name} {side}" for name in columns for side in ("low", "high")]
    marks = ["best", "second", "tied", "differences"]
    writer.writerow(
        ["task", "protocol", "model", "kind", *columns, *limits, *marks, "remark", "notes"]
    )
    for board in found:
        for row in board.rows:
            values = [row.values.get(name, "") for name in columns]
            bounds = [side for name in columns for side in row.bounds.get(name, ("", ""))]
            told = [" ".join(row.best), " ".join(row.second), " ".join(row.tied),
                    difference(row, board.columns)]  # fmt: skip
            names = map(_inert, (board.task, board.protocol, row.model, row.kind))
            told += [_inert(row.remark), _inert(" ".join(row.notes))]
            writer.writerow([*names, *values, *bounds, *told])
    return out.getvalue().rstrip("\n")
