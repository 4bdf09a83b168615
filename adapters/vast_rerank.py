"""VAST's re-ranking: the matching head's probability for the best pairs, and 0 for all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.errors import UsageError

# A video and its texts -> the probability that each of the texts fits.
Match = Callable[[int, Sequence[int]], np.ndarray]


def best_pairs(similarity: np.ndarray, k: int, axis: int) -> np.ndarray:
    """Marks [texts, videos] of the `k` largest along `axis`: 1 for each text, 0 for each video.

    Of equals the first. UsageError for more than there are: the official code has no rule for it.
    """
    if not 0 < k <= similarity.shape[axis]:
        raise UsageError(f"the {k} best of {similarity.shape[axis]} cannot be re-ranked")
    order = np.argsort(-similarity, axis=axis, kind="stable")
    best = np.take(order, range(k), axis=axis)
    marks = np.zeros(similarity.shape, bool)
    np.put_along_axis(marks, best, True, axis=axis)
    return marks


def reranked(similarity: np.ndarray, k: int, axis: int, match: Match) -> np.ndarray:
    """The new float32 [texts, videos]; `match` is called once for each video with a pair."""
    found = np.zeros(similarity.shape, np.float32)
    for video, marked in enumerate(best_pairs(similarity, k, axis).T):
        if texts := np.flatnonzero(marked).tolist():
            found[texts, video] = match(video, texts)
    return found
