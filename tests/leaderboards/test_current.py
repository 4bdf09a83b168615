"""The boards that are kept in the repository are what the kept results give."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

import leaderboards
from bench.cli import cli

HOME = Path(leaderboards.__file__).parent


def test_the_kept_boards_are_current(tmp_path: Path) -> None:
    arguments = ["report", "--results", str(HOME / "results"), "--published", "--format", "md"]
    done = CliRunner().invoke(cli, [*arguments, "--output", str(tmp_path / "boards")])
    assert done.exit_code == 0, done.output
    made = {path.name: path.read_text() for path in (tmp_path / "boards").iterdir()}
    kept = {path.name: path.read_text() for path in HOME.glob("*.md")}
    kept["ablations.md"] = (HOME.parent / "docs" / "ablation-tables.md").read_text()
    assert made == kept, "run `make boards` and look at what changed"


def test_the_kept_results_verify() -> None:
    done = CliRunner().invoke(cli, ["verify", str(HOME / "results")])
    assert done.exit_code == 0 and done.output.count("metrics equal") == 6
