"""Leaderboards from results: one a protocol, measured rows beside published rows of the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench import registry
from bench.contracts import Task
from bench.errors import BenchError
from bench.features.protocol import PUBLISHED
from bench.files.tensor_store import digest
from bench.report.facts import frames_in_words, parameters
from bench.report.marks import Backing, by_value, marked
from bench.report.reference import ReferenceRow, reference_rows
from bench.report.tables import Board, Row
from bench.results.document import DAGGER, Document, to_json, toy_remark

REMARKS = {
    "paper": "",
    "repository": "authors' repository",
    "leaderboard": "",
    "secondary": "read in a note about the paper",
    "chart": "about, read off a chart",
}
SELECTED = {
    "best": "epoch selected on the reported split",
    "best-cider": "epoch selected on the reported split by CIDEr",
}
TOY = toy_remark()
CEILING = "what no model can exceed on these items"
PARTIAL = (
    "Not all items of the set are answered: not ranked. bench compare sets two such results side "
    "by side on the items that both answered."
)

RESCORED = (
    "† Every query's scores are weighed by those of all queries of the set, which a search of one "
    "query does not have: no row here is comparable with plain scores. Published rows seldom say "
    "their temperature."
)


def boards(
    results: list[Document],
    task: str | None = None,
    published: bool = False,
    backing: Backing | None = None,
    others: Others | None = None,
) -> list[Board]:
    """A board for each task and protocol of `results` (documents as in docs/result-format.md).

    Sets of different size never share a board: ranks among more videos are harder. Nor do runs of
    different task settings, such as another situation head. `published` adds the boards that so far
    hold published rows only. With `backing`, numbers are those that the kept predictions give;
    edited and stale results are marked, and so are values statistically tied with the best.
    `others` are further published rows, by their task; each names its protocol, and has a board.
    """
    others = others or {}
    grouped = _grouped([one for one in results if task in (None, one.task)])
    usual = _usual(grouped.values())
    known = {key[:2] for key in grouped}
    for name in registry.task_names() if task is None else [task]:
        given = [row.protocol for row in others.get(name, ())]
        for protocol in dict.fromkeys(
            [*_published_protocols(name), *given] if published else given
        ):
            if (name, protocol) not in known:
                grouped[name, protocol, 0, "{}", ""] = []
    return [
        _board(
            key[:2], found, usual.get(key[0], {}), backing, _data(key, grouped),
            _references(*key[:2], others),
        )
        for key, found in grouped.items()
    ]  # fmt: skip


Others = Mapping[str, Sequence[ReferenceRow]]
Key = tuple[str, str, int, str, str]  # task, protocol, size, task settings, data


def _grouped(documents: list[Document]) -> dict[Key, list[Document]]:
    """The results of each board.

    A published protocol names its list; another name may be that of two lists, and then only whole
    runs of the same data share a board. A partial run's data is never a whole one's: it goes to the
    first board that is its own but for that.
    """
    grouped: dict[Key, list[Document]] = defaultdict(list)
    for document in sorted(documents, key=lambda one: one.partial):
        settings = json.dumps(document.task_settings, sort_keys=True)
        size = document.coverage.expected
        key: Key = document.task, document.protocol, size, settings, ""
        kind = task_class(document.task)
        plain = document.protocol.partition(", ")[0]
        own = kind.published_protocol() if kind else ""
        if plain not in {own, *_published_protocols(document.task)} or not kind:
            key = (*key[:4], str(document.source.fingerprint))
        if document.partial:
            key = next((known for known in grouped if known[:4] == key[:4]), (*key[:4], ""))
        grouped[key].append(document)
    return grouped


def _data(key: Key, grouped: Iterable[Key]) -> str:
    """What a title says of the data, where boards differ in nothing else."""
    same = [one for one in grouped if one[:4] == key[:4]]
    return f"data {key[4][:8]}" if len(same) > 1 else ""


def task_class(name: str) -> type[Task] | None:
    """A task's class; None for one of a package that is not installed here, or does not work."""
    try:
        return registry.task_class(name)
    except BenchError:
        return None


def leads(task: str) -> bool:
    """Whether the boards of a task stand before those of others."""
    kind = task_class(task)
    return kind is not None and kind.leads


def provenance_id(document: Document) -> str:
    """What a row calls the result it came from; a copy that was edited is another."""
    return f"{document.task}-{digest(to_json(document))[:12]}" if document.lines else ""


def _usual(groups: Iterable[list[Document]]) -> dict[str, dict[str, Any]]:
    """The settings of most runs of each task: a title names only what differs from them."""
    largest = sorted(filter(None, groups), key=len)
    return {found[0].task: found[0].task_settings for found in largest}


def _board(
    about: tuple[str, str],
    documents: list[Document],
    usual: dict[str, Any],
    backing: Backing | None,
    data: str,
    references: list[ReferenceRow],
) -> Board:
    task, protocol = about
    pairs = [(_measured(document, references, backing), document) for document in documents]
    kind = task_class(task)
    higher = {n: one.higher_is_better for d in documents[:1] for n, one in d.metric_info.items()}
    if kind:  # which way is better is the task's to say, not a file's
        higher |= {name: metric.higher_is_better for name, metric in kind.metrics.items()}
    rows, notes, lead = list[Row](), tuple[str, ...](), None
    if documents:
        whole = [pair for pair in pairs if pair[0].kind == "measured"]
        rest = [row for row, _ in pairs if row.kind != "measured"]
        primary = documents[0].primary
        rest.sort(key=lambda row: (row.kind, *by_value(row, higher, primary)))
        rows, notes, lead = marked(whole, higher, primary, backing)
        rows += rest + _chances(documents)
        notes += (RESCORED,) if documents[0].rescored else ()
    published = [_published(reference) for reference in references]
    used = dict.fromkeys(name for row in rows + published for name in row.values)
    columns = [name for name in (kind and kind.columns) or used if name in used]
    rows += sorted(published, key=lambda row: _standing(row, columns, higher))
    title = _title(protocol, documents, usual, data)
    ways = {name: higher[name] for name in columns}
    toy = TOY if documents and documents[0].toy else ""
    return Board(title + toy, task, protocol, columns, rows, ways, notes=notes, toy=toy, lead=lead)


def _standing(row: Row, columns: list[str], higher: dict[str, bool]) -> list[tuple[float, str]]:
    """What published rows are sorted by: the first column, where one lacks it the next."""
    return [by_value(row, higher, name) for name in columns]


def _rows(task: str, others: Others) -> list[tuple[str, ReferenceRow]]:
    """All published rows of a task, each with the protocol that its `mode` follows."""
    if (kind := task_class(task)) is None:
        return []
    rows = [*reference_rows(kind), *others.get(task, ())]
    return [(row.protocol or kind.published_protocol(), row) for row in rows]


def _published_protocols(task: str) -> list[str]:
    """The protocols that have published rows, modes apart."""
    return [*dict.fromkeys(protocol for protocol, row in _rows(task, {}) if not row.mode)]


def _references(task: str, protocol: str, others: Others) -> list[ReferenceRow]:
    """The published rows of just this protocol, mode included.

    Beside models as they were published stand the rows that are read beside the task's own; beside
    a dual softmax those that have one.
    """
    plain, *modes = protocol.split(", ")
    rescored = [mode for mode in modes if mode.startswith(DAGGER)]
    mode = ", ".join(mode for mode in modes if mode not in (PUBLISHED, *rescored))
    rows = [row for of, row in _rows(task, others) if of == plain and row.mode == mode]
    return [row for row in rows if row.dual_softmax or not rescored]


def _title(protocol: str, documents: list[Document], usual: dict[str, Any], data: str = "") -> str:
    protocol = " ".join(protocol.split())  # a line break would end LaTeX's comment
    protocol, _, mode = protocol.partition(", ")
    size = f", {_items(documents)} items" if documents else ""
    settings = documents[0].task_settings if documents else {}
    notes = [note for note in (mode, data) if note]
    selected = SELECTED.get(str(settings.get("select")), "")  # said of every such board
    silent = ("roles", "select") if selected else ("roles",)
    notes += [f"{key} {value}" for key, value in settings.items()
              if usual.get(key) != value and key not in silent]  # fmt: skip
    notes += [selected] if selected else []
    return f"{protocol}{size}" + "".join(f", {note}" for note in notes)


def _items(documents: list[Document]) -> str:
    """How many items the rows have: of how many, where none has them all."""
    counts = [document.coverage.answered for document in documents]
    low, high, whole = min(counts), max(counts), documents[0].coverage.expected
    if high == whole:
        return str(whole)
    return f"{low} of {whole}" if low == high else f"{low} to {high} of {whole}"


def _measured(document: Document, references: list[ReferenceRow], backing: Backing | None) -> Row:
    name, whole = document.name, not document.partial
    reasons = backing.stale(document) if backing else []
    metrics, edits = backing.checked(document) if backing else (document.metrics, [])
    values = {name: one.value for name, one in metrics.items()}
    bounds = {
        name: (one.low, one.high)
        for name, one in metrics.items()
        if one.low is not None and one.high is not None
    }
    same = [row for row in references if row.ours == name.partition("@")[0]]
    differences = {
        metric: values[metric] - value
        for row in reversed(same) for metric, value in row.metrics.items() if metric in values
    } if whole else {}  # fmt: skip
    kind = "edited" if edits else "stale" if reasons else "measured" if whole else "partial"
    return Row(
        name, kind, values, bounds,
        "; ".join([
            document.covered, *_as_published(document), *(f"edited: {edit}" for edit in edits[:3]),
            *([f"and {len(edits) - 3} more edits"] if len(edits) > 3 else []),
            *(f"stale: {why}" for why in reasons),
            *(f"warning: {warning}" for warning in document.warnings),
        ]),
        differences=differences, provenance=provenance_id(document),
        flagged=bool(reasons or edits or document.warnings or not whole),
        frames=frames_in_words(document),
        notes=() if whole else (PARTIAL,),
    )  # fmt: skip


def _as_published(document: Document) -> list[str]:
    """How frames and texts were taken, where each row has its own way."""
    settings = document.settings
    if not settings or not (own := settings.published):
        return []
    texts = f"texts of {own.text_length} tokens" if own.text_length else "whole texts"
    return [f"as published: frames {settings.plan}, {own.preprocessing}, {texts}", *own.remarks]


def _chances(documents: list[Document]) -> list[Row]:
    """The baseline of every gallery that was ranked, the largest first, and what none exceeds.

    A run of fewer videos guesses among fewer: the name of a smaller gallery's says of how many.
    """
    galleries = {one.coverage.answered: one for one in documents if one.chance}
    rows = []
    for answered, one in sorted(galleries.items(), reverse=True):
        name = one.floor or "(chance)"
        remark = "random baseline" if name == "(chance)" else "majority baseline"
        smaller = f", {answered} items" if one.partial and len(galleries) > 1 else ""
        rows.append(Row(name + smaller, "chance", one.chance, remark=remark))
        known = [d.ceiling for d in documents if d.ceiling and d.coverage.answered == answered]
        if known:  # older results have none
            rows.append(Row("(ceiling)" + smaller, "ceiling", known[0], remark=CEILING))
    return rows


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
    remark = "; ".join(filter(None, remarks))
    words = "the paper" if reference.level == "secondary" else remarks[0]
    return Row(
        model, "published", reference.metrics, remark=remark, about=reference.level == "chart",
        dual_softmax=reference.dual_softmax,
        notes=(reference.footnote,) if reference.footnote else (),
        frames=str(reference.frames or ""), size=parameters(reference.params),
        link=(words, reference.url) if reference.url else None, own=reference.own,
    )  # fmt: skip
