"""Coreference of entities over a video's events, as VidSitu's evaluator counts it.

A mention is a role of an event, a cluster the mentions of one video that have the identical string.
All videos are counted together, as arrays; fractions are kept as numerator and denominator, so that
any set of videos can be summed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

METRICS = ("mentions", "muc", "bcub", "ceafe", "lea", "lea_soft")


@dataclass(frozen=True)
class Mentions:
    """M mentions of several videos, each known to one side or to both; all arrays are [M].

    `key` and `system` number the clusters of the two sides over all videos, -1 where that side does
    not have the mention. `soft` weights a mention in LEA-soft's precision: its CIDEr on the raw
    scale.
    """

    video: np.ndarray
    key: np.ndarray
    system: np.ndarray
    soft: np.ndarray


@dataclass(frozen=True)
class _Side:
    """One side's clusters: `cluster` [M] of each mention, the rest of each cluster."""

    cluster: np.ndarray
    video: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, video: np.ndarray, cluster: np.ndarray) -> _Side:
        known = cluster >= 0
        size = np.bincount(cluster[known])
        videos = np.zeros(len(size), np.int64)
        videos[cluster[known]] = video[known]
        return cls(cluster, videos, size)

    def total(self, values: np.ndarray, videos: int) -> np.ndarray:
        """Sums of the clusters' values, by video."""
        return np.bincount(self.video, values, videos)


@dataclass(frozen=True)
class _Overlaps:
    """Every pair of a key and a system cluster with mentions in common, and how many these are."""

    key: np.ndarray
    system: np.ndarray
    common: np.ndarray

    @classmethod
    def of(cls, key: _Side, system: _Side) -> _Overlaps:
        both = (key.cluster >= 0) & (system.cluster >= 0)
        width = max(1, len(system.size))
        pairs, common = np.unique(
            key.cluster[both] * width + system.cluster[both], return_counts=True
        )
        return cls(pairs // width, pairs % width, common)


def coreference_counts(mentions: Mentions, videos: int) -> np.ndarray:
    """float64 [videos, 6, 4]: of each metric in `METRICS` precision's numerator and denominator,
    then recall's."""
    key = _Side.of(mentions.video, mentions.key)
    system = _Side.of(mentions.video, mentions.system)
    overlaps = _Overlaps.of(key, system)
    both = (mentions.key >= 0) & (mentions.system >= 0)
    common = np.bincount(mentions.video[both], minlength=videos).astype(np.float64)
    video = key.video[overlaps.key]
    kept_links = common - np.bincount(video, minlength=videos)  # the same seen from either side
    matched = np.bincount(video, _matching(overlaps, key, system), videos)
    sizes = [side.total(side.size, videos) for side in (system, key)]
    clusters = [side.total(np.ones(len(side.size)), videos) for side in (system, key)]

    counts = np.zeros((videos, len(METRICS), 4))
    for column, side, other, own, other_own in (
        (0, system, key, overlaps.system, overlaps.key),
        (2, key, system, overlaps.key, overlaps.system),
    ):
        size, number = sizes[column // 2], clusters[column // 2]
        squares = np.bincount(own, overlaps.common**2, len(side.size))
        links = side.size * _links(overlaps.common, own, other_own, side, other)
        for place, numerator, denominator in (
            (0, common, size),
            (1, kept_links, size - number),
            (2, side.total(squares / side.size, videos), size),
            (3, matched, number),
            (4, side.total(links, videos), size),
            (5, side.total(links, videos), size),
        ):
            counts[:, place, column], counts[:, place, column + 1] = numerator, denominator
        if side is system:  # LEA-soft differs from LEA in its precision alone
            known = mentions.system >= 0
            weight = np.bincount(mentions.system[known], mentions.soft[known], len(side.size))
            counts[:, 5, 0] = side.total(weight * links, videos)
            counts[:, 5, 1] = side.total(side.size**2, videos)
    return counts


def f1(counts: np.ndarray) -> float:
    """F1 of fractions summed over videos, [videos, 4] as `coreference_counts` orders them.

    >>> round(f1(np.array([[3, 4, 3, 6]])), 3)
    0.6
    """
    p_num, p_den, r_num, r_den = counts.sum(axis=0)
    precision = p_num / p_den if p_den else 0.0
    recall = r_num / r_den if r_den else 0.0
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _links(
    common: np.ndarray, own: np.ndarray, other_own: np.ndarray, side: _Side, other: _Side
) -> np.ndarray:
    """Share of each cluster's links that the other side has; a singleton's link is to itself."""
    kept = np.bincount(own, common * (common - 1), len(side.size))
    share = np.divide(kept, side.size * (side.size - 1), out=np.zeros(len(kept)),
                      where=side.size > 1)  # fmt: skip
    alone = (side.size[own] == 1) & (other.size[other_own] == 1)
    share[own[alone]] = 1.0
    return share


def _matching(overlaps: _Overlaps, key: _Side, system: _Side) -> np.ndarray:
    """Similarity 2 |c & d| / (|c| + |d|) of the pairs in the best one-to-one matching, else 0."""
    similarity = 2 * overlaps.common / (key.size[overlaps.key] + system.size[overlaps.system])
    rivals = np.bincount(overlaps.key)[overlaps.key], np.bincount(overlaps.system)[overlaps.system]
    contested = np.flatnonzero((rivals[0] > 1) | (rivals[1] > 1))
    chosen = np.ones(len(similarity))  # pairs without a rival are all taken
    chosen[contested] = 0
    # Pairs are in order of their key cluster, and these in order of their video.
    videos = key.video[overlaps.key[contested]]
    for pairs in np.split(contested, np.flatnonzero(np.diff(videos)) + 1) if len(videos) else []:
        chosen[pairs[_best(overlaps.key[pairs], overlaps.system[pairs], similarity[pairs])]] = 1
    return similarity * chosen


def _best(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which of the pairs are in the assignment of the highest sum."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = (np.unique(side, return_inverse=True)[1] for side in (rows, columns))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    table[rows, columns] = values
    taken = np.zeros(table.shape, bool)
    taken[linear_sum_assignment(table, maximize=True)] = True
    return taken[rows, columns]
