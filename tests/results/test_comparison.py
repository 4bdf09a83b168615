"""Kept results: computed again from their lines, held to what they were made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec import UNSET, structs

import bench
from bench.cli.main import cli
from bench.config import Config, RunConfig
from bench.contracts import Scores
from bench.engine import evaluate
from bench.errors import DataError
from bench.metrics.differences import paired
from bench.report.boards import boards
from bench.report.marks import has_mark
from bench.report.overview import overview
from bench.report.text import render
from bench.results.comparison import Evidence, comparable, verified
from bench.results.document import Data, Document
from bench.results.files import load, load_predictions, save
from bench.results.paired import Difference, compared
from bench.results.replicates import replicates_of
from tasks.msrvtt import MSRVTT
from tests.guess import Guess


@pytest.fixture
def files(kept: Path, tmp_path: Path) -> list[Path]:
    """A copy of the results that a test may damage."""

    shutil.copytree(kept / "results", tmp_path / "results")
    return sorted((tmp_path / "results").rglob("*.json"))


def differences(first: Path, second: Path, resamples: int = 50) -> list[Difference]:
    return compared([first], [second], RunConfig(resamples=resamples, seed=0)).rows


def evidence(files: list[Path], toy: Path) -> Evidence:
    """With the toy world as a source by the name that the results bear."""
    from bench.contracts import Source

    document = load(files[0])
    source = Source(document.source.name, toy)
    config = Config(run=RunConfig(resamples=200), sources={source.name: {"msrvtt": source}})
    return Evidence([(path, load(path)) for path in files], config)


def test_every_number_is_computed_again(files: list[Path]) -> None:
    count, wrong = verified(files[0], load(files[0]))
    assert count >= 10 and not wrong
    document = json.loads(files[0].read_text())
    document["metrics"]["R@10"]["value"] += 0.1
    document["metrics"]["MdR"]["low"] -= 1
    files[0].write_text(json.dumps(document))
    _, wrong = verified(files[0], load(files[0]))
    assert [line.split(":")[0] for line in wrong] == ["R@10", "MdR"]
    document["metrics"]["R@10"]["value"] += 1e-6 - 0.1  # less than is ever printed
    files[0].write_text(json.dumps(document))
    _, wrong = verified(files[0], load(files[0]))
    assert [line.split(":")[0] for line in wrong] == ["R@10", "MdR"]


def test_intervals_are_those_of_the_runs_seed(toy: Path, tmp_path: Path) -> None:
    """A result of seed 1 verifies by what it says, and its intervals are not those of seed 0."""
    run = RunConfig(cache=tmp_path / "cache", resamples=200)
    task: Any = bench.load_task("msrvtt", str(toy))
    task.clusters.clear()
    bounds = []
    for seed in (0, 1):
        result = evaluate(Guess("guess", 0), task, replace(run, seed=seed))
        path = save(result, tmp_path / str(seed))
        assert not verified(path, load(path))[1]
        bounds.append((result.data["metrics"]["MnR"]["low"], result.data["metrics"]["MnR"]["high"]))
    assert bounds[0] != bounds[1]


def test_runs_on_other_data_are_not_compared(files: list[Path]) -> None:
    document = json.loads(files[1].read_text())
    document["source"]["fingerprint"] = "other videos, as many"
    files[1].write_text(json.dumps(document))
    with pytest.raises(DataError, match="run on other data"):
        differences(files[0], files[1])


def test_a_comparison_is_paired_and_names_the_better_one(files: list[Path]) -> None:
    """A file against itself: no difference in any resample. Ranks: the lower one is better."""
    for row in differences(files[0], files[0]):
        assert (row.difference, row.low, row.high, row.better) == (0, 0, 0, "-"), row.metric
        assert row.p == row.holm == 1 and row.detectable == 0
    lines = files[1].with_name(f"{files[1].stem}.predictions.jsonl")
    best = [{**json.loads(line), "rank": 1} for line in lines.read_text().splitlines()]
    text = "".join(json.dumps(line) + "\n" for line in best)
    lines.write_text(text)
    document = json.loads(files[1].read_text())
    document["predictions"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    for name, value in (("R@1", 100.0), ("MnR", 1.0)):
        document["metrics"][name]["value"] = value
    files[1].write_text(json.dumps(document))
    for paths, better in ((files[:2], "second"), (files[1::-1], "first")):
        found = {row.metric: row.better for row in differences(*paths, 200)}
        assert found["R@1"] == found["MnR"] == better


def test_changed_lines_are_not_compared(files: list[Path]) -> None:
    lines = files[1].with_name(f"{files[1].stem}.predictions.jsonl")
    lines.write_text(lines.read_text().replace('"rank": ', '"rank": 1', 1))
    with pytest.raises(DataError, match="changed since"):
        differences(files[0], files[1])


def test_results_that_a_checkout_gave_other_line_ends_hold(files: list[Path], toy: Path) -> None:
    """git writes CRLF on Windows: the lines are the same."""
    for path in files[0].parent.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    document = load(files[0])
    assert verified(files[0], document)[1] == [] and not evidence(files, toy).stale(document)
    assert {row.better for row in differences(files[0], files[0])} == {"-"}


def test_lines_are_read_and_hashed_once_for_all_that_is_asked_of_them(
    files: list[Path], toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, backing = load(files[0]), evidence(files, toy)
    read: list[Path] = []

    def changed(path: Path) -> bytes:
        read.append(path)
        return b""

    monkeypatch.setattr("bench.results.comparison.kept_lines", changed)
    assert backing.stale(document) == backing.stale(document) == ["predictions changed"]
    assert backing.checked(document) == (document.metrics, []) and len(read) == 1


def test_a_limited_run_has_a_name_of_its_own(toy: Path, tmp_path: Path) -> None:
    run = RunConfig(cache=tmp_path / "cache", resamples=20)
    for limit, name in ((None, "guess.json"), (5, "guess.limit5.json")):
        task = bench.load_task("msrvtt", str(toy), limit)
        assert save(evaluate(Guess("guess", 0), task, run), tmp_path / "results").name == name


def test_what_changed_since_makes_a_result_stale(
    files: list[Path], toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [load(path) for path in files]
    assert not any(evidence(files, toy).stale(document) for document in documents)
    elsewhere = structs.replace(documents[0], source=Data(documents[0].source.name, "another"))
    assert evidence(files, toy).stale(elsewhere) == ["the data changed"]
    lines = files[1].with_name(f"{files[1].stem}.predictions.jsonl")
    lines.write_text(lines.read_text() + "\n")
    assert evidence(files, toy).stale(documents[1]) == ["predictions changed"]
    lines.unlink()
    assert evidence(files, toy).stale(documents[1]) == ["predictions are gone"]
    monkeypatch.setattr(MSRVTT, "version", 99)
    assert "task version 1, now 99" in evidence(files, toy).stale(documents[2])


def test_a_stale_row_is_marked_and_not_ranked(files: list[Path], toy: Path) -> None:
    lines = files[0].with_name(f"{files[0].stem}.predictions.jsonl")
    lines.write_text("")
    documents = [load(path) for path in files]
    (board,) = boards(documents, backing=evidence(files, toy))
    stale = [row for row in board.rows if row.kind == "stale"]
    assert [row.model for row in stale] == [documents[0].name]
    assert "stale: predictions changed" in stale[0].remark and not stale[0].best


@pytest.mark.parametrize("name", ["abackup", "zbackup"])
def test_a_copy_without_its_lines_is_stale_and_its_original_is_not(
    files: list[Path], toy: Path, name: str
) -> None:
    """Before and after it, and though all other files of the folder are in order."""
    copy = files[0].parent.parent / name / files[0].name
    copy.parent.mkdir()
    shutil.copy(files[0], copy)
    found = [(path, load(path)) for path in sorted([*files, copy])]
    backing = Evidence(found, evidence(files, toy)._config)
    stale = {path: reasons for path, document in found if (reasons := backing.stale(document))}
    assert stale == {copy: ["predictions are gone"]}
    (board,) = boards([document for _, document in found], backing=backing)
    assert [row.kind for row in board.rows if row.model == load(copy).name] == ["measured", "stale"]
    (whole,) = (document for path, document in found if path == files[0])
    (bare,) = (document for path, document in found if path == copy)
    assert backing.replicates(whole) is not None and backing.replicates(bare) is None
    done = CliRunner().invoke(cli, ["verify", str(copy), str(files[0])])
    assert f"{copy}: not computed again; stale: predictions are gone" in done.output
    assert f"{files[0]}: 10 metrics equal" in done.output and done.exit_code == 3
    lines = files[0].with_name(f"{files[0].stem}.predictions.jsonl")
    shutil.copy(lines, copy.with_name(lines.name))
    lines.write_text("{}\n")
    stale = {path: Evidence(found, backing._config).stale(one) for path, one in found}
    assert stale[files[0]] == ["predictions changed"] and not stale[copy]


def test_boards_and_compare_agree(files: list[Path], toy: Path) -> None:
    documents = {load(path).name: (path, load(path)) for path in files}
    backing = evidence(files, toy)
    del documents["guess-2"]  # of two rows; more are compared all at once
    (board,) = boards([document for _, document in documents.values()], backing=backing)
    checked = 0
    for name in board.columns:
        best = next(row for row in board.rows if name in row.best)
        for row in board.rows:
            if row.kind == "measured" and name not in row.best:
                found = differences(documents[best.model][0], documents[row.model][0], 200)
                better = {one.metric: one.better for one in found}
                assert name not in row.untested
                assert has_mark(name) or name not in row.tied
                if has_mark(name):
                    assert (better[name] == "-") == (name in row.tied)
                    checked += 1
    assert checked >= 5


def test_replicates_are_kept_under_their_predictions(files: list[Path], toy: Path) -> None:
    document = load(files[0])
    first = evidence(files, toy).replicates(document)
    again = evidence(files, toy).replicates(document)
    assert first is not None and again is not None
    for name, one in first.items():
        other = again[name]
        assert np.array_equal(one.values, other.values) and one.clusters == other.clusters
        assert one.value == other.value and (one.mean is None) == (other.mean is None)
        assert not paired([one], [other]).apart


def test_the_command_tells_equal_from_changed(files: list[Path]) -> None:
    done = CliRunner().invoke(cli, ["verify", str(files[0].parent)])
    assert done.exit_code == 0 and done.output.count("metrics equal") == 3
    assert "is not available, not checked" in done.output
    document = json.loads(files[0].read_text())
    document["metrics"]["R@1"]["value"] += 1
    files[0].write_text(json.dumps(document))
    done = CliRunner().invoke(cli, ["verify", str(files[0])])
    assert done.exit_code == 1 and "R@1: value" in done.output
    files[1].with_name(f"{files[1].stem}.predictions.jsonl").write_text("{}\n")
    done = CliRunner().invoke(cli, ["verify", str(files[1])])
    assert done.exit_code == 3 and "stale: predictions changed" in done.output
    empty = files[0].parent / "empty"
    empty.mkdir()
    assert "no results in it" in CliRunner().invoke(cli, ["verify", str(empty)]).output


def test_the_command_sees_a_changed_source_and_a_changed_task(
    files: list[Path], toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(shutil.copytree(toy / "msrvtt", tmp_path / "data"))
    name = load(files[0]).source.name
    (tmp_path / "bench.yaml").write_text(f"sources: {{{name}: {{msrvtt: {{root: {source}}}}}}}")

    def verify() -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["verify", str(files[0])])
        return done.exit_code, done.output

    assert verify()[0] == 0 and "stale" not in verify()[1] and "not available" not in verify()[1]
    annotations = next(source.rglob("*.csv"))
    words = annotations.read_text()
    annotations.write_text(words.replace(" is ", " was ", 1))
    assert verify()[0] == 3 and "stale: the data changed" in verify()[1]
    annotations.write_text(words)
    assert verify()[0] == 0
    monkeypatch.setattr(MSRVTT, "version", 2)
    assert verify()[0] == 3 and "stale: task version 1, now 2" in verify()[1]


@pytest.mark.parametrize("format_", ["md", "csv", "json", "html"])
def test_a_bad_result_is_named_and_left_out(
    files: list[Path], tmp_path: Path, format_: str
) -> None:
    """The others are shown, and verified; so is a sweep's record that is none."""
    document = json.loads(files[1].read_text())
    document["metrics"]["R@1"]["value"] = 10**4000
    files[1].write_text(json.dumps(document))
    notes = files[0].parent / "notes.json"
    notes.write_text("{}")
    record = tmp_path / "results" / "sweep" / "m" / "toy" / "parts.json"
    record.parent.mkdir(parents=True)
    record.write_text("[]")
    output = [] if format_ != "html" else ["--output", str(tmp_path / "page.html")]
    done = CliRunner().invoke(
        cli, ["report", "--results", "results", "--format", format_, "--gallery", "0", *output]
    )
    assert done.exit_code == 1
    left_out = [line for line in done.output.splitlines() if line.startswith("left out: ")]
    names = sorted(line.split(": ")[1] for line in left_out)
    assert names == sorted(["results/" + str(one.relative_to(tmp_path / "results"))
                            for one in (files[1], notes, record)])  # fmt: skip
    text = done.stdout if format_ != "html" else (tmp_path / "page.html").read_text()
    assert "guess-0" in text and "guess-2" in text and "guess-1" not in text
    done = CliRunner().invoke(cli, ["verify", "results"])
    assert done.exit_code == 1 and done.output.count("metrics equal") == 2
    assert done.output.count("error: ") == 2 and str(notes.name) in done.output


def test_a_result_that_breaks_a_board_is_named_and_left_out(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the fault is, and though its document is in order."""
    stale = Evidence.stale

    def broken(self: Evidence, document: Document) -> list[str]:
        if document.name == "guess-1":
            raise ZeroDivisionError("such as") from None
        return stale(self, document)

    monkeypatch.setattr(Evidence, "stale", broken)
    done = CliRunner().invoke(cli, ["report", "--results", "results", "--format", "md"])
    assert done.exit_code == 1 and "guess-0" in done.stdout and "guess-1" not in done.stdout
    assert f"left out: results/{'/'.join(files[1].parts[-3:])}: no board can" in done.output


def test_a_scored_file_is_refused_by_its_name_once(files: list[Path]) -> None:
    document = json.loads(files[0].read_text())
    del document["predictions"]
    files[0].write_text(json.dumps(document))
    said = CliRunner().invoke(cli, ["verify", str(files[0])]).output
    assert "no prediction lines were kept" in said and said.count(files[0].name) == 1


def test_coverage_is_counted_again(files: list[Path]) -> None:
    document = json.loads(files[0].read_text())
    document["coverage"]["answered"] -= 1
    files[0].write_text(json.dumps(document))
    _, wrong = verified(files[0], load(files[0]))
    assert [line.split(":")[0] for line in wrong] == ["coverage"]


def test_draws_are_of_the_resamples_and_the_seed(files: list[Path], toy: Path) -> None:
    """Others are not taken from what was kept."""
    document = load(files[0])
    found = []
    for run in (RunConfig(resamples=20), RunConfig(resamples=30), RunConfig(resamples=30, seed=1)):
        draws = Evidence([(files[0], document)], Config(run=run)).replicates(document)
        assert draws is not None and len(draws["R@10"].values) == run.resamples
        found.append(draws["R@10"].values.tolist())
    assert found[1] != found[2]


def test_results_of_two_versions_or_protocols_are_not_compared(files: list[Path]) -> None:
    one, two = load(files[0]), load(files[1])
    assert comparable(one, two) == ""
    assert comparable(one, structs.replace(two, task_version=9)).startswith("task_version 9, but ")
    assert comparable(one, structs.replace(two, protocol="x")).startswith("protocol x, but ")


def test_a_task_that_is_not_installed_here_is_not_held_against_a_result(
    files: list[Path], toy: Path
) -> None:
    document = structs.replace(load(files[0]), task="of-another-package")
    assert evidence(files, toy).stale(document) == []


def test_an_edited_number_is_marked_and_computed_and_not_ranked(
    files: list[Path], toy: Path
) -> None:
    """The row's numbers are those of its lines, in every format; so it is in the overview."""
    true = load(files[0]).metrics["R@1"]
    document = json.loads(files[0].read_text())
    document["metrics"]["R@1"] = {"value": 99.0, "low": 98.0, "high": true.high}
    files[0].write_text(json.dumps(document))
    (board,) = boards([load(path) for path in files], backing=evidence(files, toy))
    row = next(row for row in board.rows if row.model == document["model"]["name"])
    assert row.kind == "edited" and not row.best and not row.second and row.flagged
    assert row.values["R@1"] == true.value and row.bounds["R@1"] == (true.low, true.high)
    said = f"edited: R@1 99.0 kept, {true.value:.1f} computed; edited: R@1 low 98.0 kept"
    for format_ in ("md", "latex", "csv", "json", "rich"):
        assert said[:20] in " ".join(render([board], format_).split()), format_
    assert said in row.remark
    (first, *_) = overview([board])
    assert "edited" in {row.kind for row in first.rows}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["coverage"].update(answered=1), "coverage answered 1 kept, "),
        (lambda d: d["metrics"].pop("MnR"), "MnR none kept, "),
        (lambda d: d["metrics"]["MdR"].update(value=d["metrics"]["MdR"]["value"] + 1e-6), "MdR "),
        (lambda d: d["settings"].update(seed=5), " low "),
        (lambda d: d.pop("settings"), "no settings are kept"),
    ],
)
def test_every_edit_is_named(
    files: list[Path], toy: Path, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    assert evidence(files, toy).checked(load(files[0]))[1] == []
    document = json.loads(files[0].read_text())
    change(document)
    files[0].write_text(json.dumps(document))
    edits = evidence(files, toy).checked(load(files[0]))[1]
    assert edits and says in "; ".join(edits)


def test_numbers_are_computed_once(
    files: list[Path], toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again for another seed, or another version of the task, of which nothing is known."""
    document = load(files[0])
    first = evidence(files, toy).checked(document)
    calls: list[int] = []

    def score(*args: Any, **options: Any) -> Any:
        calls.append(options["seed"])
        raise ValueError("called")

    monkeypatch.setattr(MSRVTT, "score", score)
    assert evidence(files, toy).checked(document) == first and not calls
    assert document.settings
    other = structs.replace(document, settings=structs.replace(document.settings, seed=3))
    assert "its lines give no numbers" in evidence(files, toy).checked(other)[1][0]
    assert calls == [3]
    monkeypatch.setattr(MSRVTT, "version", 9)
    assert evidence(files, toy).checked(document) == (document.metrics, [])


def test_a_result_that_says_otherwise_than_its_source_is_stale(
    files: list[Path], toy: Path
) -> None:
    document = load(files[0])
    renamed = structs.replace(document, protocol="msrvtt/1k-A")
    assert evidence(files, toy).stale(renamed) == [f"protocol msrvtt/1k-A, now {document.protocol}"]
    items = document.coverage.expected
    coverage = structs.replace(document.coverage, expected=items + 1)
    more = structs.replace(document, coverage=coverage)
    assert evidence(files, toy).stale(more) == [f"{items + 1} items, now {items}"]


def test_a_run_without_its_lines_is_stale_and_a_scored_file_is_not(
    files: list[Path], toy: Path
) -> None:
    bare = structs.replace(load(files[0]), predictions=UNSET)
    assert evidence(files, toy).stale(bare) == ["no prediction lines were kept with it"]
    assert evidence(files, toy).stale(structs.replace(bare, kind="verbs")) == []


def test_a_cache_that_cannot_be_written_keeps_nobody_from_reading(
    files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    found = [(path, load(path)) for path in files]
    evidence = Evidence(found, Config(run=RunConfig(resamples=20, cache=tmp_path / "cache")))
    document = found[0][1]
    assert evidence.checked(document) == (document.metrics, []) and evidence.replicates(document)


def test_intervals_of_older_rules_are_made_anew_and_are_no_edits(
    files: list[Path], toy: Path
) -> None:
    """A result of before clusters opens; its board has what its lines give now."""
    document = json.loads(files[0].read_text())
    true = load(files[0]).metrics["R@10"]
    document["settings"].pop("intervals")  # as all were written then
    document["metrics"]["R@10"].update(low=true.value - 1, high=true.value + 1)
    files[0].write_text(json.dumps(document))
    assert load(files[0]).settings.intervals == 1  # type: ignore[union-attr]
    metrics, edits = evidence(files, toy).checked(load(files[0]))
    assert not edits and metrics["R@10"] == true
    done = CliRunner().invoke(cli, ["verify", str(files[0])])
    assert "10 metrics equal; its intervals are of older rules, not compared" in done.output
    document["metrics"]["R@10"]["value"] += 1
    files[0].write_text(json.dumps(document))
    assert len(evidence(files, toy).checked(load(files[0]))[1]) == 1
    document["settings"]["intervals"] = 2
    files[0].write_text(json.dumps(document))
    assert len(evidence(files, toy).checked(load(files[0]))[1]) == 3  # its bounds count again


def test_a_task_that_only_draws_is_compared_by_its_clusters(files: list[Path]) -> None:
    """Another package's, written before `Task.sample`: few clusters are known to be few."""

    class Drawing(MSRVTT):
        @classmethod
        def sample(cls, predictions: Any) -> None:  # type: ignore[override]
            return None

        @classmethod
        def draws(cls, predictions: Any, *, resamples: int, seed: int) -> dict[str, np.ndarray]:
            return {"R@1": np.arange(float(resamples)), "its own": np.ones(resamples)}

        @classmethod
        def score(cls, predictions: Any, *, resamples: int, seed: int) -> Scores:
            return Scores({"R@1": 7.0}, {}, len(predictions))

        @classmethod
        def cluster(cls, line: dict[str, Any]) -> str:
            return line["target"][-1]

    lines = load_predictions(files[0], load(files[0]))
    found = replicates_of(Drawing, lines, 30, 0)
    assert list(found) == ["R@1"] and found["R@1"].value == 7 and found["R@1"].mean is None
    assert found["R@1"].values.tolist() == list(range(30))
    assert found["R@1"].clusters == len({line["target"][-1] for line in lines}) < len(lines)
