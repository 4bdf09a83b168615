"""The Result of a run: numbers with everything needed to believe or repeat them.

The JSON schema is documented in docs/result-format.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from bench.contracts import Failure
from bench.errors import BenchError, DataError
from bench.files import locks
from bench.files.atomic import atomic_path, write_text
from bench.files.untrusted import read_bytes, read_json, shown, well_formed
from bench.results.document import DAGGER, SCHEMA, Document, Lines, of_json, to_json

BESIDE = ".data-"  # in the name of a result that lies beside one of other data
LONGEST = 200  # bytes: with `.lock-`, BESIDE and `.predictions.jsonl` less than the usual 255
TRAININGS, SWEEPS = "train", "sweep"  # folders below the results that hold other things
Given = TypeVar("Given")
Read = TypeVar("Read")
PACKAGES = ("srl-bench", "torch", "open_clip_torch", "decord", "av", "numpy", "pillow")


@dataclass(frozen=True, repr=False)
class Result:
    """One model on one task: the document, and its prediction lines.

    A notebook shows it as its board's row.
    """

    document: Document
    predictions: list[dict[str, Any]]

    @property
    def data(self) -> dict[str, Any]:
        """The document as plain JSON data."""
        return to_json(self.document)

    @property
    def metrics(self) -> dict[str, float]:
        """Metric name to value, as in the tables."""
        return self.document.values

    @property
    def failures(self) -> list[Failure]:
        """The videos that could not be read."""
        return self.document.failures or []

    @property
    def complete(self) -> bool:
        """Whether every item was answered; `--limit` leaves items out on purpose."""
        return self.document.complete

    def save(self, folder: str | Path = "results") -> Path:
        """Write it where `bench run` would and return the document's path; see `save` below."""
        return save(self, Path(folder))

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row a metric; see `bench.results.notebook.as_frame`."""
        from bench.results.notebook import as_frame

        return as_frame(self.document)

    def _repr_html_(self) -> str:
        from bench.results.notebook import row_as_html

        return row_as_html(self.document)

    def __repr__(self) -> str:
        from bench.results.notebook import short

        return f"<Result {short(self.document)}>"

    def __str__(self) -> str:
        one = self.document
        numbers = ", ".join(f"{name} {value:.2f}" for name, value in one.values.items())
        return f"{one.name} on {one.protocol}{f' ({one.covered})' * one.partial}: {numbers}"


def save(result: Result, folder: Path, variant: Mapping[str, Any] | None = None) -> Path:
    """Write `<task>/<source>/<model>.json` and its `.predictions.jsonl` below `folder`.

    A limited run, one of another protocol than the task's own, and a `variant` by other settings of
    the task than the configured ones, goes to a name of its own, so that it never replaces a full
    and plain one. Nor does a run on other data under the same source's name: it goes to
    `<model>.data-<hash>.json`. The document is written last: where it stands, its predictions are
    complete. BenchError if not writable.
    """
    document = result.document
    marks = [f"limit{document.coverage.limit}"] if document.coverage.limit else []
    marks += [one.removeprefix(DAGGER).replace(" ", "-") for one in document.departures]
    marks += [f"{key}-{value}" for key, value in sorted((variant or {}).items())]
    if document.settings and document.settings.seed:  # what is trained with another seed
        marks.append(f"seed{document.settings.seed}")
    name = stem(document.name, *marks)
    path = folder / document.task / slug(document.source.name) / f"{name}.json"
    with locks.locked(path):  # two runs could else leave one's lines beside the other's numbers
        path = _of_its_data(path, document.source.fingerprint)
        _write(result, path, path.with_name(f"{path.stem}.predictions.jsonl"))
    return path


def _of_its_data(path: Path, fingerprint: str | None) -> Path:
    """`path`, or one beside it where that keeps a result of other data, or has done so before."""
    mark = hashlib.sha256(str(fingerprint).encode()).hexdigest()[:8]
    beside = path.with_name(f"{path.stem}{BESIDE}{mark}.json")
    try:
        other = path.is_file() and load(path).source.fingerprint != fingerprint
    except DataError:
        other = False  # no result that can be read
    return beside if other or beside.is_file() else path


def _write(result: Result, path: Path, lines: Path) -> None:
    checksum = hashlib.sha256()
    with atomic_path(lines) as temporary, temporary.open("wb") as file:
        for line in result.predictions:
            row = (json.dumps(line, ensure_ascii=False) + "\n").encode()
            checksum.update(row)
            file.write(row)
    kept = replace(result.document, predictions=Lines(lines.name, checksum.hexdigest()))
    write_text(path, json.dumps(to_json(kept), indent=2, ensure_ascii=False) + "\n")


def load_all(folder: Path) -> Iterator[Document]:
    """Every result document below `folder`, in a fixed order. DataError names a damaged one.

    What `bench train` and `bench sweep` keep there are no results of runs.
    """
    for path in find_all(folder):
        yield load(path)


def find_all(folder: Path) -> list[Path]:
    """The files that `load_all` reads."""
    return [
        path for path in sorted(folder.rglob("*.json"))
        if path.relative_to(folder).parts[0] not in (TRAININGS, SWEEPS)
    ]  # fmt: skip


def readable(
    given: Iterable[Given], read: Callable[[Given], Read]
) -> tuple[list[tuple[Given, Read]], list[BenchError]]:
    """What `read` makes of each that was given, beside it, and what it says of those it refuses."""
    found, refused = [], []
    for one in given:
        try:
            found.append((one, read(one)))
        except BenchError as error:
            refused.append(error)
    return found, refused


def load(path: Path) -> Document:
    """One result document. DataError names the file where it is none, or of another schema."""
    data = read_json(path, "move it away")
    if not isinstance(data, dict) or "schema" not in data:
        raise DataError(f"{path}: not a result of `bench run`; move it away")
    if data["schema"] != SCHEMA:
        raise DataError(
            f"{path}: schema {shown(data['schema'])}, this version reads {SCHEMA}; run it again"
        )
    try:
        return of_json(data)
    except ValueError as error:
        raise DataError(f"{path}: not a result of `bench run` ({error}); run it again") from error


def load_predictions(path: Path, document: Document) -> list[dict[str, Any]]:
    """The prediction lines that belong to the document at `path`.

    DataError where they are absent, or changed since: their SHA-256 stands in the document.
    """
    if not document.lines:
        raise DataError(f"{path}: no prediction lines were kept with it; use a `bench run` result")
    lines = predictions_path(path, document)
    content = kept_lines(lines)
    if hashlib.sha256(content).hexdigest() != document.lines:
        raise DataError(f"{lines}: changed since {path.name} was written; run it again")
    with well_formed(lines, "run it again"):
        found = [json.loads(line) for line in content.decode().split("\n")[:-1]]
    if not all(isinstance(line, dict) and isinstance(line.get("item"), str) for line in found):
        raise DataError(f"{lines}: lines of another version; run it again")
    return found


def kept_lines(path: Path) -> bytes:
    """The prediction lines as they were written, though a checkout has changed their line ends."""
    return read_bytes(path, "run it again").replace(b"\r\n", b"\n")


def predictions_path(path: Path, document: Document) -> Path:
    """Where the lines of the document at `path` lie: beside it, whatever the document says."""
    assert document.predictions, "a document without lines"
    return path.with_name(Path(document.predictions.file).name)


def slug(name: str) -> str:
    """A file name for any model or source name; different names stay different.

    So they do where a file system takes upper case for lower, or one form of an accent for another,
    and the name is short enough for what is put before and behind it: at most 200 bytes.
    """
    plain = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
    if plain == name == _folded(name) and len(os.fsencode(name)) <= LONGEST:
        return name
    return _marked(plain, 80, name)


def stem(*names: str) -> str:
    """One file name of several, each as by `slug`: `NAME.limit5.beam-2`, of at most 200 bytes."""
    whole = ".".join(map(slug, names))
    return whole if len(os.fsencode(whole)) <= LONGEST else _marked(whole, 180, whole)


def _marked(text: str, most: int, name: str) -> str:
    """At most so many bytes of `text`, and a hash of `name`."""
    start = text.encode(errors="replace")[:most].decode(errors="ignore")
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{start}-{mark}"


def _folded(name: str) -> str:
    """The same for all names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def environment() -> dict[str, Any]:
    """Package versions, machine and the harness's own git commit."""
    return {"packages": _versions(), "hardware": _hardware(), "git_commit": _commit()}


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _hardware() -> dict[str, Any]:
    cpu = platform.processor()
    if Path("/proc/cpuinfo").is_file():
        names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        cpu = names[0] if names else cpu
    return {"machine": platform.machine(), "cpu": cpu, "cores": os.cpu_count(), "gpu": _gpu()}


def _gpu() -> str | None:
    import sys

    torch = sys.modules.get("torch")  # a run that used a GPU has imported it
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))


def _commit() -> str | None:
    """The commit of the harness itself, never of the folder one happens to stand in."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
