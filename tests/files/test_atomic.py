"""Writing whole or not at all: what killed writers leave, and what a failed write says."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.config import RunConfig
from bench.errors import BenchError, UsageError
from bench.files import atomic
from bench.files.atomic import atomic_path, sweep, unwritable, write_bytes, write_text
from bench.files.tensor_store import TensorStore
from bench.training.log import Log

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


@pytest.fixture(autouse=True)
def first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test sweeps as a process of its own would."""
    monkeypatch.setattr(atomic, "_swept", set())


def writing(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing `path`."""
    return started(WRITER, path, "writing")


def test_a_live_writers_file_stays_and_a_dead_ones_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = writing(tmp_path / "one.txt")
    try:
        write_text(tmp_path / "two.txt", "whole")
        assert len(list(tmp_path.glob(".tmp-*/one.txt"))) == 1
    finally:
        process.kill()
    # Not waited for: a zombie writes no more, though its number still is a process's.
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    monkeypatch.setattr(atomic, "_swept", set())
    write_text(tmp_path / "two.txt", "again")
    assert [path.name for path in tmp_path.iterdir()] == ["two.txt"]
    process.communicate()


def test_a_process_number_given_again_is_no_owner(tmp_path: Path) -> None:
    owner = atomic._owner().rpartition("-")[0]
    (tmp_path / f".tmp-{owner}-1-x").mkdir()  # began at another time
    (tmp_path / f".tmp-{atomic._owner()}-x").mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".tmp-{atomic._owner()}-x"]


def test_what_an_ended_process_left_goes(tmp_path: Path) -> None:
    """Its number is nobody's now."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".tmp-{atomic._machine()}-{ended.pid}-1-x").mkdir()
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_machines_and_unknown_names_are_left_a_day(tmp_path: Path) -> None:
    for name in (".tmp-elsewhere-1-1-x", ".tmp-odd"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}old").mkdir()
        os.utime(tmp_path / f"{name}old", (0, time.time() - 100_000))
    sweep(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".tmp-elsewhere-1-1-x", ".tmp-odd"]


def test_a_store_clears_up_although_it_is_only_read(tmp_path: Path) -> None:
    owner = atomic._owner().rpartition("-")[0]
    (tmp_path / f".tmp-{owner}-1-x").mkdir()
    (tmp_path / ".lock-key").touch()
    TensorStore(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_takes_anothers_place(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with atomic_path(tmp_path / "model") as made:
            made.mkdir()
            (made / text).write_text(text)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o777 & ~_umask()
    with pytest.raises(KeyError), atomic_path(tmp_path / "model") as made:
        made.mkdir()
        raise KeyError
    assert (tmp_path / "model" / "new").is_file()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space left on device; free space on its disk"),
        (errno.EDQUOT, "quota exceeded; free some of your quota"),
        (errno.EFBIG, "File too large; raise the limit"),
        (errno.EROFS, "Read-only file system; mount it for writing"),
        (errno.EACCES, "Permission denied; make its folder writable"),
        (errno.ENOTDIR, "Not a directory; move away the file"),
        (errno.EIO, "see that its disk is in order"),
    ],
)
def test_every_failure_says_path_and_remedy(tmp_path: Path, number: int, says: str) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(BenchError, match=f"cannot write {path}: .*{says}"), atomic_path(path):
        raise OSError(number, os.strerror(number))
    # As safetensors says it, which has no OSError:
    text = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
    assert says in str(unwritable(path, RuntimeError(text)))
    with pytest.raises(BenchError, match=says), atomic_path(path):
        raise RuntimeError(text)
    assert not list(tmp_path.iterdir())


def test_a_log_drops_a_cut_line_and_names_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"kind": "step", "step": 1}\n{"kind": "st')
    log = Log(tmp_path, None, {})
    log.write("step", 2, {})
    log.close()
    lines = (tmp_path / "log.jsonl").read_text()
    assert lines == '{"kind": "step", "step": 1}\n{"kind": "step", "step": 2}\n'
    full = r"/log.jsonl: No space left on device; free"
    with (
        Path("/dev/full").open("wb", buffering=0) as log._file,
        pytest.raises(BenchError, match=full),
    ):
        log.write("step", 3, {})


def test_without_a_home_no_folder_of_that_name_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # for a user without an entry
    with pytest.raises(UsageError, match=r"set run\.cache"):
        _ = RunConfig().cache_folder


def test_a_stores_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "store")
    store.put("aa1", {"x": np.zeros(3, np.float32)}, {"n": 1})
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["aa1.safetensors"]
    assert store.path("aa1").stat().st_mode & 0o777 == 0o666 & ~umask()
    (store.root / f".tmp-{'-'.join(atomic._owner().split('-')[:2])}-1-file").touch()  # a dead one's
    atomic._swept.clear()
    write_bytes(store.root / "bb" / "bb2", b"whole", store.root)
    assert sorted(path.name for path in store.root.iterdir()) == ["aa", "bb"]
    with pytest.raises(BenchError, match=r"cannot write .*move away the file"):
        write_bytes(store.path("aa1") / "below", b"", store.root)
    assert not list(store.root.glob(".tmp-*"))


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
