"""A model's answers in the official prediction format, for the leaderboard or any evaluator."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contracts import Source
from bench.errors import UsageError
from bench.files.atomic import atomic_path
from bench.metrics.verbs import TOP
from tasks.vidsitu.annotations import (
    EVENTS,
    VALID,
    annotation_path,
    load_annotations,
    verbs_by_frequency,
)
from tasks.vidsitu.roles import NAMED
from tasks.vidsitu.task import VidSitu

KINDS = {"testvb": "verbs", "testsrl": "roles"}  # what each hidden split asks for
SUFFIXES = (".json", ".pkl")


def load(source: Source, split: str) -> VidSitu:
    """The split as a task to answer. UsageError for one that cannot be predicted."""
    if split not in (*KINDS, VALID):
        known = ", ".join((*KINDS, VALID))
        raise UsageError(f"--split must be one of {known}, not {split!r}")
    return VidSitu.load_split(source, split)


def check(task: VidSitu, kind: str | None, path: Path) -> str:
    """The kind to write. UsageError for another suffix or an unclear kind, before the work."""
    kind = kind or KINDS.get(task.split)
    if kind is None:
        raise UsageError(f"the split {task.split} has verbs and roles; say which with --kind")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: predictions are written as {' or '.join(SUFFIXES)}; name it so")
    return kind


def write(
    task: VidSitu, lines: Sequence[dict[str, Any]], kind: str | None, path: Path
) -> list[str]:
    """Write the predictions as `path`'s suffix says; returns the segments without an answer.

    The evaluator wants every video of the split: one that could not be read gets the training
    split's most frequent verbs and no role.
    """
    kind = check(task, kind, path)
    answers = {line["item"]: line for line in lines}
    named = _given_verbs(task)
    common = verbs_by_frequency(task.training.values())[:TOP]
    entries = []
    for place, clip in enumerate(task.clips):
        line = answers.get(clip.id)
        entry = _verbs(line, common) if kind == "verbs" else _roles(line, common, named, clip.id)
        entries.append({"ann_idx": place, **entry})
    content = json.dumps(entries, ensure_ascii=False).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(entries) if path.suffix == ".pkl" else content)
    return [clip.id for clip in task.clips if clip.id not in answers]


def _verbs(line: dict[str, Any] | None, common: list[str]) -> dict[str, Any]:
    if line is None:
        flat = [0.0] * len(common)
        return {"pred_vbs_ev": [common] * len(EVENTS), "pred_scores_ev": [flat] * len(EVENTS)}
    scores = [[math.exp(value) for value in event] for event in line["scores"]]
    return {"pred_vbs_ev": line["verbs"], "pred_scores_ev": scores}


def _roles(
    line: dict[str, Any] | None, common: list[str], named: dict[str, list[str]], segment: str
) -> dict[str, Any]:
    best = [event[0] for event in line["verbs"]] if line else [common[0]] * len(EVENTS)
    roles = line["roles"] if line else {}
    verbs = named.get(segment, best)
    return {
        "vb_output": {
            name: {"vb_id": verb, **roles.get(name, {})}
            for name, verb in zip(EVENTS, verbs, strict=True)
        }
    }


def _given_verbs(task: VidSitu) -> dict[str, list[str]]:
    """The verbs that the hidden role split names with its roles."""
    root = task.root
    if task.split != "testsrl" or not annotation_path(root, NAMED).is_file():
        return {}
    found = load_annotations(root, NAMED)
    return {name: [event.verb_id for event in group[0].events] for name, group in found.items()}
