"""Anybody's VidSitu predictions, in the official format: JSON, or the official pickle read as data.

What a metric reads is checked, name by name; anything else in the file may be anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import DataError, plain
from bench.files import pickles
from bench.files.untrusted import (
    MISFITS,
    Ambiguous,
    parse_lenient_json,
    read_bytes,
    shown,
    text_of,
)
from bench.metrics.verbs import TOP
from tasks.vidsitu.annotations import EVENTS
from tasks.vidsitu.scoring.rules import REFERENCES
from tasks.vidsitu.scoring.spelling import Names, event_names, event_of, listed, role_names

KINDS = {"verbs": "pred_vbs_ev", "roles": "vb_output", "evrel": "pred_evrels_ev"}
LARGEST = 2 << 30  # bytes of a JSON file
LARGEST_PICKLE = 256 << 20  # hundreds of times an official file; read at some 10 MB a second
RELATION_EVENTS = tuple(name for name in EVENTS if name != "Ev3")
_PICKLE = b"\x80"  # how every pickle since protocol 2 starts, and no text
_REMEDY = "check --predictions"


@dataclass(frozen=True)
class Predictions:
    """`answers` has one entry a video of the split, None where there is none.

    `remarks` are lines on what is odd in the file; `missing` counts the absent videos.
    """

    path: Path
    kind: str
    answers: list[Any]
    remarks: list[str]

    @property
    def missing(self) -> int:
        """Videos without a prediction."""
        return sum(answer is None for answer in self.answers)


@dataclass
class _Notes:
    """What is odd in a file that is read all the same; `odd` counts lines without their number."""

    events: Names = field(default_factory=event_names)
    roles: Names = field(default_factory=role_names)
    odd: Counter[str] = field(default_factory=Counter)

    def remarks(self) -> list[str]:
        counted = [f"{count} {line}" for line, count in self.odd.items()]
        return counted + self.events.remarks() + self.roles.remarks()


def read_predictions(path: Path, videos: int, kind: str | None = None) -> Predictions:
    """Predictions of a split of `videos` videos. Of two for one video the first counts.

    `kind` is verbs, roles or evrel; by default it is seen from the keys. DataError names the file
    and the entry.
    """
    entries = _entries(path)
    remarks = []
    if kind is None:
        kind, *others = _kinds(entries[0], path)
        remarks = [f"scored as {kind}; --kind {other} scores its {other}" for other in others]
    answers: list[Any] = [None] * videos
    notes = _Notes()
    for number, entry in enumerate(entries):
        where = f"{path}: entry {number}"
        try:
            place = _place(entry, KINDS[kind], videos, where, notes)
            answer = _CHECKS[kind](entry[KINDS[kind]], where, notes)
        except MISFITS as error:  # what a broken array or half a Unicode pair provokes
            raise DataError(f"{where}: cannot be read ({plain(error)}); {_REMEDY}") from error
        if answers[place] is None:
            answers[place] = answer
        else:
            notes.odd["predictions for a video given before; the first counts"] += 1
    if kind == "roles" and not notes.roles.found:
        remarks.append(_without_roles(path, notes))
    return Predictions(path, kind, answers, notes.remarks() + remarks)


def _entries(path: Path) -> list[Any]:
    value = _load(path)
    if isinstance(value, dict):
        keys = ", ".join(shown(key) for key in list(value)[:3])
        raise DataError(f"{path}: a list of predictions is expected, not a mapping of {keys}")
    entries = _listed(value, f"{path}: a list of predictions is expected")
    if not entries:
        raise DataError(f"{path}: a list of predictions is expected, and it is empty")
    return entries


def _load(path: Path) -> Any:
    """By its content: whatever it is called, JSON starts with a bracket and no pickle does."""
    content = read_bytes(path, _REMEDY, LARGEST)
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    named = path.suffix.lower() in (".pkl", ".pickle")
    if content.startswith(_PICKLE) or (named and not text) or pickles.disguise(content):
        if len(content) > LARGEST_PICKLE:
            raise DataError(f"{path}: {len(content)} bytes, at most {LARGEST_PICKLE} of a pickle")
        return pickles.load(content, path)
    return parse_lenient_json(text_of(content, path), path, _REMEDY)


def _kinds(entry: Any, path: Path) -> list[str]:
    """The kinds of prediction in an entry, at least one."""
    if isinstance(entry, dict):
        found = [kind for kind, key in KINDS.items() if entry.get(key) is not None]
        if found:
            return found
    raise DataError(f"{path}: neither {' nor '.join(KINDS.values())} in it; give --kind")


def _place(entry: Any, key: str, videos: int, where: str, notes: _Notes) -> int:
    """The entry's video. A whole number written as text or with a point is what it says."""
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{where}: no '{key}' in it, which its kind of prediction needs")
    if isinstance(entry, Ambiguous) and (twice := entry.twice & {key, "ann_idx"}):
        raise DataError(f"{where}: {shown(min(twice))} is given twice; keep one")
    given = _single(entry.get("ann_idx"))
    place = given
    if (isinstance(given, str) and given.isdecimal()) or (
        isinstance(given, float) and given.is_integer()
    ):
        place = int(given)
        notes.odd[f"ann_idx are written as {type(given).__name__}; read as numbers"] += 1
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < videos:
        raise DataError(
            f"{where}: ann_idx {shown(given)} is not a place in 0..{videos - 1}; "
            "it counts the videos in the order of the split's file, from 0"
        )
    return place


def _verbs(value: Any, where: str, notes: _Notes) -> list[list[str]]:
    events = _listed(value, f"{where}: verbs of {len(EVENTS)} events are needed, as lists")
    if len(events) < len(EVENTS):
        raise DataError(f"{where}: verbs of {len(EVENTS)} events are needed, not {len(events)}")
    if len(events) > len(EVENTS):
        notes.odd[f"predictions list more than {len(EVENTS)} events; the first ones count"] += 1
    found = []
    for number, event in enumerate(events[: len(EVENTS)]):
        at = f"{where}, event {number + 1}"
        verbs = _listed(event, f"{at}: a list of names is expected")
        if len(verbs) < TOP:
            notes.odd[f"events list fewer than {TOP} verbs; those that there are count"] += 1
        elif len(verbs) > TOP:
            notes.odd[f"events list more than {TOP} verbs; the first {TOP} count"] += 1
        found.append([_text(verb, f"{at}: a list of names is expected") for verb in verbs[:TOP]])
    return found


def _relations(value: Any, where: str, notes: _Notes) -> list[list[str]]:
    events = _listed(value, f"{where}: relations of {len(RELATION_EVENTS)} events are needed")
    if len(events) != len(RELATION_EVENTS):
        raise DataError(
            f"{where}: relations of {len(RELATION_EVENTS)} events are needed, "
            f"{', '.join(RELATION_EVENTS)}, not {len(events)}"
        )
    found = []
    for name, event in zip(RELATION_EVENTS, events, strict=True):
        says = f"{where}, {name}: a list of names is expected, one an annotation"
        relations = _listed(event, says)
        if not 1 <= len(relations) <= REFERENCES:
            raise DataError(f"{says} and at most {REFERENCES}, not {len(relations)}")
        found.append([_text(relation, says) for relation in relations])
    return found


def _roles(value: Any, where: str, notes: _Notes) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a mapping of events is expected, not {shown(value)}")
    events = notes.events.of(value, where)
    found = {}
    for name, event in events.items():
        at = f"{where}, {name}"
        if not isinstance(event, dict):
            raise DataError(f"{at}: roles must map to text, in a mapping, not {shown(event)}")
        found[name] = {
            role: _text(text, f"{at}, {role}: roles must map to text (leave an absent one out)")
            for role, text in notes.roles.of(event, at).items()
        }
    absent = [name for name in EVENTS if name not in found]
    if absent and "Ev0" in map(event_of, value):
        raise DataError(f"{where}: events are counted from 1, {EVENTS[0]} to {EVENTS[-1]}")
    if "Ev1" in found and absent:
        raise DataError(f"{where}: {absent[0]} is missing; give it, if only as {{}}")
    if "Ev1" not in found:
        notes.odd["predictions lack Ev1, and take no part in coreference, as officially"] += 1
    return found


def _without_roles(path: Path, notes: _Notes) -> str:
    """A remark on a file without any scored role. DataError where other names are the reason."""
    others = notes.events.unknown + notes.roles.unknown
    if others:
        raise DataError(
            f"{path}: nothing in it is under an official name, but {listed(others)}; "
            f"events are {', '.join(EVENTS)} and scored roles {', '.join(notes.roles.read)}"
        )
    return f"no prediction has any of {', '.join(notes.roles.read)}: every caption is empty"


def _listed(value: Any, says: str) -> list[Any]:
    """A list, a tuple or an array as a list. DataError for anything else, such as a set."""
    if isinstance(value, pickles.Array):
        value = value.tolist()
    if type(value) not in (list, tuple):
        raise DataError(f"{says}, not {shown(value)}")
    return list(value)


def _single(value: Any) -> Any:
    """An array without dimensions as its one value, anything else as it is."""
    return value.tolist() if isinstance(value, pickles.Array) and not value.shape else value


def _text(value: Any, says: str) -> str:
    value = _single(value)
    if not isinstance(value, str):
        raise DataError(f"{says}, not {shown(value)}")
    value.encode()  # half a Unicode pair is no text
    return value


_CHECKS: dict[str, Callable[[Any, str, _Notes], Any]] = {
    "verbs": _verbs,
    "roles": _roles,
    "evrel": _relations,
}
