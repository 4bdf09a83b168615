"""Ranks where a slower score replaces the similarity of each query's best answers (VAST's rule).

What was not among the best scores 0, behind everything that was, and ties there as everywhere rank
the right answer last: a rank beyond the best is the size of the gallery.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.metrics.retrieval import Ranking, best_of_rows, rank_of_own

CHUNK = 64 << 20  # bytes of a block of scores


def nearest(queries: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
    """The `count` items of largest similarity for each query: int64 [Q, count].

    Both are normalised features; products are rounded as in `ranks_from_features`, and of equal
    ones the first is taken.
    """
    columns, count = items.T.astype(np.float64), min(count, len(items))
    found = np.empty((len(queries), count), np.int64)
    for rows in _chunks(len(queries), len(items)):
        block = (queries[rows].astype(np.float64) @ columns).astype(np.float32)
        found[rows], _ = best_of_rows(block, count)
    return found


def reranked(
    owner: np.ndarray,
    t2v: tuple[np.ndarray, np.ndarray],
    v2t: tuple[np.ndarray, np.ndarray],
    top: int = 10,
) -> Ranking:
    """Ranks by the scores of chosen pairs, which are not negative.

    `owner` int [M] is the video of each text, `t2v` the chosen videos [M, k] and their scores,
    `v2t` the chosen texts [N, k] of each of the N videos and theirs. A video ranks the groups of
    captions, each by its best, as without re-ranking. ValueError for negative or odd scores.
    """
    for _, scores in (t2v, v2t):
        if not (np.isfinite(scores).all() and (scores >= 0).all()):
            raise ValueError("scores of pairs hold NaN, infinity or less than 0")
    texts, videos = len(owner), len(v2t[0])
    order = np.argsort(owner, kind="stable")
    queried, starts = np.unique(owner[order], return_index=True)
    by_text = [
        _ranked(_spread(t2v, rows, videos), owner[rows], min(top, videos, t2v[0].shape[1]))
        for rows in _chunks(texts, videos)
    ]
    by_video = []
    count = min(top, len(queried), v2t[0].shape[1])
    for rows in _chunks(len(queried), texts):
        block = _spread(v2t, queried[rows], texts)[:, order]
        groups = np.maximum.reduceat(block, starts, axis=1)
        by_video.append(_ranked(groups, np.arange(len(queried))[rows], count))
    ranks, scores, tops, top_scores = (np.concatenate(one) for one in zip(*by_text, strict=True))
    v2t_ranks, v2t_scores, v2t_tops, v2t_top_scores = (
        np.concatenate(one) for one in zip(*by_video, strict=True)
    )
    return Ranking(ranks, scores, tops, top_scores, queried, v2t_ranks, v2t_scores,
                   queried[v2t_tops], v2t_top_scores)  # fmt: skip


def _spread(
    chosen: tuple[np.ndarray, np.ndarray], rows: np.ndarray | slice, size: int
) -> np.ndarray:
    """float32 [rows, size]: the scores in their places, 0 elsewhere."""
    columns, scores = chosen[0][rows], chosen[1][rows]
    block = np.zeros((len(columns), size), np.float32)
    np.put_along_axis(block, columns, scores.astype(np.float32), axis=1)
    return block


def _ranked(
    block: np.ndarray, own: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rank and score of each row's own column, and the row's best columns with their scores."""
    scores = block[np.arange(len(block)), own]
    return rank_of_own(block, scores, own), scores, *best_of_rows(block, top)


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    size = max(1, CHUNK // (8 * columns))
    return (slice(at, min(rows, at + size)) for at in range(0, rows, size))
