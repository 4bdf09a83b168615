"""Anybody's VidSitu predictions, in the official format: JSON, or the official pickle read safely.

A pickle is a program; the unpickler here refuses every name it would import, so that only lists,
dicts, strings, numbers and None can come out. It is Python's own in Python: the one in C can be
made by six bytes to fill all memory.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bench.errors import DataError, plain
from bench.files.untrusted import read_bytes, read_json, shown
from tasks.vidsitu.annotations import EVENTS

KINDS = {"verbs": "pred_vbs_ev", "roles": "vb_output", "evrel": "pred_evrels_ev"}
LARGEST = 2 << 30  # bytes of a JSON file
LARGEST_PICKLE = 256 << 20  # hundreds of times an official file; read at some 10 MB a second
RELATION_EVENTS = tuple(name for name in EVENTS if name != "Ev3")


@dataclass(frozen=True)
class Predictions:
    """`answers` has one entry a video of the split, None where there is none.

    `remarks` are lines on what the file has too much of; `missing` counts the absent videos.
    """

    kind: str
    answers: list[Any]
    remarks: list[str]

    @property
    def missing(self) -> int:
        """Videos without a prediction."""
        return sum(answer is None for answer in self.answers)


class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it would import {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def read_predictions(path: Path, videos: int, kind: str | None = None) -> Predictions:
    """Predictions of a split of `videos` videos. Of two for one video the first counts.

    `kind` is verbs, roles or evrel; by default it is seen from the keys. DataError names the file
    and the entry.
    """
    entries = _load(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: a list of predictions is expected")
    kind = kind or _kind(entries[0], path)
    answers: list[Any] = [None] * videos
    repeated = 0
    for number, entry in enumerate(entries):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict) or KINDS[kind] not in entry:
            raise DataError(f"{where}: no '{KINDS[kind]}' in it; {kind} predictions need it")
        place = entry.get("ann_idx")
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < videos:
            raise DataError(f"{where}: ann_idx {shown(place)} is not a place in 0..{videos - 1}")
        answer = _CHECKS[kind](entry[KINDS[kind]], where)
        if answers[place] is None:
            answers[place] = answer
        else:
            repeated += 1
    remarks = [f"{repeated} predictions for a video given before; the first counts"]
    return Predictions(kind, answers, remarks if repeated else [])


def _load(path: Path) -> Any:
    remedy = "check --predictions"
    if path.suffix not in (".pkl", ".pickle"):
        return read_json(path, remedy, LARGEST)
    content = read_bytes(path, remedy, LARGEST_PICKLE)
    try:
        return _PlainUnpickler(io.BytesIO(content)).load()
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: refused, {plain(error)}; save plain lists, dicts, strings, numbers, or JSON"
        ) from error
    except Exception as error:  # whatever the opcodes of a hostile file provoke
        raise DataError(f"{path}: cannot be read ({plain(error)}); check the file") from error


def _kind(entry: Any, path: Path) -> str:
    if isinstance(entry, dict):
        for kind, key in KINDS.items():
            if key in entry:
                return kind
    raise DataError(f"{path}: neither {' nor '.join(KINDS.values())} in it; give --kind")


def _verbs(value: Any, where: str) -> list[list[str]]:
    if not isinstance(value, list) or len(value) < len(EVENTS):
        raise DataError(f"{where}: verbs of {len(EVENTS)} events are needed")
    return [_strings(event, f"{where}, event {n + 1}") for n, event in enumerate(value)]


def _relations(value: Any, where: str) -> list[list[str]]:
    if not isinstance(value, list) or len(value) < len(RELATION_EVENTS):
        raise DataError(f"{where}: relations of {len(RELATION_EVENTS)} events are needed")
    return [_strings(event, f"{where}, event {n + 1}") for n, event in enumerate(value)]


def _strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"{where}: a list of names is expected")
    return value


def _roles(value: Any, where: str) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a mapping of events is expected")
    for name, event in value.items():
        if not isinstance(event, dict) or not all(isinstance(v, str) for v in event.values()):
            raise DataError(f"{where}, {shown(name)}: roles must map to text")
    if "Ev1" in value and (absent := [name for name in EVENTS if name not in value]):
        raise DataError(f"{where}: {absent[0]} is missing; give it, if only as {{}}")
    return value


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "verbs": _verbs,
    "roles": _roles,
    "evrel": _relations,
}
