"""Two results compared on what both answered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec import structs

from bench.cli import compare
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Clip, Features, Source
from bench.errors import DataError
from bench.metrics.differences import two_way
from bench.results.document import Coverage, Data, Document, Reading, Settings, valued
from bench.results.files import Result, load, load_predictions, save
from bench.results.paired import ONE_SEED, compared
from bench.video.sampling import Uniform
from tasks import retrieval_common
from tasks.msrvtt import MSRVTT
from tasks.vidsitu.common import common
from tests.guess import Guess

RUN = RunConfig(resamples=50, seed=0)


VIDEOS = 40


def made(folder: Path, name: str, seed: int, count: int) -> Path:
    """The result of a model that knows little, on the first `count` of 40 videos."""
    random = np.random.default_rng(seed)
    videos = np.random.default_rng(9).normal(size=(VIDEOS, 8))
    texts = videos + 1.5 * random.normal(size=videos.shape)
    names = [f"v{i}" for i in range(count)]
    task = MSRVTT(
        protocol="msrvtt/toy", source=Source("lab", folder), fingerprint=f"first {count}",
        clips=[Clip(one, None) for one in names], texts=[f"a sentence on {one}" for one in names],
        plan=Uniform(1), expected=VIDEOS, owners=names,
    )  # fmt: skip
    features = Features({one: videos[i : i + 1] for i, one in enumerate(names)}, texts[:count])
    answers = list(task.answer(features, Guess(name, seed)))
    scores = task.score(answers, resamples=50, seed=0)
    document = Document(
        task="msrvtt", task_version=task.version, protocol=task.protocol,
        source=Data("lab", task.fingerprint), model={"name": name},
        metrics=valued(scores.metrics, scores.intervals),
        metric_info={n: Reading(one.unit, one.higher_is_better) for n, one in task.metrics.items()},
        primary=task.primary, chance={}, warnings=[], settings=Settings(resamples=50, seed=0),
        coverage=Coverage(expected=VIDEOS, answered=count, clips=count, missing=0, broken=0),
    )  # fmt: skip
    return save(Result(document, answers), folder / f"{name}-{count}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model on all videos, on the first 30 and on the first 12; another on the first 30."""
    folder = tmp_path_factory.mktemp("parts")
    every = {"all": ("guess", 0, VIDEOS), "30": ("guess", 0, 30), "12": ("guess", 0, 12),
             "other": ("other", 1, 30)}  # fmt: skip
    return {name: made(folder, *one) for name, one in every.items()}


def lines(path: Path) -> list[dict[str, Any]]:
    return load_predictions(path, load(path))


@pytest.mark.parametrize("part", ["30", "12"])
def test_bounds_hold_the_rank_of_a_run_on_the_part(runs: dict[str, Path], part: str) -> None:
    """Exact where the target is among the ten that a line keeps."""
    (lowest, highest), (true, same) = retrieval_common.common(lines(runs["all"]), lines(runs[part]))
    ranks = {line["item"]: line["rank"] for line in lines(runs[part])}
    whole = {line["item"]: line["rank"] for line in lines(runs["all"])}
    assert {line["item"]: line["rank"] for line in true} == ranks and true == same
    assert {line["item"] for line in lowest} == ranks.keys()
    open_ = 0
    for low, high in zip(lowest, highest, strict=True):
        item = low["item"]
        assert low["rank"] <= ranks[item] <= high["rank"] <= len(ranks) // 2
        assert low["rank"] == high["rank"] or whole[item] > 10
        open_ += low["rank"] < high["rank"]
    assert open_


def test_what_both_answered_is_compared_and_what_is_unknown_left_out(
    runs: dict[str, Path],
) -> None:
    """The whole run's numbers become those of a run on the part."""
    found = compared([runs["all"]], [runs["other"]], RUN)
    part, whole = load(runs["30"]).values, load(runs["all"]).values
    assert found.items == 30 and found.common
    for row in found.rows:
        assert row.first == pytest.approx(part[row.metric])
        assert row.second == pytest.approx(load(runs["other"]).values[row.metric])
    assert {row.metric for row in found.rows} | set(found.unknown) == part.keys()
    assert "MnR" in found.unknown and any(row.first != whole[row.metric] for row in found.rows)
    said = CliRunner().invoke(cli, ["compare", str(runs["all"]), str(runs["other"])])
    assert said.exit_code == 0, said.output
    assert f"compared on the 30 of {load(runs['all']).coverage.expected} items" in said.output
    assert "their data differ" in said.output and "left out: " in said.output
    assert f"guess, own {load(runs['all']).coverage.expected}" in said.output
    shown = CliRunner().invoke(cli, ["compare", "--json", str(runs["all"]), str(runs["other"])])
    data = json.loads(shown.stdout)
    assert data["own"][0]["metrics"] == whole and data["unknown"] == found.unknown
    assert data["coverage"].startswith("30/") and data["coverage"].endswith(" partial")


def test_two_runs_of_one_part_are_compared_as_they_are(runs: dict[str, Path]) -> None:
    found = compared([runs["30"]], [runs["other"]], RUN)
    assert not found.common and not found.unknown
    assert found.remarks == [
        ONE_SEED,
        f"both are {load(runs['30']).covered}: no numbers of the full set",
    ]


def changed(path: Path, to: Path, edit: Any) -> Path:
    """A copy of a result whose document was edited."""
    shutil.copytree(path.parent, to)
    document = json.loads(path.read_text())
    edit(document)
    (to / path.name).write_text(json.dumps(document))
    return to / path.name


def test_lists_of_other_length_and_tasks_that_cannot_are_refused(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = changed(runs["30"], tmp_path / "a", lambda d: d["coverage"].update(expected=99))
    with pytest.raises(DataError, match="run on other data"):
        compared([runs["all"]], [longer], RUN)
    monkeypatch.setattr(retrieval_common, "_questions", lambda lines: id(lines))
    with pytest.raises(DataError, match="other sentences of the same videos than"):
        compared([runs["all"]], [runs["30"]], RUN)
    monkeypatch.delattr("tasks.retrieval.RetrievalTask.common")
    with pytest.raises(DataError, match=r"other items than .*; compare runs of the same coverage"):
        compared([runs["all"]], [runs["30"]], RUN)


def test_runs_that_share_nothing_or_nothing_known_are_refused(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = ([], [])
    monkeypatch.setattr(MSRVTT, "common", lambda first, second: (nothing, nothing))
    with pytest.raises(DataError, match=r"no item that .* answered too"):
        compared([runs["all"]], [runs["30"]], RUN)

    def vague(first: Any, second: Any) -> Any:
        one = [{**line, "rank": 1} for line in second], [{**line, "rank": 30} for line in second]
        return one, (second, second)

    monkeypatch.setattr(MSRVTT, "common", vague)
    with pytest.raises(DataError, match="run both on the same videos"):
        compared([runs["all"]], [runs["30"]], RUN)


def test_lines_count_and_not_what_was_edited(runs: dict[str, Path], tmp_path: Path) -> None:
    true = load(runs["30"]).values["R@10"]
    edited = changed(runs["30"], tmp_path / "a", lambda d: d["metrics"]["R@10"].update(value=99.5))
    found = compared([edited], [runs["other"]], RUN)
    assert next(row.first for row in found.rows if row.metric == "R@10") == true
    assert f"edited: R@10 99.5 kept, {true:.1f} computed; what" in found.remarks[-1]


def test_two_rules_are_named(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MSRVTT, "version", 7)
    found = compared([runs["30"]], [runs["other"]], RUN)
    assert "the numbers here are by version 7" in found.remarks[-1]


def test_situations_are_those_of_both_and_events_rank_among_them() -> None:
    def line(item: str, ranks: list[int], votes: str = "run") -> dict[str, Any]:
        events = {"all": ranks, "own": [1, 2]}
        return {"item": item, "truth": {"votes": votes}, "events": events}

    first = [line("a", [1, 2]), line("b", [5, 6]), line("c", [3, 4])]
    (lowest, highest), (other, same) = common(first, [line("b", [1, 2]), line("a", [4, 3])])
    assert [one["events"]["all"] for one in lowest] == [[1, 1], [3, 4]]
    assert [one["events"]["all"] for one in highest] == [[1, 2], [4, 4]]
    assert [one["events"]["own"] for one in lowest] == [[1, 2], [1, 2]]
    assert other == same and [one["item"] for one in other] == ["b", "a"]
    with pytest.raises(ValueError, match="other annotations"):
        common(first, [line("a", [1, 2], "sit")])


def test_other_training_is_said(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = load

    def support(path: Path) -> Document:
        one = real(path)
        count = 3 if "guess-30" in str(path) else 9
        return structs.replace(one, coverage=structs.replace(one.coverage, support=count))

    monkeypatch.setattr("bench.results.paired.load", support)
    assert "they learned from 9 and 3 clips" in compared([runs["all"]], [runs["30"]], RUN).remarks


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of three trainings each, as results of all videos."""
    folder = tmp_path_factory.mktemp("seeds")
    return {
        f"{name}{seed}": made(folder / str(seed), name, 10 * place + seed, VIDEOS)
        for place, name in enumerate("ab") for seed in range(3)
    }  # fmt: skip


def test_several_trainings_are_compared_over_videos_and_seeds(seeds: dict[str, Path]) -> None:
    first, second = ([seeds[f"{name}{n}"] for n in range(3)] for name in "ab")
    found = compared(first, second, RUN)
    one = compared(first[:1], second[:1], RUN)
    assert found.names == ("a (3 runs)", "b (3 runs)") and found.items == VIDEOS
    assert ONE_SEED in one.remarks and ONE_SEED not in found.remarks
    by_name = {row.metric: row for row in found.rows}
    for name, row in by_name.items():
        values = [np.mean([load(path).values[name] for path in side]) for side in (first, second)]
        assert (row.first, row.second) == pytest.approx(values)
        assert row.difference == pytest.approx(values[1] - values[0])
    ranks = [
        [[line["rank"] for line in sorted(lines(path), key=lambda line: line["item"])
          if line["direction"] == "t2v"] for path in side]
        for side in (first, second)
    ]  # fmt: skip
    table = 100.0 * (np.array(ranks) <= 1)
    expected = two_way((table[1] - table[0]).T)
    row = by_name["R@1"]
    assert (row.low, row.high, row.p) == pytest.approx((expected.low, expected.high, expected.p))
    assert row.detectable == pytest.approx(2.8 * expected.error)
    assert row.holm >= row.p and by_name["MdR"].p > 0.05


def test_the_command_parts_its_sides_by_two_dashes(seeds: dict[str, Path]) -> None:
    a, b = ([str(seeds[f"{name}{n}"]) for n in range(3)] for name in "ab")
    shown = CliRunner().invoke(cli, ["compare", *a, "--", *b, "--json"])
    assert shown.exit_code == 0, shown.output
    data = json.loads(shown.stdout)
    assert data["runs"] == [3, 3] and data["models"] == ["a (3 runs)", "b (3 runs)"]
    assert data["primary"] == "R@1"
    table = CliRunner().invoke(cli, ["compare", "--seed", "3", *a, "--", *b]).stdout
    assert table.startswith("first: a (3 runs)\nsecond: b (3 runs)\n")
    assert max(map(len, table.splitlines())) <= 80
    assert "The primary metric is R@1" in table and "Holm" in table
    one = CliRunner().invoke(cli, ["compare", "--json", a[0], "--", *b])
    assert "a is one run: what is said of it holds for its weights only" in one.stderr
    assert json.loads(one.stdout)["runs"] == [1, 3]
    for arguments, says in (
        ([*a, "--", *b[:2]], "3 results beside 2"),
        ([a[0], a[0], "--", *b[:2]], "the same predictions as"),
        ([a[0]], "give two results"),
        ([*a, *b], "give two results"),
        ([*a, "--"], "give two results"),
        ([a[0], "--", b[0], "--", b[1]], "give two results"),
    ):
        refused = CliRunner().invoke(cli, ["compare", *arguments])
        assert refused.exit_code != 0 and says in refused.output, refused.output


def test_runs_of_seeds_answer_the_same_items(runs: dict[str, Path], seeds: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"must answer the same items|run on other data"):
        compared([runs["30"], runs["all"]], [seeds["a0"], seeds["a1"]], RUN)


def test_a_p_at_its_floor_is_not_printed_as_zero(runs: dict[str, Path], tmp_path: Path) -> None:
    """9,999 resamples give no p below .0002."""
    assert compare._p(0.0002) == "<.001" and compare._p(0.0514) == ".051"
    assert compare._p(1.0) == "1.000" and compare._interval(-np.inf, np.inf, 2) == "not tested"


def test_other_settings_are_compared_across_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    """A head beside another: refused by name, or said with the numbers."""
    settings = [("one", {"head": "own", "width": 8}), ("two", {"head": "other", "width": 8})]
    one, two = (
        changed(runs[model], tmp_path / name, lambda d, task=task: d["settings"].update(task=task))
        for model, (name, task) in zip(("30", "other"), settings, strict=True)
    )
    with pytest.raises(DataError, match=r"two/.*: head other, but own; --across compares"):
        compared([one], [two], RUN)
    found = compared([one], [two], RUN, across=True)
    assert found.rows == compared([runs["30"]], [runs["other"]], RUN).rows
    assert (
        f"{two}: head other, but own in {one}: the difference is of all together" in found.remarks
    )

    protocol = changed(runs["other"], tmp_path / "p", lambda d: d.update(protocol="msrvtt/other"))
    with pytest.raises(DataError, match=r"protocol msrvtt/other, but msrvtt/toy .*with --across"):
        compared([runs["30"]], [protocol], RUN)
    said = CliRunner().invoke(cli, ["compare", "--across", str(runs["30"]), str(protocol)])
    assert said.exit_code == 0 and "protocol msrvtt/other, but msrvtt/toy in" in said.output
    other = changed(runs["other"], tmp_path / "d", lambda d: d["source"].update(fingerprint="x"))
    with pytest.raises(DataError, match="run on other data"):
        compared([runs["30"]], [other], RUN, across=True)
    scored = changed(one, tmp_path / "s", lambda d: d.update(kind="verbs"))
    assert compared([scored], [two], RUN).rows  # nobody knows how its answers were made
