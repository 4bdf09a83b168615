"""Hostile words and names in every kind of output."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from bench.cli.main import cli
from bench.report.boards import boards
from bench.report.frames import markdown_cell
from bench.report.text import render
from bench.results.document import Value, of_json
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


FORMULA = '=HYPERLINK("http://x","y")'
NAMES = (f"a{ESCAPES}", "a[/]b [red]c", FORMULA, "@SUM(1)", "\t=1+1", "\uff0d1+1", "<b>|`c`|\x7f")


def named(task: str = "of-another-package") -> dict[str, Any]:
    """A result whose metrics are called as a hostile task calls them."""
    data = document()
    value, reading = data["metrics"]["R@1"], data["metric_info"]["R@1"]
    data |= {"task": task, "metrics": dict.fromkeys(NAMES, value), "primary": NAMES[0],
             "metric_info": dict.fromkeys(NAMES, reading),
             "chance": dict.fromkeys(NAMES, 1.0)}  # fmt: skip
    data["source"]["name"] = data["model"]["name"] = f"m{ESCAPES}"
    return data


@pytest.mark.parametrize("format_", ["md", "latex", "rich", "csv", "json"])
def test_nothing_of_a_metrics_name_moves_the_cursor(format_: str) -> None:
    two = [of_json(named()), of_json({**named(), "model": {"name": f"n{ESCAPES}"}})]
    better = dict.fromkeys(NAMES, Value(60.0, 50.0, 70.0))
    text = render(boards([two[0], replace(two[1], metrics=better)]), format_)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "[red]" in text or "{[}red]" in text or r"\[red\]" in text


def test_no_metrics_name_is_a_formula() -> None:
    better = dict.fromkeys(NAMES[2:], Value(60.0, 50.0, 70.0))
    two = [of_json(named()), replace(of_json(named()), metrics=better, primary=FORMULA)]
    for row in csv.reader(io.StringIO(render(boards(two), "csv"))):
        assert not [cell for cell in row if cell.startswith(tuple("=+-@\t\r\uff0d"))]
        assert all(cell.isprintable() for cell in row)


def test_what_verify_and_compare_print_is_printable(tmp_path: Path) -> None:
    from bench.cli.compare import _table
    from bench.results.paired import Comparison, Difference

    one = of_json({**named(), "kind": "verbs"})
    numbers = (1.0, 2.0, 1.0, 0.5, 1.5, 0.01, 0.02, 1.4)
    rows = [Difference(name, *numbers, "second") for name in NAMES]
    text = _table(Comparison(([one], [one]), rows, 2, common=True))
    assert all(c.isprintable() or c == "\n" for c in text) and "a[/]b [red]c" in text
    path = tmp_path / f"m{ESCAPES}.json"
    path.write_text(json.dumps(named()))
    done = CliRunner().invoke(cli, ["verify", str(path)])
    assert "not computed again; stale: no prediction lines" in done.output
    assert all(c.isprintable() or c == "\n" for c in done.output)


def test_nothing_in_markdown_is_markup() -> None:
    cell = markdown_cell(MARKUP)
    assert "<" not in cell and "\n" not in cell
    for character in "|[]`*~$":
        assert cell.count(character) == cell.count(f"\\{character}") > 0


@pytest.mark.parametrize("task", ["../../x", "a/b", "", ".", "a" * 100, "x\n"])
def test_a_results_task_names_no_path(tmp_path: Path, task: str) -> None:
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
