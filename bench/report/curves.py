"""Plots of a page, from results and from the logs of trainings."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files.untrusted import parse_json, read_bytes, read_json, well_formed
from bench.report.tables import Chart, Point, Series
from bench.results.document import Document, finite
from bench.results.files import SWEEPS, TRAININGS, slug
from bench.training.grids import PROTOCOLS, grid

CUTOFFS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000)
HELD_OUT = ("R@1", "vc/R@1", "vc/own-five")  # of a training's epochs: what is drawn of each branch
NUMBERS = ("step", "total", "epoch", *HELD_OUT)  # of a training's log that are drawn
STEPS = 40  # points of a training curve; each is a mean of neighbours
Documents = list[tuple[Path, Document]]
Lines = list[dict[str, Any]]  # of one result's predictions


def recall_charts(group: Documents, lines: list[Lines]) -> list[Chart]:
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
                  log=True, toy=document.toy)  # fmt: skip
    return [chart] if series else []


def cost_charts(groups: list[Documents]) -> list[Chart]:
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
                      document.primary, "scatter", series, note, toy=document.toy)
            )  # fmt: skip
    return charts


def training_charts(folder: Path, records: list[dict[str, Any]]) -> list[Chart]:
    """Loss and held-out retrieval of every training below the folder, one line a training."""
    logs = sorted((folder / TRAININGS).glob("*/log.jsonl"))
    trainings = {path.parent.name: path for path in logs}
    charts = _curves("Training", trainings, _trained_on(trainings))
    for record in records:
        if record.get("kind") == PROTOCOLS:
            continue  # nothing is trained
        base = folder / SWEEPS / slug(record["model"]) / slug(record["source"])
        cells = {
            row["name"] + (f", seed {seed}" if len(row["seeds"]) > 1 else ""): log
            for row in record["rows"]
            for seed, name in zip(row["seeds"], row["logs"], strict=False)
            for log in [base / slug(Path(name).parent.name) / "log.jsonl"] if log.is_file()
        }  # fmt: skip
        title = f"{grid(record['grid']).title}: training"
        charts += [
            replace(chart, toy=record["toy"], grid=True) for chart in _curves(title, cells, "")
        ]
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
