"""From VidSitu's annotations and predictions to the official numbers (METHOD 6).

What the official evaluator does by accident is kept where a number depends on it, and named here:
references are permuted with NumPy's legacy generator, a video whose prediction lacks Ev1 takes no
part in coreference, and a missing role is an empty caption but no mention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import DataError
from bench.metrics.captions import Captions
from bench.metrics.coreference import METRICS, clusters_of, coreference_counts, f1
from tasks.vidsitu.annotations import EVENTS, Annotation

SCORED = ("Arg0", "Arg1", "Arg2", "ALoc", "AScn")
REFERENCES = 3
_MODIFIERS = {"direction": "ADir", "purpose": "APrp", "manner": "AMnr", "location": "ALoc",
              "goal": "AGol"}  # fmt: skip

# A prediction is {event: {role: caption}}; `vb_id` and roles that are not scored are ignored.
Prediction = Mapping[str, Mapping[str, str]]


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
    """One item a scored role: `video`, `event`, `role` and `verb` of each, with its strings."""

    video: np.ndarray
    mention: list[tuple[str, str]]
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
    items = RoleItems(np.empty(0, np.int64), [], [], [], [], [])
    videos: list[int] = []
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
                items.mention.append((name, role))
                items.role.append(role)
                items.verb.append(group[0].events[place].verb_id)
                items.hypotheses.append(prediction.get(name, {}).get(role, ""))
                items.references.append([other[key] for other in others])
    return RoleItems(
        np.array(videos, np.int64), items.mention, items.role, items.verb, items.hypotheses,
        items.references,
    )  # fmt: skip


@dataclass(frozen=True)
class RoleScores:
    """`metrics` by the official names, raw scale; the rest to look closer and to resample.

    `coreference` float64 [rounds, videos, metrics, 4] holds numerator and denominator of precision
    and of recall; a video that takes no part has zeros.
    """

    metrics: dict[str, float]
    items: RoleItems
    captions: Captions
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
    cider = captions.cider()
    metrics = {"cider": float(cider.mean()), "rouge": float(captions.rouge.mean())}
    metrics |= {f"bleu_{n + 1}": float(v) for n, v in enumerate(captions.bleu()[0])}
    for prefix, labels in (("MacroVb", items.verb), ("MacroArg", items.role)):
        names, by_group = _grouped(captions, labels)
        for name, values in by_group.items():
            metrics[f"{prefix}_{name}"] = float(values.mean())
            if prefix == "MacroArg":
                pairs = zip(names, values, strict=True)
                metrics |= {f"{role}_{name}": float(v) for role, v in pairs}
    counts = _coreference(references, predictions, items, cider)
    for place, name in enumerate(METRICS):
        metrics[name] = float(np.mean([f1(round_[:, place]) for round_ in counts]))
    return RoleScores(metrics, items, captions, counts)


def _grouped(captions: Captions, labels: list[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Metric -> its value in each group of items with the same label."""
    names, group = np.unique(labels, return_inverse=True)
    sizes = np.bincount(group)
    values = {
        "cider": np.bincount(group, captions.cider(group)) / sizes,
        "rouge": np.bincount(group, captions.rouge) / sizes,
    }
    values |= {f"bleu_{n + 1}": column for n, column in enumerate(captions.bleu(group).T)}
    return list(names), values


def _coreference(
    references: Sequence[Sequence[Annotation]],
    predictions: Sequence[Prediction],
    items: RoleItems,
    cider: np.ndarray,
) -> np.ndarray:
    """Counts of every video in as many rounds as the first has references; see RoleScores."""
    soft: list[dict[tuple[str, str], float]] = [{} for _ in references]
    for video, mention, value in zip(items.video, items.mention, cider, strict=True):
        soft[video][mention] = float(value)
    counts = np.zeros((len(references[0]), len(references), len(METRICS), 4))
    for video, (group, prediction) in enumerate(zip(references, predictions, strict=True)):
        if "Ev1" not in prediction:
            continue
        for place, annotation in enumerate(group[: len(counts)]):
            key, system = _mentions(annotation, prediction)
            found = coreference_counts(clusters_of(key), clusters_of(system), soft[video])
            counts[place, video] = [[*found[name][0], *found[name][1]] for name in METRICS]
    return counts


def _mentions(
    annotation: Annotation, prediction: Prediction
) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Strings of the annotation's scored roles, and of those that the prediction has."""
    key: dict[tuple[str, str], str] = {}
    system: dict[tuple[str, str], str] = {}
    for name, event in zip(EVENTS, annotation.events, strict=True):
        for argument, value in event.arguments:
            role = short_role(argument)
            if role in SCORED:
                key[name, role] = value
                if role in prediction.get(name, {}):
                    system[name, role] = prediction[name][role]
    return key, system
