"""VidSitu's metrics as functions of how often each video is drawn, for intervals and tests.

A caption's CIDEr keeps the document frequencies of the whole set: frequencies taken anew in each
resample would count a video drawn twice as two documents. Rec@5 keeps its verbs, CIDEr-Vb and
CIDEr-Arg their groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.metrics.bootstrap import Mean, Statistic
from bench.metrics.captions import bleu_of
from bench.metrics.coreference import METRICS
from bench.metrics.resampling import Statistics, f1, macro, mean, sums
from bench.metrics.verbs import TOP, VerbScores
from tasks.vidsitu.scoring.rules import RoleScores

REC5_THRESHOLD = 9


def verb_statistics(scores: VerbScores) -> Statistics:
    """`Per_Ev_Top_k`, `Per_Vid_Top_k` and `recall_macro_1_th_9`, as fractions."""
    videos, events = scores.hits.shape[:2]
    statistics: Statistics = {}
    for k in range(TOP):
        hits = scores.hits[:, :, k]
        # Whole hits, so that equal models differ by nothing at all.
        statistics[f"Per_Ev_Top_{k + 1}"] = Mean(
            hits.sum(axis=1).astype(float), np.full(videos, float(events)), share=True
        )
        statistics[f"Per_Vid_Top_{k + 1}"] = mean(np.all(hits, axis=1), share=True)
    hits, seen = _by_label(scores.recalls, videos)
    statistics[f"recall_macro_1_th_{REC5_THRESHOLD}"] = macro(hits, seen, REC5_THRESHOLD)
    return statistics


def role_statistics(scores: RoleScores) -> Statistics:
    """Every role metric that `role_metrics` names, but for groups' ROUGE and BLEU."""
    items, captions = scores.items, scores.captions
    videos = len(scores.coreference[0])
    statistics: Statistics = {}
    groupings = {"MacroVb": items.verb, "MacroArg": items.role}
    for name, values in (("cider", scores.cider[""]), ("rouge", captions.rouge)):
        statistics[name] = _mean_of_items(items.video, values, videos)
    for prefix, labels in groupings.items():
        names, group = np.unique(labels, return_inverse=True)
        parts, counts = sums(items.video, group, scores.cider[prefix], videos)
        statistics[f"{prefix}_cider"] = macro(parts, counts)
        if prefix == "MacroArg":
            for place, role in enumerate(names):
                statistics[f"{role}_cider"] = Mean(parts[:, place], counts[:, place])
    counts = captions.bleu_counts
    by_video = np.stack([np.bincount(items.video, c, videos) for c in counts.T], axis=1)
    for n in range(4):
        statistics[f"bleu_{n + 1}"] = _bleu(by_video, n)
    for place, name in enumerate(METRICS):
        statistics[name] = f1(scores.coreference[:, :, place])
    return statistics


def relation_statistics(scores: dict[str, list[tuple[int, bool]]], videos: int) -> Statistics:
    """`Top_1` and `Macro_Top_1`, as fractions."""
    hits, seen = _by_label(scores, videos)
    everything = Mean(hits.sum(axis=1), seen.sum(axis=1), share=True)
    return {"Top_1": everything, "Macro_Top_1": macro(hits, seen)}


def _mean_of_items(video: np.ndarray, values: np.ndarray, videos: int) -> Mean:
    everything = np.zeros(len(video), np.int64)
    total, count = sums(video, everything, values, videos)
    return Mean(total[:, 0], count[:, 0])


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
