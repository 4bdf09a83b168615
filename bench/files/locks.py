"""Who makes what: advisory locks, so that runs at the same time do not repeat each other's work.

The kernel holds them and lets go when their process ends, however it ends: a dead one blocks none.
Where a file system knows no locks, or one cannot write there, work is merely done twice: writes are
atomic, and both write the same.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import printable

PREFIX = ".lock-"
PATIENCE = 5.0  # seconds of waiting before a line says so
_HOW = os.O_RDWR | os.O_NOFOLLOW  # a link would have a file made or locked wherever it points


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Be the only one that makes `path`, among processes and threads.

    Another holder is waited for, and `waiting` is called first; without it a line on standard error
    names path and holder after `PATIENCE` seconds. Look then whether it has made `path` already.
    """
    lock = path.with_name(PREFIX + path.name)
    handle = _take(lock, waiting)
    try:
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                lock.unlink()  # before it is let go: who waits for it sees that it is no file now
            os.close(handle)


def clear(lock: Path) -> None:
    """Remove the file that a dead holder left; one that is held stays."""
    with suppress(OSError):
        handle = os.open(lock, _HOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.unlink()
        finally:
            os.close(handle)


def _take(lock: Path, waiting: Callable[[], None] | None) -> int | None:
    """The lock's open file; None where there can be none."""
    handle = None
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(lock, _HOW | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with _announced(lock, handle, waiting):
                    fcntl.flock(handle, fcntl.LOCK_EX)
                waiting = None
            if _is_at(lock, handle):
                return handle
            os.close(handle)  # its last holder has removed it
    except OSError:
        if handle is not None:
            with suppress(OSError):
                os.close(handle)
        return None


@contextmanager
def _announced(lock: Path, handle: int, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Say that one waits: by `waiting` now, or by a line of ours after a while."""
    if waiting is not None:
        waiting()
        yield
        return
    timer = threading.Timer(PATIENCE, _say, (lock, handle))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(lock: Path, handle: int) -> None:
    holder = _holder(handle)
    if holder == str(os.getpid()):  # another thread of this process, at the same work
        return
    who = f"process {holder}" if holder else "another process"
    path = lock.with_name(lock.name.removeprefix(PREFIX))
    print(printable(f"waiting for {path}: {who} has locked {lock}"), file=sys.stderr)


def _holder(handle: int) -> str:
    """The number of the process that has locked an open file; empty where none tells."""
    with suppress(OSError):  # only Linux has the list, and only of this machine's processes
        inode = f":{os.fstat(handle).st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, _, _, process, place, *_ = line.split()
            if kind == "FLOCK" and place.endswith(inode):  # one that waits has an arrow there
                return process
    return ""


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False
