"""VidSitu's verb and event-relation numbers, as the official evaluator computes them.

See docs/method.md 6. Pure functions on plain data; fractions, not percent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOP = 5
LABELS = 10  # annotators' verbs an event that count
THRESHOLDS = range(10)


@dataclass(frozen=True)
class VerbScores:
    """`hits` bool [videos, events, 5]: whether the top 1..5 meet the labels.

    `recalls` maps each verb that two annotators chose to its (video, hit) occurrences.
    """

    hits: np.ndarray
    recalls: dict[str, list[tuple[int, bool]]]


def verb_scores(
    predicted: Sequence[Sequence[Sequence[str]]], labels: Sequence[Sequence[Sequence[str]]]
) -> VerbScores:
    """Hits of every event from `predicted` and `labels`, both [videos][events][verb ids].

    The first 5 predictions and the first 10 labels of an event count. ValueError where the shapes
    do not fit.
    """
    if len(predicted) != len(labels):
        raise ValueError(f"{len(predicted)} predicted videos for {len(labels)} labelled ones")
    hits = np.zeros((len(labels), len(labels[0]) if labels else 0, TOP), bool)
    recalls: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for video, (answers, truths) in enumerate(zip(predicted, labels, strict=True)):
        if len(answers) < len(truths):
            raise ValueError(f"video {video}: {len(answers)} events for {len(truths)} labelled")
        for event, truth in enumerate(truths):
            top, counts = list(answers[event][:TOP]), Counter(truth[:LABELS])
            met = np.array([verb in counts for verb in top], bool)
            hits[video, event, : len(met)] = np.logical_or.accumulate(met)
            hits[video, event, len(met) :] = met.any()
            for verb, count in counts.items():
                if count >= 2:
                    recalls[verb].append((video, verb in top))
    return VerbScores(hits, dict(recalls))


def verb_metrics(scores: VerbScores) -> dict[str, float]:
    """The official names: `Per_Ev_Top_k`, `Per_Vid_Top_k`, `recall_macro_1_th_t`, ... as fractions.

    `recall_macro_1_th_9`, macro recall over verbs seen in more than 9 events, is Rec@5.

    >>> scores = verb_scores([[["walk.01", "run.01"]]], [[["run.01", "run.01", "jog.01"]]])
    >>> found = verb_metrics(scores)
    >>> found["Per_Ev_Top_1"], found["Per_Ev_Top_2"]
    (0.0, 1.0)
    """
    metrics: dict[str, float] = {}
    for k in range(TOP):
        metrics[f"Per_Ev_Top_{k + 1}"] = float(scores.hits[:, :, k].mean())
        metrics[f"Per_Vid_Top_{k + 1}"] = float(scores.hits[:, :, k].all(axis=1).mean())
    metrics["acc"] = metrics[f"Per_Ev_Top_{TOP}"]
    means = [
        (len(seen), sum(hit for _, hit in seen) / len(seen)) for seen in scores.recalls.values()
    ]
    for threshold in THRESHOLDS:
        kept = [mean for count, mean in means if count > threshold]
        metrics[f"recall_macro_1_th_{threshold}"] = sum(kept) / len(kept) if kept else 0.0
        metrics[f"num_vbs_thresh_{threshold}"] = float(len(kept))
    return metrics


def relation_scores(
    predicted: Sequence[Sequence[Sequence[str]]], labels: Sequence[Sequence[Sequence[str]]]
) -> dict[str, list[tuple[int, bool]]]:
    """Each relation's (video, hit) of the annotations that count.

    Both are [videos][events][annotators], each annotator answered by a prediction of its own. An
    annotation counts where its label is the event's most frequent one (equals: the first seen) and
    at least two chose it. ValueError where a prediction is missing.
    """
    correct: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for video, (answers, truths) in enumerate(zip(predicted, labels, strict=True)):
        for event, truth in enumerate(truths):
            if len(answers) <= event or len(answers[event]) != len(truth):
                raise ValueError(f"video {video}, event {event}: {len(truth)} answers are needed")
            top, count = Counter(truth).most_common(1)[0]
            if count >= 2:
                pairs = zip(answers[event], truth, strict=True)
                correct[top] += [
                    (video, answer == label) for answer, label in pairs if label == top
                ]
    return dict(correct)


def relation_metrics(scores: dict[str, list[tuple[int, bool]]]) -> dict[str, float]:
    """`Top_1`, `Macro_Top_1`, `Len` and `Macro/<relation>`; 0 where nothing counts."""
    everything = [hit for hits in scores.values() for _, hit in hits]
    macro = {label: sum(hit for _, hit in hits) / len(hits) for label, hits in scores.items()}
    return {
        "Top_1": sum(everything) / len(everything) if everything else 0.0,
        "Macro_Top_1": sum(macro.values()) / len(macro) if macro else 0.0,
        "Len": float(len(everything)),
        **{f"Macro/{label}": value for label, value in macro.items()},
    }
