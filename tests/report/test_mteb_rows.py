"""MTEB's rows: on a board of their own, with our runs of that list, and read from its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli.main import cli
from bench.contracts import Source
from bench.report.boards import boards
from tasks.lists import PublishedList, name_of
from tasks.msrvtt import MSRVTT
from tests.results.exported import kept

REVISION = MSRVTT.mteb_tasks()[0].revision


def written(folder: Path, model: str, task: str = "MSRVTTT2V", **changes: Any) -> Path:
    """A file as MTEB keeps one below `folder`, of recalls 0.5, 0.6 and 0.7."""
    scores = {"recall_at_1": 0.5, "recall_at_5": 0.6, "recall_at_10": 0.7, "main_score": 0.6,
              "hf_subset": "default", "languages": ["eng-Latn"]}  # fmt: skip
    data = {"dataset_revision": REVISION, "task_name": task, "mteb_version": "2.26.24",
            "scores": {"test": [scores]}, **changes}  # fmt: skip
    path = folder / "results" / model / "rev1" / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def report(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["report", "--format", "md", *map(str, arguments)])
    return done.exit_code, done.output


def test_mtebs_rows_have_a_board_of_their_own() -> None:
    made = {board.protocol: board for board in boards([], "msrvtt", published=True)}
    assert list(made) == ["msrvtt/1k-A", "msrvtt/mteb-879"]
    rows = {row.model: row.values for row in made["msrvtt/mteb-879"].rows}
    assert len(rows) == 15 and rows["xclip-base-32"] == {"R@1": 10.4, "R@5": 22.5, "R@10": 30.7}
    assert "xclip-base-32" not in {row.model for row in made["msrvtt/1k-A"].rows}


def test_our_run_of_the_list_is_on_the_same_board(tmp_path: Path) -> None:
    kept(tmp_path)
    code, output = report("--results", tmp_path)
    assert code == 0 and output.count("### ") == 1, output
    assert "clip-x" in output and "Qwen3-VL-Embedding-8B" in output
    kept(tmp_path, departures=("8 frames",))
    assert report("--results", tmp_path)[1].count("Qwen3-VL-Embedding-8B") == 1


def test_runs_of_two_copies_of_the_list_share_the_board(tmp_path: Path) -> None:
    kept(tmp_path / "a")
    other = kept(tmp_path / "b")
    data = json.loads(other.read_text())
    data["source"]["fingerprint"], data["model"]["name"] = "g", "clip-y"
    other.write_text(json.dumps(data))
    code, output = report("--results", tmp_path)
    assert code == 0 and output.count("### ") == 1 and "clip-y" in output and "clip-x" in output


def test_mtebs_files_are_rows(tmp_path: Path) -> None:
    written(tmp_path / "mteb", "org__model")
    written(tmp_path / "mteb", "org__model", "MSRVTTV2T")
    code, output = report("--results", tmp_path / "none", "--mteb", tmp_path / "mteb")
    assert code == 0, output
    assert output.count("### ") == 1  # no board of rows that nobody asked for
    (row,) = [line for line in output.splitlines() if "org/model" in line]
    assert [cell.strip() for cell in row.split("|")[2:8]] == [
        "published", "50.0", "60.0", "70.0", "50.0", "70.0",
    ]  # fmt: skip
    assert "MTEB result files, revision rev1" in row


def test_our_own_export_is_read_as_rows(tmp_path: Path) -> None:
    results = [kept(tmp_path / "kept"), kept(tmp_path / "kept", departures=("8 frames",))]
    exported = ["export", "mteb", *map(str, results), "--output", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, exported).exit_code == 0
    code, output = report("--results", tmp_path / "none", "--mteb", tmp_path / "out")
    assert code == 0, output
    value = json.loads(results[0].read_text())["metrics"]["R@1"]["value"]
    rows = [line for line in output.splitlines() if "clip-x" in line]
    assert len(rows) == 2 and f" {value:.1f} " in rows[0]
    assert "srl-bench/clip-x (protocol\\_8-frames)" in output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset_revision": "other"}, "revision 'other' of mteb/MSR-VTT"),
        ({"scores": {"test": []}}, "not a result of MSRVTTT2V"),
        ({"scores": []}, "not a result of MSRVTTT2V"),
        ({"scores": {"test": [{"recall_at_1": 30, "recall_at_5": 1, "recall_at_10": 1}]}},
         "no recalls from 0 to 1"),
        ({"scores": {"test": [{"recall_at_1": "a", "recall_at_5": 1, "recall_at_10": 1}]}},
         "no recalls from 0 to 1"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_left_out_by_name(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "mteb", "a__bad", **changes)
    code, output = report("--mteb", tmp_path / "mteb")
    assert code == 1 and str(path) in output and said in output
    written(tmp_path / "mteb", "b__good")
    code, output = report("--mteb", tmp_path / "mteb")
    assert code == 1 and "b/good" in output and "a/bad" not in output
    assert f"left out: {path}" in output


def test_a_folder_without_results_of_mteb_is_named(tmp_path: Path) -> None:
    code, output = report("--mteb", tmp_path)
    assert code == 1 and f"{tmp_path}: no results of MTEB on a list of ours" in output


def test_the_list_is_known_by_count_and_characters(tmp_path: Path) -> None:
    """43,882 characters in 879 sentences of as many videos, as MTEB counts them."""

    def listed(characters: int) -> str:
        lengths = [49] * 878 + [characters - 49 * 878]
        rows = [f"video{i},{'x' * length}" for i, length in enumerate(lengths)]
        path = tmp_path / "MSRVTT_JSFUSION_test.csv"
        path.write_text("\n".join(["video_id,sentence", *rows]))
        return MSRVTT.load(Source("lab", tmp_path)).protocol

    assert listed(43_882) == "msrvtt/mteb-879"
    assert listed(43_881) == "msrvtt/other-879"


def test_what_a_list_is_taken_by_is_said() -> None:
    known = [PublishedList("few", 2, clips=2, characters=7)]
    name, remarks = name_of([("a", "abc"), ("b", "defg")], known)
    assert name == "few"
    assert remarks == ["taken for few by 2 pairs and 7 characters in all; no hash of its "
                       "sentences is known, so that the list is not verified"]  # fmt: skip
    assert name_of([("a", "abc"), ("b", "def")], known)[0] == "other-2"
    assert name_of([("a", "abc"), ("a", "defg")], known)[0] == "other-2"
