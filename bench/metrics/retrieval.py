"""Ranks and recall of text-to-video retrieval (docs/method.md 7), exact at any size.

A tie ranks the right answer behind its equals: a model that gives every video the same score is to
score as nothing. CLIP4Clip's evaluator counts ties as hits; without ties the numbers are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bench.metrics.dual_softmax import DualSoftmax

CUTOFFS = (1, 5, 10)
MANY = 50_000_000  # products worth a device of their own, or float32 first
LONGEST = 1e12  # of a feature's numbers: its float32 products cannot overflow
PAIRS = 1024  # formed at once: they stay in the processor's cache
BLOCK, FAST_BLOCK = 1 << 30, 1 << 28  # bytes of a block of them, in float64, there and so


@dataclass(frozen=True)
class Ranking:
    """Ranks from 1 and the best answers of every query.

    `t2v` int [M] and `t2v_top`, `t2v_top_scores` [M, k] by text; `v2t` int [G] and its tops by
    video that has a caption, in the order of `videos` int [G]. `scores` float32 [M] is each text's
    similarity with its own video, `v2t_scores` [G] each video's with its best own caption. Scores
    of a dual softmax are float64: they may be too small for float32.
    """

    t2v: np.ndarray
    scores: np.ndarray
    t2v_top: np.ndarray
    t2v_top_scores: np.ndarray
    videos: np.ndarray
    v2t: np.ndarray
    v2t_scores: np.ndarray
    v2t_top: np.ndarray
    v2t_top_scores: np.ndarray


def retrieval_metrics(similarity: np.ndarray, owner: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 (percent), MdR, MnR, and the same as `v2t/...`.

    `similarity` is [texts, videos], `owner[i]` the right video of text i. A video ranks the groups
    of captions, each by its best (CLIP4Clip's convention). ValueError for NaN, infinity or a wrong
    shape.

    >>> found = retrieval_metrics(np.array([[0.9, 0.1], [0.8, 0.3]]), np.array([0, 1]))
    >>> found["R@1"], found["MdR"], found["v2t/R@1"]
    (50.0, 1.5, 100.0)
    """
    t2v, v2t = ranks_from_similarity(similarity, owner)
    metrics = metrics_of_ranks(t2v)
    metrics.update({f"v2t/{name}": value for name, value in metrics_of_ranks(v2t).items()})
    return metrics


def metrics_of_ranks(ranks: np.ndarray) -> dict[str, float]:
    """Recall in percent, median and mean of ranks counted from 1. ValueError for no ranks."""
    if len(ranks) == 0:
        raise ValueError("no ranks: nothing was answered")
    metrics = {f"R@{k}": 100.0 * float(np.mean(ranks <= k)) for k in CUTOFFS}
    return {**metrics, "MdR": float(np.median(ranks)), "MnR": float(np.mean(ranks))}


def ranks_from_similarity(
    similarity: np.ndarray, owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks int [texts] and [videos that own a text, ascending] of a full similarity matrix."""
    similarity, owner = np.asarray(similarity), np.asarray(owner)
    if similarity.ndim != 2:
        raise ValueError(f"similarity {similarity.shape} is not [texts, videos]")
    _check_owner(owner, *similarity.shape)
    if not np.isfinite(similarity).all():
        raise ValueError("similarity holds NaN or infinity")
    rows = np.arange(len(owner))
    t2v = rank_of_own(similarity, similarity[rows, owner], owner)
    order = np.argsort(owner, kind="stable")
    videos, starts = np.unique(owner[order], return_index=True)
    groups = np.maximum.reduceat(similarity[order], starts, axis=0)[:, videos]
    own = np.diagonal(groups)
    return t2v, rank_of_own(groups.T, own, np.arange(len(videos)))


def _check_owner(owner: np.ndarray, texts: int, videos: int) -> None:
    """Refuse an owner that is not one video a text: -1 would silently mean the last one."""
    if owner.shape != (texts,):
        raise ValueError(f"owner {owner.shape} does not fit {texts} texts")
    if texts == 0:
        raise ValueError("no texts to rank")
    if owner.min() < 0 or owner.max() >= videos:
        raise ValueError(f"owner names a video that is none of the {videos}")


def rank_of_own(rows: np.ndarray, own: np.ndarray, own_column: np.ndarray) -> np.ndarray:
    """1 + how many other columns of each row are at least the row's own score."""
    ahead = rows >= own[:, None]
    # The own column is left out by place, not by value: its score may be rounded otherwise.
    return 1 + ahead.sum(axis=1) - ahead[np.arange(len(rows)), own_column]


def ranks_from_features(
    texts: np.ndarray,
    videos: np.ndarray,
    owner: np.ndarray,
    chunk_bytes: int = 64 << 20,
    top: int = 10,
    device: str = "cpu",
    temperature: float | None = None,
) -> Ranking:
    """Ranks from normalised features [M, D] and [N, D] without the [M, N] matrix in memory.

    Products are formed in float64 and rounded to float32, so that equal features tie exactly
    whatever the chunk, the number of threads or the machine's matrix kernels. Every chunk holds
    whole groups of captions. Many products are made on a torch `device` that is not the CPU. With a
    `temperature` the similarity is rescored by `bench.metrics.dual_softmax` first, which takes a
    pass more, on the CPU. ValueError as `ranks_from_similarity`.
    """
    texts, videos, owner = np.asarray(texts), np.asarray(videos), np.asarray(owner)
    if texts.ndim != 2 or videos.ndim != 2 or texts.shape[1] != videos.shape[1]:
        raise ValueError(f"features {texts.shape} and {videos.shape} do not fit")
    _check_owner(owner, len(texts), len(videos))
    if not (np.isfinite(texts).all() and np.isfinite(videos).all()):
        raise ValueError("features hold NaN or infinity")
    order = np.argsort(owner, kind="stable")
    queried, starts = np.unique(owner[order], return_index=True)
    ends = np.append(starts[1:], len(owner))
    scores = own = pair_scores(texts, videos, np.arange(len(owner)), owner)
    top = min(top, len(videos))
    many = temperature is None and len(texts) * len(videos) >= MANY
    on_device = many and device != "cpu"
    if many:
        chunk_bytes = BLOCK if on_device else max(chunk_bytes, FAST_BLOCK)
    bytes_a_row = (8 if temperature is None else 16) * len(videos)  # rescored ones are float64
    chunks = [
        (first, last, order[starts[first] : ends[last - 1]])
        for first, last in _chunks(ends, max(1, chunk_bytes // bytes_a_row))
    ]
    similarity, softmax = Similarity(texts, videos), None
    if temperature is not None:
        given = ((rows, similarity(rows)) for _, _, rows in chunks)
        softmax = DualSoftmax.over(given, len(texts), len(videos), temperature)
        scores, own = softmax.of_pairs(scores, owner)
    best_own = np.maximum.reduceat(own[order], starts)
    blocks: Any
    if on_device:
        from bench.metrics.device_ranks import DeviceRanks

        blocks = DeviceRanks(device, texts, videos, queried, best_own, top)
    elif many and can_be_fast(texts, videos):
        from bench.metrics.fast_ranks import FastBlocks

        blocks = FastBlocks(similarity, queried, best_own, top)
    else:
        blocks = Blocks(similarity, softmax, queried, best_own, top)

    t2v = np.empty(len(owner), np.int64)
    t2v_top = np.empty((len(owner), top), np.int64)
    t2v_top_scores = np.empty((len(owner), top), scores.dtype)
    for first, last, rows in chunks:
        sizes = ends[first:last] - starts[first:last]
        t2v[rows], t2v_top[rows], t2v_top_scores[rows] = blocks.add(
            rows, scores[rows], owner[rows], sizes, first
        )
    v2t, v2t_top, v2t_top_scores = blocks.groups()
    return Ranking(
        t2v, scores, t2v_top, t2v_top_scores, queried, v2t, best_own,
        queried[v2t_top], v2t_top_scores,
    )  # fmt: skip


def can_be_fast(*features: np.ndarray) -> bool:
    """Whether `bench.metrics.fast_ranks` can take features [N, D]: float32, not absurdly long."""
    return all(one.dtype == np.float32 and np.abs(one).max(initial=0) < LONGEST for one in features)


class Similarity:
    """Of texts, by their places, with all videos: float32 [rows, N], formed in float64."""

    def __init__(self, texts: np.ndarray, videos: np.ndarray) -> None:
        self.texts, self.videos = texts, videos

    @cached_property
    def _columns(self) -> np.ndarray:
        return self.videos.T.astype(np.float64)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        products = self.texts[rows].astype(np.float64) @ self._columns
        return products.astype(np.float32)


class Blocks:
    """Ranks and best answers of blocks of texts; see `bench.metrics.device_ranks.DeviceRanks`."""

    def __init__(
        self,
        similarity: Similarity,
        softmax: DualSoftmax | None,
        queried: np.ndarray,
        best_own: np.ndarray,
        top: int,
    ) -> None:
        self._similarity, self._softmax = similarity, softmax
        self._queried, self._best_own, self._top = queried, best_own, top
        self._ahead = np.zeros(len(queried), np.int64)
        count = min(top, len(queried))
        self._best = np.zeros((len(queried), count), np.int64)
        self._best_scores = np.full((len(queried), count), -np.inf, best_own.dtype)

    def add(
        self, rows: np.ndarray, own: np.ndarray, owner: np.ndarray, sizes: np.ndarray, first: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        block = by_text = by_video = self._similarity(rows)
        if self._softmax is not None:
            by_text = self._softmax.of_texts(block)
            by_video = self._softmax.of_videos(block, rows)
        starts = np.cumsum(sizes) - sizes
        groups = np.maximum.reduceat(by_video, starts, axis=0)[:, self._queried].T
        at_least = groups >= self._best_own[:, None]
        places = np.arange(first, first + len(sizes))
        self._ahead += at_least.sum(axis=1)
        self._ahead[places] -= at_least[places, places - first]
        _merge_best(self._best, self._best_scores, groups, first)
        return rank_of_own(by_text, own, owner), *best_of_rows(by_text, self._top)

    def groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return 1 + self._ahead, self._best, self._best_scores


def pair_scores(
    texts: np.ndarray, videos: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """float32 [K] of the pairs texts[rows], videos[columns], formed in float64 and rounded."""
    scores = np.empty(len(rows), np.float32)
    for at in range(0, len(rows), PAIRS):
        part = slice(at, at + PAIRS)
        scores[part] = np.einsum("nd,nd->n", texts[rows[part]], videos[columns[part]],
                                 dtype=np.float64, casting="same_kind")  # fmt: skip
    return scores


def _chunks(ends: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Runs of whole groups of about `rows` texts; a larger group stands alone."""
    chunks, first = [], 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + rows, side="right")))
        chunks.append((first, last))
        first = last
    return chunks


def best_of_rows(block: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest of each row: columns and scores, by falling score, then by column."""
    if count < block.shape[1]:
        # Ties at the edge: the smallest kept score is known, then the first columns at it count.
        edge = -np.partition(-block, count - 1, axis=1)[:, count - 1 : count]
        above = block > edge
        room = count - above.sum(axis=1, keepdims=True)
        level = block == edge
        kept = above | (level & (np.cumsum(level, axis=1) <= room))
        columns = np.nonzero(kept)[1].reshape(len(block), count)
    else:
        columns = np.broadcast_to(np.arange(block.shape[1]), block.shape)
    scores = np.take_along_axis(block, columns, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(columns, order, 1), np.take_along_axis(scores, order, 1)


def _merge_best(top: np.ndarray, top_scores: np.ndarray, groups: np.ndarray, first: int) -> None:
    """Put the best of `groups` [videos, groups of this chunk], from index `first`, in the tops.

    Only rows that this chunk betters are touched, ever fewer: an equal score of a later group
    stands behind, so that what is not above the last of a row's top cannot enter it.
    """
    rows = np.flatnonzero(groups.max(axis=1) > top_scores[:, -1])
    count = top.shape[1]
    columns, scores = best_of_rows(groups[rows], min(count, groups.shape[1]))
    columns = np.concatenate([top[rows], columns + first], axis=1)
    scores = np.concatenate([top_scores[rows], scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    top[rows] = np.take_along_axis(columns, order, 1)
    top_scores[rows] = np.take_along_axis(scores, order, 1)
