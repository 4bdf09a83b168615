"""Writing whole or not at all, and clearing up after writers that were killed."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from bench.errors import BenchError, plain
from bench.files import locks

PREFIX = ".tmp-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or make a folder at; on success it takes `path`'s place.

    It lies in a temporary folder beside `path` that goes in every case; what a killed writer left
    there is removed first. (A folder, for libraries write beside the path they are given.) A
    failure leaves `path` as it was. BenchError says what to do when the disk is full or not
    writable.
    """
    made: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_owner()}-", dir=path.parent))
        yield made / path.name
        _put(made / path.name, path)
    except Exception as error:
        if isinstance(error, OSError) or _errno(error):
            raise unwritable(path, error) from error
        raise
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, path: Path) -> None:
    """Rename `made` to `path`; a folder cannot be renamed over one that is not empty."""
    for each in (made, *made.rglob("*")):
        make_readable(each)
    if not (made.is_dir() and path.exists()):
        made.replace(path)
        return
    old = made.with_name(f"{path.name}-old")
    path.rename(old)
    try:
        made.rename(path)
    except OSError:
        old.rename(path)
        raise


def write_bytes(path: Path, content: bytes, beside: Path) -> None:
    """Write a file atomically by way of one in `beside`; raises as `atomic_path`.

    For stores of many small files: making and removing a folder for each would cost far more than
    the file itself.
    """
    sweep(beside)
    temporary = beside / f"{PREFIX}{_owner()}-{secrets.token_hex(6)}"
    try:
        try:
            _create(temporary, content)
            temporary.replace(path)
        except FileNotFoundError:  # a folder's first file
            path.parent.mkdir(parents=True, exist_ok=True)
            _create(temporary, content)
            temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def _create(path: Path, content: bytes) -> None:
    """A new file with the permissions that the user's umask gives."""
    with path.open("wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:  # a raw file may take less than it is given
            rest = rest[file.write(rest) :]


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: Path) -> None:
    """BenchError, before any work, where no file or folder could be made at `path`."""
    folder = path
    try:
        while not folder.exists():
            folder = folder.parent
        if folder == path and not path.is_dir():
            folder = path.parent  # a file to be replaced
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{_owner()}-", dir=folder):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def make_readable(path: Path) -> None:
    """The permissions that a new file or folder has by the user's umask.

    Temporary files are made for their owner alone, which would hide a shared store from others.
    """
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


REMEDIES = {
    errno.ENOSPC: "free space on its disk (frames/ and features/ of the cache can be made again)",
    errno.EDQUOT: "free some of your quota (frames/ and features/ of the cache can be made again)",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "make its folder writable for you",
    errno.EPERM: "make its folder writable for you",
    errno.ENOTDIR: "move away the file that is in the way",
    errno.EEXIST: "move away the file that is in the way",
}


def unwritable(path: Path | str, error: Exception) -> BenchError:
    """The error to raise where `path` could not be written: why, and what helps."""
    number = _errno(error)
    why = os.strerror(number) if number else plain(error)
    return BenchError(
        f"cannot write {path}: {why}; {_remedy(number)}, or choose another folder (--output, or "
        "run.cache and run.output in bench.yaml)"
    )


def _remedy(number: int) -> str:
    return REMEDIES.get(number, "see that its disk is in order")


def _errno(error: Exception) -> int:
    """The system's number of an error, 0 without; safetensors only has it in its text."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0


# --- what killed writers leave --------------------------------------------------------------------

_swept: set[Path] = set()


def sweep(folder: Path) -> None:
    """Remove the temporary folders and locks of dead processes from `folder`, once a process.

    Those of another machine or container may be alive and go when they are a day old.
    """
    folder = folder.absolute()
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(locks.PREFIX):
                locks.clear(path)
            elif path.name.startswith(PREFIX) and _is_abandoned(path):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    machine, pid, began = [*path.name.removeprefix(PREFIX).split("-"), "", ""][:3]
    if machine != _machine():
        return time.time() - path.stat().st_mtime > 86_400
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process: theirs to remove
        return False
    return _began(int(pid)) != began  # the number of a dead process may be given again


def _owner() -> str:
    return _owner_of(os.getpid())


@lru_cache
def _owner_of(pid: int) -> str:
    return f"{_machine()}-{pid}-{_began(pid)}"


@lru_cache
def _machine() -> str:
    """What process numbers are of: this host since its start, or this container."""
    parts = [platform.node()]
    with suppress(OSError):  # only Linux has these
        boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
        parts += [boot.read_text(), str(space.readlink())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where none tells, or for a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
