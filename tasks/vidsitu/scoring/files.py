"""`bench score --task vidsitu`: the official numbers of a prediction file, with intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contracts import Source
from bench.errors import DataError, UsageError, nearest
from bench.files.tensor_store import checksum
from bench.files.untrusted import shown
from bench.metrics.bootstrap import RULES
from bench.metrics.resampling import Statistics, sample_of
from bench.metrics.verbs import relation_metrics, relation_scores, verb_metrics, verb_scores
from bench.results.document import Coverage, Data, Document, Reading, Settings, valued
from bench.results.files import environment
from tasks.sources import protocol_of
from tasks.vidsitu.annotations import (
    EVENTS,
    VALID,
    VIDEOS,
    Annotation,
    annotation_root,
    load_annotations,
    load_split,
    load_votes,
    of_every_segment,
)
from tasks.vidsitu.lines import cluster_of
from tasks.vidsitu.names import RELATIONS, ROLES, VERBS, renamed, renamed_statistics
from tasks.vidsitu.scoring.intervals import relation_statistics, role_statistics, verb_statistics
from tasks.vidsitu.scoring.java import java_metrics
from tasks.vidsitu.scoring.predictions import RELATION_EVENTS, Predictions, read_predictions
from tasks.vidsitu.scoring.rules import REFERENCES, permuted, role_items, role_metrics
from tasks.vidsitu.scoring.spelling import RELATIONS as RELATION_NAMES
from tasks.vidsitu.scoring.spelling import Names, meant

VERSION = 1
_VERB = re.compile(r"\S+\.\d\d")
PRIMARY = {"verbs": "Vb@1", "roles": "CIDEr", "evrel": "EvRel@1"}


@dataclass(frozen=True)
class _Truth:
    """The public answers of the split, in its order."""

    root: Path
    segments: list[str]
    annotations: list[list[Annotation]]


def score_file(
    source: Source,
    path: Path,
    kind: str | None,
    resamples: int,
    seed: int,
    also: Sequence[str] = (),
) -> Document:
    """A result document without a model: metrics with intervals, coverage, remarks.

    `also` names metrics of `tasks.vidsitu.scoring.java` to add to roles. A video without a
    prediction counts as wrong, with empty captions; the coverage says how many. DataError for files
    that do not fit, UsageError for `also` without roles.
    """
    truth = _truth(source)
    predictions = read_predictions(path, len(truth.segments), kind)
    if also and predictions.kind != "roles":
        raise UsageError(f"{', '.join(also)} are of roles, and {path} holds {predictions.kind}")
    remarks = _REMARKS[predictions.kind](truth, predictions)
    values, statistics = _SCORERS[predictions.kind](truth, predictions)
    sample = sample_of(statistics, [cluster_of(segment) for segment in truth.segments])
    bounds = sample.intervals(resamples, seed)
    if also:
        items = role_items(permuted(truth.annotations), _roles_of(predictions))
        values |= java_metrics(also, items)
    return Document(
        task="vidsitu",
        task_version=VERSION,
        protocol=protocol_of(source, "vidsitu", VALID, len(truth.segments), VIDEOS),
        kind=predictions.kind,
        source=Data(source.name),
        model={"name": path.stem, "fingerprint": checksum(path)},
        metrics=valued(values, bounds),
        metric_info=dict.fromkeys(values, Reading("%", higher_is_better=True)),
        primary=PRIMARY[predictions.kind],
        coverage=Coverage(
            expected=len(truth.segments), answered=len(truth.segments) - predictions.missing,
            clips=len(truth.segments), missing=predictions.missing, broken=0,
        ),
        chance={},
        warnings=predictions.remarks + remarks,
        settings=Settings(resamples=resamples, seed=seed, intervals=RULES),
        environment=environment(),
    )  # fmt: skip


def _truth(source: Source) -> _Truth:
    root = annotation_root(source)
    segments = load_split(root, VALID)
    found = load_annotations(root, VALID)
    return _Truth(root, segments, of_every_segment(root, found, segments, "annotations"))


_Scored = tuple[dict[str, float], Statistics]  # metrics, and what their intervals are made of


def _score_verbs(truth: _Truth, found: Predictions) -> _Scored:
    votes = load_votes(truth.root, VALID)
    labels = of_every_segment(truth.root, votes, truth.segments, "verb labels")
    predicted = [answer or [[]] * len(EVENTS) for answer in found.answers]
    scores = verb_scores(predicted, labels)
    return _named(VERBS, verb_metrics(scores), verb_statistics(scores))


def _score_roles(truth: _Truth, found: Predictions) -> _Scored:
    scores = role_metrics(truth.annotations, _roles_of(found))
    return _named(ROLES, scores.metrics, role_statistics(scores))


def _roles_of(found: Predictions) -> list[dict[str, dict[str, str]]]:
    return [answer or {} for answer in found.answers]


def _score_relations(truth: _Truth, found: Predictions) -> _Scored:
    labels = _labels(truth)
    known = _known_relations(labels)
    wrong = [[[""] * len(event) for event in video] for video in labels]
    predicted = [
        [[meant(name, known) or name for name in event] for event in answer or none]
        for answer, none in zip(found.answers, wrong, strict=True)
    ]
    try:
        scores = relation_scores(predicted, labels)
    except ValueError as error:
        raise DataError(f"{found.path}: {error}, one an annotation") from error
    statistics = relation_statistics(scores, len(labels))
    return _named(RELATIONS, relation_metrics(scores), statistics)


def _labels(truth: _Truth) -> list[list[list[str]]]:
    """[videos][4 events][annotators]: their relations to the middle event, in file order."""
    places = [EVENTS.index(name) for name in RELATION_EVENTS]
    return [
        [[annotation.events[place].relation for annotation in group[:REFERENCES]]
         for place in places]
        for group in truth.annotations
    ]  # fmt: skip


def _known_relations(labels: list[list[list[str]]]) -> tuple[str, ...]:
    """The official ones and any other that an annotation has."""
    found = {name for video in labels for event in video for name in event if name}
    return (*RELATION_NAMES, *sorted(found.difference(RELATION_NAMES)))


def _named(names: dict[str, str], official: dict[str, float], statistics: Statistics) -> _Scored:
    return renamed(names, official), renamed_statistics(names, statistics)


_SCORERS: dict[str, Callable[[_Truth, Predictions], _Scored]] = {
    "verbs": _score_verbs,
    "roles": _score_roles,
    "evrel": _score_relations,
}


def _unknown_relations(truth: _Truth, found: Predictions) -> list[str]:
    """Remarks on predicted relations that are spelled as no annotation's."""
    names = Names("relations", _known_relations(_labels(truth)), str)
    answers = [answer for answer in found.answers if answer]
    predicted = Counter(name for answer in answers for event in answer for name in event)
    for name, count in predicted.items():
        other = meant(name, names.read)
        if other is None:
            names.unknown[shown(name)] += count
        elif other != name:
            names.otherwise[f"{shown(name)} as {other}"] += count
    return names.remarks()


def _unknown_verbs(truth: _Truth, found: Predictions) -> list[str]:
    """A remark on predicted verbs that no label or training annotation knows: likely a typo."""
    known = {
        verb for video in load_votes(truth.root, VALID).values() for ev in video for verb in ev
    }
    predicted = {v for answer in found.answers if answer for event in answer for v in event}
    unknown = predicted - known
    try:
        for group in load_annotations(truth.root, "train").values():
            unknown -= {event.verb_id for annotation in group for event in annotation.events}
    except DataError:
        # Without the training split there is no full list of verbs, but each has a sense's number.
        unknown = {verb for verb in unknown if not _VERB.fullmatch(verb)}
    if not unknown:
        return []
    first = min(unknown)
    hint = nearest(first, list(known))
    return [f"{len(unknown)} verbs unknown to VidSitu, such as {first}{hint}"]


_REMARKS: dict[str, Callable[[_Truth, Predictions], list[str]]] = {
    "verbs": _unknown_verbs,
    "roles": lambda truth, found: [],
    "evrel": _unknown_relations,
}
