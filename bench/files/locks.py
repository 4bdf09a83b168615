"""Who makes what: advisory locks, so that runs at the same time do not repeat each other's work.

The kernel holds them and lets go when their process ends, however it ends: a dead one blocks none.
Where a file system knows no locks, or one cannot write there, work is merely done twice: writes are
atomic, and both write the same.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".lock-"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Be the only one that makes `path`, among processes and threads.

    Another holder is waited for, and `waiting` is called first. Look then whether it has made
    `path` already.
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
        handle = os.open(lock, os.O_RDWR)
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
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                    waiting = None
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(lock, handle):
                return handle
            os.close(handle)  # its last holder has removed it
    except OSError:
        if handle is not None:
            with suppress(OSError):
                os.close(handle)
        return None


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False
