"""Files from anywhere, read with one set of rules: regular, bounded, UTF-8, and unambiguous.

Nothing that is read is trusted. Every refusal is a DataError of one line that names file and fault.
"""

from __future__ import annotations

import json
import reprlib
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from bench.errors import BenchError, DataError, plain

LARGEST = 2 << 30  # bytes of any one text; the largest annotation file known is a twentieth of it
# What code written for well-formed data raises on data that are not.
MISFITS = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError,
)  # fmt: skip


def read_bytes(path: Path, remedy: str = "check the file", largest: int = LARGEST) -> bytes:
    """A regular file's content. DataError for anything else, such as a pipe or a folder."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{path}: a folder, not a file; name the file in it")
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file; {remedy}")
        if status.st_size > largest:
            raise DataError(f"{path}: {status.st_size} bytes, at most {largest} are read; {remedy}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {remedy}") from error
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read; check its permissions") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path}: cannot be read ({plain(error)}); {remedy}") from error


def read_text(path: Path, remedy: str = "check the file", largest: int = LARGEST) -> str:
    """A text file as UTF-8 with or without a byte order mark. DataError names what is wrong."""
    return text_of(read_bytes(path, remedy, largest), path)


def text_of(content: bytes, path: Path) -> str:
    """The text of a file's content; raises as `read_text`."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: UTF-16, not UTF-8; convert the file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: not UTF-8; convert the file") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}:{line}: a NUL byte; this is not a text file")
    return text


def read_json(path: Path, remedy: str = "check the file", largest: int = LARGEST) -> Any:
    """A JSON file's value. DataError where it is none, or where two readers could differ about it.

    So a key given twice, NaN, Infinity and half a Unicode pair are refused.
    """
    return parse_json(read_text(path, remedy, largest), path, remedy)


def parse_json(text: str, where: Any, remedy: str, nan: bool = False) -> Any:
    """The value of a JSON text; raises as `read_json`, but takes NaN and Infinity with `nan`."""
    constant = float if nan else _refuse
    with _readable(where, remedy):
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=constant)
        if "\\ud" in text.lower():  # only an escape can smuggle in what no file can hold
            json.dumps(value, ensure_ascii=False).encode()
        return value


def parse_lenient_json(text: str, where: Any, remedy: str) -> Any:
    """As `parse_json`, of a file of which not everything is read: whoever reads a part checks it.

    NaN and Infinity are numbers, strings may hold half a Unicode pair, and an object with a key
    given twice is `Ambiguous`.
    """
    with _readable(where, remedy):
        return json.loads(text, object_pairs_hook=_perhaps_ambiguous)


class Ambiguous(dict[str, Any]):
    """A JSON object whose keys `twice` are given twice, so that two readers could differ."""

    twice: frozenset[str] = frozenset()


def _perhaps_ambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    ambiguous = Ambiguous(found)
    ambiguous.twice = frozenset(name for name, count in counts.items() if count > 1)
    return ambiguous


@contextmanager
def _readable(where: Any, remedy: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not readable as JSON ({plain(error)}); {remedy}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} is given twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


@contextmanager
def well_formed(where: Any, remedy: str) -> Iterator[None]:
    """DataError where what was read from `where` turns out not to be what the code expects."""
    try:
        yield
    except BenchError:
        raise
    except MISFITS as error:
        why = f"{type(error).__name__}: {plain(error)}"
        raise DataError(f"{where}: not what it should hold ({why}); {remedy}") from error


def shown(value: Any) -> str:
    """A foreign value for a message: short however large, deep or odd it is."""
    try:
        return f"{reprlib.repr(value):.100}"
    except ValueError:  # a number of thousands of digits
        return f"a huge {type(value).__name__}"
