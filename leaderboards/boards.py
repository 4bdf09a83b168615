"""Leaderboards from results: one a protocol, measured rows beside published rows of the same."""

from __future__ import annotations

import csv
import html
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from leaderboards.reference import PROTOCOLS, ReferenceRow, reference_rows

COLUMNS = {
    "msrvtt": ["R@1", "R@5", "R@10", "MdR", "MnR", "v2t/R@1", "v2t/R@10"],
    "lsmdc": ["R@1", "R@5", "R@10", "MdR", "MnR", "v2t/R@1", "v2t/R@10"],
    "vidsitu": [
        "Vb@1",
        "Vb@5",
        "Rec@5",
        "zero-shot/Vb@1",
        "CIDEr",
        "CIDEr-Vb",
        "CIDEr-Arg",
        "LEA",
        "LEA-soft",
    ],
}
REMARKS = {
    "paper": "",
    "repository": "authors' repository",
    "secondary": "read in a note about the paper",
    "chart": "about, read off a chart",
}


@dataclass(frozen=True)
class Row:
    """One line of a board. `kind` is measured, partial, published or chance."""

    model: str
    kind: str
    values: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    remark: str
    best: tuple[str, ...] = ()
    about: bool = False  # read off a chart: no exact number


@dataclass(frozen=True)
class Board:
    """All rows of one protocol, measured ones first and in order of the primary metric."""

    title: str
    task: str
    protocol: str
    columns: list[str]
    rows: list[Row]


def boards(
    results: list[dict[str, Any]], task: str | None = None, published: bool = False
) -> list[Board]:
    """A board for each task and protocol of `results` (documents as in docs/result-format.md).

    Sets of different size never share a board: ranks among more videos are harder. Nor do runs of
    different task settings, such as another situation head. `published` adds the boards that so far
    hold published rows only.
    """
    grouped: dict[tuple[str, str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for document in results:
        if task in (None, document["task"]):
            settings = json.dumps(_task_settings(document), sort_keys=True)
            size = document["coverage"]["expected"]
            grouped[document["task"], document["protocol"], size, settings].append(document)
    usual = _usual(grouped.values())
    if published:
        for name, protocol in PROTOCOLS.items():
            if task in (None, name) and protocol not in {key[1] for key in grouped}:
                grouped[name, protocol, 0, "{}"] = []
    return [
        _board(name, protocol, found, usual) for (name, protocol, _, _), found in grouped.items()
    ]


def _task_settings(document: dict[str, Any]) -> dict[str, Any]:
    """The task's settings; none of a scored file, which no run made."""
    settings: dict[str, Any] = document.get("settings", {}).get("task", {})
    return settings


def _usual(groups: Iterable[list[dict[str, Any]]]) -> dict[str, Any]:
    """The settings of most runs: a title names only what differs from them."""
    sizes = [(len(found), _task_settings(found[0])) for found in groups if found]
    return max(sizes, key=lambda pair: pair[0])[1] if sizes else {}


def _board(
    task: str, protocol: str, documents: list[dict[str, Any]], usual: dict[str, Any]
) -> Board:
    measured = [_measured(document) for document in documents]
    whole = [row for row in measured if row.kind == "measured"]
    if documents:
        primary, info = documents[0]["primary"], documents[0]["metric_info"]
        sign = -1 if info[primary]["higher_is_better"] else 1
        measured.sort(key=lambda row: (row.kind, sign * row.values[primary], row.model))
        if len(whole) > 1:
            measured = [_with_best(row, whole, info) for row in measured]
    rows = measured
    if documents:
        # A limited run guesses among fewer videos: its chance is not that of the board.
        fullest = max(documents, key=lambda document: document["coverage"]["answered"])
        rows += [_chance(fullest)] if fullest["chance"] else []
    if protocol == PROTOCOLS.get(task):
        rows += [_published(reference) for reference in reference_rows(task)]
    used = dict.fromkeys(name for row in rows for name in row.values)
    columns = [name for name in COLUMNS.get(task, used) if name in used]
    return Board(_title(protocol, documents, usual), task, protocol, columns, rows)


def _title(protocol: str, documents: list[dict[str, Any]], usual: dict[str, Any]) -> str:
    protocol = " ".join(protocol.split())  # a line break would end LaTeX's comment
    protocol, _, mode = protocol.partition(", ")
    size = f", {documents[0]['coverage']['expected']} items" if documents else ""
    settings = _task_settings(documents[0]) if documents else {}
    notes = [mode] if mode else []
    notes += [
        "epoch selected on the reported split" if (key, value) == ("select", "best")
        else f"{key} {value}"
        for key, value in settings.items() if usual.get(key) != value and key != "roles"
    ]  # fmt: skip
    size += "".join(f", {note}" for note in notes)
    if protocol.endswith("/toy"):
        return f"{protocol}{size} (toy world: not comparable with published numbers)"
    return f"{protocol}{size}"


def _measured(document: dict[str, Any]) -> Row:
    coverage = document["coverage"]
    whole = coverage["answered"] == coverage["expected"]
    remark = f"{coverage['answered']}/{coverage['expected']}" + ("" if whole else " partial")
    metrics = document["metrics"]
    bounds = {
        name: (entry["low"], entry["high"])
        for name, entry in metrics.items()
        if entry["low"] is not None
    }
    values = {name: entry["value"] for name, entry in metrics.items()}
    kind = "measured" if whole else "partial"
    return Row(document["model"]["name"], kind, values, bounds, remark)


def _with_best(row: Row, whole: list[Row], info: dict[str, Any]) -> Row:
    """Mark the values no other complete row beats; partial rows are never ranked."""
    if row.kind != "measured":
        return row
    best = tuple(
        name
        for name, value in row.values.items()
        if value == (max if info[name]["higher_is_better"] else min)(
            other.values[name] for other in whole if name in other.values
        )
    )  # fmt: skip
    return Row(row.model, row.kind, row.values, row.bounds, row.remark, best)


def _chance(document: dict[str, Any]) -> Row:
    name = document.get("floor", "(chance)")
    remark = "guessing" if name == "(chance)" else "without looking"
    return Row(name, "chance", document["chance"], {}, remark)


def _published(reference: ReferenceRow) -> Row:
    remarks = [
        REMARKS[reference.level],
        "dual softmax over the whole test set" if reference.dual_softmax else "",
        reference.notes,
        reference.source,
    ]
    model = reference.model + (" †" if reference.dual_softmax else "")
    remark = "; ".join(filter(None, remarks))
    about = reference.level == "chart"
    return Row(model, "published", reference.metrics, {}, remark, about=about)


# --- rendering -----------------------------------------------------------------------------------


def render(found: list[Board], format_: str) -> str:
    """Boards as `md`, `latex`, `csv` or `json`. Foreign text is escaped for the format."""
    if format_ == "json":
        return json.dumps([asdict(board) for board in found], indent=2, ensure_ascii=False)
    if format_ == "csv":
        return _csv(found)
    return "\n\n".join(_table(board, format_) for board in found)


def _table(board: Board, format_: str) -> str:
    from tabulate import tabulate

    latex = format_ == "latex"
    head = ["model", "kind", *board.columns, "coverage or source"]
    lines = [
        [
            _escape(row.model, latex),
            row.kind,
            *(_cell(row, name, latex) for name in board.columns),
            _escape(row.remark, latex),
        ]
        for row in board.rows
    ]
    if latex:
        head = [_escape(name, latex) for name in head]
        body = tabulate(lines, headers=head, tablefmt="latex_raw", disable_numparse=True)
        for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
            body = body.replace("\\hline", rule, 1)
        return f"% {board.title}\n{body}"
    align = ["left", "left", *["right"] * len(board.columns), "left"]
    table = tabulate(lines, headers=head, tablefmt="github", colalign=align, disable_numparse=True)
    return f"### {_escape(board.title, False)}\n\n{table}"


def _cell(row: Row, name: str, latex: bool) -> str:
    if name not in row.values:
        return ""
    value = row.values[name]
    text = f"{value:.1f}"
    if row.about:
        text = (r"$\sim$" if latex else "~") + f"{value:g}"
    elif row.kind == "published" and round(value, 1) != value:
        text = f"{value:.2f}"  # as printed there
    if name in row.best:
        text = f"\\textbf{{{text}}}" if latex else f"**{text}**"
    if name in row.bounds:
        low, high = row.bounds[name]
        text += f" [{low:.1f}, {high:.1f}]"
    return text


def _escape(text: str, latex: bool) -> str:
    text = " ".join(text.split())
    if latex:
        special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
        special |= {character: "\\" + character for character in "&%$#_{}"}
        return "".join(special.get(character, character) for character in text)
    text = html.escape(text, quote=False).replace("\\", "\\\\")
    return "".join("\\" + c if c in "|*_`[]" else c for c in text)


def _csv(found: list[Board]) -> str:
    out = io.StringIO()
    columns = list(dict.fromkeys(name for board in found for name in board.columns))
    writer = csv.writer(out, lineterminator="\n")
    limits = [f"{name} {side}" for name in columns for side in ("low", "high")]
    writer.writerow(["task", "protocol", "model", "kind", *columns, *limits, "remark"])
    for board in found:
        for row in board.rows:
            values = [row.values.get(name, "") for name in columns]
            bounds = [side for name in columns for side in row.bounds.get(name, ("", ""))]
            writer.writerow(
                [board.task, board.protocol, row.model, row.kind, *values, *bounds, row.remark]
            )
    return out.getvalue().rstrip("\n")
