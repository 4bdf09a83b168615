"""Locks among processes and threads: one at a time, and none for the dead."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bench.files import locks
from bench.files.locks import clear, locked
from bench.files.tensor_store import TensorStore

from .conftest import started

HOLDER = """
import sys, time
from pathlib import Path
from bench.files.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
READER = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of `path`."""
    return started(HOLDER, path, "held")


def test_another_process_is_waited_for_until_it_dies(tmp_path: Path) -> None:
    process = holder(tmp_path / "x")
    clear(tmp_path / ".lock-x")
    assert (tmp_path / ".lock-x").exists()  # a held lock is not cleared
    said: list[str] = []

    def waiting() -> None:
        said.append("waits")
        process.kill()

    with locked(tmp_path / "x", waiting):
        assert said == ["waits"]
    assert not list(tmp_path.iterdir())
    process.communicate()


def test_a_silent_wait_says_for_what_and_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One may lock a file that one can only read, so the holder is the kernel's to name."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    lock = tmp_path / ".lock-x"
    lock.touch()
    process = started(READER, lock, "held")
    threading.Timer(0.6, process.kill).start()
    with locked(tmp_path / "x"):
        said = capsys.readouterr().err
    assert said == f"waiting for {tmp_path}/x: process {process.pid} has locked {lock}\n"
    process.communicate()


def test_a_short_wait_and_one_for_a_thread_of_its_own_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = holder(tmp_path / "x")
    threading.Timer(0.1, process.kill).start()
    with locked(tmp_path / "x"):
        pass
    process.communicate()
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    with locked(tmp_path / "x"):
        thread = threading.Thread(target=lambda: locked(tmp_path / "x").__enter__())
        thread.start()
        time.sleep(0.2)
    thread.join()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("target", ["file", "absent"])
def test_a_lock_follows_no_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("theirs")
    lock = tmp_path / ".lock-x"
    lock.symlink_to(tmp_path / target)
    with locked(tmp_path / "x"):
        assert not (tmp_path / "absent").exists()
    clear(lock)
    assert lock.is_symlink() and (tmp_path / "file").read_text() == "theirs"


def test_threads_and_takers_of_a_removed_lock_exclude_each_other(tmp_path: Path) -> None:
    inside, most, turns = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, turns
        for _ in range(50):
            with locked(tmp_path / "x"):
                inside += 1
                most = max(most, inside)
                turns += 1
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == (1, 400) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["no locks there", "a file in the way"])
def test_without_locks_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = tmp_path / "x"
    if fault == "a file in the way":
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "x"
    else:

        def refuse(*_: object) -> None:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr("fcntl.flock", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with locked(path):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_store_makes_a_key_once(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"x": np.arange(3)}

    threads = [
        threading.Thread(target=lambda: TensorStore(tmp_path).kept("ab12", make, bool))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1] and TensorStore(tmp_path).kept("ab12", make, bool)["x"].tolist() == [0, 1, 2]
