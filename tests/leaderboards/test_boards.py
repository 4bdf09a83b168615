"""Boards: what stands beside what, what is marked, what is escaped."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from leaderboards.boards import boards
from leaderboards.reference import PROTOCOLS, reference_rows
from leaderboards.render import render

INFO = {
    "R@1": {"unit": "%", "higher_is_better": True},
    "MdR": {"unit": "rank", "higher_is_better": False},
}


def result(
    model: str, r1: float, mdr: float, protocol: str = "msrvtt/1k-A", answered: int = 1000
) -> dict[str, Any]:
    return {
        "task": "msrvtt",
        "protocol": protocol,
        "model": {"name": model},
        "metrics": {
            "R@1": {"value": r1, "low": r1 - 2, "high": r1 + 2},
            "MdR": {"value": mdr, "low": None, "high": None},
        },
        "metric_info": INFO,
        "primary": "R@1",
        "coverage": {"expected": 1000, "answered": answered, "limit": None},
        "chance": {"R@1": 0.1},
    }  # fmt: skip


def test_measured_rows_stand_first_best_in_bold() -> None:
    (board,) = boards(
        [result("weak", 20, 9), result("good", 30, 9), result("part", 90, 1, answered=10)]
    )
    assert [row.model for row in board.rows[:4]] == ["good", "weak", "part", "(chance)"]
    table = render([board], "md")
    assert "**30.0** [28.0, 32.0]" in table
    assert "**90" not in table and "10/1000 partial" in table  # a partial row is never ranked
    assert table.count("**9.0**") == 2  # equals are both best


def test_published_rows_only_beside_their_own_protocol() -> None:
    real, toy = boards([result("a", 20, 9), result("a", 20, 9, "msrvtt/toy")])
    kinds = {row.kind for row in real.rows}
    assert kinds == {"measured", "chance", "published"}
    assert {row.kind for row in toy.rows} == {"measured", "chance"}
    assert "not comparable" in render([toy], "md")


def test_other_task_settings_are_another_board_and_named() -> None:
    usual = [{**result(name, 20, 9), "settings": {"task": {"beam": 1, "select": "last"}}}
             for name in ("a", "b")]  # fmt: skip
    wide = {**result("a", 30, 9), "settings": {"task": {"beam": 3, "select": "best"}}}
    found = {board.title: [row.model for row in board.rows if row.kind == "measured"]
             for board in boards([wide, *usual])}  # fmt: skip
    assert found == {
        "msrvtt/1k-A, 1000 items, beam 3, epoch selected on the reported split": ["a"],
        "msrvtt/1k-A, 1000 items": ["a", "b"],
    }


def test_a_floor_by_another_name_and_a_mode_of_the_toy_world() -> None:
    document = {**result("a", 20, 9, "msrvtt/toy, roles predicted"), "floor": "(most frequent)"}
    (board,) = boards([document])
    assert board.title.startswith("msrvtt/toy, 1000 items, roles predicted (toy world: ")
    assert board.rows[-1].model == "(most frequent)" and board.rows[-1].kind == "chance"


def test_dual_softmax_and_charts_are_marked() -> None:
    table = render(boards([], task="msrvtt", published=True), "md")
    assert "TVTSv2 ViT-H/14 †" in table and "~41 " in table and "secondary" not in table

    latex = render(boards([], task="msrvtt", published=True), "latex")
    assert r"$\sim$41 " in latex


def test_published_numbers_keep_their_decimals() -> None:
    table = render(boards([], task="vidsitu", published=True), "md")
    assert "52.36" in table and "76.24" in table


def test_sets_of_different_size_never_share_a_board() -> None:
    small = result("a", 20, 9, "msrvtt/toy", answered=100)
    small["coverage"]["expected"] = 100
    found = boards([small, result("b", 20, 9, "msrvtt/toy")])
    assert [[row.model for row in board.rows] for board in found] == [
        ["a", "(chance)"],
        ["b", "(chance)"],
    ]
    assert "100 items" in found[0].title and "1000 items" in found[1].title


def test_chance_is_that_of_the_fullest_run() -> None:
    limited = result("a", 20, 9, "msrvtt/toy", answered=10)
    limited["chance"] = {"R@1": 10.0}
    (board,) = boards([limited, result("b", 20, 9, "msrvtt/toy")])
    assert board.rows[-1].values == {"R@1": 0.1}


def test_hostile_names_are_escaped() -> None:
    found = boards([result("a|b<script>_x_\n| c", 20, 9, "msrvtt/toy")])
    table = render(found, "md")
    assert "<script>" not in table and r"a\|b&lt;script&gt;\_x\_ \| c" in table
    latex = render(boards([result(r"50%_\input{x}", 20, 9, "msrvtt/toy")]), "latex")
    assert r"50\%\_\textbackslash{}input\{x\}" in latex
    assert r"\toprule" in latex and r"\hline" not in latex
    title = render(boards([result("a", 20, 9, "x\n\\input{y}")]), "latex").splitlines()[0]
    assert title.startswith("% x ") and "input" in title  # the comment is not left


def test_csv_and_json() -> None:
    found = boards([result("a", 20, 9)])
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert rows[0]["R@1"] == "20" and rows[0]["R@1 low"] == "18" and rows[0]["kind"] == "measured"
    assert json.loads(render(found, "json"))[0]["rows"][0]["values"]["R@1"] == 20


def test_every_reference_file_is_valid_and_holds_the_papers_numbers() -> None:
    for task in PROTOCOLS:
        assert len(reference_rows(task)) >= 12
    values = {(row.model, row.dual_softmax): row.metrics for row in reference_rows("msrvtt")}
    assert values["SRL-CLIP ViT-L/14", False] == {"R@10": 73.6, "MdR": 3}
    assert values["CLIP ViT-L/14", False] == {"R@10": 69.6, "MdR": 3}
    vidsitu = {row.model: row.metrics for row in reference_rows("vidsitu")}
    assert vidsitu["SRL-CLIP ViT-L/14"] == {"Vb@1": 52.36, "CIDEr": 76.24}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("- {model: x}", "'metrics' is missing"),
        (
            "- {model: x, metrics: {R@1: high}, source: s, split: s, level: paper}",
            "names to numbers",
        ),
        (
            "- {model: x, metrics: {R@1: 1}, source: s, split: s, level: memory}",
            "level must be one of",
        ),
        ("- {modell: x}", "did you mean 'model'"),
        ("model: x", "a list of rows"),
        ("- x", "a mapping is expected"),
        ("- [", "correct the YAML"),
        (
            "- {model: x, metrics: {R@1: 1}, source: s, level: paper, notes: 3}",
            "notes must be text",
        ),
    ],
)
def test_a_faulty_row_is_named(tmp_path: Path, entry: str, says: str) -> None:
    (tmp_path / "msrvtt.yaml").write_text(entry)
    with pytest.raises(BenchError, match=says):
        reference_rows("msrvtt", tmp_path)
