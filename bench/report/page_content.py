"""What the HTML report shows, gathered from results: boards, charts, galleries, provenance."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import registry
from bench.capabilities import ShowsPredictions, ShowsPrompts
from bench.config import Config
from bench.contracts import Progress
from bench.errors import BenchError, DataError, UsageError
from bench.files.untrusted import parse_json, read_bytes, read_json, well_formed
from bench.report.ablations import grid_chart
from bench.report.boards import provenance_id
from bench.report.frames import frames_of
from bench.report.tables import Board, Chart, Figure, Page, Point, Series
from bench.results.comparison import Evidence
from bench.results.document import Document, finite, to_json
from bench.results.files import SWEEPS, TRAININGS, load_predictions, slug
from bench.training.grids import PROTOCOLS, grid

CUTOFFS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000)
HELD_OUT = ("R@1", "vc/R@1", "vc/own-five")  # of a training's epochs: what is drawn of each branch
NUMBERS = ("step", "total", "epoch", *HELD_OUT)  # of a training's log that are drawn
STEPS = 40  # points of a training curve; each is a mean of neighbours
TOY = "Toy world: not comparable with published numbers. "
Documents = list[tuple[Path, Document]]
Lines = list[dict[str, Any]]  # of one result's predictions


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
    figures += _prompts(material) if material.gallery else []
    charts = [
        *curves,
        *_cost(groups),
        *map(grid_chart, material.records),
        *_training_curves(material),
    ]
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return Page(
        "srl-bench: who did what to whom", f"srl-bench {version('srl-bench')}, made {made}",
        boards, charts, figures, _provenance(boards, material.found),
    )  # fmt: skip


def _of_group(
    group: Documents, material: Material, progress: Progress
) -> tuple[list[Chart], list[Figure]]:
    """Recall curves and galleries; results whose lines do not give them are named and left out."""

    def made(some: Documents) -> tuple[list[Chart], list[Figure]]:
        with well_formed(some[0][0], "run it again"):
            lines = [load_predictions(path, document) for path, document in some]
            gallery = _gallery(some, lines, material, progress) if material.gallery else []
            return _recall_curves(some, lines), gallery

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


def _toy(document: Document) -> str:
    return TOY if document.toy else ""


# --- charts --------------------------------------------------------------------------------------


def _recall_curves(group: Documents, lines: list[Lines]) -> list[Chart]:
    """Share of queries whose ground-truth video is among the first k; none without ranks."""
    series = []
    for (_, document), answered in zip(group, lines, strict=True):
        ranks = [line["rank"] for line in answered if line.get("direction") == "t2v"]
        if ranks:
            points = [
                Point(k, 100 * sum(rank <= k for rank in ranks) / len(ranks))
                for k in CUTOFFS if k <= len(ranks)
            ]  # fmt: skip
            series.append(Series(document.name, points))
    document = group[0][1]
    chart = Chart(f"Recall at k, {document.protocol}", "k", "R@k (%)", "line", series,
                  _toy(document), log=True)  # fmt: skip
    return [chart] if series else []


def _cost(groups: list[Documents]) -> list[Chart]:
    """The primary metric against the time to encode a clip, of runs that did encode."""
    charts = []
    for group in groups:
        series = []
        for _, document in group:
            seconds, entry = document.seconds or {}, document.metrics[document.primary]
            spent = seconds.get("encode frames", seconds.get("encode"))
            clips = document.coverage.clips + document.coverage.support
            if spent and clips:
                point = Point(1000 * spent / clips, entry.value, entry.low, entry.high)
                series.append(Series(document.name, [point]))
        if series:
            document = group[0][1]
            note = ("Wall clock of the run, whatever else the machine did. Runs that found their "
                    "features on disk have no cost to show.")  # fmt: skip
            charts.append(
                Chart(f"Cost and quality, {document.protocol}", "ms to encode a clip",
                      document.primary, "scatter", series, _toy(document) + note)
            )  # fmt: skip
    return charts


def _training_curves(material: Material) -> list[Chart]:
    """Loss and held-out retrieval of every training below the folder, one line a training."""
    trainings = {
        path.parent.name: path for path in (material.folder / TRAININGS).glob("*/log.jsonl")
    }
    charts = _curves("Training", trainings, _trained_on(trainings))
    for record in material.records:
        if record.get("kind") == PROTOCOLS:
            continue  # nothing is trained
        base = material.folder / SWEEPS / slug(record["model"]) / slug(record["source"])
        cells = {
            row["name"] + (f", seed {seed}" if len(row["seeds"]) > 1 else ""): log
            for row in record["rows"]
            for seed, name in zip(row["seeds"], row["logs"], strict=False)
            for log in [base / slug(Path(name).parent.name) / "log.jsonl"] if log.is_file()
        }  # fmt: skip
        title = f"{grid(record['grid']).title}: training"
        charts += _curves(title, cells, TOY if record["toy"] else "")
    return charts


def _trained_on(logs: dict[str, Path]) -> str:
    """The data of each training, where its card lies beside the log; a log does not name it."""
    notes = []
    for name, log in logs.items():
        card = log.parent / "model" / "card.json"
        if card.is_file():
            remedy = "move it away, or train again"
            with well_formed(card, remedy):
                data = read_json(card, remedy)["training"]["data"]
            notes.append(f"{name} was trained on {data}.")
    return " ".join(notes)


def _curves(title: str, logs: dict[str, Path], note: str) -> list[Chart]:
    losses: list[Series] = []
    held_out: dict[str, list[Series]] = {metric: [] for metric in HELD_OUT}
    for name, path in logs.items():
        lines = list(_log_lines(path))
        steps = {line["step"]: line["total"] for line in lines if {"step", "total"} <= line.keys()}
        losses.append(Series(name, _means(list(steps.items()))))
        for metric, series in held_out.items():
            epochs = {one["epoch"]: one[metric] for one in lines if {"epoch", metric} <= one.keys()}
            if epochs:
                series.append(Series(name, [Point(x, y) for x, y in epochs.items()]))
    found = [Chart(f"{title}, loss", "step", "loss", "line", losses, note)] + [
        Chart(f"{title}, held-out events", "epoch", f"{metric} (%)", "line", series, note)
        for metric, series in held_out.items()
    ]
    return [chart for chart in found if any(series.points for series in chart.series)]


def _log_lines(path: Path) -> Iterable[dict[str, Any]]:
    """The log's entries; what a kill cut short, or is no entry, is left out."""
    for text in read_bytes(path).decode(errors="replace").split("\n"):
        with suppress(DataError):
            line = parse_json(text, path, "")
            if isinstance(line, dict) and finite(*(line.get(key, 0) for key in NUMBERS)):
                yield line


def _means(steps: list[tuple[int, float]]) -> list[Point]:
    width = max(1, len(steps) // STEPS)
    parts = [steps[at : at + width] for at in range(0, len(steps), width)]
    return [Point(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


# --- galleries and provenance --------------------------------------------------------------------


def _gallery(
    group: Documents, lines: list[Lines], material: Material, progress: Progress
) -> list[Figure]:
    document = group[0][1]
    try:
        gallery = registry.offering(document.task, ShowsPredictions).gallery()
    except UsageError:
        return []  # a task without a gallery
    answers = [{line["item"]: line for line in answered} for answered in lines]
    items = gallery.choose(answers, material.gallery)
    try:
        progress.start(f"{document.task}: frames to show", 1)
        frames = frames_of(material.config, document, None, gallery.clips_of(answers, items))
    except BenchError as error:
        progress.warn(f"{document.protocol}: shown without frames: {error}")
        frames = {}
    models = [one.name for _, one in group]
    note = f"{_toy(document)}{gallery.NOTE}"
    title = f"{gallery.TITLE}, {document.protocol}"
    return [Figure(title, note, gallery.as_html(models, answers, items, frames))]


def _prompts(material: Material) -> list[Figure]:
    """Prompts and hard negatives (Supplementary Table 4) of the sources that were run on."""
    figures = []
    seen = {(d.task, d.source.name): d for _, d in material.found}
    for (task, name), document in seen.items():
        try:
            show = registry.offering(task, ShowsPrompts).prompts_of
            source, _ = registry.source_for(task, name, material.config)
            body = show(source, "train", 1, 3, material.config.run.seed, "html")
        except BenchError:
            continue  # a task that trains nothing, or a source that is not available
        note = f"{_toy(document)}The first clip of the training split."
        figures.append(Figure(f"Dense prompts and their hard negatives, {name}", note, body))
    return figures


def _provenance(boards: list[Board], found: Documents) -> dict[str, dict[str, Any]]:
    """Each row's result document; an overview row's are those of its tasks."""
    known = {provenance_id(document): to_json(document) for _, document in found}
    shown: dict[str, dict[str, Any]] = {}
    for row in (row for board in boards for row in board.rows if row.provenance):
        parts = [known[part] for part in row.provenance.split("+") if part in known]
        whole = parts[0] if len(parts) == 1 else {one["task"]: one for one in parts}
        shown[row.provenance] = whole
    return shown
