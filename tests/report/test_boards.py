"""Boards: what stands beside what, what is marked, what is escaped."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, DataError
from bench.report import boards as leaderboards
from bench.report.ablations import published_grids
from bench.report.overview import overview
from bench.report.reference import read_rows, reference_rows
from bench.report.tables import Board, Row, ranked
from bench.report.text import render
from bench.results.document import of_json
from bench.training.grids import grids
from tasks.lsmdc import LSMDC
from tasks.msrvtt import MSRVTT
from tasks.vidsitu.task import VidSitu

INFO = {
    "R@1": {"unit": "%", "higher_is_better": True},
    "MdR": {"unit": "rank", "higher_is_better": False},
}


def result(
    model: str, r1: float, mdr: float, protocol: str = "msrvtt/1k-A", answered: int = 1000
) -> dict[str, Any]:
    return {
        "schema": 1,
        "task": "msrvtt",
        "task_version": 1,
        "protocol": protocol,
        "source": {"name": "lab"},
        "warnings": [],
        "model": {"name": model},
        "metrics": {
            "R@1": {"value": r1, "low": r1 - 2, "high": r1 + 2},
            "MdR": {"value": mdr, "low": None, "high": None},
        },
        "metric_info": INFO,
        "primary": "R@1",
        "coverage": {
            "expected": 1000, "answered": answered, "clips": 1000, "missing": 0, "broken": 0,
        },
        "chance": {"R@1": 0.1},
    }  # fmt: skip


def settings(task: dict[str, Any]) -> dict[str, Any]:
    return {"resamples": 5, "seed": 0, "task": task}


def boards(documents: list[dict[str, Any]], **options: Any) -> list[Board]:
    return leaderboards.boards([of_json(one) for one in documents], **options)


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


def test_a_whole_run_tells_its_difference_to_the_published_row() -> None:
    """CLIP B/32 is published with R@1 30.6 there: one point above it reads +1.0."""
    (board,) = boards([result("clip-b32", 31.6, 4)])
    measured = next(row for row in board.rows if row.kind == "measured")
    assert measured.differences["R@1"] == pytest.approx(1.0)
    assert "R@1 +1.0" in render([board], "md")
    (board,) = boards([result("clip-b32", 31.6, 4, answered=10)])
    partial = next(row for row in board.rows if row.kind == "partial")
    assert not partial.differences and "difference to published" not in render([board], "md")


def test_a_plugins_task_has_boards_like_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns, published protocol and published rows come from its class."""
    rows = tmp_path / "rows.yaml"
    rows.write_text("- {model: theirs, metrics: {R@1: 44.5}, source: s, split: t, level: paper}")

    class Plugin(MSRVTT):
        name = "mine"
        columns = ("MdR", "R@1")
        published_rows = rows

        @classmethod
        def published_protocol(cls) -> str:
            return "mine/whole"

    monkeypatch.setattr("bench.report.boards.registry.task_class", lambda name: Plugin)
    document = {**result("a", 20, 9, "mine/whole"), "task": "mine"}
    (board,) = boards([document])
    assert board.columns == ["MdR", "R@1"]
    assert [row.model for row in board.rows] == ["a", "(chance)", "theirs"]
    (other,) = boards([{**document, "protocol": "mine/part"}])
    assert [row.model for row in other.rows] == ["a", "(chance)"]


def test_the_overview_takes_the_board_with_most_measured_rows() -> None:
    usual = [result(name, 20, 9) for name in ("a", "b")]
    other = result("c", 99, 1)
    other["settings"] = settings({"select": "best"})
    for documents in ([*usual, other], [other, *usual]):
        (first, *_) = overview(boards(documents, published=True))
        names = {row.model for row in first.rows if row.kind == "measured"}
        assert names == {"a", "b"}


def test_a_partial_cell_of_a_grid_is_not_ranked() -> None:
    from bench.report.ablations import grid_boards
    from tests.faults.readers import RECORD

    cell: dict[str, Any] = RECORD["rows"][0]  # type: ignore[assignment, index]
    metrics = {name: {"value": 99.0, "low": 98.0, "high": 100.0} for name in cell["metrics"]}
    rows = [{**cell, "name": "qkv"},
            {**cell, "name": "qkvo", "coverage": "10/100 partial", "metrics": metrics}]  # fmt: skip
    (board,) = grid_boards({**RECORD, "rows": rows})
    whole, part = board.rows[:2]
    assert part.kind == "partial" and not set(part.best) & {"Vb@1", "CIDEr", "geometric mean"}
    assert whole.kind == "measured" and not set(whole.best) & {"CIDEr"}
    # A record says it in a field; what the words are does not matter then.
    rows[1] = {**rows[1], "coverage": "10 of 100", "partial": True}
    (board,) = grid_boards({**RECORD, "rows": rows})
    assert [row.kind for row in board.rows[:2]] == ["measured", "partial"]


def test_other_task_settings_are_another_board_and_named() -> None:
    usual = [{**result(name, 20, 9), "settings": settings({"beam": 1, "select": "last"})}
             for name in ("a", "b")]  # fmt: skip
    wide = {**result("a", 30, 9), "settings": settings({"beam": 3, "select": "best"})}
    found = {board.title: [row.model for row in board.rows if row.kind == "measured"]
             for board in boards([wide, *usual])}  # fmt: skip
    assert found == {
        "msrvtt/1k-A, 1000 items, beam 3, epoch selected on the reported split": ["a"],
        "msrvtt/1k-A, 1000 items": ["a", "b"],
    }


@pytest.mark.parametrize(("select", "says"), [("best", ""), ("best-cider", " by CIDEr")])
def test_a_selected_epoch_is_said_of_every_board(select: str, says: str) -> None:
    """Also where all results are selected like that, as those of one head are by default."""
    document = {**result("a", 30, 9), "settings": settings({"beam": 1, "select": select})}
    (board,) = boards([document])
    expected = f"msrvtt/1k-A, 1000 items, epoch selected on the reported split{says}"
    assert board.title == expected


def test_a_floor_by_another_name_and_a_mode_of_the_toy_world() -> None:
    document = {**result("a", 20, 9, "msrvtt/toy, roles predicted"), "floor": "(most frequent)"}
    (board,) = boards([document])
    assert board.title.startswith("msrvtt/toy, 1000 items, roles predicted (toy world: ")
    assert board.rows[-1].model == "(most frequent)" and board.rows[-1].kind == "chance"


def test_dual_softmax_and_charts_are_marked() -> None:
    table = render(boards([], task="msrvtt", published=True), "md")
    assert "TVTSv2 ViT-H/14 †" in table and "~41 " in table and "secondary" not in table

    assert boards([], task="vatex", published=True) == []  # nobody's rows are kept
    latex = render(boards([], task="msrvtt", published=True), "latex")
    assert r"$\sim$41 " in latex


def test_published_rows_have_one_board_with_the_results_of_their_protocol() -> None:
    found = boards([result("a", 20, 9)], task="msrvtt", published=True)
    protocols = [board.protocol for board in found]
    assert "msrvtt/1k-A" in protocols and len(protocols) == len(set(protocols)) > 1
    (own,) = (board for board in found if board.protocol == "msrvtt/1k-A")
    assert {"measured", "published"} <= {row.kind for row in own.rows}


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


def limited(model: str, answered: int) -> dict[str, Any]:
    one = result(model, 20, 9, "msrvtt/toy", answered=answered)
    return {**one, "chance": {"R@1": 100 / answered}}


def test_chance_is_that_of_every_gallery_that_was_ranked() -> None:
    (board,) = boards([limited("a", 10), result("b", 20, 9, "msrvtt/toy"), limited("c", 20)])
    chances = {row.model: row.values["R@1"] for row in board.rows if row.kind == "chance"}
    assert chances == {"(chance)": 0.1, "(chance), 20 items": 5.0, "(chance), 10 items": 10.0}
    whole = next(row for one in overview([board]) for row in one.rows if row.kind == "chance")
    assert whole.values == {"msrvtt R@1": 0.1}
    (board,) = boards([limited("a", 10), limited("b", 10)])
    assert [(r.model, r.values["R@1"]) for r in board.rows[2:]] == [("(chance)", 10.0)]


def test_a_heading_says_how_many_items_the_rows_have() -> None:
    def title(*documents: dict[str, Any]) -> str:
        (board,) = boards(list(documents))
        partial = [row for row in board.rows if row.kind == "partial"]
        assert partial and all("not ranked" in " ".join(row.notes) for row in partial)
        return board.title.partition(" (")[0]

    assert title(limited("a", 24), limited("b", 24)) == "msrvtt/toy, 24 of 1000 items"
    assert title(limited("a", 24), limited("b", 30)) == "msrvtt/toy, 24 to 30 of 1000 items"
    whole = result("c", 20, 9, "msrvtt/toy")
    assert title(limited("a", 24), whole) == "msrvtt/toy, 1000 items"
    for format_ in ("md", "latex", "csv", "json", "rich"):
        found = boards([limited("a", 24)])
        assert "24 of 1000 items" in render(found, format_), format_
        assert "bench compare sets two" in render(found, format_), format_


def test_two_lists_of_one_name_share_no_board() -> None:
    """But for the published list's, which is known, and partial runs, whose data are their own."""

    def of(model: str, data: str, protocol: str, answered: int = 1000) -> dict[str, Any]:
        one = result(model, 20, 9, protocol, answered)
        return {**one, "source": {"name": "lab", "fingerprint": data}}

    def rows(protocol: str) -> list[tuple[str, list[str]]]:
        found = [of("part", "three", protocol, 10), of("a", "one-other", protocol),
                 of("b", "two-other", protocol), of("c", "one-other", protocol)]  # fmt: skip
        return [(board.title, [row.model for row in board.rows if row.model in "a b c part"])
                for board in boards(found)]  # fmt: skip

    assert rows("msrvtt/1000 items") == [
        ("msrvtt/1000 items, 1000 items, data one-othe", ["a", "c", "part"]),
        ("msrvtt/1000 items, 1000 items, data two-othe", ["b"]),
    ]
    assert rows("msrvtt/1k-A") == [("msrvtt/1k-A, 1000 items", ["a", "b", "c", "part"])]


def test_hostile_names_are_escaped() -> None:
    found = boards([result("a|b<script>_x_\n| c", 20, 9, "msrvtt/toy")])
    table = render(found, "md")
    assert "<script>" not in table and r"a\|b&lt;script&gt;\_x\_ \| c" in table
    latex = render(boards([result(r"50%_\input{x}", 20, 9, "msrvtt/toy")]), "latex")
    assert r"50\%\_\textbackslash{}input\{x\}" in latex
    assert r"\toprule" in latex and r"\hline" not in latex
    title = render(boards([result("[a]*", 20, 9, "x\n\\input{y}")]), "latex")
    assert r"\caption{x \textbackslash{}input\{y\}, 1000 items}" in title
    assert "\n{[}a]{*} & " in title  # no option of the line break before it


def test_csv_and_json() -> None:
    found = boards([result("a", 20, 9)])
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert (
        rows[0]["R@1"] == "20.0" and rows[0]["R@1 low"] == "18.0" and rows[0]["kind"] == "measured"
    )
    assert json.loads(render(found, "json"))[0]["rows"][0]["values"]["R@1"] == 20


def test_every_reference_file_is_valid_and_holds_the_papers_numbers() -> None:
    for task in (MSRVTT, LSMDC, VidSitu):
        assert len(reference_rows(task)) >= 12
    values = {(row.model, row.dual_softmax): row.metrics for row in reference_rows(MSRVTT)}
    assert values["SRL-CLIP ViT-L/14", False] == {"R@10": 73.6, "MdR": 3}
    assert values["CLIP ViT-L/14", False] == {"R@10": 69.6, "MdR": 3}
    vidsitu = {row.model: row.metrics for row in reference_rows(VidSitu)}
    assert vidsitu["SRL-CLIP ViT-L/14"] == {"Vb@1": 52.36, "CIDEr": 76.24}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("- {model: x}", "missing required field `metrics`"),
        (
            "- {model: x, metrics: {R@1: high}, source: s, split: s, level: paper}",
            r"got `str` - at `\$\.metrics",
        ),
        (
            "- {model: x, metrics: {R@1: 1}, source: s, split: s, level: memory}",
            "level must be one of",
        ),
        ("- {modell: x}", "did you mean 'model'"),
        ("model: x", "a list of rows"),
        ("- x", "Expected `object`, got `str`"),
        ("- [", "correct the YAML"),
        (
            "- {model: x, metrics: {R@1: 1}, source: s, split: t, level: paper, url: 'data:x'}",
            r"matching regex .* at `\$\.url",
        ),
        (
            "- {model: x, metrics: {R@1: 1}, source: s, split: t, level: paper, notes: 3}",
            r"got `int` - at `\$\.notes",
        ),
    ],
)
def test_a_faulty_row_is_named(tmp_path: Path, entry: str, says: str) -> None:
    (tmp_path / "msrvtt.yaml").write_text(entry)
    with pytest.raises(BenchError, match=says):
        read_rows(tmp_path / "msrvtt.yaml")


def test_remarks_on_sources_are_footnotes() -> None:
    shown = {board.protocol: render([board], "md") for board in boards([], published=True)}
    named = [one for one in published_grids(set()) if one.protocol == "Supplementary Table 3"]
    grid = render(named, "md")
    for table in (shown["vidsitu/valid"], grid):
        assert "Supplementary Table 3" in table and "names MSRVTT with B/32" in table
    (one,) = re.findall(r"\| CLIP L<sup>(\d)</sup> ", shown["msrvtt/1k-A"])
    assert f"| CLIP ViT-L/14<sup>{one}</sup> " in shown["msrvtt/1k-A"]
    assert "64.0 with 8 frames" in shown["msrvtt/1k-A"] and "R@10 73.8" in shown["msrvtt/1k-A"]


def test_what_a_published_row_cost_and_used_is_told() -> None:
    shown = {board.protocol: render([board], "csv") for board in boards([], published=True)}
    for words in (
        "80 V100; frames 12; pixels 224",
        "video, audio and subtitles; training data 154M; parameters 1.3B; compute 64 V100",
        "compute 8 V100",
        "dual softmax",
        "18 h on one 48 GB A6000 (ViT-B: 5 h on one 12 GB RTX 2080)",
    ):
        assert words in shown["msrvtt/1k-A"], words


def test_latex_tells_its_footnotes_below_the_table() -> None:
    (board,) = boards([result("mine", 20, 9)])
    text = render([board], "latex")
    table, notes = text.split(r"\end{tabular}")
    (place,) = re.findall(r"CLIP L\\textsuperscript\{(\d)\} & 30.7", table)
    assert table.count(r"\midrule") == 2
    assert rf"\textsuperscript{{{place}}}~Sources disagree" in notes
    commands = [line for line in text.splitlines() if not line.startswith("%")]
    assert "Sources disagree" in "\n".join(commands)
    columns = table.count(" & ", table.index(r"\toprule"), table.index(r"\midrule")) + 1
    for line in table.splitlines():
        assert not line.endswith(r" \\") or line.count(" & ") + 1 == columns


def test_csv_names_the_board_of_every_row_and_repeats_none() -> None:
    found = boards([], published=True)
    lines = list(csv.DictReader(io.StringIO(render([*overview(found), *found], "csv"))))
    assert len(lines) == sum(len(board.rows) for board in found)
    assert {line["board"] for line in lines} == {board.title for board in found}


def test_the_overview_leaves_out_dual_softmax_and_charts_and_keeps_sources() -> None:
    (board,) = overview(boards([], published=True))
    names = [row.model for row in board.rows]
    assert "TVTSv2 ViT-B/32" in names and not [name for name in names if "†" in name]
    assert "BT-Adapter ViT-L/14" not in names and len(names) == len(set(names))
    row = next(row for row in board.rows if row.model == "CLIP ViT-B/32")
    assert row.values["msrvtt R@1"] == 30.6 and row.values["lsmdc R@1"] == 13.6
    assert row.remark == "TVTSv2 repository, Table 2"  # said once for two tasks
    both = overview(boards([result("a", 1, 2, "msrvtt/toy")], published=True))
    assert [one.protocol for one in both] == ["toy", "published"]  # what was measured comes first


@pytest.mark.parametrize(
    "rows",
    ["[{name: a}]", "[{name: a, metrics: {Vb@1: 1}}]", "[{name: a, metrics: {Vb@1: x, CIDEr: 1}}]",
     "[{name: a, metrics: {Vb@1: 1, CIDEr: 1}, sett: {}}]", "3"],
)  # fmt: skip
def test_a_faulty_grid_names_its_file(tmp_path: Path, rows: str) -> None:
    file = tmp_path / "ablations.yaml"
    file.write_text(
        f"g: {{title: t, task: t, first: f, source: s, table: t, split: s, rows: {rows}}}"
    )
    with pytest.raises(DataError, match=r"ablations\.yaml: not what it should hold"):
        grids(file)


def test_ranks_need_two_and_equals_share_them() -> None:
    rows = ranked(
        [Row("a", "measured", {"R@1": 1, "MdR": 3, "only": 1, "?": 2}),
         Row("b", "measured", {"R@1": 2, "MdR": 3}), Row("c", "measured", {"R@1": 2, "MdR": 4})],
        {"R@1": True, "MdR": False, "only": True},
    )  # fmt: skip
    assert [row.best for row in rows] == [("MdR",), ("R@1", "MdR"), ("R@1",)]
    assert [row.second for row in rows] == [("R@1",), (), ("MdR",)]


def test_what_no_model_can_exceed_stands_below_the_baseline() -> None:
    (board,) = boards([{**result("one", 20, 9), "ceiling": {"R@1": 98.7654}}, result("two", 10, 9)])
    assert [row.model for row in board.rows[:4]] == ["one", "two", "(chance)", "(ceiling)"]
    row = board.rows[3]
    assert row.kind == "ceiling" and not row.best and not row.second and not row.tied
    assert "| (ceiling)" in render([board], "md") and "98.8" in render([board], "md")
    assert not any(row.kind == "ceiling" for one in overview([board]) for row in one.rows)
    with pytest.raises(ValueError, match="ceiling of no known metric"):
        of_json({**result("one", 20, 9), "ceiling": {"R@2": 1.0}})
