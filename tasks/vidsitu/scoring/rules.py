"""From VidSitu's annotations and predictions to the official numbers (docs/method.md 6).

What the official evaluator does by accident is kept where a number depends on it, and named here:
references are permuted with NumPy's legacy generator, a video whose prediction lacks Ev1 takes no
part in coreference, and a missing role is an empty caption but no mention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.errors import DataError
from bench.metrics.captions import Captions
from bench.metrics.coreference import METRICS, Mentions, coreference_counts, f1
from bench.metrics.numbering import numbering
from tasks.vidsitu.annotations import EVENTS, Annotation

SCORED = ("Arg0", "Arg1", "Arg2", "ALoc", "AScn")
ROLES = ("Arg0", "Arg1", "Arg2", "Arg3", "Arg4", "Arg5", "ADir", "APrp", "AMnr", "ALoc", "AGol",
         "AScn")  # fmt: skip
REFERENCES = 3
_MODIFIERS = {"direction": "ADir", "purpose": "APrp", "manner": "AMnr", "location": "ALoc",
              "goal": "AGol"}  # fmt: skip

# A prediction is {event: {role: caption}}; `vb_id` and roles that are not scored are ignored.
Prediction = Mapping[str, Mapping[str, str]]


@cache
def short_role(key: str) -> str:
    """`Arg0 (driver)` -> Arg0, `ArgM (manner)` -> AMnr, `Scene of the Event` -> AScn.

    DataError for any other role: the official code raises there too.
    """
    first = key.split(" ", 1)[0]
    if first in ("Arg0", "Arg1", "Arg2", "Arg3", "Arg4", "Arg5"):
        return first
    if key == "Scene of the Event":
        return "AScn"
    if first == "ArgM":
        for word, short in _MODIFIERS.items():
            if word in key:
                return short
    raise DataError(f"unknown role {key!r}; VidSitu has Arg0..Arg5, ArgM (...) and the scene")


@dataclass(frozen=True)
class RoleItems:
    """One item a scored role: `video`, `place` among its mentions, role and verb, its strings."""

    video: np.ndarray
    place: np.ndarray  # see `_place`
    role: list[str]
    verb: list[str]
    hypotheses: list[str]
    references: list[list[str]]


def permuted(annotations: Sequence[Sequence[Annotation]]) -> list[list[Annotation]]:
    """Each video's references: its annotations in the official permutation, the first three.

    One stream of `RandomState(5)` runs over all videos in split order.
    """
    generator = np.random.RandomState(5)  # the official one, legacy as it is
    return [
        [group[place] for place in generator.permutation(len(group))][:REFERENCES]
        for group in annotations
    ]


def role_items(
    references: Sequence[Sequence[Annotation]], predictions: Sequence[Prediction]
) -> RoleItems:
    """The scored roles of each video's first reference, in its order.

    DataError where another reference lacks one of them: the official code raises there too.
    """
    videos: list[int] = []
    places: list[int] = []
    roles: list[str] = []
    verbs: list[str] = []
    hypotheses: list[str] = []
    strings: list[list[str]] = []
    for video, (group, prediction) in enumerate(zip(references, predictions, strict=True)):
        for place, name in enumerate(EVENTS):
            others = [dict(annotation.events[place].arguments) for annotation in group]
            for key, _ in group[0].events[place].arguments:
                role = short_role(key)
                if role not in SCORED:
                    continue
                if not all(key in other for other in others):
                    raise DataError(f"{group[0].segment}: an annotation of {name} lacks {key!r}")
                videos.append(video)
                places.append(_place(place, role))
                roles.append(role)
                verbs.append(group[0].events[place].verb_id)
                hypotheses.append(prediction.get(name, {}).get(role, ""))
                strings.append([other[key] for other in others])
    return RoleItems(np.array(videos, np.int64), np.array(places, np.int64), roles, verbs,
                     hypotheses, strings)  # fmt: skip


def _place(event: int, role: str) -> int:
    """The number of a scored role among the mentions that a video can have."""
    return event * len(SCORED) + SCORED.index(role)


@dataclass(frozen=True)
class RoleScores:
    """`metrics` by the official names, raw scale; the rest to look closer and to resample.

    `cider` float64 [items] takes document frequencies within all items (""), each verb
    ("MacroVb") and each role ("MacroArg"). `coreference` float64 [rounds, videos, metrics, 4] holds
    numerator and denominator of precision and of recall; zeros for a video that takes no part.
    """

    metrics: dict[str, float]
    items: RoleItems
    captions: Captions
    cider: dict[str, np.ndarray]
    coreference: np.ndarray


def role_metrics(
    annotations: Sequence[Sequence[Annotation]], predictions: Sequence[Prediction]
) -> RoleScores:
    """All caption and coreference numbers of a split; both lists are in split order."""
    return reference_metrics(permuted(annotations), predictions)


def reference_metrics(
    references: Sequence[Sequence[Annotation]], predictions: Sequence[Prediction]
) -> RoleScores:
    """As `role_metrics`, of references that are permuted and cut already."""
    items = role_items(references, predictions)
    if not items.role:
        raise DataError("no scored role in the annotations; check the split")
    captions = Captions.of(items.hypotheses, items.references)
    ciders = {"": captions.cider()}
    metrics = {"cider": float(ciders[""].mean()), "rouge": float(captions.rouge.mean())}
    metrics |= {f"bleu_{n + 1}": float(v) for n, v in enumerate(captions.bleu()[0])}
    for prefix, labels in (("MacroVb", items.verb), ("MacroArg", items.role)):
        names, group = np.unique(labels, return_inverse=True)
        ciders[prefix] = captions.cider(group)
        for name, values in _grouped(captions, ciders[prefix], group).items():
            metrics[f"{prefix}_{name}"] = float(values.mean())
            if prefix == "MacroArg":
                pairs = zip(names, values, strict=True)
                metrics |= {f"{role}_{name}": float(v) for role, v in pairs}
    counts = _coreference(references, predictions, items, ciders[""])
    for place, name in enumerate(METRICS):
        metrics[name] = float(np.mean([f1(round_[:, place]) for round_ in counts]))
    return RoleScores(metrics, items, captions, ciders, counts)


def _grouped(captions: Captions, cider: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """Metric -> its value in each group of items."""
    sizes = np.bincount(group)
    means = {"cider": cider, "rouge": captions.rouge}
    values = {name: np.bincount(group, each) / sizes for name, each in means.items()}
    return values | {f"bleu_{n + 1}": column for n, column in enumerate(captions.bleu(group).T)}


def _coreference(
    references: Sequence[Sequence[Annotation]],
    predictions: Sequence[Prediction],
    items: RoleItems,
    cider: np.ndarray,
) -> np.ndarray:
    """Counts of every video in as many rounds as the first has references; see RoleScores."""
    rounds, videos = len(references[0]), len(references)
    soft = np.full((videos, len(EVENTS) * len(SCORED)), np.nan)
    soft[items.video, items.place] = cider
    counts = coreference_counts(_mentions(references, predictions, rounds, soft), rounds * videos)
    return counts.reshape(rounds, videos, *counts.shape[1:])


def _mentions(
    references: Sequence[Sequence[Annotation]],
    predictions: Sequence[Prediction],
    rounds: int,
    soft: np.ndarray,
) -> Mentions:
    """The scored roles of each round's reference of each video, and those that its prediction has.

    A video counts anew in every round. DataError for a predicted role that the first reference
    lacks: it has no CIDEr in `soft` [videos, mentions].
    """
    documents: list[int] = []
    places: list[int] = []
    keys: list[int] = []
    systems: list[int] = []
    key_clusters = system_clusters = 0
    for video, (group, prediction) in enumerate(zip(references, predictions, strict=True)):
        if "Ev1" not in prediction:
            continue
        said = [prediction.get(name, {}) for name in EVENTS]
        for number, annotation in enumerate(group[:rounds]):
            key_of, system_of = numbering(), numbering()
            for place, text in _strings(annotation).items():
                own = said[place // len(SCORED)].get(SCORED[place % len(SCORED)])
                documents.append(number * len(references) + video)
                places.append(place)
                keys.append(key_clusters + key_of[text])
                systems.append(-1 if own is None else system_clusters + system_of[own])
            key_clusters += len(key_of)
            system_clusters += len(system_of)
    document, system = np.array(documents, np.int64), np.array(systems, np.int64)
    weight = soft[document % len(references), np.array(places, np.int64)]
    if (lacking := np.isnan(weight) & (system >= 0)).any():
        segment = references[int(document[lacking][0]) % len(references)][0].segment
        raise DataError(f"{segment}: its first annotation lacks a role that another one has")
    return Mentions(document, np.array(keys, np.int64), system, weight)


def _strings(annotation: Annotation) -> dict[int, str]:
    """The string of each scored role, by the number of the mention."""
    return {
        _place(place, role): value
        for place, event in enumerate(annotation.events)
        for argument, value in event.arguments
        if (role := short_role(argument)) in SCORED
    }
