"""Published rows, each with its source and how it was read. Adding a row is adding YAML."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.contracts import Task
from bench.errors import DataError, nearest
from bench.files import yaml_lines
from bench.results.document import finite

FOLDER = Path(str(files("leaderboards"))) / "reference"
LEVELS = ("paper", "repository", "secondary", "chart")


@dataclass(frozen=True)
class ReferenceRow:
    """One published row; what is not published stays empty.

    `level` tells how it was read: a chart gives no exact number. `mode` is what follows the
    protocol's name, such as `roles predicted`. `extra` is supervision or input beyond video and
    captions. `ours` names our model of the same weights. `footnote` is a remark on the source.
    """

    model: str
    metrics: dict[str, float]
    source: str
    split: str
    level: str
    table: str = ""
    mode: str = ""
    ours: str = ""
    training_data: str = ""
    frames: int | None = None
    resolution: int | None = None
    extra: str = ""
    dual_softmax: bool = False
    params: str = ""
    compute: str = ""
    notes: str = ""
    footnote: str = ""


_NEEDED = ("model", "metrics", "source", "split", "level")
_KINDS = {"str": (str, "text"), "bool": (bool, "true or false"), "int | None": (int, "a number")}


def reference_rows(task: type[Task]) -> list[ReferenceRow]:
    """The published rows of a task: of its own file, or of ours by its name; none without one."""
    path = task.published_rows or FOLDER / f"{task.name}.yaml"
    return read_rows(path) if path.is_file() else []


def read_rows(path: Path) -> list[ReferenceRow]:
    """The rows of a file.

    UsageError names the line that is no YAML, DataError the row that is none.
    """
    entries = yaml_lines.read(path).plain()
    if not isinstance(entries, list):
        raise DataError(f"{path}: a list of rows is expected")
    return [_row(entry, f"{path}: row {number}") for number, entry in enumerate(entries, 1)]


def _row(entry: Any, where: str) -> ReferenceRow:
    types = {field.name: str(field.type) for field in fields(ReferenceRow)}
    if not isinstance(entry, dict):
        raise DataError(f"{where}: a mapping is expected")
    for key, value in entry.items():
        if key not in types:
            raise DataError(f"{where}: unknown key '{key}'{nearest(str(key), list(types))}")
        kind, words = _KINDS.get(types[key], (dict, "a mapping"))
        if type(value) is not kind:
            raise DataError(f"{where}: {key} must be {words}")
    for key in _NEEDED:
        if not entry.get(key):
            raise DataError(f"{where}: '{key}' is missing; a row needs it")
    if entry["level"] not in LEVELS:
        raise DataError(f"{where}: level must be one of {', '.join(LEVELS)}")
    if not finite(*entry["metrics"].values()):
        raise DataError(f"{where}: metrics must map names to numbers")
    return ReferenceRow(**entry)
