"""The temporary files that killed writers leave: known by their exact names, and removed.

Nothing else is ours. A folder that merely holds what a user had us write there is never searched
for more than the leftovers of that same file; a store, which is wholly ours, is.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from bench.files import locks

# Machine, process, when it began, what it wrote (beside an output only), and random characters.
_FORM = re.compile(
    r"\.tmp-(?P<machine>[0-9a-f]{12})-(?P<pid>[1-9][0-9]{0,8})-(?P<began>[0-9]*)-"
    r"(?:(?P<mark>[0-9a-f]{8})_)?[A-Za-z0-9_]+"
)
OLD = "-old"  # ends the name of a folder while another takes its place
_DAY = 86_400


def prefix(target: str = "") -> str:
    """What this process's temporary names begin with, those for `target` (a file's name) or any."""
    mark = f"{_mark(target)}_" if target else ""
    return f".tmp-{_owner(os.getpid())}-{mark}"


def sweep(folder: Path) -> None:
    """Remove what dead processes left in `folder`, a store of ours, once a process.

    What is of another machine or container may be in use until nothing in it has changed for a day.
    """
    _sweep(folder.absolute())


@cache
def _sweep(folder: Path) -> None:
    for path in _abandoned(folder):
        _remove(path)
    with suppress(OSError):
        for path in folder.glob(f"{locks.PREFIX}*"):
            name = path.name.removeprefix(locks.PREFIX)
            if re.fullmatch("[0-9a-f]{32}", name) or (folder / name).is_file():
                locks.clear(path)


def clear(target: Path) -> None:
    """Remove what dead processes left of writing `target`, and nothing else beside it.

    Their folders without anything in them go too: those of a kill right before or after the writing
    of a file that may never be written again.
    """
    for path in _abandoned(target.parent.absolute()):
        found = _FORM.fullmatch(path.name)
        if found and found["mark"] == _mark(target.name):
            _remove(path)
        else:
            with suppress(OSError):
                path.rmdir()


@cache
def _abandoned(folder: Path) -> tuple[Path, ...]:
    """The temporary files of dead processes, looked for once: a folder may hold many others."""
    with suppress(OSError):
        return tuple(path for path in folder.glob(".tmp-*") if _is_abandoned(path))
    return ()


def _is_abandoned(path: Path) -> bool:
    found = _FORM.fullmatch(path.name)
    if found is None or path.is_symlink():  # none is ours
        return False
    if found["machine"] != _machine():
        # A folder's own date does not change with what is written to the files in it.
        newest = max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
        return time.time() - newest > _DAY
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process: theirs to remove
        return False
    return _began(int(found["pid"])) != found["began"]  # a dead process's number may be reused


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            _restore(path)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _restore(temporary: Path) -> None:
    """End the replacing of a folder whose writer was killed between its two renames.

    The new one is whole by then; the old one is there where the new one could not be renamed.
    """
    for old in temporary.glob(f"*{OLD}"):
        name = old.name.removesuffix(OLD)
        target = temporary.with_name(name)
        if f"-{_mark(name)}_" in temporary.name and not os.path.lexists(target):
            new = temporary / name
            (new if new.exists() else old).rename(target)


def _mark(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


@cache  # a store writes many files
def _owner(pid: int) -> str:
    return f"{_machine()}-{pid}-{_began(pid)}"


@cache
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
