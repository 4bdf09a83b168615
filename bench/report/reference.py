"""Published rows, each with its source and how it was read. Adding a row is adding YAML."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bench.contracts import Task
from bench.errors import DataError, nearest
from bench.files import yaml_lines
from bench.results.document import Number

FOLDER = Path(str(files("leaderboards"))) / "reference"
Text = Annotated[str, Meta(min_length=1)]
LEVELS = ("paper", "repository", "leaderboard", "secondary", "chart")


class ReferenceRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One published row; what is not published stays empty.

    `level` tells how it was read: a chart gives no exact number. `protocol` is that of another list
    than the task's published one, such as `msrvtt/mteb-879`; `mode` is what follows the protocol's
    name, such as `roles predicted`. `extra` is supervision or input beyond video and captions.
    `ours` names our model of the same weights. `footnote` is a remark on the source, `url` its
    address (of level `secondary`, that of the paper). `own` marks the row of the paper that this
    benchmark belongs to.
    """

    model: Text
    metrics: Annotated[dict[str, Number], Meta(min_length=1)]
    source: Text
    split: Text
    level: str
    table: str = ""
    protocol: str = ""
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
    url: Annotated[str, Meta(pattern=r"^(https://[^\s]+)?$")] = ""
    own: bool = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}")


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
    names = ReferenceRow.__struct_fields__
    for key in entry if isinstance(entry, dict) else ():
        if key not in names:
            raise DataError(f"{where}: unknown key '{key}'{nearest(str(key), list(names))}")
    try:
        return msgspec.convert(entry, ReferenceRow)
    except msgspec.ValidationError as error:
        raise DataError(f"{where}: {error}; correct it") from error
