"""What prompts alone say of videos, without any training: verbs, and ranks of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.contracts import Adapter, Features, normalise
from bench.metrics.events import Ranks
from bench.metrics.verbs import TOP
from tasks.vidsitu.events import EventTexts

Parts = dict[str, dict[str, Any]]  # by video, what its line has of it


def by_prompts(
    names: Sequence[str],
    features: Features,
    adapter: Adapter,
    verbs: Sequence[str],
    events: EventTexts | None,
) -> tuple[Parts, Parts]:
    """Verbs of each named video, and the ranks of its events, by the view of `EventTexts`.

    The features' texts are a prompt a verb, then those of `events`; None for a split without
    annotations, which has no ranks.
    """
    from tasks.vidsitu.head.inputs import frames_of

    texts = normalise(features.texts)
    frames = frames_of(names, features)
    means = np.stack([[adapter.pool(event) for event in video] for video in frames])
    similarity = means @ texts[: len(verbs)].T
    best = np.argsort(-similarity, axis=2, kind="stable")[:, :, :TOP]
    said = {
        name: {"zero_shot": [[verbs[verb] for verb in event] for event in video]}
        for name, video in zip(names, best, strict=True)
    }
    found: Mapping[str, Ranks] = {}
    if events is not None:
        found = _ranks(names, frames, means, texts[len(verbs) :], adapter, events)
    return said, {
        name: {
            view: {kind: rank[place].tolist() for kind, rank in ranks.items()}
            for view, ranks in found.items()
        }
        for place, name in enumerate(names)
    }


def _ranks(
    names: Sequence[str],
    frames: np.ndarray,
    means: np.ndarray,
    texts: np.ndarray,
    adapter: Adapter,
    events: EventTexts,
) -> dict[str, Ranks]:
    """By the mean of an event's frames, and by the model's own events where texts are as wide."""
    from tasks.vidsitu.head.inputs import own_features

    views, contextual = {"events": means}, own_features(frames, adapter)
    if contextual is not None and contextual[0].shape[-1] == texts.shape[-1]:
        views["vc_events"] = normalise(contextual[0])
    return {view: events.ranks(names, found, texts) for view, found in views.items()}
