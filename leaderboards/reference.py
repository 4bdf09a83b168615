"""Published rows, each with its source and how it was read. Adding a row is adding YAML."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from bench.errors import DataError, nearest

FOLDER = Path(__file__).with_name("reference")
PROTOCOLS = {"msrvtt": "msrvtt/1k-A", "lsmdc": "lsmdc/test-1000", "vidsitu": "vidsitu/valid"}
LEVELS = ("paper", "repository", "secondary", "chart")


@dataclass(frozen=True)
class ReferenceRow:
    """One published row. `level` tells how it was read: a chart gives no exact number."""

    model: str
    metrics: dict[str, float]
    source: str
    level: str
    training_data: str = ""
    dual_softmax: bool = False
    notes: str = ""


def reference_rows(task: str, folder: Path = FOLDER) -> list[ReferenceRow]:
    """The published rows of a task; none where there is no file. DataError names file and row."""
    path = folder / f"{task}.yaml"
    if not path.is_file():
        return []
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML ({error}); correct it") from error
    if not isinstance(entries, list):
        raise DataError(f"{path}: a list of rows is expected")
    return [_row(entry, f"{path}: row {number}") for number, entry in enumerate(entries, 1)]


def _row(entry: Any, where: str) -> ReferenceRow:
    types = {field.name: field.type for field in fields(ReferenceRow)}
    if not isinstance(entry, dict):
        raise DataError(f"{where}: a mapping is expected")
    for key in entry:
        if key not in types:
            raise DataError(f"{where}: unknown key '{key}'{nearest(str(key), list(types))}")
    for key in ("model", "metrics", "source", "level"):
        if not entry.get(key):
            raise DataError(f"{where}: '{key}' is missing; a row needs it")
    if entry["level"] not in LEVELS:
        raise DataError(f"{where}: level must be one of {', '.join(LEVELS)}")
    metrics = entry["metrics"]
    if not isinstance(metrics, dict) or not all(_number(value) for value in metrics.values()):
        raise DataError(f"{where}: metrics must map names to numbers")
    texts = ("model", "source", "training_data", "notes")
    if not all(isinstance(entry.get(key, ""), str) for key in texts):
        raise DataError(f"{where}: {', '.join(texts)} must be text")
    if not isinstance(entry.get("dual_softmax", False), bool):
        raise DataError(f"{where}: dual_softmax must be true or false")
    return ReferenceRow(**entry)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
