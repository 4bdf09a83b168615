"""A run's lines and their numbers: a line holds an answer and the truth it is scored by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics.bootstrap import Sample
from bench.metrics.events import Ranks
from bench.metrics.resampling import sample_of
from bench.metrics.verbs import VerbScores, verb_metrics, verb_scores
from tasks.vidsitu.annotations import Annotation, Event
from tasks.vidsitu.events import metrics_of, ranks_of, statistics_of
from tasks.vidsitu.names import ROLES, VERBS, ZERO_SHOT, renamed, renamed_statistics
from tasks.vidsitu.scoring.intervals import role_statistics, verb_statistics
from tasks.vidsitu.scoring.rules import RoleScores, reference_metrics


@dataclass(frozen=True)
class Truth:
    """Of one video: the verb ids that annotators chose, an event each, and up to 3 references."""

    votes: list[list[str]]
    references: list[Annotation]


def truth_line(truth: Truth) -> dict[str, Any]:
    """The truth as plain data; `truth_of` reads it back."""
    return {
        "votes": truth.votes,
        "references": [
            [[event.verb_id, [list(pair) for pair in event.arguments]] for event in one.events]
            for one in truth.references
        ],
    }


def truth_of(line: Mapping[str, Any]) -> Truth:
    """The truth that a line holds."""
    references = [
        Annotation(
            line["item"],
            tuple(Event(verb, verb, tuple(map(tuple, pairs))) for verb, pairs in events),
        )
        for events in line["truth"]["references"]
    ]
    return Truth(line["truth"]["votes"], references)


@dataclass(frozen=True)
class Scored:
    """All that the numbers of a set of lines are made of. `clusters` names what each video is drawn
    with; `zero_shot` may be absent; `events` are the ranks that there are, by the prefix of their
    metrics."""

    clusters: list[str]
    verbs: VerbScores
    zero_shot: VerbScores | None
    roles: RoleScores
    events: dict[str, Ranks]

    def metrics(self) -> dict[str, float]:
        """Every metric by our name, in percent."""
        found = renamed(VERBS, verb_metrics(self.verbs)) | renamed(ROLES, self.roles.metrics)
        found |= metrics_of(self.events)
        if self.zero_shot is None:
            return found
        return found | _zero_shot(renamed(VERBS, verb_metrics(self.zero_shot)))

    def sample(self) -> Sample:
        """Every metric as a function of how often each cluster is drawn."""
        found = renamed_statistics(VERBS, verb_statistics(self.verbs))
        found |= renamed_statistics(ROLES, role_statistics(self.roles))
        found |= statistics_of(self.events)
        if self.zero_shot is not None:
            found |= _zero_shot(renamed_statistics(VERBS, verb_statistics(self.zero_shot)))
        return sample_of(found, self.clusters)


def _zero_shot(values: dict[str, Any]) -> dict[str, Any]:
    return {ZERO_SHOT + name: value for name, value in values.items()}


def cluster_of(segment: str) -> str:
    """The YouTube video that a segment was cut from: segments of one are no independent draws."""
    found = re.fullmatch(r"v_(.+)_seg_\d+_\d+", segment)
    return found[1] if found else segment


def scored(lines: Iterable[dict[str, Any]]) -> Scored:
    """Score lines in order of item, so that runs in any order draw the same resamples."""
    ordered = sorted((line for line in lines if "item" in line), key=lambda line: str(line["item"]))
    truths = [truth_of(line) for line in ordered]
    votes = [truth.votes for truth in truths]
    zero_shot = [line["zero_shot"] for line in ordered if "zero_shot" in line]
    return Scored(
        [cluster_of(line["item"]) for line in ordered],
        verb_scores([line["verbs"] for line in ordered], votes),
        verb_scores(zero_shot, votes) if len(zero_shot) == len(ordered) else None,
        reference_metrics(
            [truth.references for truth in truths], [line["roles"] for line in ordered]
        ),
        ranks_of(ordered),
    )
