"""What the HTML report shows, gathered from results: boards, charts, galleries, provenance."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.config import Config
from bench.contracts import Progress
from bench.errors import DataError
from bench.files.untrusted import well_formed
from bench.report.ablations import grid_charts
from bench.report.boards import provenance_id
from bench.report.curves import Documents, cost_charts, recall_charts, training_charts
from bench.report.facts import model_size
from bench.report.galleries import gallery, prompts
from bench.report.provenance import card
from bench.report.tables import Board, Chart, Figure, Page, Row
from bench.results.comparison import Evidence
from bench.results.document import Document, to_json
from bench.results.files import load_predictions


@dataclass(frozen=True)
class Material:
    """What a page is made of. `gallery` is how many items each gallery shows."""

    found: Documents
    records: list[dict[str, Any]]  # of sweeps
    folder: Path
    evidence: Evidence
    config: Config
    gallery: int


def page_of(boards: list[Board], material: Material, progress: Progress) -> Page:
    """Everything for `bench.report.page.render_page`.

    A gallery whose videos are not available is shown without frames, and a warning says so.
    """
    groups = _groups(material)
    curves, figures = [], []
    for group in groups:
        curves_, figures_ = _of_group(group, material, progress)
        curves += curves_
        figures += figures_
    figures += prompts(material.found, material.config) if material.gallery else []
    records = material.records
    charts = [
        *curves,
        *cost_charts(groups),
        *(chart for record in records for chart in grid_charts(record)),
        *training_charts(material.folder, records),
    ]
    shown = _shown(boards, material)
    models = {document.name for document in shown.values()}
    sizes = {name: model_size(name, material.config) for name in models}
    sized = [_sized(board, shown, sizes) for board in boards]
    documents = {one: to_json(document) for one, document in shown.items()}
    cards = {one: card(document, material.config) for one, document in shown.items()}
    return Page("srl-bench: who did what to whom", _made(list(shown.values())), sized, charts,
                figures, documents, cards)  # fmt: skip


def _made(documents: list[Document]) -> str:
    """By what the page was made, and of when it is: of no clock, so that it can be made again."""
    newest = max((one.started or "" for one in documents), default="")
    said = f"; the newest of its {len(documents)} results is of {newest}" if newest else ""
    return f"Made by srl-bench {version('srl-bench')}{said}"


def _of_group(
    group: Documents, material: Material, progress: Progress
) -> tuple[list[Chart], list[Figure]]:
    """Recall curves and galleries; results whose lines do not give them are named and left out."""

    def made(some: Documents) -> tuple[list[Chart], list[Figure]]:
        with well_formed(some[0][0], "run it again"):
            lines = [load_predictions(path, document) for path, document in some]
            if not material.gallery:
                return recall_charts(some, lines), []
            figures = gallery(some, lines, material.config, material.gallery, progress)
            return recall_charts(some, lines), figures

    try:
        return made(group)
    except DataError as error:
        several = len(group) > 1
        alone = [one for one in group if several and any(_of_group([one], material, progress))]
        if 0 < len(alone) < len(group):
            return _of_group(alone, material, progress)
        progress.warn(f"no plots and galleries of it: {error}")
        return [], []


def _groups(material: Material) -> list[Documents]:
    """Complete, current, unedited results with lines, by task, protocol, data and settings."""
    grouped: dict[tuple[str, ...], Documents] = defaultdict(list)
    for path, document in material.found:
        if document.lines and not document.partial and not _doubtful(document, material):
            settings = json.dumps(document.task_settings, sort_keys=True)
            fingerprint = str(document.source.fingerprint)
            key = (document.task, document.protocol, fingerprint, settings)
            grouped[key].append((path, document))
    return list(grouped.values())


def _doubtful(document: Document, material: Material) -> bool:
    evidence = material.evidence
    return bool(evidence.stale(document) or evidence.checked(document)[1])


def _shown(boards: list[Board], material: Material) -> dict[str, Document]:
    """The results of all rows, by their ids."""
    known = {provenance_id(document): document for _, document in material.found}
    ids = dict.fromkeys(one for board in boards for row in board.rows for one in row.results)
    return {one: known[one] for one in ids if one in known}


def _sized(board: Board, shown: dict[str, Document], sizes: dict[str, int | None]) -> Board:
    """The board with how large its measured models are, where their families say so."""

    def size(row: Row) -> int | None:
        found = [shown[one].name for one in row.results if one in shown]
        return sizes[found[0]] if found else row.size

    return replace(board, rows=[replace(row, size=size(row)) for row in board.rows])
