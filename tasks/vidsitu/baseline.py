"""The majority baseline, the training split's most frequent verbs and values, and the ceiling."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from bench.metrics.verbs import LABELS, TOP, verb_metrics, verb_scores
from tasks.vidsitu.annotations import EVENTS, Annotation, verbs_by_frequency
from tasks.vidsitu.lines import Truth, scored, truth_line
from tasks.vidsitu.names import VERBS, renamed
from tasks.vidsitu.scoring.rules import short_role


def most_frequent(training: Iterable[Annotation], truth: Mapping[str, Truth]) -> dict[str, float]:
    """Metrics of answering the five most frequent verbs, and for a role its most frequent value."""
    training = list(training)
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for annotation in training:
        for event in annotation.events:
            for key, value in event.arguments:
                values[short_role(key)][value] += 1
    top = verbs_by_frequency(training)[:TOP]
    common = {
        role: min(counts, key=lambda value: (-counts[value], value))
        for role, counts in values.items()
    }
    roles = dict.fromkeys(EVENTS, common)  # roles that nobody asks for are not scored
    lines = (
        {"item": name, "verbs": [top] * len(EVENTS), "roles": roles, "truth": truth_line(one)}
        for name, one in truth.items()
    )
    return scored(lines).metrics()


def ceiling(training: Iterable[Annotation], truth: Mapping[str, Truth]) -> dict[str, float]:
    """Verb metrics of answers that know the annotators' verbs, as far as the training split has
    them: what it has not, no head that is trained on it predicts.
    """
    known = {event.verb_id for annotation in training for event in annotation.events}
    votes = [one.votes for one in truth.values()]
    best = [
        [[verb for verb, _ in Counter(event[:LABELS]).most_common() if verb in known][:TOP]
         for event in video]
        for video in votes
    ]  # fmt: skip
    return renamed(VERBS, verb_metrics(verb_scores(best, votes)))
