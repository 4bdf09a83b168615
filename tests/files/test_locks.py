"""Locks among processes and threads: one at a time, and none for the dead."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

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
        threading.Thread(target=lambda: TensorStore(tmp_path).kept("ab12", make)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1] and TensorStore(tmp_path).kept("ab12", make)["x"].tolist() == [0, 1, 2]
