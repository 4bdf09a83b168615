"""Hostile words and names in every kind of output."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.main import cli
from bench.report.boards import boards
from bench.report.frames import markdown_cell
from bench.report.text import render
from bench.results.document import of_json
from tests.faults.readers import document

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\u009b31m\x08"
MARKUP = "<img src=x>|[a](javascript:b)`c`**d**~~e~~$f$\n# g"


def test_nothing_of_a_name_moves_the_cursor() -> None:
    hostile = {**document(), "model": {"name": f"m{ESCAPES}", "fingerprint": "g"}}
    hostile["warnings"] = [f"w{ESCAPES}"]
    for format_ in ("md", "latex", "rich"):
        text = render(boards([of_json(hostile)]), format_)
        assert not set(ESCAPES) & set(text) - set("[]20;owned31mJ")


def test_errors_and_prompts_are_printable(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["run", "--task", "msrvtt", "--model", f"x{ESCAPES}y"])
    assert done.exit_code == 2
    assert not {"\x1b", "\x07", "\u202e", "\u009b", "\x08"} & set(done.output)


def test_no_cell_of_a_csv_is_a_formula() -> None:
    for start in "=+-@":
        name = f'{start}HYPERLINK("http://x","y")'
        hostile = {**document(), "model": {"name": name, "fingerprint": "g"}}
        (row, _) = csv.DictReader(io.StringIO(render(boards([of_json(hostile)]), "csv")))
        assert row["model"] == f"'{name}"


def test_nothing_in_markdown_is_markup() -> None:
    cell = markdown_cell(MARKUP)
    assert "<" not in cell and "\n" not in cell
    for character in "|[]`*~$":
        assert cell.count(character) == cell.count(f"\\{character}") > 0


@pytest.mark.parametrize("task", ["../../x", "a/b", "", ".", "a" * 100, "x\n"])
def test_a_results_task_names_no_path(tmp_path: Path, task: str) -> None:
    import json

    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "m.json").write_text(json.dumps({**document(), "task": task}))
    command = ["report", "--results", str(tmp_path / "r"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 1 and "task" in done.output
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == ["cache", "r"]
        or not (tmp_path / "out").exists()
    )


def test_a_report_writes_where_it_is_asked_and_nowhere_else(tmp_path: Path) -> None:
    import json

    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "m.json").write_text(json.dumps(document()))
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    for extra in ([], ["--format", "csv"], ["--format", "json"]):
        assert CliRunner().invoke(cli, ["report", "--results", "r", *extra]).exit_code == 0
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before
    done = CliRunner().invoke(cli, ["report", "--results", "r", "--output", "out"])
    assert done.exit_code == 0, done.output
    new = {p for p in tmp_path.rglob("*") if "cache" not in p.parts} - before
    assert new == {tmp_path / "out", tmp_path / "out" / "msrvtt.md"}
