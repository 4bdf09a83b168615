"""Whether a model tells a split's events apart, by their prompts alone (`bench.metrics.events`).

No head and no training: it shows at once whether a part of the model does anything for events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.metrics.events import (
    EVENT_METRICS,
    OWN,
    VC,
    VERB_ROLE,
    Ranks,
    event_metrics,
    event_ranks,
)
from bench.metrics.resampling import Statistics, rank_statistics
from tasks.vidsitu.annotations import Annotation
from tasks.vidsitu.prompts import PUBLISHED_NEGATIVES, RoleNames, dense_prompt, negative_prompts

SEED = 0  # of the negatives: part of what the numbers mean
# What a line calls the ranks by the mean of frames and by contextualised events, and what stands
# before their metrics.
VIEWS = {"events": "zero-shot/", "vc_events": VC}
NAMES = tuple(prefix + name for prefix in VIEWS.values() for name in EVENT_METRICS)


@dataclass
class EventTexts:
    """The different `texts`, and by segment which of them are its prompts [P] and negatives
    [P, N], as places among them."""

    texts: list[str] = field(default_factory=list)
    prompts: dict[str, np.ndarray] = field(default_factory=dict)
    negatives: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, annotations: Mapping[str, Annotation], names: RoleNames) -> EventTexts:
        """Of one annotation a segment; `names` are the roles' names of the training split."""
        rows: dict[str, int] = {}
        found = cls()
        for segment, annotation in annotations.items():
            prompts = [dense_prompt(event) for event in annotation.events]
            hard = negative_prompts(annotation, names, PUBLISHED_NEGATIVES, SEED)
            found.prompts[segment] = _places(prompts, rows)
            found.negatives[segment] = np.stack([_places(event, rows) for event in hard])
        found.texts = list(rows)
        return found

    def ranks(self, segments: Sequence[str], events: np.ndarray, texts: np.ndarray) -> Ranks:
        """Ranks [V, P] of normalised `events` [V, P, D]; `texts` are features of `self.texts`."""
        prompts = np.stack([self.prompts[name] for name in segments])
        negatives = np.stack([self.negatives[name] for name in segments])
        return event_ranks(events, texts[prompts], texts[negatives])


def _places(texts: Iterable[str], rows: dict[str, int]) -> np.ndarray:
    return np.array([rows.setdefault(text, len(rows)) for text in texts], np.int64)


def ranks_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Ranks]:
    """The ranks that every line has, by the prefix of their metrics."""
    return {
        prefix: {
            kind: np.array([line[view][kind] for line in lines]) for kind in lines[0][view]
        }
        for view, prefix in VIEWS.items()
        if lines and all(view in line for line in lines)
    }  # fmt: skip


def metrics_of(ranks: Mapping[str, Ranks]) -> dict[str, float]:
    """Every event metric by its full name."""
    return {
        prefix + name: value
        for prefix, found in ranks.items()
        for name, value in event_metrics(found).items()
    }


def statistics_of(ranks: Mapping[str, Ranks]) -> Statistics:
    """Every event metric as a function of how often each video is drawn."""
    statistics: Statistics = {}
    for prefix, found in ranks.items():
        for kind, only in (("all", None), ("own", OWN), ("hard", VERB_ROLE)):
            if kind not in found:
                continue
            videos, places = found[kind].shape
            video = np.repeat(np.arange(videos), places)
            each = rank_statistics(found[kind].ravel(), video, videos)
            named = each if only is None else {only: each["R@1"]}
            statistics |= {prefix + name: one for name, one in named.items()}
    return statistics
