"""Results in MTEB's format and the hub's, held against these packages' own numbers and readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from bench.cli.main import cli
from bench.results.files import load
from bench.results.mteb import retrieval_scores
from tests.results.exported import kept, similarities


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    return done.exit_code, done.output


def exported(folder: Path, *results: Path) -> Path:
    code, output = run("mteb", *results, "--output", folder)
    assert code == 0, output
    assert "left out: nauc_*" in output
    return folder / "results" / "srl-bench__clip-x" / "ab12"


needs_entries = pytest.mark.skipif(
    not hasattr(huggingface_hub, "EvalResultEntry"),
    reason="the oldest huggingface_hub has no writer of evaluation results",
)


def test_scores_of_ranks_by_hand() -> None:
    scores = retrieval_scores(np.array([1, 3, 12, 2000]))
    assert scores["recall_at_1"] == scores["accuracy"] == scores["hit_rate_at_1"] == 0.25
    assert scores["recall_at_3"] == 0.5 and scores["recall_at_1000"] == 0.75
    assert scores["precision_at_20"] == round(0.75 / 20, 5)
    assert scores["ndcg_at_10"] == scores["main_score"] == (1 + 1 / 2) / 4
    assert scores["map_at_20"] == round((1 + 1 / 3 + 1 / 12) / 4, 5)
    assert scores["mrr_at_20"] == round((1 + 1 / 3 + 1 / 12) / 4, 6)


def test_mteb_files_hold_both_directions_and_no_version_of_mteb(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept")
    place = exported(tmp_path / "out", result)
    assert sorted(path.name for path in place.iterdir()) == [
        "MSRVTTT2V.json", "MSRVTTV2T.json", "model_meta.json",
    ]  # fmt: skip
    metrics = load(result).values
    for task, prefix in (("MSRVTTT2V", ""), ("MSRVTTV2T", "v2t/")):
        data = json.loads((place / f"{task}.json").read_text())
        (scores,) = data["scores"]["test"]
        for k in (1, 5, 10):
            assert scores[f"recall_at_{k}"] == pytest.approx(
                metrics[f"{prefix}R@{k}"] / 100, abs=1e-5
            )
        assert data["mteb_version"] is None and data["evaluation_time"] == 2.5
        assert not any(name.startswith("nauc") for name in scores)
    assert json.loads((place / "model_meta.json").read_text())["revision"] == "ab12"


def test_departures_are_an_experiment_of_mteb(tmp_path: Path) -> None:
    results = [kept(tmp_path / "kept"),
               kept(tmp_path / "kept", departures=("8 frames", "linspace"))]  # fmt: skip
    place = exported(tmp_path / "out", *results) / "experiments" / "protocol_8-frames+linspace"
    assert (place / "MSRVTTT2V.json").is_file() and (place.parents[1] / "MSRVTTT2V.json").is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"protocol": "msrvtt/1k-A"}, "protocol msrvtt/1k-A is not on a list of MTEB"),
        ({"protocol": "msrvtt/toy"}, "msrvtt/toy is of the toy world"),
        ({"expected": 70}, "60/70 partial items are answered"),
        ({"departures": ("†dual-softmax-100",)}, "'†dual-softmax-100' is not of MTEB's protocol"),
        ({"departures": ("re-ranked-itm-50",)}, "'re-ranked-itm-50' is not of MTEB's protocol"),
        ({"departures": ("audio",)}, "'audio' is not of MTEB's protocol"),
    ],
)
def test_what_is_not_of_mteb_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    result = kept(tmp_path / "kept", **given)
    code, output = run("mteb", kept(tmp_path / "sound"), result, "--output", tmp_path / "out")
    assert code == 2 and f"{result}: {said}" in output
    assert not (tmp_path / "out").exists()  # nothing of the sound one either


def test_edited_numbers_are_refused(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept")
    data = json.loads(result.read_text())
    data["metrics"]["R@1"] = {"value": 99.0, "low": 98.0, "high": 100.0}
    result.write_text(json.dumps(data))
    for format_ in ("mteb", "hf-eval"):
        code, output = run(format_, result, "--output", tmp_path / "out")
        assert code == 1 and "edited (R@1: value 99.0 is kept" in output


def test_two_results_of_one_place_are_refused(tmp_path: Path) -> None:
    results = [kept(tmp_path / name) for name in "ab"]
    code, output = run("mteb", *results, "--output", tmp_path / "out")
    assert code == 2 and f"{results[1]}: {results[0]} is of the same model and protocol" in output


def test_names_from_a_result_stay_in_the_folder(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept")
    data = json.loads(result.read_text())
    data["model"] = {"name": "../../x", "fingerprint": "../../../y"}
    result.write_text(json.dumps(data))
    code, output = run("mteb", result, "--output", tmp_path / "out")
    assert code == 0
    for line in output.splitlines()[:3]:
        assert Path(line).resolve().is_relative_to(tmp_path / "out" / "results")


def test_a_broken_date_is_named(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept")
    result.write_text(result.read_text().replace("2026-11-28T01", "yesterday"))
    code, output = run("mteb", result, "--output", tmp_path / "out")
    assert code == 1 and str(result) in output and "run it again" in output


def test_mteb_reads_the_files(tmp_path: Path) -> None:
    mteb = pytest.importorskip("mteb", reason="needs the extra mteb: not with the oldest scipy")
    from mteb.models.model_meta import ModelMeta

    results = [kept(tmp_path / "kept"), kept(tmp_path / "kept", departures=("8 frames",))]
    place = exported(tmp_path / "out", *results)
    task = mteb.TaskResult.from_disk(place / "MSRVTTT2V.json")
    assert task.task.metadata.revision == task.dataset_revision  # what mteb has itself
    assert task.get_score() == json.loads((place / "MSRVTTT2V.json").read_text())["scores"][
        "test"][0]["ndcg_at_10"]  # fmt: skip
    meta = json.loads((place / "model_meta.json").read_text())
    assert ModelMeta(**meta).model_name_as_path() == place.parent.name
    cache = mteb.ResultCache(tmp_path / "out")
    found = cache.load_results(require_model_meta=True, load_experiments="match_name")
    assert {(one.model_name, one.model_revision, one.experiment_name) for one in found} == {
        ("srl-bench/clip-x", "ab12", None), ("srl-bench/clip-x", "ab12", "protocol_8-frames"),
    }  # fmt: skip
    assert {each.task_name for one in found for each in one.task_results} == {
        "MSRVTTT2V", "MSRVTTV2T",
    }  # fmt: skip


def test_scores_are_those_that_mteb_computes() -> None:
    pytest.importorskip("mteb", reason="needs the extra mteb: not with the oldest scipy")
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores, make_score_dict

    scores = similarities(120)
    names = [str(i) for i in range(120)]
    rows = [dict(zip(names, row, strict=True)) for row in scores.tolist()]
    made = calculate_retrieval_scores(
        dict(zip(names, rows, strict=True)),
        {name: {name: 1} for name in names}, [1, 3, 5, 10, 20, 100, 1000],
    )  # fmt: skip
    theirs = make_score_dict(
        ndcg=made.ndcg, _map=made.map, recall=made.recall, precision=made.precision, mrr=made.mrr,
        naucs=made.naucs, naucs_mrr=made.naucs_mrr, hit_rate=made.hit_rate, task_scores={},
    )  # fmt: skip
    ours = retrieval_scores((scores >= scores.diagonal()[:, None]).sum(axis=1))
    assert {"main_score"} == ours.keys() - theirs.keys()
    assert all(name.startswith("nauc_") for name in theirs.keys() - ours.keys())
    for name in ours.keys() & theirs.keys():
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6), name


def entries_of(path: Path) -> list[Any]:
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub has no evaluation results")
    return list(hub.parse_eval_result_entries(yaml.safe_load(path.read_text())))


@needs_entries
def test_the_hub_reads_mtebs_main_score(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept")
    code, output = run("hf-eval", result, "--output", tmp_path / "model")
    assert code == 0, output
    path = Path(output.strip())
    assert path.parent == tmp_path / "model" / ".eval_results"
    entries = entries_of(path)
    assert [one.task_id for one in entries] == [
        "MSRVTTT2V_default_test", "MSRVTTT2V", "MSRVTTV2T_default_test", "MSRVTTV2T",
    ]  # fmt: skip
    scores = json.loads((exported(tmp_path / "out", result) / "MSRVTTT2V.json").read_text())
    assert entries[0].value == pytest.approx(100 * scores["scores"]["test"][0]["ndcg_at_10"])
    assert {one.dataset_id for one in entries} == {"mteb/MSR-VTT"}
    assert entries[0].dataset_revision == scores["dataset_revision"]
    assert entries[0].date == "2026-11-28T01:46:32+00:00"
    assert entries[0].notes.startswith("NDCG@10; msrvtt/mteb-879; frames uniform-12; srl-bench ")


@needs_entries
def test_the_hub_reads_a_named_benchmark(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept", "msrvtt/1k-A")
    told = ("--dataset", "owner/name", "--task-id", "t2v")
    code, output = run("hf-eval", result, "--output", tmp_path / "model", *told)
    assert code == 0, output
    (entry,) = entries_of(Path(output.strip()))
    value = load(result).metrics["R@1"]
    assert (entry.dataset_id, entry.task_id) == ("owner/name", "t2v")
    assert entry.value == pytest.approx(value.value, abs=1e-4)
    assert f"R@1 [{value.low:.1f}, {value.high:.1f}]; msrvtt/1k-A" in entry.notes


@needs_entries
def test_a_benchmark_is_asked_for_where_it_is_not_known(tmp_path: Path) -> None:
    result = kept(tmp_path / "kept", "msrvtt/1k-A")
    code, output = run("hf-eval", result, "--output", tmp_path / "model")
    assert code == 2 and "--dataset OWNER/NAME" in output
    code, output = run("hf-eval", result, "--output", tmp_path / "model", "--dataset", "a/b")
    assert code == 2 and "--dataset and --task-id go together" in output


def test_an_old_hub_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    code, output = run("hf-eval", kept(tmp_path / "kept"), "--output", tmp_path / "model")
    assert code == 1 and "has no EvalResultEntry; install a newer one" in output


def test_environment_variables_name_the_format(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["export", "mteb", str(kept(tmp_path / "kept"))], auto_envvar_prefix="BENCH",
        env={"BENCH_EXPORT_MTEB_OUTPUT": str(tmp_path / "out")},
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(
        cli, ["export", "hf-eval", str(kept(tmp_path / "kept"))], auto_envvar_prefix="BENCH",
        env={"BENCH_EXPORT_HF_EVAL_OUTPUT": str(tmp_path / "out")},
    )  # fmt: skip
    assert "huggingface_hub" in done.output or done.exit_code == 0, done.output
