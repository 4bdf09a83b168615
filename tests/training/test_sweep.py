"""`bench sweep` on a tiny drawn VidSitu: resumed, killed, sharing rows, and under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import leaderboards
from bench.config import load_config
from bench.errors import BenchError, UsageError
from bench.files.tensor_store import digest
from bench.metrics.bootstrap import Mean, Replicates, bounds, interval, resample_weights
from bench.metrics.differences import over_seeds
from bench.progress import Bar
from bench.report.ablations import grid_boards, grid_charts
from bench.results.document import Document, to_json
from bench.results.files import load
from bench.training.grids import MEAN, Cell, Grid, geometric_mean, grid, grids
from bench.training.settings import TrainSettings
from bench.training.sweep import Sweep, marks, replicated, summary
from tasks.toyworld import write

KEPT = Path(leaderboards.__file__).parent / "results"
RECIPE = {"epochs": 2, "batch_videos": 4, "learning_rate": 1e-3, "hold_out": 0.34,
          "model.rank": 4, "model.vc_layers": 1}  # fmt: skip
HEAD = "width: 32, layers: 1, heads: 2, feed_forward: 64, vc_layers: 1, epochs: 2"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen training clips and a few others."""
    root = tmp_path_factory.mktemp("sweep-source")
    write(root, tasks=("vidsitu",), scale=0.02)
    return root


@pytest.fixture(autouse=True)
def small_head(tmp_path: Path) -> None:
    """A bench.yaml where the test works: a head that trains in a second."""
    (tmp_path / "bench.yaml").write_text(
        f"tasks: {{vidsitu: {{default: {{{HEAD}}}}}}}\nrun: {{device: cpu, resamples: 50}}\n"
    )


def sweep(source: Path, name: str, *cells: Cell) -> Sweep:
    one = Grid("A grid", "vidsitu", "what", "nobody", "none", "valid", list(cells))
    return Sweep(name, one, "srlclip-tiny", str(source), RECIPE, load_config())


def cell(name: str, **settings: Any) -> Cell:
    return Cell(name, {"Vb@1": 1.0, "CIDEr": 1.0}, settings)


def trainings(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Logs and checkpoints with their time stamps: a step of training would change them."""
    files = [*sorted(folder.glob("*/log.jsonl")), *sorted(folder.glob("*/last.safetensors"))]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_the_published_grids_are_those_of_the_paper() -> None:
    assert {name: [row.name for row in one.rows] for name, one in grids().items()} == {
        "supp-1": ["0", "1", "2", "3", "4"],
        "supp-2": ["qkv", "qkvo", "qkvo+fc", "qkvo+fc+proj"],
        "supp-3": ["0 %", "50 %", "70 %", "90 %", "100 %"],
        "losses": ["CLIP-event", "VC-event", "all four"],
        "parts": [row.name for row in grid("parts").rows],  # ours
        "swaps": ["0 (as published)", "1", "8", "(plain CLIP)"],
    }
    assert [row.set["share"] for row in grid("supp-3").rows[1:]] == [0.5, 0.7, 0.9, 1.0]
    # All of the training videos: none is held out of the row that says 100 %.
    assert all(row.set["hold_out"] == 0 for row in grid("supp-3").rows[1:])
    with pytest.raises(UsageError, match="did you mean 'supp-1'"):
        grid("supp1")
    for name, one in grids().items():  # settings that the recipe knows, on any trainable model
        plans = Sweep(name, one, "srlclip-tiny", "toy", {}, load_config()).plans()
        assert [plan is None for _, plan in plans] == [row.base for row in one.rows]


def test_the_published_recipe_is_known_as_before_it_had_role_swaps() -> None:
    """Of the kept sweep, whose cells' folders bear the digest: nothing is trained anew."""
    assert "role_swaps" not in TrainSettings().recipe()
    assert TrainSettings(role_swaps=1).recipe()["role_swaps"] == 1
    one = Sweep("parts", grid("parts"), "srlclip-tiny", "toy", {}, load_config())
    kept = {path.name for path in (KEPT / "sweep" / "srlclip-tiny" / "toy").iterdir()}
    for _, plan in one.plans():
        if plan is not None:
            assert digest("cell", plan.settings.recipe(), plan.built, 0)[:16] in kept


def test_metrics_of_further_tasks_bear_their_names() -> None:
    """One run on two tasks: VidSitu's mean is of VidSitu alone; the grid charts what it has."""
    paths = [KEPT / task / "toy" / "clip-tiny.json" for task in ("probes", "vidsitu", "msrvtt")]
    found = [(path, load(path)) for path in paths]
    (run,) = replicated([found], 100, 0)
    assert "accuracy/verb" in run and "vidsitu/Vb@1" in run and MEAN not in run
    assert run["msrvtt/R@1"].value == found[2][1].metrics["R@1"].value
    assert run[f"vidsitu/{MEAN}"].value == pytest.approx(
        geometric_mean({name: run[f"vidsitu/{name}"].value for name in ("Vb@1", "CIDEr")})
    )
    (first,) = replicated([found[1:]], 100, 0)
    assert MEAN in first and "Vb@1" in first and "msrvtt/R@1" in first
    assert grid("swaps").charted == "accuracy/agent-patient"
    assert grid("parts").charted == grid("supp-1").charted == MEAN


def test_a_row_has_the_mean_of_its_runs_and_the_interval_of_that_mean() -> None:
    found = []
    for model in ("clip-tiny", "srlclip-tiny"):
        path = KEPT / "vidsitu" / "toy" / f"{model}.json"
        found.append([(path, load(path))])
    columns = ("Vb@1", "CIDEr", "vc/R@1")
    runs = replicated(found, 1000, 0)
    one, other, both = (summary(some, columns) for some in (runs[:1], runs[1:], runs))
    value = {name: run.value for name, run in runs[0].items()}
    kept = to_json(found[0][0][1])["metrics"]
    for name in ("Vb@1", "CIDEr"):
        assert one[name]["value"] == pytest.approx(kept[name]["value"])
        assert [one[name]["low"], one[name]["high"]] == pytest.approx(
            [kept[name]["low"], kept[name]["high"]], rel=0.02
        )
        mean = (one[name]["value"] + other[name]["value"]) / 2
        assert both[name]["value"] == pytest.approx(mean)
        # Over two trainings it is wider than over the videos alone.
        draws = (runs[0][name].values + runs[1][name].values) / 2
        low, high = np.percentile(draws, [2.5, 97.5])
        assert both[name]["high"] - both[name]["low"] > 0.99 * (high - low)
        expected = over_seeds([run[name] for run in runs])
        assert (both[name]["low"], both[name]["high"]) == expected != bounds(runs[0][name])
    # Only metrics that all runs have; a model without a contextualizer has no such events.
    assert "vc/R@1" in other and "vc/R@1" not in both
    mean_of = one["geometric mean"]
    assert mean_of["value"] == pytest.approx((value["Vb@1"] * value["CIDEr"]) ** 0.5)
    means = np.sqrt(runs[0]["Vb@1"].values * runs[0]["CIDEr"].values)
    assert [mean_of["low"], mean_of["high"]] == pytest.approx(interval(means))
    # Narrower than the product of the two intervals: the draws are of the same videos.
    lows = {name: one[name]["low"] for name in ("Vb@1", "CIDEr")}
    assert mean_of["low"] > geometric_mean(lows)


@pytest.mark.slow
def test_a_sweep_again_trains_nothing_and_grids_share_their_rows(source: Path) -> None:
    first = sweep(source, "first", Cell("none", {}, base=True), cell("all"),
                  cell("events", clip_video=False, vc_video=False))  # fmt: skip
    record = first.run(Bar(True))
    assert [row["name"] for row in record["rows"]] == ["none", "all", "events"]
    assert record == json.loads(first.file.read_text()) and record["toy"]
    before = trainings(first.folder)
    assert sum(name.endswith("log.jsonl") for name in before) == 2  # the base is not trained
    assert first.run(Bar(True)) == record and trainings(first.folder) == before

    # The default said aloud is the same training; another number of negatives is not.
    second = sweep(source, "second", cell("four", negatives=4), cell("none", negatives=0))
    shared = second.run(Bar(True))
    assert shared["rows"][0]["metrics"] == record["rows"][1]["metrics"]
    assert shared["rows"][0]["results"] == record["rows"][1]["results"]
    after = trainings(first.folder)
    assert all(after[name] == told for name, told in before.items())
    assert sum(name.endswith("log.jsonl") for name in after) == 3


@pytest.mark.slow
def test_a_grid_of_our_own_shows_how_far_each_row_is_from_the_first(source: Path) -> None:
    rows = [Cell("whole", seeds=[0, 1]), cell("no context", **NO_CONTEXT), Cell("none", base=True)]
    own = Grid(
        "Parts", "vidsitu", "without", "us", "parts", "valid", rows,
        columns=["vc/own-five", "Vb@1", "probes/accuracy"], also=["probes"],
    )  # fmt: skip
    one = Sweep("parts", own, "srlclip-tiny", str(source), RECIPE, load_config())
    record = one.run(Bar(True))
    whole, without, base = record["rows"]
    assert whole["seeds"] == [0, 1] and len(whole["results"]) == 4 and len(whole["logs"]) == 2
    results = [load(one.folder / path) for path in whole["results"]]
    assert [result.task for result in results] == ["vidsitu", "probes"] * 2
    values = [result.metrics["Vb@1"].value for result in results[::2]]
    assert whole["metrics"]["Vb@1"]["value"] == pytest.approx(sum(values) / 2)
    probes = [result.metrics["accuracy"].value for result in results[1::2]]
    assert whole["metrics"]["probes/accuracy"]["value"] == pytest.approx(sum(probes) / 2)
    assert "probes/accuracy" in base["metrics"] and "probes/accuracy" in without["differences"]
    assert "vc/own-five" in whole["metrics"] and "vc/own-five" not in without["metrics"]
    assert "differences" not in whole and base["logs"] == []
    gap = without["differences"]["Vb@1"]
    # Against the run of its own seed, not against the mean of others.
    expected = without["metrics"]["Vb@1"]["value"] - values[0]
    assert gap == {"value": pytest.approx(expected), "low": None, "high": None}  # of too few clips
    assert one.run(Bar(True)) == record


NO_CONTEXT = {"model.vc_layers": 0, "vc_event": False, "vc_video": False}


def command(source: Path, output: str) -> list[str]:
    settings = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]
    return ["-m", "bench", "sweep", "losses", "--model", "srlclip-tiny", "--source", str(source),
            "--output", output, *settings]  # fmt: skip


def record_of(output: str) -> bytes:
    (path,) = Path(output, "sweep", "srlclip-tiny").glob("*/losses.*.json")
    return path.read_bytes()


def left(output: str) -> dict[Path, bytes]:
    """The weights and the prediction lines of every row."""
    found = [*Path(output).rglob("model/*.safetensors"), *Path(output).rglob("*.predictions.jsonl")]
    return {path.relative_to(output): path.read_bytes() for path in found}


def progress(output: str) -> tuple[int, int]:
    """How many trainings were begun and how many rows are kept."""
    # Not `rglob`: it would walk into temporary folders that vanish under it.
    folder = Path(output)
    records = [json.loads(path.read_text()) for path in folder.glob("sweep/*/*/losses.*.json")]
    begun = list(folder.glob("sweep/*/*/*/log.jsonl"))
    return len(begun), max((len(record["rows"]) for record in records), default=0)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_record(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIGKILL in the first row's training, and in the second's when the first is kept."""
    subprocess.run([sys.executable, *command(source, "whole")], check=True, capture_output=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other-cache"))
    for logs, rows in ((1, 0), (2, 1)):
        process = subprocess.Popen(
            [sys.executable, *command(source, "broken")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and progress("broken") < (logs, rows):
            time.sleep(0.002)
        process.kill()
        assert process.wait(60) == -9
    done = subprocess.run([sys.executable, *command(source, "broken")], check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert record_of("broken") == record_of("whole")
    assert left("broken") == left("whole") and len(left("whole")) == 3 * 3
    assert "| all four" in done.stdout and "geometric mean" in done.stdout


@pytest.mark.slow
def test_two_processes_give_the_record_of_one(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without dropout, which every process draws for itself, and in steps too small to round."""
    still = ["--set", "model.vc_dropout=0.0", "--set", "learning_rate=1e-6"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29519"]
    for output, words in (("one", []), ("two", launch)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{output}"))
        done = subprocess.run([sys.executable, *words, *command(source, output), *still],
                              capture_output=True, text=True, env=dict(os.environ))  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("| all four") == 1  # one process prints
    assert json.loads(record_of("one")) == json.loads(record_of("two"))


def test_a_record_is_of_its_settings_and_seed() -> None:
    config = load_config()
    names = set()
    for common, seed in (({}, 0), ({"epochs": 2}, 0), ({"epochs": 3}, 0), ({}, 1)):
        one = replace(config, run=replace(config.run, seed=seed))
        names.add(Sweep("supp-1", grid("supp-1"), "srlclip-tiny", "toy", common, one).file.name)
    assert names == {"supp-1.json", "supp-1.epochs-2.json", "supp-1.epochs-3.json",
                     "supp-1.seed-1.json"}  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every training that a sweep asks for and every run; both are stood in for."""
    asked: list[tuple[Any, ...]] = []

    def train(plan: Any, folder: Path, bar: Any) -> Any:
        settings = {"negatives": plan.settings.negatives, **plan.built}
        asked.append(("train", folder.name, settings, plan.config.run.seed))
        stopped = "SIGTERM" if plan.settings.epochs == 1 else ""
        return SimpleNamespace(folder=folder, stopped=stopped)

    def evaluate(adapter: Any, task: Any, run: Any, bar: Any) -> Any:
        asked.append(("run", adapter.folder, run.seed))
        return None

    def save(result: None, folder: Path) -> Path:
        return folder / "vidsitu" / "toy" / "model.json"

    monkeypatch.setattr("bench.training.plan.TrainingPlan.run", train)
    monkeypatch.setattr("bench.engine.evaluate", evaluate)
    monkeypatch.setattr("bench.training.sweep.save", save)
    monkeypatch.setattr("bench.training.sweep.registry.prepare_source", lambda *_: None)
    monkeypatch.setattr("bench.training.sweep.registry.load_task", lambda *_: None)
    monkeypatch.setattr("bench.training.sweep.registry.load_adapter",
                        lambda name, config: SimpleNamespace(folder=name))  # fmt: skip
    return asked


def test_a_cell_is_trained_as_its_row_says_for_each_seed(trained: list[tuple[Any, ...]]) -> None:
    """Cells of the same settings and seed share a folder, all others have one of their own."""
    one = sweep(Path("toy"), "grid")
    one = replace(one, source="toy", common={"model.rank": 4})
    rows = [cell("few", negatives=1), cell("many", negatives=3),
            cell("wide", negatives=1, **{"model.rank": 8})]  # fmt: skip
    folders = {}
    for seed in (0, 2):
        for row in rows:
            (path,) = one._cell(row, seed, Bar(True))
            assert path.is_relative_to(one.folder / trained[-2][1])
            (_, name, settings, given), (_, model, run_seed) = trained[-2:]
            assert given == run_seed == seed and model.endswith(name)
            negatives, rank = row.set["negatives"], row.set.get("model.rank", 4)
            assert settings["negatives"] == negatives and settings["rank"] == rank
            folders[row.name, seed] = name
    assert len(set(folders.values())) == 6
    one._cell(cell("again", negatives=1), 0, Bar(True))
    assert trained[-2][1] == folders["few", 0]
    base = Cell("none", base=True)
    paths = {path for seed in (0, 2) for path in one._cell(base, seed, Bar(True))}
    assert len(paths) == 2 and [told[0] for told in trained[-2:]] == ["run", "run"]
    assert [told[2] for told in trained[-2:]] == [0, 2]


def test_a_stopped_training_is_no_row(trained: list[tuple[Any, ...]]) -> None:
    one = replace(sweep(Path("toy"), "grid"), source="toy")
    with pytest.raises(BenchError, match="stopped by SIGTERM; run the same command"):
        one._cell(cell("short", epochs=1), 0, Bar(True))


def test_differences_are_to_the_first_row_of_the_same_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A grid's seeds count from the sweep's own; made-up numbers stand for the runs."""
    numbers = {"whole-1": 10.0, "whole-2": 30.0, "part-1": 11.0, "part-2": 36.0}

    def named(one: Sweep, cell: Cell, seed: int, bar: Bar) -> list[Path]:
        folder = one.folder / f"{cell.name}-{seed}" / "results"
        return [folder / task / "toy" / "model.json" for task in one.grid.tasks]

    def found(path: Path) -> Document:
        return load(KEPT / "vidsitu" / "toy" / "clip-tiny.json")

    def made(found: Any, resamples: int, seed: int) -> Any:
        runs = []
        for ((path, _),) in found:
            value = numbers[path.parents[3].name]
            mean = Mean(np.full(60, value), np.ones(60))
            one = Replicates(value, np.full(resamples, value), 60, mean)
            runs.append({"Vb@1": one, MEAN: one})
        return runs

    monkeypatch.setattr(Sweep, "_cell", named)
    monkeypatch.setattr("bench.training.sweep.load", found)
    monkeypatch.setattr("bench.training.sweep.replicated", made)
    config = load_config()
    config = replace(config, run=replace(config.run, seed=1))
    for seeds, expected in (([0], 1.0), ([1], 6.0), ([0, 1], 3.5)):
        rows = [Cell("whole", seeds=[0, 1]), Cell("part", seeds=seeds)]
        own = Grid("Parts", "vidsitu", "without", "us", "parts", "valid", rows, columns=["Vb@1"])
        first, second = Sweep("parts", own, "srlclip-tiny", "toy", {}, config).run(Bar(True))[
            "rows"
        ]
        assert first["seeds"] == [1, 2] and second["seeds"] == [1 + seed for seed in seeds]
        gap = second["differences"]["Vb@1"]
        assert gap["value"] == expected
        # Of one seed nothing varies here; of two the difference does, from 1 to 6.
        assert (gap["low"] == gap["high"] == expected) == (len(seeds) == 1)


def test_a_row_is_marked_where_it_cannot_be_told_from_the_best() -> None:
    """Of all rows so far, anew with each; a partial row takes no part."""
    random = np.random.default_rng(0)
    weights = np.concatenate([*resample_weights(200, 999, 0)])

    def run(level: float) -> dict[str, Replicates]:
        mean = Mean(level + random.normal(size=200), np.ones(200))
        one = Replicates(float(mean(np.ones((1, 200)))[0]), mean(weights), 200, mean)
        return {"Vb@1": one, MEAN: one}

    rows: list[dict[str, Any]] = [{"partial": level > 8} for level in (5, 5.01, 1, 9)]
    runs = [[run(level)] for level in (5, 5.01, 1, 9)]
    marks(rows, runs, ["Vb@1", "CIDEr"])
    assert [row["tied"] for row in rows] == [["Vb@1", MEAN], ["Vb@1", MEAN], [], []]


def test_a_grids_chart_and_remarks_are_the_records() -> None:
    folder = KEPT / "sweep" / "srlclip-tiny" / "toy"
    record = json.loads((folder / "losses.json").read_text())
    ours, papers = grid_charts(record)  # drawn videos and the paper's never share an axis
    assert ours.toy and not papers.toy and ours.grid and papers.grid
    (measured,), (paper,) = ours.series, papers.series
    assert [point.y for point in measured.points] == [
        row["metrics"]["geometric mean"]["value"] for row in record["rows"]
    ]
    expected = [geometric_mean(row.metrics) for row in grid("losses").rows]
    assert [point.y for point in paper.points] == pytest.approx(expected)
    (both,) = grid_charts({**record, "toy": False})
    assert [one.name for one in both.series] == [measured.name, "paper"]
    parts = json.loads((folder / "parts.json").read_text())
    numbers, differences = grid_boards(parts)
    remarks = {row.model: row.remark for row in numbers.rows}
    assert remarks["(the full model)"].endswith(", mean of seeds 0, 1, 2")
    assert "mean of" not in remarks["LoRA"]
    for row in differences.rows:  # ≈ where the interval holds zero, and only there
        alike = {name for name, (low, high) in row.bounds.items() if low <= 0 <= high}
        assert set(row.tied) == alike and row.model != "(the full model)"
    assert any(row.tied for row in differences.rows)
    assert any(low > 0 or high < 0 for row in differences.rows for low, high in row.bounds.values())
