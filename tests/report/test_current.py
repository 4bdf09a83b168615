"""The boards that are kept in the repository are what the kept results give."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

import leaderboards
from bench.cli.main import cli
from bench.report.boards import provenance_id
from bench.report.page import FILES
from bench.results.document import to_json
from bench.results.files import load_all

HOME = Path(leaderboards.__file__).parent


def test_the_kept_boards_are_current(tmp_path: Path) -> None:
    arguments = ["report", "--results", str(HOME / "results"), "--published", "--format", "md"]
    done = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "boards")])
    assert done.exit_code == 0, done.output
    made = {path.name: path.read_text() for path in (tmp_path / "boards").iterdir()}
    kept = {path.name: path.read_text() for path in HOME.glob("*.md")}
    kept["ablations.md"] = (HOME.parent / "docs" / "ablation-tables.md").read_text()
    assert made == kept, "run `make boards` and look at what changed"


def test_the_kept_page_is_of_the_kept_results() -> None:
    """Its numbers change only with the results; the rest of it is tested in a browser."""
    page = (HOME.parent / "docs" / "report.html").read_text()
    kept = re.search('id="provenance">(.*?)</script>', page, re.S)
    assert kept
    shown = json.loads(kept[1])
    for document in load_all(HOME / "results"):
        assert shown[provenance_id(document)] == to_json(document), "run `make boards`"
    for name in ("style.css", "script.js"):
        assert (FILES / name).read_text() in page, "run `make boards`"


def test_the_kept_results_verify() -> None:
    done = CliRunner().invoke(cli, ["verify", str(HOME / "results")])
    assert done.exit_code == 0 and done.output.count("metrics equal") == 15
