"""Bootstrap over videos for VidSitu's metrics.

Every metric is a function of sums over videos, so that a resample is a weighted sum and a thousand
of them are a matrix product. A caption's CIDEr keeps the document frequencies of the whole set:
frequencies taken anew in each resample would count a video drawn twice as two documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.metrics.bootstrap import resample_weights
from bench.metrics.captions import bleu_of
from bench.metrics.coreference import METRICS
from bench.metrics.verbs import TOP, VerbScores
from tasks.vidsitu.scoring.rules import RoleScores

# Weights [b, videos] -> the metric in each of b resamples.
Statistic = Callable[[np.ndarray], np.ndarray]
REC5_THRESHOLD = 9
Draws = dict[str, np.ndarray]  # metric -> its value in each resample


def verb_draws(scores: VerbScores, resamples: int, seed: int) -> Draws:
    """Draws of `Per_Ev_Top_k`, `Per_Vid_Top_k` and `recall_macro_1_th_9`, as fractions."""
    videos = len(scores.hits)
    statistics: dict[str, Statistic] = {}
    for k in range(TOP):
        statistics[f"Per_Ev_Top_{k + 1}"] = _mean(scores.hits[:, :, k].mean(axis=1))
        statistics[f"Per_Vid_Top_{k + 1}"] = _mean(scores.hits[:, :, k].all(axis=1).astype(float))
    hits, seen = _by_label(scores.recalls, videos)
    statistics[f"recall_macro_1_th_{REC5_THRESHOLD}"] = _macro(hits, seen, REC5_THRESHOLD)
    return _draws(statistics, videos, resamples, seed)


def role_draws(scores: RoleScores, resamples: int, seed: int) -> Draws:
    """Draws of every role metric that `role_metrics` names, but for groups' ROUGE and BLEU."""
    items, captions = scores.items, scores.captions
    videos = len(scores.coreference[0])
    statistics: dict[str, Statistic] = {}
    everything = np.zeros(captions.items, np.int64)
    groupings = {"MacroVb": items.verb, "MacroArg": items.role}
    for name, values in (("cider", scores.cider[""]), ("rouge", captions.rouge)):
        statistics[name] = _macro(*_sums(items.video, everything, values, videos))
    for prefix, labels in groupings.items():
        names, group = np.unique(labels, return_inverse=True)
        sums, counts = _sums(items.video, group, scores.cider[prefix], videos)
        statistics[f"{prefix}_cider"] = _macro(sums, counts)
        if prefix == "MacroArg":
            for place, role in enumerate(names):
                column = slice(place, place + 1)
                statistics[f"{role}_cider"] = _macro(sums[:, column], counts[:, column])
    counts = captions.bleu_counts
    by_video = np.stack([np.bincount(items.video, c, videos) for c in counts.T], axis=1)
    for n in range(4):
        statistics[f"bleu_{n + 1}"] = _bleu(by_video, n)
    for place, name in enumerate(METRICS):
        statistics[name] = _f1(scores.coreference[:, :, place])
    return _draws(statistics, videos, resamples, seed)


def relation_draws(
    scores: dict[str, list[tuple[int, bool]]], videos: int, resamples: int, seed: int
) -> Draws:
    """Draws of `Top_1` and `Macro_Top_1`, as fractions."""
    hits, seen = _by_label(scores, videos)
    total = hits.sum(axis=1, keepdims=True), seen.sum(axis=1, keepdims=True)
    statistics = {"Top_1": _macro(*total), "Macro_Top_1": _macro(hits, seen)}
    return _draws(statistics, videos, resamples, seed)


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


def _draws(statistics: dict[str, Statistic], videos: int, resamples: int, seed: int) -> Draws:
    draws: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    for weights in resample_weights(videos, resamples, seed):
        for name, statistic in statistics.items():
            draws[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _mean(values: np.ndarray) -> Statistic:
    """Mean of one value a video."""
    return lambda weights: weights @ values / weights.sum(axis=1)


def _sums(
    video: np.ndarray, group: np.ndarray, values: np.ndarray, videos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of item values by video and group, both [videos, groups]."""
    groups = int(group.max(initial=0)) + 1
    place = video * groups + group
    sums = np.bincount(place, values, videos * groups).reshape(videos, groups)
    return sums, np.bincount(place, minlength=videos * groups).reshape(videos, groups).astype(float)


def _macro(sums: np.ndarray, counts: np.ndarray, threshold: int = 0) -> Statistic:
    """Mean over groups of a group's mean; groups with at most `threshold` items are left out."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        number = weights @ counts
        kept = number > threshold
        means = np.divide(weights @ sums, number, out=np.zeros_like(number), where=kept)
        return _shares(means.sum(axis=1), kept.sum(axis=1))

    return statistic


def _bleu(counts: np.ndarray, n: int) -> Statistic:
    return lambda weights: bleu_of(weights @ counts)[:, n]


def _f1(counts: np.ndarray) -> Statistic:
    """Mean over rounds [rounds, videos, 4] of F1 from summed precision and recall fractions."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        values = []
        for round_ in counts:
            p_num, p_den, r_num, r_den = (weights @ round_).T
            precision, recall = _shares(p_num, p_den), _shares(r_num, r_den)
            values.append(_shares(2 * precision * recall, precision + recall))
        mean: np.ndarray = np.mean(values, axis=0)
        return mean

    return statistic


def _shares(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients; 0 where there is nothing to divide by."""
    zero = np.zeros(np.shape(numerator))
    return np.divide(numerator, denominator, out=zero, where=np.asarray(denominator) > 0)
