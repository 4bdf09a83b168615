"""Which roles of a video are to be described: those its annotation names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.vidsitu.annotations import EVENTS, Annotation, annotation_path, load_annotations
from tasks.vidsitu.lines import Truth
from tasks.vidsitu.scoring.rules import short_role

NAMED = "testsrl_noann"  # the hidden split's verbs and role names, without values


def given_roles(
    root: Path, split: str, segments: Sequence[str], truth: Mapping[str, Truth]
) -> dict[str, list[list[str]] | None]:
    """Segment -> short role names of its five events; None where nothing names them.

    The roles of a video are those of any of its references, as the evaluator asks for each of
    them; of the hidden role split those in `vsann_testsrl_noann_lb.json`, where that file is there.
    """
    if truth:
        return {name: _names(truth[name].references) for name in segments}
    if split == "testsrl" and annotation_path(root, NAMED).is_file():
        named = load_annotations(root, NAMED)
        return {name: _names(named[name]) if name in named else None for name in segments}
    return dict.fromkeys(segments)


def _names(annotations: Sequence[Annotation]) -> list[list[str]]:
    return [
        list(
            dict.fromkeys(
                short_role(key) for a in annotations for key, _ in a.events[event].arguments
            )
        )
        for event in range(len(EVENTS))
    ]
