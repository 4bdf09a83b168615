"""Writing whole or not at all: nobody ever sees half a file or folder, or none where one was."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import BenchError, plain
from bench.files import leftovers


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or make a folder at; on success it takes `path`'s place.

    It lies in a temporary folder beside `path` that goes in every case; what killed writers of the
    same `path` left there is removed first. (A folder, for libraries write beside the path they are
    given.) A failure leaves `path` as it was. BenchError says what to do when the disk is full or
    not writable.
    """
    made: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        leftovers.clear(path)
        made = Path(tempfile.mkdtemp(prefix=leftovers.prefix(path.name), dir=path.parent))
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
    """Give `made` the name `path`; a folder cannot be renamed over one that is not empty."""
    umask = _umask()
    for each in (made, *made.rglob("*")):
        # Temporary files are made for their owner alone, which would hide a shared store.
        each.chmod((0o777 if each.is_dir() else 0o666) & ~umask)
    if not (made.is_dir() and os.path.lexists(path)):
        made.replace(path)
    elif not _exchanged(made, path):
        _replace_in_two(made, path)


def _exchanged(made: Path, path: Path) -> bool:
    """Whether the two have exchanged their names, in one step; only Linux's own disks can."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(made), here, os.fsencode(path), exchange) == 0)


def _replace_in_two(made: Path, path: Path) -> None:
    """Two renames; `leftovers` ends them for a writer that was killed in between."""
    old = made.with_name(path.name + leftovers.OLD)
    try:
        path.rename(old)
        made.rename(path)
    except BaseException:
        if not os.path.lexists(path):
            old.rename(path)
        raise


def write_bytes(path: Path, content: bytes, beside: Path) -> None:
    """Write a file atomically by way of one in `beside`, a store of ours; raises as `atomic_path`.

    For stores of many small files: making and removing a folder for each would cost far more than
    the file itself.
    """
    leftovers.sweep(beside)
    temporary = beside / f"{leftovers.prefix()}{secrets.token_hex(6)}"
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
        for part in path.parts[len(folder.parts) :]:
            with suppress(FileNotFoundError):
                (folder / part).lstat()  # raises where a name is too long
        if folder == path and not path.is_dir():
            folder = path.parent  # a file to be replaced
        tempfile.TemporaryFile(prefix=leftovers.prefix(path.name), dir=folder).close()
    except OSError as error:
        raise unwritable(path, error) from error


def check_replaceable(folder: Path, names: Collection[str]) -> None:
    """BenchError where a folder that is to take `folder`'s place would remove what is not ours.

    Ours are the files called one of `names`; a link is replaced, and its target is not touched.
    """
    foreign = [] if folder.is_symlink() or not folder.exists() else [folder.name]
    if foreign and folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in names)
    if foreign:
        raise BenchError(
            f"{folder}: would be replaced, and {foreign[0]} is no part of what is written there; "
            "move it away, or choose another folder with --output"
        )


def _umask() -> int:
    """The permissions that new files lack; changed for a moment only where nothing else tells."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE):
            return int(found[1], 8)
    umask = os.umask(0)
    os.umask(umask)
    return umask


REMEDIES = {
    errno.ENOSPC: "free space on its disk (frames/ and features/ of the cache can be made again)",
    errno.EDQUOT: "free some of your quota (frames/ and features/ of the cache can be made again)",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "make its folder writable for you",
    errno.EPERM: "make its folder writable for you",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "move away the file that is in the way",
    errno.EEXIST: "move away the file that is in the way",
    errno.EISDIR: "move away the folder that is in the way",
    errno.ENOTEMPTY: "move away the folder that is in the way",
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
