"""A result as one file to hand in: a zip of the document, its prediction lines, and a README.

Its names are always the same, so that no name in a foreign bundle is ever made a path. Of equal
results the bytes are equal (by one version of zlib).
"""

from __future__ import annotations

import io
import json
import shlex
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError, DataError, plain, printable
from bench.files.atomic import atomic_path
from bench.files.untrusted import read_bytes, read_json
from bench.results.document import Document
from bench.results.files import kept_lines, load, load_predictions, predictions_path

SUFFIX = ".zip"
README, RESULT, LINES = "README.md", "result.json", "predictions.jsonl"
LARGEST = 1 << 28  # bytes of a bundle, and of all that is in it; the kept results have a megabyte
_DIRECTORY = 1 << 12  # bytes of a zip's list of files
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of which zipfile unpacks as much as asked
_REMEDY = "ask its author for another, made by `bench bundle`"
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
           OSError)  # fmt: skip


def write_bundle(path: Path, output: Path) -> Document:
    """Write the result at `path` as a bundle. DataError where its predictions are not its own."""
    document = load(path)
    load_predictions(path, document)  # raises
    data = read_json(path)
    data["predictions"]["file"] = LINES
    parts = {
        README: _readme(document).encode(),
        RESULT: (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode(),
        LINES: kept_lines(predictions_path(path, document)),
    }
    if (size := sum(map(len, parts.values()))) > LARGEST:
        raise DataError(f"{path}: {size} bytes with its predictions, a bundle has at most {LARGEST}"
                        "; hand in the files themselves")  # fmt: skip
    with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name)  # of 1980: when it was bundled is no part of it
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, compresslevel=9)
    return document


@contextmanager
def opened(bundle: Path) -> Iterator[Path]:
    """The result document of a bundle, in a temporary folder beside its prediction lines.

    DataError, also of what is read while it lasts, names the bundle. Nothing in it is executed, no
    name in it becomes a path, and no more than `LARGEST` bytes are unpacked.
    """
    parts = _parts(bundle, read_bytes(bundle, _REMEDY, LARGEST))
    with tempfile.TemporaryDirectory(prefix="srl-bench-") as folder:
        for name in (RESULT, LINES):
            (Path(folder) / name).write_bytes(parts[name])
        try:
            if (lines := load(Path(folder) / RESULT).predictions) and lines.file != LINES:
                raise DataError(f"{bundle}/{RESULT}: names other predictions; {_REMEDY}")
            yield Path(folder) / RESULT
        except BenchError as error:
            raise type(error)(str(error).replace(folder, str(bundle))) from error


def _parts(bundle: Path, content: bytes) -> dict[str, bytes]:
    try:
        _check_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if sorted(info.filename for info in infos) != sorted((README, RESULT, LINES)):
                raise ValueError(f"it holds other files than {README}, {RESULT} and {LINES}")
            if sum(info.file_size for info in infos) > LARGEST:
                raise ValueError(f"it holds more than {LARGEST} bytes")
            if any(info.compress_type not in _BOUNDED for info in infos):
                raise ValueError("compressed in another way than `bench bundle` does")
            return {info.filename: _content(archive, info) for info in infos}
    except _BROKEN as error:
        raise DataError(f"{bundle}: no bundle of a result ({plain(error)}); {_REMEDY}") from error


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A part of the zip, no more than its list of files says: `read` without a size unpacks all."""
    with archive.open(info) as file:
        return file.read(info.file_size)


def _check_directory(content: bytes) -> None:
    """ValueError where the list of files is larger than ours: reading it alone fills the memory."""
    end = content[-22:]  # of a zip without a comment, which ours has not
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0" or content[-42:-38] == b"PK\6\7":
        raise ValueError("not a zip as `bench bundle` makes it")
    if int.from_bytes(end[12:16], "little") > _DIRECTORY:
        raise ValueError("it holds too many files")


def _readme(document: Document) -> str:
    """What is in the bundle and how it is checked, with command, settings and versions."""
    coverage = document.coverage
    environment: dict[str, Any] = document.environment or {}
    command = shlex.join(document.command) if document.command else "not recorded: run from Python"
    settings = {
        "settings": document.settings or None,
        "configuration": document.configuration or None,
    }
    return "\n".join([
        f"# {printable(document.name)} on {printable(document.protocol)}",
        "",
        f"{coverage.answered} of {coverage.expected} items answered; "
        f"{document.primary} {document.values[document.primary]:.2f}.",
        "",
        f"- `{RESULT}`: the result with every number, its settings and versions",
        f"- `{LINES}`: the prediction lines, from which every number can be computed again",
        "",
        "Check it with srl-bench, against your own copy of the data:",
        "",
        "    bench verify BUNDLE --source DIR",
        "",
        "## Command",
        "",
        f"    {printable(command)}",
        "",
        "## Settings",
        "",
        _indented(settings),
        "",
        "## Versions",
        "",
        _indented(environment),
        "",
    ])  # fmt: skip


def _indented(value: Any) -> str:
    import msgspec

    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False)
    return "\n".join(f"    {line}" for line in text.splitlines())
