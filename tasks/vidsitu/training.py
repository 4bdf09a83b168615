"""VidSitu as training data: events, dense prompts, verb-role negatives (docs/method.md 2, 4)."""

from __future__ import annotations

import random

from bench.contracts import Source
from bench.errors import DataError
from bench.training.protocols import TrainingSet
from bench.video.sampling import PerEvent
from tasks.vidsitu.annotations import (
    EVENTS,
    FRAMES,
    annotation_root,
    find_clips,
    load_annotations,
    load_split,
)
from tasks.vidsitu.exchange import exchanged_prompts
from tasks.vidsitu.prompts import PUBLISHED_NEGATIVES, RoleNames, dense_prompt, negative_prompts


def training_sets(
    source: Source, negatives: int, share: float, hold_out: float, seed: int
) -> tuple[TrainingSet, TrainingSet]:
    """The training split, and a part of it held out for validation.

    The official validation split is not touched: nothing is to be selected by what is reported.
    `hold_out` of the segments are kept back, the same ones for a seed whatever `share` of the rest
    is trained on. Their negatives are always as many as published: the share of events whose prompt
    beats them is to mean the same in every row of an ablation. DataError for files that do not fit;
    clips that are missing are left in, for the loop to name.
    """
    root = annotation_root(source)
    annotations = load_annotations(root, "train")
    segments = [segment for segment in load_split(root, "train") if segment in annotations]
    if not segments:
        raise DataError(f"{root}: no segment of the training split is annotated; check its files")
    random.Random(f"hold out {seed}").shuffle(segments)
    kept = round(len(segments) * hold_out)
    held_out, rest = segments[:kept], segments[kept:]
    chosen = rest[: max(1, round(len(rest) * share))]
    names = RoleNames.of(annotation for group in annotations.values() for annotation in group)
    name = f"vidsitu/train of {source.name}, {len(segments)} segments"

    clips = {clip.id: clip for clip in find_clips(source, [*chosen, *held_out])}

    def built(part: list[str], what: str, negatives: int) -> TrainingSet:
        first = [annotations[segment][0] for segment in part]
        return TrainingSet(
            f"{name}{what}", [clips[segment] for segment in part],
            PerEvent(FRAMES, len(EVENTS)), len(EVENTS), FRAMES,
            [[dense_prompt(event) for event in a.events] for a in first],
            [negative_prompts(a, names, negatives, seed) for a in first],
            [exchanged_prompts(a) for a in first],
        )  # fmt: skip

    return built(chosen, "", negatives), built(held_out, " (held out)", PUBLISHED_NEGATIVES)
