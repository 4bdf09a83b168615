"""Boards as text: markdown, LaTeX (booktabs), CSV and JSON; `terminal` has tables to look at."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict

from bench.errors import printable
from bench.report.frames import markdown_cell
from bench.report.tables import Board, Row
from bench.results.document import interval

LEGEND = (
    "Best measured in bold, second underlined, ≈ statistically tied with the best, ? not tested; "
    "without a mark it is apart from the best (paired, 5 % a column; MdR is never marked). "
    "[low, high] is the 95 % interval: how far other videos of the same kind would move the "
    "number, for these weights. ↑ higher is better, ↓ lower is better."
)


def render(found: list[Board], format_: str) -> str:
    """Boards as `rich`, `md`, `latex`, `csv` or `json`. Foreign text is escaped for the format."""
    if format_ == "json":
        return json.dumps([asdict(board) for board in found], indent=2)
    if format_ == "csv":
        return _csv(found)
    if format_ == "rich":
        from bench.report.terminal import tables

        return tables(found)
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


def parted(board: Board) -> Iterator[tuple[Row, bool]]:
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
    for row, rule in parted(board):
        lines += [r"\midrule"] if rule else []
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
        bounds = interval(*row.bounds[name])
        text += rf" {{\scriptsize {bounds}}}" if latex else f" {bounds}"
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
