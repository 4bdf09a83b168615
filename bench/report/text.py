"""Boards as text: markdown, LaTeX (booktabs), CSV, JSON, and tables for the terminal."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench.errors import printable
from bench.report.frames import markdown_cell
from bench.report.tables import Board, Row

# How much a table in the terminal tells, each with the former.
NUMBERS, INTERVALS, REMARKS = range(3)
DOUBTFUL = ("partial", "stale", "edited")  # kinds that a narrow table names beside the model
LEGEND = (
    "Best measured in bold, second underlined, ≈ statistically tied with the best, ? not tested; "
    "without a mark it is apart from the best (paired, 5 % a column; MdR is never marked). "
    "[95 % interval]: how far other videos of the same kind would move the number, for these "
    "weights. ↑ higher is better, ↓ lower is better."
)


def render(found: list[Board], format_: str) -> str:
    """Boards as `rich`, `md`, `latex`, `csv` or `json`. Foreign text is escaped for the format."""
    if format_ == "json":
        return json.dumps([asdict(board) for board in found], indent=2)
    if format_ == "csv":
        return _csv(found)
    if format_ == "rich":
        return "\n".join(map(_rich, found)) + f"\n{LEGEND}"
    return "\n\n".join(map(_latex if format_ == "latex" else _markdown, found))


def number(row: Row, name: str) -> str:
    """A value as boards print it: one decimal; a published one as printed there."""
    value = row.values[name]
    if row.about:
        return f"{value:g}"
    printed = row.kind not in ("chance", "ceiling") and name not in row.bounds
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


def _parted(board: Board) -> Iterator[tuple[Row, bool]]:
    """Every row, and whether a rule stands before it: between our rows and published ones."""
    before = None
    for row in board.rows:
        published = row.kind == "published"
        yield row, before is not None and published != before
        before = published


def _markdown(board: Board) -> str:
    from tabulate import tabulate

    notes, gaps = footnotes(board), any(row.differences for row in board.rows)
    head = [markdown_cell(board.first), "kind"]
    head += [f"{markdown_cell(name)} {arrow(board, name)}".rstrip() for name in board.columns]
    head += ["difference to published"] if gaps else []
    lines = []
    for row in board.rows:
        marks = ",".join(str(notes[note]) for note in row.notes)
        cells = [markdown_cell(row.model) + (f"<sup>{marks}</sup>" if marks else ""), row.kind]
        cells += [_cell(row, name, latex=False) for name in board.columns]
        cells += [markdown_cell(difference(row, board.columns))] if gaps else []
        lines.append([*cells, markdown_cell(row.remark)])
    head.append("coverage or source")
    align = ["left", "left", *["right"] * len(board.columns)]
    align += ["left"] * (len(head) - len(align))
    table = tabulate(lines, headers=head, tablefmt="github", disable_numparse=True,
                     colalign=align if lines else None)  # fmt: skip
    listed = [f"{place}. {markdown_cell(note)}" for note, place in notes.items()]
    parts = [f"### {markdown_cell(board.title)}", table, *map(markdown_cell, board.notes)]
    return "\n\n".join([*parts, "\n".join(listed)] if listed else parts)


def _latex(board: Board) -> str:
    """A float with caption, booktabs rules, and its footnotes below the table."""
    notes, gaps = footnotes(board), any(row.differences for row in board.rows)
    arrows = {"↑": r" $\uparrow$", "↓": r" $\downarrow$", "": ""}
    head = [_tex(board.first), *(_tex(n) + arrows[arrow(board, n)] for n in board.columns)]
    head += ["difference to published"] if gaps else []
    head.append("coverage or source")
    words = r"p{0.28\linewidth}"  # what is long breaks into lines
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_tex(board.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(board.columns)}{'l' if gaps else ''}{words}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    for row, parted in _parted(board):
        lines += [r"\midrule"] if parted else []
        marks = ",".join(str(notes[note]) for note in row.notes)
        cells = [_tex(row.model) + (rf"\textsuperscript{{{marks}}}" if marks else "")]
        cells += [_cell(row, name, latex=True) for name in board.columns]
        cells += [_tex(difference(row, board.columns))] if gaps else []
        lines.append(" & ".join([*cells, _tex(row.remark)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes or board.notes:
        notes_ = [*map(_tex, board.notes)]
        notes_ += [rf"\textsuperscript{{{place}}}~{_tex(note)}" for note, place in notes.items()]
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize",
                  "\\\\\n".join(notes_), r"\end{minipage}"]  # fmt: skip
    return "\n".join([*lines, r"\end{table}"])


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
    text += "?" if name in row.untested else ""
    if name in row.bounds:
        low, high = row.bounds[name]
        bounds = f"[{low:.1f}, {high:.1f}]"
        text += rf" {{\scriptsize {bounds}}}" if latex else f" {bounds}"
    return text


def _rich(board: Board) -> str:
    """Tables for the terminal, as wide as the terminal is, in colour where it shows colour.

    Where a board is too wide, first remarks go, then intervals, and then it is cut into several
    tables between columns: a number is never cut.
    """
    import sys

    from rich.console import Console
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else 160)

    def fits(columns: list[str], detail: int) -> bool:
        return _needed(console, _grid(board, columns, detail)) <= console.width

    parts = [board.columns]
    detail = next((one for one in (REMARKS, INTERVALS) if fits(board.columns, one)), NUMBERS)
    if detail == NUMBERS:
        parts = [[]]
        for name in board.columns:
            if parts[-1] and not fits([*parts[-1], name], detail):
                parts.append([])
            parts[-1] = [*parts[-1], name]
    for columns in parts:
        console.print(_grid(board, columns, detail))
    if detail != REMARKS:
        for row in board.rows:
            if row.flagged:
                told_of = Text(f"{printable(row.model)}: {printable(row.remark)}")
                console.print(told_of, soft_wrap=True)
        left = "sources" if detail == INTERVALS else "intervals and sources"
        console.print(f"{left}: a wider terminal, or --format md", style="dim")
    listed = [f"[{place}] {note}" for note, place in footnotes(board).items()]
    for note in (*board.notes, *listed):
        console.print(Text(printable(note)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _needed(console: Any, table: Any) -> int:
    """How wide a table is that cuts no number."""
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update(max_width=10_000), table).minimum


def _grid(board: Board, columns: list[str], detail: int) -> Any:
    """A rich table of some columns, with as much as `detail` says."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(board.title)), title_justify="left", expand=False)
    longest = max((len(printable(row.model)) for row in board.rows), default=0)
    table.add_column(Text(printable(board.first)), overflow="fold", min_width=min(longest, 18),
                     max_width=48 if detail == REMARKS else 24)  # fmt: skip
    for name in columns:
        head = printable(name).replace(" ", "\n").replace("/", "/\n")
        head = f"{head} {arrow(board, name)}".rstrip()
        table.add_column(Text(head), justify="right", no_wrap=True)
    if detail == REMARKS:
        table.add_column("coverage or source", overflow="fold", style="dim", min_width=24)
    notes = footnotes(board)
    for row, parted in _parted(board):
        if parted:
            table.add_section()
        marks = "".join(f" [{notes[note]}]" for note in row.notes)
        marks += f" ({row.kind})" if row.kind in DOUBTFUL and detail != REMARKS else ""
        cells = [
            Text(printable(row.model) + marks),
            *(_terminal(row, n, detail > NUMBERS) for n in columns),
        ]
        gap = difference(row, board.columns)
        remark = "; ".join(filter(None, [row.remark, f"{gap} to published" if gap else ""]))
        doubtful = row.kind in ("stale", "edited")
        quiet = "" if row.kind == "measured" else "red" if doubtful else "dim"
        table.add_row(
            *cells, *([Text(printable(remark))] if detail == REMARKS else []), style=quiet
        )
    return table


def _terminal(row: Row, name: str, bounds: bool) -> Any:
    from rich.text import Text

    if name not in row.values:
        return Text("")
    style = "bold" if name in row.best else "underline" if name in row.second else ""
    text = Text("~" if row.about else "").append(number(row, name), style)
    text.append("≈" if name in row.tied else "?" if name in row.untested else "")
    if bounds and name in row.bounds:
        low, high = row.bounds[name]
        text.append(f"\n{low:.1f}..{high:.1f}", "dim")
    return text


def _tex(text: str) -> str:
    r"""`text` for LaTeX: nothing in it is a command, or an option of the line break before it."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "*": "{*}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    special |= {"†": r"$\dagger$", "≈": r"$\approx$"}
    return "".join(special.get(character, character) for character in printable(text))


def _inert(text: str) -> str:
    """Foreign text as one printable line that no spreadsheet takes for a formula."""
    text = printable(text)
    first = unicodedata.normalize("NFKC", text[:1])  # some take the wide forms, too
    return f"'{text}" if first in tuple("=+-@") else text


def _csv(found: list[Board]) -> str:
    """A line a row of every board but the overview, which only repeats the others."""
    out = io.StringIO()
    found = [board for board in found if board.task != "overview"]
    columns = list(dict.fromkeys(name for board in found for name in board.columns))
    writer = csv.writer(out, lineterminator="\n")
    limits = [f"{name} {side}" for name in columns for side in ("low", "high")]
    marks = ["best", "second", "tied", "untested", "differences", "remark", "notes"]
    head = ["board", "task", "protocol", "model", "kind", *columns, *limits, *marks]
    writer.writerow(map(_inert, head))
    for board in found:
        for row in board.rows:
            values = [row.values.get(name, "") for name in columns]
            bounds = [side for name in columns for side in row.bounds.get(name, ("", ""))]
            names = (board.title, board.task, board.protocol, row.model, row.kind)
            words = (" ".join(row.best), " ".join(row.second), " ".join(row.tied),
                     " ".join(row.untested), difference(row, board.columns), row.remark,
                     " ".join(row.notes))  # fmt: skip
            writer.writerow([*map(_inert, names), *values, *bounds, *map(_inert, words)])
    return out.getvalue().rstrip("\n")
