"""What the HTML report shows of kept results, logs and sweeps: which, and the very numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.cli.report import all_boards
from bench.config import Config, RunConfig
from bench.contracts import Source
from bench.features.work import Silent
from bench.report import page_content
from bench.report.page import render_page
from bench.report.page_content import Material, page_of
from bench.report.tables import Chart, Page
from bench.results.comparison import Evidence
from bench.results.document import Document
from bench.results.files import load, load_predictions


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """A copy of the kept results that a test may change."""
    return Path(shutil.copytree(kept / "results", tmp_path / "results"))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("msrvtt/*/*.json"))


def edit(path: Path, **changes: dict[str, Any]) -> None:
    document = json.loads(path.read_text())
    for key, value in changes.items():
        document[key].update(value)
    path.write_text(json.dumps(document))


def page(folder: Path, toy: Path) -> Page:
    paths = files(folder)
    found = [(path, load(path)) for path in paths]
    name = found[0][1].source.name if found else "none"
    config = Config(run=RunConfig(resamples=200), sources={name: {"msrvtt": Source(name, toy)}})
    evidence = Evidence(found, config)
    boards = all_boards([document for _, document in found], [], None, False, evidence)
    return page_of(boards, Material(found, [], folder, evidence, config, 0), Silent())


def charts(page: Page, title: str) -> list[Chart]:
    return [chart for chart in page.charts if chart.title.startswith(title)]


def models(chart: Chart) -> list[str]:
    return [series.name for series in chart.series]


def test_what_costs_no_clips_has_no_cost(folder: Path, toy: Path) -> None:
    edit(files(folder)[0], coverage={"clips": 0}, seconds={"encode frames": 1.0})
    assert "guess-0" not in [
        name for one in charts(page(folder, toy), "Cost") for name in models(one)
    ]


def test_lines_that_give_no_plot_leave_the_others_theirs(
    folder: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, warned = page_content.load_predictions, list[str]()

    def odd(path: Path, document: Document) -> list[dict[str, Any]]:
        lines = original(path, document)
        return [{"direction": "t2v"}, *lines] if document.name == "guess-1" else lines

    monkeypatch.setattr(page_content, "load_predictions", odd)
    monkeypatch.setattr(Silent, "warn", lambda _, line: warned.append(line))
    (chart,) = charts(page(folder, toy), "Recall at k")
    assert models(chart) == ["guess-0", "guess-2"]
    assert len(warned) == 1 and str(files(folder)[1]) in warned[0]


def test_a_recall_curve_counts_the_queries_of_one_direction(folder: Path, toy: Path) -> None:
    (chart,) = charts(page(folder, toy), "Recall at k")
    assert models(chart) == ["guess-0", "guess-1", "guess-2"] and chart.toy
    for path, series in zip(files(folder), chart.series, strict=True):
        document = load(path)
        at = {point.x: point.y for point in series.points}
        for k in (1, 5, 10):
            assert at[k] == pytest.approx(document.metrics[f"R@{k}"].value)
        lines = [line for line in load_predictions(path, document) if line["direction"] == "t2v"]
        assert max(at) <= len(lines) and document.metrics["v2t/R@1"].value >= 0


def test_a_cost_is_in_milliseconds_a_clip_encoded(folder: Path, toy: Path) -> None:
    """Clips that a head learns from are encoded as well."""
    path = files(folder)[0]
    clips = load(path).coverage.clips
    edit(path, coverage={"support": clips}, seconds={"encode frames": 3.0})
    (chart,) = charts(page(folder, toy), "Cost and quality")
    (point,) = next(series.points for series in chart.series if series.name == "guess-0")
    assert point.x == pytest.approx(3000 / (2 * clips))
    assert point.y == load(path).metrics[load(path).primary].value


def test_only_whole_and_current_results_of_one_kind_share_a_chart(folder: Path, toy: Path) -> None:
    first, second, third = files(folder)
    whole = load(first).coverage.expected
    edit(first, coverage={"answered": whole - 1})
    (chart,) = charts(page(folder, toy), "Recall at k")
    assert models(chart) == ["guess-1", "guess-2"]
    edit(second, settings={"task": {"beam": 3}})
    one, two = charts(page(folder, toy), "Recall at k")
    assert sorted(models(one) + models(two)) == ["guess-1", "guess-2"]
    edit(third, source={"fingerprint": "other"})  # so the source that lies there is not its own
    (chart,) = charts(page(folder, toy), "Recall at k")
    assert models(chart) == ["guess-1"]


def test_an_edited_result_is_on_no_chart(folder: Path, toy: Path) -> None:
    edit(files(folder)[0], metrics={"R@1": {"value": 99.0, "low": 98.0, "high": 100.0}})
    made = page(folder, toy)
    assert models(charts(made, "Recall at k")[0]) == ["guess-1", "guess-2"]
    row = next(row for row in made.boards[0].rows if row.model == "guess-0")
    assert row.kind == "edited" and made.provenance[row.provenance]["model"]["name"] == "guess-0"


def test_runs_on_other_data_stand_on_other_charts(folder: Path, toy: Path) -> None:
    """Of sources that are gone nothing is stale, and still they are not the same."""
    for path, data in zip(files(folder), ("a", "a", "b"), strict=True):
        edit(path, source={"name": "gone", "fingerprint": data})
    paths = files(folder)
    found = [(path, load(path)) for path in paths]
    evidence = Evidence(found, Config())
    material = Material(found, [], folder, evidence, Config(), 0)
    shown = [models(chart) for chart in charts(page_of([], material, Silent()), "Recall at k")]
    assert shown == [["guess-0", "guess-1"], ["guess-2"]]


def test_a_rows_provenance_is_its_own_result(folder: Path, toy: Path) -> None:
    made = page(folder, toy)
    rows = [row for board in made.boards for row in board.rows if row.provenance]
    assert len(rows) == 3
    for row in rows:
        assert made.provenance[row.provenance]["model"]["name"] == row.model


def test_a_page_is_made_again_to_the_byte(folder: Path, toy: Path) -> None:
    first, second = (render_page(page(folder, toy)) for _ in range(2))
    assert first == second and f"the newest of its 3 results is of {newest(folder)}" in first


def newest(folder: Path) -> str:
    return max(str(load(path).started) for path in files(folder))


def test_measured_rows_have_size_frames_rank_and_card(
    folder: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that its family says nothing of has no size; it is no other model's."""
    sizes = {"guess-0": 4_000_000, "guess-2": 9_000_000}
    monkeypatch.setattr(page_content, "model_size", lambda name, config: sizes.get(name))
    made = page(folder, toy)
    rows = {row.model: row for row in made.boards[0].rows if row.provenance}
    assert {name: row.size for name, row in rows.items()} == {"guess-1": None, **sizes}
    values = [row.values["R@1"] for row in rows.values()]
    ranks = [1 + sum(other > value for other in values) for value in values]
    assert [row.rank for row in rows.values()] == ranks  # equals share one
    assert {row.frames for row in rows.values()} == {"12"}
    for name, row in rows.items():
        assert made.cards[row.provenance].title.startswith(f"{name} on msrvtt/toy")


def test_a_trainings_curves_are_its_log(folder: Path, toy: Path) -> None:
    """Neighbours are averaged; what a kill cut, or is no number, is left out."""
    training = folder / "train" / "mine"
    (training / "model").mkdir(parents=True)
    steps = [{"step": n, "total": float(n % 2)} for n in range(1, 81)]
    epochs = [{"epoch": n, "R@1": 10.0 * n, "vc/R@1": 5.0 * n, "vc/own-five": 20.0 + n}
              for n in (1, 2)]  # fmt: skip
    odd = ['{"step": 81, "total": "much"}', '{"step": 81, "total": NaN}', '{"step": 82, "tot']
    text = "\n".join([*map(json.dumps, [*steps, *epochs]), *odd])
    (training / "log.jsonl").write_text(text)
    (training / "model" / "card.json").write_text('{"training": {"data": "the lab\'s clips"}}')
    made = page(folder, toy)
    (loss,) = charts(made, "Training, loss")
    points = loss.series[0].points
    assert [point.x for point in points] == list(range(2, 81, 2))
    assert {point.y for point in points} == {0.5}
    assert loss.note == "mine was trained on the lab's clips."
    drawn = {chart.y: [(p.x, p.y) for p in chart.series[0].points]
             for chart in charts(made, "Training, held-out")}  # fmt: skip
    assert drawn == {
        "R@1 (%)": [(1, 10.0), (2, 20.0)],
        "vc/R@1 (%)": [(1, 5.0), (2, 10.0)],
        "vc/own-five (%)": [(1, 21.0), (2, 22.0)],
    }
