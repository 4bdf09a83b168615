"""What is in a VidSitu tree and what is odd about it, for `bench data check vidsitu`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.checks import SAMPLES, Check
from bench.contracts import Source
from bench.errors import DataError
from bench.video.heads import wrong_files
from tasks.sources import VideoIndex, protocol_of
from tasks.vidsitu.annotations import (
    ANNOTATED,
    EVENTS,
    SPLITS,
    annotation_path,
    annotation_root,
    label_path,
    load_split,
    read_json,
    split_path,
)
from tasks.vidsitu.scoring.rules import REFERENCES, SCORED, short_role


class _Problems:
    """Counts by what is wrong, with the first case of each; and what is odd of verbs and captions.

    `verbs` are the training split's, `unlearnt` labelled events without one of them of all that are
    `labelled`, `capitals` and `captions` those of a split's scored roles.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self.verbs: set[str] = set()
        self.unlearnt, self.labelled = 0, 0
        self.capitals, self.captions = Counter[str](), Counter[str]()

    def note(self, what: str, where: str) -> None:
        self.rows.setdefault(what, [0, where])[0] += 1

    def oddities(self) -> dict[str, str]:
        """What no head can predict, and what one that says lower case misses."""
        found = {
            f"{split} captions with capitals": f"{self.capitals[split]} of {count} scored"
            for split, count in self.captions.items()
        }
        if self.verbs and self.labelled:
            share = f"{self.unlearnt} of {self.labelled}"
            found["valid events without a verb of a training clip"] = share
        return found


def check_tree(source: Source, published: int) -> Check:
    """Every split's size and videos, every annotation's faults. DataError without a tree."""
    root = annotation_root(source)
    index = VideoIndex.of(source, "vidsitu")
    problems = _Problems()
    facts: dict[str, Any] = {"annotations": str(root), "video folder": str(index.folder)}
    situations: dict[str, str] = {}
    splits: dict[str, list[str]] = {}
    missing: list[str] = []
    for split in SPLITS:
        if not split_path(root, split).is_file():
            problems.note("missing file", split_path(root, split).name)
            continue
        splits[split] = load_split(root, split)
        paths = {name: index.find(name) for name in splits[split]}
        found = {name: path for name, path in paths.items() if path is not None}
        lost = [name for name in splits[split] if name not in found]
        missing += lost
        facts[split] = f"{len(splits[split])} segments, {len(splits[split]) - len(lost)} videos"
        for name in lost:
            problems.note(f"{split}: missing video", name)
        for what, count, first in wrong_files(found):
            problems.rows[f"{split}: {what}"] = [count, first]
        for name in sorted(index.ambiguous & set(splits[split])):
            problems.note(f"{split}: several files for a segment", name)
    for name in sorted(set(splits.get("train", [])) & set(splits.get("valid", []))):
        problems.note("segment in both train and valid", name)
    for split in ANNOTATED:
        if split in splits:
            facts[f"{split} annotations"] = _check_annotations(
                root, split, splits[split], problems, situations
            )
    if "valid" in splits:
        _check_labels(root, splits["valid"], problems)
        facts["protocol"] = protocol_of(source, "vidsitu", "valid", len(splits["valid"]), published)
    facts |= problems.oddities()
    rows = [(what, *row) for what, row in problems.rows.items()]
    some = (splits.get("valid") or splits.get("train", []))[:SAMPLES]
    samples = [(s, situations.get(s, ""), str(index.find(s) or "missing")) for s in some]
    return Check(facts, rows, missing, samples=samples)


def _entries(path: Path, problems: _Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every entry that is a mapping, with its place for messages."""
    if not path.is_file():
        problems.note("missing file", path.name)
        return
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path}: a list is expected; give VidSitu's file")
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f"{path.name} entry {number}", entry
        else:
            problems.note("entry that is no mapping", f"{path.name} entry {number}")


def _check_annotations(
    root: Path,
    split: str,
    segments: list[str],
    problems: _Problems,
    situations: dict[str, str],
) -> int:
    """Note a split's annotation faults, and each segment's verbs; returns how many there are."""
    found: dict[str, list[set[str]]] = {name: [] for name in segments}
    total = 0
    for where, entry in _entries(annotation_path(root, split), problems):
        events = [entry[name] for name in EVENTS if isinstance(entry.get(name), dict)]
        if len(events) < len(EVENTS):
            problems.note(f"{split}: annotation without all five events", where)
            continue
        total += 1
        problems.verbs |= {str(e.get("VerbID")) for e in events} if split == "train" else set()
        segment = str(events[0].get("vid_seg_int"))
        situations.setdefault(segment, ", ".join(str(event.get("VerbID")) for event in events))
        keys = {
            f"{name} {key}"
            for name, event in zip(EVENTS, events, strict=True)
            for key in _event_roles(event, f"{where}, {name}", split, problems)
        }
        if segment in found:
            found[segment].append(keys)
        else:
            problems.note(f"{split}: annotation of a segment outside the split", segment)
    wanted = 1 if split == "train" else REFERENCES
    for segment, of_segment in found.items():
        if not of_segment:
            problems.note(f"{split}: segment without annotation", segment)
        elif len(of_segment) < wanted or (split == "train" and len(of_segment) > 1):
            problems.note(f"{split}: segment with {len(of_segment)} annotations", segment)
        if any(keys != of_segment[0] for keys in of_segment[1:]):
            problems.note(f"{split}: annotators who name different scored roles", segment)
    return total


def _event_roles(event: dict[str, Any], where: str, split: str, problems: _Problems) -> list[str]:
    """The scored roles that an event names; faults are noted."""
    if not isinstance(event.get("VerbID"), str) or not event["VerbID"]:
        problems.note(f"{split}: event without verb", where)
    arguments = event.get("Args")
    if not isinstance(arguments, dict):
        problems.note(f"{split}: event without arguments", where)
        return []
    scored = []
    for key, value in arguments.items():
        try:
            if short_role(key) in SCORED:
                scored.append(key)
                problems.captions[split] += 1
                problems.capitals[split] += str(value) != str(value).lower()
        except DataError:
            problems.note(f"{split}: unknown role {key!r}", where)
        if not isinstance(value, str) or not value.strip():
            problems.note(f"{split}: role without a value", f"{where}, {key}")
    return scored


def _check_labels(root: Path, segments: list[str], problems: _Problems) -> None:
    labelled = set()
    for where, entry in _entries(label_path(root, "valid"), problems):
        labelled.add(str(entry.get("vid_seg_int")))
        lists: Any = entry.get("vbid_lst")
        sizes = [len(lists.get(name) or []) for name in EVENTS] if isinstance(lists, dict) else []
        if not sizes or min(sizes) < 9 or max(sizes) > 10:
            problems.note("valid: not 9 or 10 verb labels an event", where)
            continue
        problems.labelled += len(sizes)
        problems.unlearnt += sum(
            problems.verbs.isdisjoint(map(str, lists[name])) for name in EVENTS
        )
    for segment in segments:
        if segment not in labelled:
            problems.note("valid: segment without verb labels", segment)
