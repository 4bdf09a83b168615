"""Progress says what is done and what is waited for, on a terminal and in a log file."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from adapters import weights
from bench import distributed, progress
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Task
from bench.engine import evaluate
from bench.progress import Bar, waiting
from tests.guess import Guess


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that open bars get: stages, waits and warnings."""
    seen: list[str] = []
    monkeypatch.setattr(progress, "printable", lambda text: seen.append(text) or text)
    return seen


def screen(bar: Bar, width: int = 60) -> list[str]:
    """What a terminal of so many columns shows of the bar now."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    bar._live = SimpleNamespace(console=console, refresh=lambda: None)
    with console.capture() as shown:
        console.print(bar.shown())
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.get()).splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


# --- on a terminal -------------------------------------------------------------------------------


def test_a_stage_has_its_numbers_and_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Bar()
    assert screen(bar) == []
    bar.start("msrvtt: frames", 24)
    with bar_open(bar), waiting("loading clip-l14"):
        assert screen(bar) == ["msrvtt: frames " + "━" * 30 + " 0/24"]
        now[0] += 70
        with waiting("importing"):
            assert screen(bar)[1] == "  loading clip-l14, 70 s"  # the inner has only begun
            now[0] += 2
            assert screen(bar)[1] == "  importing, 2 s"
        assert screen(bar)[1] == "  loading clip-l14, 72 s"
    assert len(screen(bar)) == 1
    bar.advance(6)
    numbers = "6/24, 0.1/s, 3:36 left"
    assert screen(bar)[0].endswith(f" {numbers}") and "msrvtt: frames ━" in screen(bar)[0]
    for width in (60, 80, 120):
        assert numbers in screen(bar, width)[0]
    now[0] += 1
    bar.start("a" * 70, 2_000_000)
    bar.advance(1_000_000)
    now[0] += 10_000
    assert "1000000/2000000, 100/s, 2:46:40 left" in screen(bar)[0]  # the name gives way


@contextmanager
def bar_open(bar: Bar) -> Iterator[None]:
    """The bar as the open one, without a thread or a terminal."""
    progress._open.append(bar)
    try:
        yield
    finally:
        progress._open.remove(bar)


def test_a_long_wait_keeps_to_the_line() -> None:
    bar = Bar()
    bar.waits.append(("w" * 200, 0.0))
    assert len(screen(bar)) == 1


SCRIPT = """
import sys, time
from bench.progress import Bar, waiting
with Bar() as bar:
    bar.start("task: frames", 2)
    with waiting("loading a model"):
        time.sleep(0.9)
    bar.warn("a remark")
    bar.advance(2)
    bar.table("a  table\\n-  -----")
    print("printed", flush=True)
    bar.start("idle", 3)
    bar.start("task: texts", 5)
    bar.advance(1)
print("boards", flush=True)
"""


def test_on_a_terminal_what_is_done_stays_and_what_is_waited_for_goes(tmp_path: Path) -> None:
    """Standard output in a file is no terminal's: what is printed there comes there."""
    master, slave = pty.openpty()
    out = tmp_path / "out"
    with out.open("w") as file:
        done = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdout=file, stderr=slave,
            env={**os.environ, "COLUMNS": "60", "TERM": "xterm", "PYTHONPATH": str(Path.cwd())},
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert done.wait(30) == 0
    assert out.read_text() == "printed\nboards\n"
    text = shown.decode()
    assert "loading a model, 1 s" in text and "0/2" in text
    end = text[text.index("a remark") :]
    assert "task: frames: 2/2" in end and "a  table\r\n-  -----" in end
    assert "task: texts: 1/5" in end and end.count("task: frames: 2/2") == 1
    assert "loading a model" not in end[end.index("a  table") :] and "idle: 0/3" not in end


# --- in a log file -------------------------------------------------------------------------------


def test_a_log_has_a_line_of_what_lasts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOGGED", 0.05)
    with Bar() as bar:
        bar.start("one", 3)
        with waiting("loading a model"):
            time.sleep(0.3)
        with waiting("quick"):
            pass
        with waiting("loading a model"):  # once a stage is enough
            time.sleep(0.2)
        bar.start("two", 3)
        with waiting("loading a model"):
            time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["loading a model ..."] * 2


def test_a_log_has_the_numbers_of_a_long_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Bar()
    bar.start("frames", 30)
    for _ in range(30):
        now[0] += 1
        bar.advance()
    bar.start("texts", 1)
    bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "frames: 11/30, 1.0/s, 19 s left",
        "frames: 22/30, 1.0/s, 8 s left",
        "frames: 30/30, 1.0/s, 30 s",
    ]


def test_quiet_is_quiet_but_for_warnings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOGGED", 0.01)
    monkeypatch.setattr(progress, "LONG", -1.0)
    with Bar(quiet=True) as bar:
        bar.start("frames", 3)
        with waiting("loading"):
            time.sleep(0.1)
        bar.advance(3)
        bar.warn("odd")
    assert capsys.readouterr().err == "odd\n"


def test_waiting_without_a_bar_is_nothing_and_errors_pass() -> None:
    with waiting("x"):
        assert progress._open == []
    with pytest.raises(KeyError), Bar() as bar, waiting("x"):
        raise KeyError
    assert progress._open == [] and bar.waits == []


def test_a_source_that_is_there_draws_nothing() -> None:
    bar, shown = Bar(), io.StringIO()
    bar._live = SimpleNamespace(console=Console(file=shown), refresh=lambda: None)
    bar.to(5, 5)
    assert bar._name == shown.getvalue() == ""
    bar.to(0, 5)
    assert bar._name == "drawing the toy world"
    bar.to(5, 5)
    bar.to(5, 5)
    assert bar._name == "" and shown.getvalue() == "drawing the toy world: 5/5\n"


def test_a_table_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Bar().table("a  b\n-  -")
    assert capsys.readouterr().err == "a  b\n-  -\n"


# --- where one waits -----------------------------------------------------------------------------


def test_a_run_says_what_it_waits_for(said: list[str], task: Task, run: RunConfig) -> None:
    with Bar() as bar:
        evaluate(Guess("guess", 1), task, run, bar)
    for what in ("looking up what is kept", "loading guess", "decoding videos",
                 "encoding frames with guess", "encoding texts with guess",
                 "computing metrics and their intervals"):  # fmt: skip
        assert what in said, what
    stages = [what for what in said if what.startswith("msrvtt: ")]
    assert stages == ["msrvtt: frames", "msrvtt: texts"]  # none that never moves


def test_hashing_weights_and_other_processes_are_waited_for(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.distributed as dist

    (tmp_path / "w.pt").write_bytes(b"x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "barrier", lambda: None)
    with Bar():
        weights.file_hash(tmp_path / "w.pt", tmp_path)
        distributed.barrier()
        weights.file_hash(tmp_path / "w.pt", tmp_path)  # remembered
    assert said == ["hashing w.pt", "waiting for the other processes"]


def test_commands_say_what_they_wait_for(said: list[str], kept: Path, toy: Path) -> None:
    files = sorted(map(str, (kept / "results").rglob("*.json")))
    Path("bench.yaml").write_text(f"sources: {{toy0: {{msrvtt: {{root: {toy}}}}}}}\n")
    for arguments, what in (
        (("report", str(kept / "results")), "reading results and testing their differences"),
        (("report", str(kept / "results")), "computing again: guess-0 on msrvtt/toy"),
        (("compare", *files[:2]), "computing paired differences and their intervals"),
        (("data", "check", "msrvtt", "--source", str(toy)), "reading the files of msrvtt"),
        (("run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(toy), "--limit", "2",
          "--profile"), "looking for the weights of clip-tiny"),
    ):  # fmt: skip
        said.clear()
        shutil.rmtree("cache", ignore_errors=True)
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code in (0, 3) and what in said, (arguments, done.output, said)
    assert "reading the files of msrvtt" in said
    # The profile is a table, a line a stage, not a paragraph.
    assert re.search(r"^load model +[0-9.]+ +\d+ %  importing the framework", done.stderr, re.M)
    assert re.search(r"^stage +seconds +share *\n-+  -+  -+  -+\n", done.stderr, re.M)
