"""VidSitu's annotation tree as distributed (docs/method.md 1): who did what to whom in five events.

Every file is JSON; nothing in it is trusted. A segment's annotations stay in file order, because
the official evaluator permutes that order.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.contracts import Clip, Source
from bench.errors import DataError
from bench.files import untrusted
from tasks.sources import VideoIndex

Value = TypeVar("Value")

EVENTS = ("Ev1", "Ev2", "Ev3", "Ev4", "Ev5")
FRAMES = 4  # looked at in an event, as in the paper
ANNOTATED = ("train", "valid")
VALID, VIDEOS = "valid", 1326  # the split whose answers are public, and its published size
SPLITS = (*ANNOTATED, "testvb", "testsrl", "testevrel")
SEGMENT = re.compile(r"v_[\w-]{1,64}_seg_\d{1,7}_\d{1,7}")


@dataclass(frozen=True)
class Event:
    """One event of an annotation: `arguments` are (key, value) in the order of Arg_List.

    Keys are the dataset's own, such as `Arg0 (driver)`, `ArgM (manner)`, `Scene of the Event`.
    `relation` is to the middle event and empty for that event itself.
    """

    verb_id: str
    verb: str
    arguments: tuple[tuple[str, str], ...]
    relation: str = ""


@dataclass(frozen=True)
class Annotation:
    """One annotator's five events of a segment."""

    segment: str
    events: tuple[Event, ...]


def annotation_root(source: Source) -> Path:
    """The folder that holds `split_files`, as configured or at most three folders below the root.

    DataError says what is missing and how to name it.
    """
    start = source.annotations or source.root
    for folder, folders, _ in os.walk(start):
        folders.sort()
        if "split_files" in folders:
            return Path(folder)
        if len(Path(folder).relative_to(start).parts) >= 3:
            folders.clear()
    raise DataError(
        f"{start}: no folder 'split_files' found there; give the annotation tree as 'annotations' "
        "of vidsitu in a source of bench.yaml; `bench data guide vidsitu` says where to get it"
    )


def split_path(root: Path, split: str) -> Path:
    """The list of a split's segments."""
    return root / "split_files" / f"vseg_split_{split}_lb.json"


def annotation_path(root: Path, split: str) -> Path:
    """A split's annotations."""
    return root / "vseg_ann_files" / f"vsann_{split}_lb.json"


def label_path(root: Path, split: str) -> Path:
    """A split's videos and, for validation, their verb labels."""
    return root / "vinfo_files" / f"vinfo_{split}_lb.json"


def load_split(root: Path, split: str) -> list[str]:
    """Segment ids of a split, in file order. DataError for a malformed or repeated id."""
    path = split_path(root, split)
    ids = read_json(path)
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise DataError(f"{path}: a list of segment names is expected; give VidSitu's file")
    for name in ids:
        if not SEGMENT.fullmatch(name):
            raise DataError(f"{path}: {name[:80]!r} is no segment name (v_ID_seg_START_END)")
    if repeated := len(ids) - len(set(ids)):
        raise DataError(f"{path}: {repeated} segments are listed twice; remove the repeats")
    return ids


def load_annotations(root: Path, split: str) -> dict[str, list[Annotation]]:
    """Segment -> its annotations in file order, for `train` and `valid`.

    DataError names the file and the number of the entry.
    """
    path = annotation_path(root, split)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: a list of annotations is expected; give VidSitu's file")
    found: dict[str, list[Annotation]] = {}
    for number, entry in enumerate(entries):
        annotation = _annotation(entry, f"{path}: entry {number}")
        found.setdefault(annotation.segment, []).append(annotation)
    return found


def load_votes(root: Path, split: str) -> dict[str, list[list[str]]]:
    """Segment -> the verb ids that up to 10 annotators chose, an event each.

    DataError names the file and the number of the entry. As officially, only the first event must
    have at least nine.
    """
    path = label_path(root, split)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: a list of entries is expected; give VidSitu's file")
    votes: dict[str, list[list[str]]] = {}
    for number, entry in enumerate(entries):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("vbid_lst"), dict):
            raise DataError(f"{where}: no vbid_lst; only the validation split has it")
        lists = [entry["vbid_lst"].get(name) for name in EVENTS]
        if not all(isinstance(x, list) and all(isinstance(v, str) for v in x) for x in lists):
            raise DataError(f"{where}: vbid_lst must list verb ids for {', '.join(EVENTS)}")
        if len(lists[0]) < 9:
            raise DataError(f"{where}: {len(lists[0])} verbs for Ev1, 9 or 10 are expected")
        votes.setdefault(str(entry.get("vid_seg_int")), lists)
    return votes


def of_every_segment(
    root: Path, found: Mapping[str, Value], segments: Iterable[str], what: str
) -> list[Value]:
    """What was `found` for each segment of the validation split; DataError where one lacks it."""
    segments = list(segments)
    if absent := [name for name in segments if name not in found]:
        raise DataError(f"{root}: {len(absent)} segments of {VALID} lack {what}: {absent[0]}")
    return [found[name] for name in segments]


def verbs_by_frequency(annotations: Iterable[Annotation]) -> list[str]:
    """Every verb id, the most frequent first, equals in alphabetical order."""
    counts = Counter(event.verb_id for one in annotations for event in one.events)
    return sorted(counts, key=lambda verb: (-counts[verb], verb))


def find_clips(source: Source, ids: Iterable[str]) -> list[Clip]:
    """A clip for each segment: a trimmed file, or a folder of frames, by the segment's name."""
    index = VideoIndex.of(source, "vidsitu")
    return [Clip(name, index.find(name), frames_fps=source.frames_fps) for name in ids]


def read_json(path: Path) -> Any:
    """Any of the tree's files. DataError names the file."""
    return untrusted.read_json(path, "fetch VidSitu's annotations again")


def _annotation(entry: Any, where: str) -> Annotation:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(ev), dict) for ev in EVENTS):
        raise DataError(f"{where}: needs {', '.join(EVENTS)}")
    segment = entry["Ev1"].get("vid_seg_int")
    if not isinstance(segment, str) or not SEGMENT.fullmatch(segment):
        raise DataError(f"{where}: Ev1 has no usable vid_seg_int")
    events = tuple(_event(entry[name], f"{where}, {name}") for name in EVENTS)
    return Annotation(segment, events)


def _event(entry: dict[str, Any], where: str) -> Event:
    verb_id, order = entry.get("VerbID"), entry.get("Arg_List", {})
    # A hidden split names its roles in Arg_List alone, or gives them no text.
    arguments = entry.get("Args", dict.fromkeys(order, "") if isinstance(order, dict) else {})
    if not isinstance(verb_id, str) or not verb_id:
        raise DataError(f"{where}: no VerbID")
    if not isinstance(arguments, dict) or not all(isinstance(v, str) for v in arguments.values()):
        raise DataError(f"{where}: Args must map names to text")
    if not isinstance(order, dict):
        raise DataError(f"{where}: Arg_List must map names to positions")
    # An argument that Arg_List forgets stands last, in file order: sorting is stable.
    places = {key: order[key] if isinstance(order.get(key), int) else 99 for key in arguments}
    pairs = sorted(arguments.items(), key=lambda item: places[item[0]])
    verb, relation = entry.get("Verb"), entry.get("EvRel")
    return Event(
        verb_id,
        verb if isinstance(verb, str) else verb_id,
        tuple(pairs),
        relation if isinstance(relation, str) else "",
    )
