"""Scoring at full size: roles against pycocoevalcap, bootstrap, retrieval of 100,000."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from tasks.vidsitu.annotations import EVENTS, Annotation, load_annotations, load_split, load_votes
from tasks.vidsitu.intervals import role_draws, verb_draws
from tasks.vidsitu.scoring import permuted, role_items, role_metrics, short_role
from tests.perf.peers import caption_metrics
from tests.perf.table import ROOT, Figure, interleaved, median, seconds
from tests.rehearsal_vidsitu import write_tree

DIM = 512


def figures(folder: Path, quick: bool) -> list[Figure]:
    """VidSitu's 1,326 videos, then retrieval."""
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
        *_retrieval([500, 1000] if quick else [25_000, 100_000]),
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
    draws = [seconds(lambda: role_draws(scores, 1000, 0)) for _ in range(max(3, rounds))]
    official = caption_metrics(items.hypotheses, items.references, [items.verb, items.role])
    assert abs(official["all"][0] - scores.metrics["cider"]) < 1e-9
    assert abs(official["macro 0"][0] - scores.metrics["MacroVb_cider"]) < 1e-9
    return [
        Figure("Metrics", f"VidSitu roles, {len(annotations)} videos", median(ours),
               f"{median(theirs)}: pycocoevalcap, all items and each verb and role",
               [b / a for a, b in zip(ours, theirs, strict=True)], 10.0,
               note="ours also counts coreference in all rounds, the peer does not. "
               f"{len(items.role)} items; the numbers are equal to 1e-9."),
        Figure("Metrics", "bootstrap of every role metric, 1,000 resamples", median(draws), "2 s",
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
        verb_draws(scores, 1000, 0)

    times = [seconds(score) for _ in range(rounds)]
    return Figure("Metrics", "verbs with 1,000 resamples", median(times), "2 s",
                  met=float(np.median(times)) <= 2)  # fmt: skip


def _retrieval(sizes: list[int]) -> list[Figure]:
    found = []
    measured = []
    for size in sizes:
        command = [sys.executable, "-m", "tests.perf.metrics", str(size)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        measured.append(json.loads(done.stdout))
    for size, told in zip(sizes, measured, strict=True):
        pairs = size * size / told["seconds"] / 1e6
        found.append(
            Figure("Metrics", f"retrieval, {size:,} x {size:,}, ranks and tops both ways",
                   f"{told['seconds']:.1f} s, {told['peak_mib']:,.0f} MiB",
                   f"2,048 MiB; {pairs:.1f} million pairs/s", met=told["peak_mib"] < 2048,
                   note=f"of the peak, {told['inputs_mib']:,.0f} MiB are the two sets of features.")
        )  # fmt: skip
    return found


def _measure_retrieval(size: int) -> None:
    """Rank random features of 512 dimensions in a process of its own; prints a JSON line."""
    import resource

    from bench.contracts import normalise
    from bench.metrics.retrieval import ranks_from_features

    chooser = np.random.default_rng(0)
    texts = chooser.standard_normal((size, DIM), np.float32)
    videos = normalise(texts + chooser.standard_normal((size, DIM), np.float32) * 3)
    texts = normalise(texts)
    spent = seconds(lambda: ranks_from_features(texts, videos, np.arange(size)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    inputs = (texts.nbytes + videos.nbytes) / 2**20
    print(json.dumps({"seconds": spent, "peak_mib": peak, "inputs_mib": inputs}))


if __name__ == "__main__":
    _measure_retrieval(int(sys.argv[1]))
