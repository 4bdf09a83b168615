"""Standard output of any encoding: characters that it lacks never end a command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bench.cli import streams
from bench.report.tables import Board
from bench.report.text import render

TEXT = "R@1 ↑ MdR ↓ ≈ † ± … ┏━┳┃ é 你 \udce9 plain"


@pytest.mark.parametrize(
    ("encoding", "lacks", "has"),
    [
        ("ascii", "↑↓≈†±…é你", "R@1 ^ MdR v ~ + +- ... +-+| \\xe9 \\u4f60 \\udce9 plain"),
        ("cp1252", "↑↓≈你", "R@1 ^ MdR v ~ † ± … +-+| é \\u4f60 \\udce9 plain"),
        ("latin-1", "↑↓≈†…你", "R@1 ^ MdR v ~ + ± ... +-+| é \\u4f60 \\udce9 plain"),
        ("iso8859-15", "↑↓≈†…你", "R@1 ^ MdR v ~ + ± ... +-+| é \\u4f60 \\udce9 plain"),
        ("cp437", "↑↓†…你", "R@1 ^ MdR v ≈ + ± ... +-+| é \\u4f60 \\udce9 plain"),
        ("utf-8", "\udce9", TEXT.replace("\udce9", "\\udce9")),
    ],
)
def test_what_a_stream_lacks_is_written_plainly(
    monkeypatch: pytest.MonkeyPatch, encoding: str, lacks: str, has: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    streams.plain_streams()
    click.echo(TEXT)
    written = raw.getvalue().decode(encoding)
    assert written.strip() == has and not set(lacks) & set(written)


def test_a_handler_that_the_user_names_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "latin-1", "xmlcharrefreplace"))
    streams.plain_streams()
    click.echo("≈")
    assert raw.getvalue().strip() == b"&#8776;"


@pytest.mark.parametrize(
    ("encoding", "form"), [("ascii", "json"), ("cp1252", "rich"), ("cp437", "md")]
)
def test_boards_and_json_reach_any_stream(kept: Path, encoding: str, form: str) -> None:
    """In a process, as the console script starts it."""
    command = [sys.executable, "-m", "bench", "report", "--results", str(kept / "results")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*command, "--format", form], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    if form == "json":
        assert json.loads(text)[0]["title"]
    else:
        assert "R@1 ^" in text and "MdR v" in text


def test_boards_as_json_are_ascii() -> None:
    """An escape of ours would be no JSON."""
    text = render([Board("†, é, 你", "task", "protocol", [], [])], "json")
    assert text.isascii() and json.loads(text)[0]["title"] == "†, é, 你"
