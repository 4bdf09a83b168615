"""Leaderboards from results: one a protocol, measured rows beside published rows of the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from bench import registry
from bench.contracts import Task
from bench.errors import BenchError
from bench.report.reference import ReferenceRow, reference_rows
from bench.report.tables import Board, Row, ranked
from bench.results.document import Document

REMARKS = {
    "paper": "",
    "repository": "authors' repository",
    "secondary": "read in a note about the paper",
    "chart": "about, read off a chart",
}
Draws = dict[str, np.ndarray]


class Backing(Protocol):
    """What stands behind results; see `bench.results.comparison.Evidence`."""

    def draws(self, document: Document) -> Draws | None: ...
    def stale(self, document: Document) -> list[str]: ...


def boards(
    results: list[Document],
    task: str | None = None,
    published: bool = False,
    backing: Backing | None = None,
) -> list[Board]:
    """A board for each task and protocol of `results` (documents as in docs/result-format.md).

    Sets of different size never share a board: ranks among more videos are harder. Nor do runs of
    different task settings, such as another situation head. `published` adds the boards that so far
    hold published rows only. With `backing`, stale results are marked, and so are values that a
    paired bootstrap cannot tell from the best.
    """
    grouped: dict[tuple[str, str, int, str], list[Document]] = defaultdict(list)
    for document in results:
        if task in (None, document.task):
            settings = json.dumps(document.task_settings, sort_keys=True)
            size = document.coverage.expected
            grouped[document.task, document.protocol, size, settings].append(document)
    usual = _usual(grouped.values())
    if published:
        for name in registry.task_names():
            protocol = kind.published_protocol() if (kind := task_class(name)) else ""
            known = {"", *(key[1] for key in grouped)}
            if task in (None, name) and protocol not in known:
                grouped[name, protocol, 0, "{}"] = []
    return [
        _board(name, protocol, found, usual.get(name, {}), backing)
        for (name, protocol, _, _), found in grouped.items()
    ]


def task_class(name: str) -> type[Task] | None:
    """A task's class; None for one of a package that is not installed here, or does not work."""
    try:
        return registry.task_class(name)
    except BenchError:
        return None


def provenance_id(document: Document) -> str:
    """What a row calls the result it came from."""
    return f"{document.task}-{document.lines[:12]}" if document.lines else ""


def _usual(groups: Iterable[list[Document]]) -> dict[str, dict[str, Any]]:
    """The settings of most runs of each task: a title names only what differs from them."""
    largest = sorted(filter(None, groups), key=len)
    return {found[0].task: found[0].task_settings for found in largest}


def _board(
    task: str,
    protocol: str,
    documents: list[Document],
    usual: dict[str, Any],
    backing: Backing | None,
) -> Board:
    references = _references(task, protocol)
    pairs = [(_measured(document, references, backing), document) for document in documents]
    kind = task_class(task)
    higher = (
        {name: metric.higher_is_better for name, metric in kind.metrics.items()} if kind else {}
    )
    rows = []
    if documents:
        primary, info = documents[0].primary, documents[0].metric_info
        higher |= {name: one.higher_is_better for name, one in info.items()}
        sign = -1 if higher[primary] else 1
        pairs.sort(key=lambda pair: (pair[0].kind, sign * pair[0].values[primary], pair[0].model))
        rows = _ranked(pairs, higher, backing)
        # A limited run guesses among fewer videos: its chance is not that of the board.
        fullest = max(documents, key=lambda document: document.coverage.answered)
        rows += [_chance(fullest)] if fullest.chance else []
    rows += [_published(reference) for reference in references]
    used = dict.fromkeys(name for row in rows for name in row.values)
    columns = [name for name in (kind and kind.columns) or used if name in used]
    title = _title(protocol, documents, usual)
    return Board(title, task, protocol, columns, rows, {n: higher[n] for n in columns})


def _references(task: str, protocol: str) -> list[ReferenceRow]:
    """The published rows of just this protocol, mode included."""
    plain, _, mode = protocol.partition(", ")
    kind = task_class(task)
    if kind is None or plain != kind.published_protocol():
        return []
    return [row for row in reference_rows(kind) if row.mode == mode]


def _title(protocol: str, documents: list[Document], usual: dict[str, Any]) -> str:
    protocol = " ".join(protocol.split())  # a line break would end LaTeX's comment
    protocol, _, mode = protocol.partition(", ")
    size = f", {documents[0].coverage.expected} items" if documents else ""
    settings = documents[0].task_settings if documents else {}
    notes = [mode] if mode else []
    notes += [
        "epoch selected on the reported split" if (key, value) == ("select", "best")
        else f"{key} {value}"
        for key, value in settings.items() if usual.get(key) != value and key != "roles"
    ]  # fmt: skip
    size += "".join(f", {note}" for note in notes)
    if documents and documents[0].toy:
        return f"{protocol}{size} (toy world: not comparable with published numbers)"
    return f"{protocol}{size}"


def _measured(document: Document, references: list[ReferenceRow], backing: Backing | None) -> Row:
    name, whole = document.name, not document.partial
    reasons = backing.stale(document) if backing else []
    values = document.values
    bounds = {
        name: (one.low, one.high)
        for name, one in document.metrics.items()
        if one.low is not None and one.high is not None
    }
    same = [row for row in references if row.ours == name.partition("@")[0]]
    differences = {
        metric: values[metric] - value
        for row in reversed(same) for metric, value in row.metrics.items() if metric in values
    } if whole else {}  # fmt: skip
    kind = "stale" if reasons else "measured" if whole else "partial"
    return Row(
        name, kind, values, bounds,
        "; ".join([
            document.covered, *(f"stale: {why}" for why in reasons),
            *(f"warning: {warning}" for warning in document.warnings),
        ]),
        differences=differences, provenance=provenance_id(document),
        flagged=bool(reasons or document.warnings or not whole),
    )  # fmt: skip


def _ranked(
    pairs: list[tuple[Row, Document]], higher: dict[str, bool], backing: Backing | None
) -> list[Row]:
    """Mark the best, the second, and ties with the best; partial rows are never ranked."""
    whole = [document for row, document in pairs if row.kind == "measured"]
    rows = ranked([row for row, _ in pairs if row.kind == "measured"], higher)
    if backing:
        rows = [
            replace(row, tied=_tied(row, document, rows, whole, backing))
            for row, document in zip(rows, whole, strict=True)
        ]
    return rows + [row for row, _ in pairs if row.kind != "measured"]


def _tied(
    row: Row, document: Document, rows: list[Row], documents: list[Document], backing: Backing
) -> tuple[str, ...]:
    """The metrics in which `row` is statistically tied with the best of `rows`."""
    best = {
        name: one
        for other, one in zip(reversed(rows), reversed(documents), strict=True)
        for name in other.best
    }
    rivals = [(name, best[name]) for name in row.values if name in best and name not in row.best]
    return tuple(name for name, one in rivals if _alike(name, one, document, backing))


def _alike(name: str, best: Document, other: Document, backing: Backing) -> bool:
    """Whether a paired bootstrap over the same items leaves the two apart, as `bench compare`."""
    from bench.results.comparison import apart, comparable

    one, two = backing.draws(best), backing.draws(other)
    if one is None or two is None or name not in one or name not in two:
        return False  # a scored file keeps no lines
    return not comparable(best, other) and not apart(one[name], two[name])[0]


def _chance(document: Document) -> Row:
    name = document.floor or "(chance)"
    remark = "random baseline" if name == "(chance)" else "majority baseline"
    return Row(name, "chance", document.chance, remark=remark)


def _published(reference: ReferenceRow) -> Row:
    facts = {
        "training data": reference.training_data, "parameters": reference.params,
        "compute": reference.compute, "frames": reference.frames or "",
        "pixels": reference.resolution or "",
    }  # fmt: skip
    remarks = [
        ", ".join(filter(None, [reference.source, reference.table])),
        REMARKS[reference.level],
        "dual softmax over the whole test set" if reference.dual_softmax else "",
        reference.extra,
        *(f"{name} {value}" for name, value in facts.items() if value),
        reference.notes,
    ]
    model = reference.model + (" †" if reference.dual_softmax else "")
    about = reference.level == "chart"
    notes = (reference.footnote,) if reference.footnote else ()
    remark = "; ".join(filter(None, remarks))
    return Row(model, "published", reference.metrics, remark=remark, about=about,
               dual_softmax=reference.dual_softmax, notes=notes)  # fmt: skip
