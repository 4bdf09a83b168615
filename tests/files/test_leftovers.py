"""What killed writers leave: ours goes, by its exact name; whatever else is called so stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.files import leftovers
from bench.files.atomic import atomic_path, check_writable, write_bytes, write_text
from bench.files.leftovers import sweep
from bench.files.tensor_store import TensorStore

from .conftest import started

WRITER = """
import sys, time
from pathlib import Path
from bench.files.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as made:
    made.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
# Killed at the instant between the two renames of a folder.
REPLACER = """
import os, signal, sys
from pathlib import Path
from bench.files import atomic
atomic._exchanged = lambda *_: False
rename = Path.rename
def once(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = once
print("begins", flush=True)
with atomic.atomic_path(Path(sys.argv[1])) as made:
    made.mkdir()
    (made / "new").touch()
"""
KEY = "0123456789abcdef" * 2


def forget() -> None:
    """Look as a process of its own would."""
    leftovers._abandoned.cache_clear()
    leftovers._sweep.cache_clear()


@pytest.fixture(autouse=True)
def first_use() -> None:
    forget()


def dead(target: str = "", machine: str = "") -> str:
    """The name of a temporary file of a process that has ended."""
    _, _, own, pid, _, last = f"-{leftovers.prefix(target)}".split("-")
    return f".tmp-{machine or own}-{pid}-1-{last}abc_1234"  # began at another time


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_live_writers_file_stays_and_a_dead_ones_goes(tmp_path: Path) -> None:
    process = started(WRITER, tmp_path / "one.txt", "writing")
    try:
        sweep(tmp_path)
        assert len(list(tmp_path.glob(".tmp-*/one.txt"))) == 1
    finally:
        process.kill()
    # Not waited for: a zombie writes no more, though its number still is a process's.
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    forget()
    write_text(tmp_path / "two.txt", "whole")
    assert len(names(tmp_path)) == 2  # that of another file is not looked for
    write_text(tmp_path / "one.txt", "whole")
    assert names(tmp_path) == ["one.txt", "two.txt"]
    process.communicate()


def test_a_process_number_given_again_is_no_owner(tmp_path: Path) -> None:
    (tmp_path / dead()).mkdir()
    (tmp_path / f"{leftovers.prefix()}x").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == [f"{leftovers.prefix()}x"]


def test_what_an_ended_process_left_goes(tmp_path: Path) -> None:
    """Its number is nobody's now."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".tmp-{leftovers._machine()}-{ended.pid}-1-x").mkdir()
    sweep(tmp_path)
    assert not names(tmp_path)


def test_another_machines_stay_while_anything_in_them_changes(tmp_path: Path) -> None:
    ours, elsewhere = dead(), dead(machine="0" * 12)
    for name in (ours, elsewhere, f"{elsewhere}old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
        long_ago = time.time() - 100_000
        if name != elsewhere:
            os.utime(tmp_path / name / "part", (long_ago, long_ago))
        os.utime(tmp_path / name, (long_ago, long_ago))
    sweep(tmp_path)
    assert names(tmp_path) == [elsewhere]


FOREIGN = (
    ".tmp-mybackup", ".tmp-draft.txt", ".tmp-", ".tmp-0123456789ab", ".tmp-0123456789ab-1-1-a b",
    ".tmp-0123456789AB-1-1-x", ".tmp-0123456789ab-x-1-x", ".tmp-0123456789ab-0-1-x",
    ".tmp-0123456789ab-9999999999-1-x", ".lock-otherprogram", ".lock-", f".lock-{KEY}0",
    f".lock-{KEY.upper()}", "tmp-x", ".tmp_x",
)  # fmt: skip


def test_foreign_files_stay_whatever_their_names_and_dates(tmp_path: Path) -> None:
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").touch()
        os.utime(tmp_path / name, (0, 0))
    for name in FOREIGN:
        (tmp_path / f"{name}~").touch()
    link = tmp_path / dead()
    link.symlink_to(tmp_path / ".tmp-~")
    before = names(tmp_path)
    TensorStore(tmp_path)  # even in a store of ours
    write_text(tmp_path / "page.html", "")
    assert names(tmp_path) == sorted([*before, "page.html"])
    assert (tmp_path / ".tmp-" / "thesis.tex").exists()


def test_beside_an_output_only_its_own_leftovers_go(tmp_path: Path) -> None:
    mine, others = dead("page.html"), [dead("other.html"), dead(), f".lock-{KEY}"]
    for name in (mine, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    (tmp_path / f"{others[0]}empty").mkdir()
    check_writable(tmp_path / "page.html")
    write_text(tmp_path / "page.html", "")
    assert names(tmp_path) == sorted([*others, "page.html"])


def test_a_store_clears_up_although_it_is_only_read(tmp_path: Path) -> None:
    (tmp_path / dead()).mkdir()
    (tmp_path / f".lock-{KEY}").touch()
    (tmp_path / "head").touch()
    (tmp_path / ".lock-head").touch()
    TensorStore(tmp_path)
    assert names(tmp_path) == ["head"]


def test_a_store_clears_up_where_it_writes(tmp_path: Path) -> None:
    (tmp_path / dead()).touch()
    write_bytes(tmp_path / "bb" / "bb2", b"whole", tmp_path)
    assert names(tmp_path) == ["bb"]


@pytest.mark.parametrize("name", ["model", "model-old"])
def test_a_kill_between_two_renames_loses_neither_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "old").touch()
    started(REPLACER, tmp_path / name, "begins").communicate()
    (left,) = tmp_path.iterdir()
    assert names(left) == sorted([name, f"{name}-old"])  # the instant of which this is
    with pytest.raises(KeyError), atomic_path(tmp_path / name):
        raise KeyError  # the next run, which makes nothing
    assert names(tmp_path) == [name] and names(tmp_path / name) == ["new"]


def test_half_a_folder_is_no_old_one(tmp_path: Path) -> None:
    """What was being written under a name that ends as that of one being replaced."""
    (tmp_path / dead("model-old") / "model-old").mkdir(parents=True)
    sweep(tmp_path)
    assert not names(tmp_path)
