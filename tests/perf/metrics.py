"""VidSitu's numbers at full size: roles against pycocoevalcap, verbs, the bootstrap."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from bench.metrics.bootstrap import Sample
from tasks.vidsitu.annotations import EVENTS, Annotation, load_annotations, load_split, load_votes
from tasks.vidsitu.scoring.intervals import role_statistics, verb_statistics
from tasks.vidsitu.scoring.rules import permuted, role_items, role_metrics, short_role
from tests.perf.peers import caption_metrics
from tests.perf.table import Figure, interleaved, median, seconds
from tests.rehearsal_vidsitu import write_tree


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Of 1,326 videos."""
    root = folder / "vidsitu"
    if not (root / "split_files").exists():
        write_tree(root, 1)
    segments = load_split(root, "valid")
    found = load_annotations(root, "valid")
    videos = 100 if quick else len(segments)
    annotations = [found[name] for name in segments[:videos]]
    return [
        *_roles(annotations, 1 if quick else 3),
        _verbs(root, segments[:videos], 1 if quick else 5),
    ]


def made_up(annotations: list[list[Annotation]]) -> list[dict[str, dict[str, str]]]:
    """Predictions that are half right: an annotator's words, shuffled, one often missing."""
    chooser = random.Random(0)
    predictions = []
    for group in annotations:
        prediction: dict[str, dict[str, str]] = {}
        for place, name in enumerate(EVENTS):
            prediction[name] = {}
            for key, value in group[0].events[place].arguments:
                other = dict(chooser.choice(group).events[place].arguments).get(key, value)
                words = other.split()
                chooser.shuffle(words)
                kept = words[: max(1, len(words) - chooser.randrange(2))]
                prediction[name][short_role(key)] = " ".join(kept)
        predictions.append(prediction)
    return predictions


def _roles(annotations: list[list[Annotation]], rounds: int) -> list[Figure]:
    predictions = made_up(annotations)
    items = role_items(permuted(annotations), predictions)
    ours, theirs = interleaved(
        lambda: seconds(lambda: role_metrics(annotations, predictions)),
        lambda: seconds(lambda: caption_metrics(items.hypotheses, items.references,
                                                [items.verb, items.role])),
        rounds,
    )  # fmt: skip
    scores = role_metrics(annotations, predictions)
    sample = Sample(len(annotations), role_statistics(scores))
    draws = [seconds(lambda: sample.intervals(9999, 0)) for _ in range(max(3, rounds))]
    official = caption_metrics(items.hypotheses, items.references, [items.verb, items.role])
    assert abs(official["all"][0] - scores.metrics["cider"]) < 1e-9
    assert abs(official["macro 0"][0] - scores.metrics["MacroVb_cider"]) < 1e-9
    return [
        Figure("Metrics", f"VidSitu roles, {len(annotations)} videos", median(ours),
               f"{median(theirs)}: pycocoevalcap, all items and each verb and role",
               [b / a for a, b in zip(ours, theirs, strict=True)], 10.0,
               note="ours also counts coreference in all rounds, the peer does not. "
               f"{len(items.role)} items; the numbers are equal to 1e-9."),
        Figure("Metrics", "bootstrap of every role metric, 9,999 resamples", median(draws), "2 s",
               met=float(np.median(draws)) <= 2),
    ]  # fmt: skip


def _verbs(root: Path, segments: list[str], rounds: int) -> Figure:
    from bench.metrics.verbs import verb_metrics, verb_scores

    votes = load_votes(root, "valid")
    labels = [votes[name] for name in segments]
    predicted = [[event[:5] for event in video] for video in labels]

    def score() -> None:
        scores = verb_scores(predicted, labels)
        verb_metrics(scores)
        Sample(len(labels), verb_statistics(scores)).intervals(9999, 0)

    times = [seconds(score) for _ in range(rounds)]
    return Figure("Metrics", "verbs with 9,999 resamples", median(times), "2 s",
                  met=float(np.median(times)) <= 2)  # fmt: skip
