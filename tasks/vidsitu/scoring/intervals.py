"""Bootstrap over videos for VidSitu's metrics.

A caption's CIDEr keeps the document frequencies of the whole set: frequencies taken anew in each
resample would count a video drawn twice as two documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.metrics.captions import bleu_of
from bench.metrics.coreference import METRICS
from bench.metrics.resampling import Replicates, Statistic, f1, macro, mean, resampled, sums
from bench.metrics.verbs import TOP, VerbScores
from tasks.vidsitu.scoring.rules import RoleScores

REC5_THRESHOLD = 9


def verb_draws(scores: VerbScores, resamples: int, seed: int) -> Replicates:
    """Replicates of `Per_Ev_Top_k`, `Per_Vid_Top_k` and `recall_macro_1_th_9`, as fractions."""
    videos = len(scores.hits)
    statistics: dict[str, Statistic] = {}
    for k in range(TOP):
        statistics[f"Per_Ev_Top_{k + 1}"] = mean(scores.hits[:, :, k].mean(axis=1))
        statistics[f"Per_Vid_Top_{k + 1}"] = mean(scores.hits[:, :, k].all(axis=1).astype(float))
    hits, seen = _by_label(scores.recalls, videos)
    statistics[f"recall_macro_1_th_{REC5_THRESHOLD}"] = macro(hits, seen, REC5_THRESHOLD)
    return resampled(statistics, videos, resamples, seed)


def role_draws(scores: RoleScores, resamples: int, seed: int) -> Replicates:
    """Replicates of every role metric that `role_metrics` names, but for groups' ROUGE and BLEU."""
    items, captions = scores.items, scores.captions
    videos = len(scores.coreference[0])
    statistics: dict[str, Statistic] = {}
    everything = np.zeros(captions.items, np.int64)
    groupings = {"MacroVb": items.verb, "MacroArg": items.role}
    for name, values in (("cider", scores.cider[""]), ("rouge", captions.rouge)):
        statistics[name] = macro(*sums(items.video, everything, values, videos))
    for prefix, labels in groupings.items():
        names, group = np.unique(labels, return_inverse=True)
        parts, counts = sums(items.video, group, scores.cider[prefix], videos)
        statistics[f"{prefix}_cider"] = macro(parts, counts)
        if prefix == "MacroArg":
            for place, role in enumerate(names):
                column = slice(place, place + 1)
                statistics[f"{role}_cider"] = macro(parts[:, column], counts[:, column])
    counts = captions.bleu_counts
    by_video = np.stack([np.bincount(items.video, c, videos) for c in counts.T], axis=1)
    for n in range(4):
        statistics[f"bleu_{n + 1}"] = _bleu(by_video, n)
    for place, name in enumerate(METRICS):
        statistics[name] = f1(scores.coreference[:, :, place])
    return resampled(statistics, videos, resamples, seed)


def relation_draws(
    scores: dict[str, list[tuple[int, bool]]], videos: int, resamples: int, seed: int
) -> Replicates:
    """Replicates of `Top_1` and `Macro_Top_1`, as fractions."""
    hits, seen = _by_label(scores, videos)
    total = hits.sum(axis=1, keepdims=True), seen.sum(axis=1, keepdims=True)
    statistics = {"Top_1": macro(*total), "Macro_Top_1": macro(hits, seen)}
    return resampled(statistics, videos, resamples, seed)


def _by_label(
    occurrences: Mapping[str, Sequence[tuple[int, bool]]], videos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hits and occurrences of every label by video, both [videos, labels]."""
    seen = np.zeros((videos, max(1, len(occurrences))))
    hits = np.zeros_like(seen)
    for column, of_label in enumerate(occurrences.values()):
        for video, hit in of_label:
            seen[video, column] += 1
            hits[video, column] += hit
    return hits, seen


def _bleu(counts: np.ndarray, n: int) -> Statistic:
    return lambda weights: bleu_of(weights @ counts)[:, n]
