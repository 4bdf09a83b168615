"""Tables for the terminal: no number is cut at any width, and no word."""

from __future__ import annotations

import re

import pytest

from bench.report.tables import Board, Row
from bench.report.text import LEGEND, render

from .test_boards import boards, result


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_terminal_of_any_width_cuts_no_number(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    warned = result("mine", 20, 9)
    warned["warnings"] = ["all features are nearly the same"]
    documents = [warned, result("x" * 70, 30, 8, answered=10)]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", render(boards(documents), "rich"))
    lines = shown.splitlines()
    assert all(len(line) <= width for line in lines if line.startswith(("│", "┃")))
    for number in ("20.0", "30.6", "64.3", "74.1"):
        assert number in shown
    assert "…" not in shown and ("[18.0, 22.0]" in shown) == (width >= 80)
    assert ("--format md" in shown) == (width < 120)
    # What qualifies a number is never left out to save room.
    assert "nearly the same" in " ".join(re.sub("[│\n]", " ", shown).split()) or width >= 120
    assert "10/1000 partial" in " ".join(shown.split())


def test_no_number_of_a_wide_board_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long names of columns, and an arrow behind a blank, are no reason for a table too wide."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    names = [f"CIDEr-{part}" for part in ("Vb", "Arg", "a-very-long-name", "x/y/z", "one two")]
    values = {name: 100.5 + place for place, name in enumerate(names)}
    bounds = {name: (value - 90, value + 90) for name, value in values.items()}
    row = Row("m" * 40, "measured", values, bounds, "w" * 60, tied=tuple(names))
    board = Board("t", "t", "p", names, [row], dict.fromkeys(names, False))
    told = set()
    for width in range(40, 220, 3):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = re.sub(r"\x1b\[[0-9;]*m", "", render([board], "rich"))
        table = [line for line in shown.splitlines() if line.startswith(("│", "┃"))]
        assert all(len(line) <= width and line.endswith(("│", "┃")) for line in table), width
        for value in values.values():
            assert f"{value:.1f}≈ │" in shown, width
        assert shown.count("↓ ┃") == len(names)  # each beside the last part of its name
        told.add(("coverage" in shown, "[10.5, 190.5]" in shown))
    assert told == {(False, False), (False, True), (True, True)}


def test_the_legend_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    warned = result("mine", 20, 9)
    warned["warnings"] = ["all features are nearly the same"]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", render(boards([warned]), "rich")).splitlines()
    legend = shown[next(n for n, line in enumerate(shown) if line.startswith("Best measured")) :]
    assert max(map(len, legend)) <= 50 and len(legend) > 5
    assert " ".join(line.strip() for line in legend) == LEGEND
    assert any("features are nearly" in line for line in shown)  # remarks are, too
