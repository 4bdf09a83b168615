"""`bench.metrics.retrieval.ranks_from_features` of large sets on the CPU, at the speed of float32.

Products are formed in float32 first. How far such a sum of n products can be from the exact one is
known: n u / (1 - n u) times the lengths of both vectors, in any order of summation, u being 2^-24
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). The pairs that this
leaves open, some of ten thousand, are formed again in float64 and rounded, as the plain way does
with all. So ranks and best answers are the same, to the bit.
"""

from __future__ import annotations

import numpy as np

from bench.metrics.retrieval import PAIRS, Blocks, Similarity, pair_scores

COLUMNS = 2040  # of a tile: 255 words of eight bytes, see `_count_rows`
OPEN = 50  # one pair of so many may be open; of more, the whole block is formed in float64


class TooManyOpen(Exception):
    """Float32 decides too little of a block, as where a model gives many videos one feature."""


class FastBlocks(Blocks):
    """Blocks of texts as `bench.metrics.retrieval.Blocks` takes them, tile by tile of videos."""

    def __init__(
        self, similarity: Similarity, queried: np.ndarray, best_own: np.ndarray, top: int
    ) -> None:
        super().__init__(similarity, None, queried, best_own, top)
        texts, videos = similarity.texts, similarity.videos
        # Videos that have a caption come first, so that a place there is one among `queried`.
        others = np.setdiff1d(np.arange(len(videos)), queried)
        self._products = _Products(texts, videos, np.concatenate([queried, others]))
        self._is_plain = False

    def add(
        self, rows: np.ndarray, own: np.ndarray, owner: np.ndarray, sizes: np.ndarray, first: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._is_plain:
            return super().add(rows, own, owner, sizes, first)
        products, count = self._products, len(self._products.order)
        of_texts = _OfTexts(products, rows, own, owner, self._top)
        of_groups = _OfGroups(products, rows, sizes, first, self._best_own, self._best_scores)
        try:
            for start in range(0, count, COLUMNS):
                tile = slice(start, min(start + COLUMNS, count))
                scores = products.block(rows, tile)
                of_texts.see(scores, tile)
                of_groups.see(scores, tile)
        except TooManyOpen:
            self._is_plain = True  # the other blocks are hardly better: no work is done twice
            return super().add(rows, own, owner, sizes, first)
        self._ahead += of_groups.ahead
        self._best, self._best_scores = of_groups.merged(self._best, self._best_scores)
        return of_texts.found()


class _Products:
    """Of texts [M, D] and videos [N, D], the latter known by their places in `order` [N]."""

    def __init__(self, texts: np.ndarray, videos: np.ndarray, order: np.ndarray) -> None:
        self.order, self._texts, self._videos = order, texts, videos[order]
        self._text_lengths, self._video_lengths = _lengths(texts), _lengths(self._videos)
        terms = texts.shape[1] * 2.0**-24
        # Of the float32 product, and of rounding the exact one; 1.001 is more than lengths are off.
        self._error = 1.001 * (terms / (1 - terms) + 2.0**-24)
        self._lost = texts.shape[1] * 2.0**-126  # near zero, where the processor may flush

    def block(self, rows: np.ndarray, tile: slice) -> np.ndarray:
        """float32 [rows, tile], each at most its error from the exact product."""
        found: np.ndarray = self._texts[rows] @ self._videos[tile].T
        return found

    def exact(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """float32 [K] of pairs [K], formed in float64 and rounded."""
        return pair_scores(self._texts, self._videos, rows, places)

    def errors_of_rows(self, rows: np.ndarray, tile: slice) -> np.ndarray:
        """float64 [rows]: the most that any product of a row with the tile is off."""
        longest = self._video_lengths[tile].max()
        return self._error * self._text_lengths[rows] * longest + self._lost

    def errors_of_places(self, rows: np.ndarray, tile: slice) -> np.ndarray:
        """float64 [tile]: the most that any product of a place with the rows is off."""
        longest = self._text_lengths[rows].max()
        return self._error * longest * self._video_lengths[tile] + self._lost


class _OfTexts:
    """Ranks and best videos of a block's texts."""

    def __init__(
        self, products: _Products, rows: np.ndarray, own: np.ndarray, owner: np.ndarray, top: int
    ) -> None:
        self._products, self._rows, self._own, self._owner = products, rows, own, owner
        self._ahead = np.zeros(len(rows), np.int64)
        self._best = np.full((len(rows), top), -np.inf, np.float32)  # in float32, in any order
        self._most = products.errors_of_rows(rows, slice(None))
        self._kept: list[tuple[np.ndarray, ...]] = []  # rows, places, scores of what may be best

    def see(self, scores: np.ndarray, tile: slice) -> None:
        """Take in the scores of a tile, float32 [B, C]. TooManyOpen."""
        errors = self._products.errors_of_rows(self._rows, tile)
        sure, (i, j) = _compared(scores, self._own[:, None], errors[:, None])
        other = self._products.order[tile][j] != self._owner[i]  # the own is left out by its place
        i, j = i[other], j[other]
        exact = self._products.exact(self._rows[i], tile.start + j)
        self._ahead += _count_rows(sure) + _count_at(i[exact >= self._own[i]], len(self._own))

        floor = _floor(self._best.min(axis=1), scores, self._best.shape[1])
        may = scores >= _below(floor, 2 * self._most)[:, None]
        i, j = _open_pairs(may, self._best.shape[1])
        self._kept.append((i, tile.start + j, scores[i, j]))
        self._best = _largest(self._best, i, scores[i, j])

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ranks [B], best videos [B, k] and their scores."""
        i, places, scores = (np.concatenate(each) for each in zip(*self._kept, strict=True))
        may = scores >= _below(self._best.min(axis=1), 2 * self._most)[i]
        i, places = i[may], places[may]
        exact = self._products.exact(self._rows[i], places)
        shape = self._best.shape
        videos, best = _first_of_each(i, self._products.order[places], exact, shape)
        return 1 + self._ahead, videos, best


class _OfGroups:
    """What a block's groups of captions, from `first`, add to the ranks and tops of videos [G]."""

    def __init__(
        self,
        products: _Products,
        rows: np.ndarray,
        sizes: np.ndarray,
        first: int,
        best_own: np.ndarray,
        best_scores: np.ndarray,
    ) -> None:
        self.ahead = np.zeros(len(best_own), np.int64)
        self._products, self._rows, self._sizes, self._first = products, rows, sizes, first
        self._starts = np.cumsum(sizes) - sizes
        self._best_own, self._floor, self._top = best_own, best_scores[:, -1], best_scores.shape[1]
        self._kept: list[tuple[np.ndarray, ...]] = []  # videos, groups, exact scores

    def see(self, scores: np.ndarray, tile: slice) -> None:
        """Take in the scores of a tile, float32 [B, C]. TooManyOpen."""
        tile = slice(tile.start, min(tile.stop, len(self._best_own)))
        if tile.start >= tile.stop:
            return  # videos without a caption rank none
        scores = scores[:, : tile.stop - tile.start]
        if len(self._sizes) < len(self._rows):
            scores = np.maximum.reduceat(scores, self._starts)
        errors = self._products.errors_of_places(self._rows, tile)
        own = self._best_own[tile]
        sure, (g, j) = _compared(scores, own, errors)
        other = self._first + g != tile.start + j
        g, j = g[other], j[other]
        reached = self._exact(g, tile.start + j) >= own[j]
        self.ahead[tile] += _count_columns(sure) + _count_at(j[reached], len(own))

        floor = _floor(self._floor[tile], scores.T, self._top)
        g, j = _open_pairs(scores >= _below(floor, 2 * errors), self._top)
        self._kept.append((tile.start + j, self._first + g, self._exact(g, tile.start + j)))

    def _exact(self, groups: np.ndarray, places: np.ndarray) -> np.ndarray:
        """float32 [K]: the best of a group's captions with a video, formed in float64."""
        sizes = self._sizes[groups]
        begins = np.cumsum(sizes) - sizes
        captions = np.arange(sizes.sum()) - np.repeat(begins - self._starts[groups], sizes)
        exact = self._products.exact(self._rows[captions], np.repeat(places, sizes))
        return np.maximum.reduceat(exact, begins) if len(groups) else exact

    def merged(self, best: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best groups of every video [G, k] and their scores, this block's among them."""
        videos, groups, exact = (np.concatenate(each) for each in zip(*self._kept, strict=True))
        of, which = np.unique(videos, return_inverse=True)
        new, new_scores = _first_of_each(which, groups, exact, (len(of), self._top))
        # A stable sort: of equal scores the earlier group's stands first.
        both = np.concatenate([best[of], new], axis=1)
        both_scores = np.concatenate([scores[of], new_scores], axis=1)
        order = np.argsort(-both_scores, axis=1, kind="stable")[:, : self._top]
        best[of] = np.take_along_axis(both, order, 1)
        scores[of] = np.take_along_axis(both_scores, order, 1)
        return best, scores


def _lengths(features: np.ndarray) -> np.ndarray:
    """float64 [N] of float32 [N, D], in slices to bound the memory."""
    parts = (features[at : at + PAIRS].astype(np.float64) for at in range(0, len(features), PAIRS))
    return np.concatenate([np.zeros(0), *(np.sqrt((one**2).sum(axis=1)) for one in parts)])


def _below(scores: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The largest float32 that is below `scores` by `errors` for certain."""
    return np.nextafter((scores - errors).astype(np.float32), np.float32(-np.inf))


def _compared(
    scores: np.ndarray, own: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Where `scores` [R, C] are certainly above `own`, bool [R, C], and the pairs left open."""
    sure = scores > -_below(-own, errors)
    return sure, _open_pairs((scores >= _below(own, errors)) ^ sure, 0)


def _open_pairs(mask: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `mask` [R, C] is set, `top` a line aside. TooManyOpen for more than is worth it."""
    flat = np.flatnonzero(mask)
    if len(flat) > mask.size // OPEN + 4 * (top + 1) * max(mask.shape):
        raise TooManyOpen
    return np.unravel_index(flat, mask.shape)  # type: ignore[return-value]


def _floor(known: np.ndarray, scores: np.ndarray, top: int) -> np.ndarray:
    """What a score must reach to be among a row's `top`: `known` [R] of those before, or, where too
    few were, the tile's own [R, C]."""
    if scores.shape[1] <= top or not np.isneginf(known).any():
        return known
    least = np.partition(scores, scores.shape[1] - top, axis=1)[:, -top:].min(axis=1)
    return np.maximum(known, least)


def _count_rows(mask: np.ndarray) -> np.ndarray:
    """int64 [R]: how many of each row of bool [R, C]; NumPy's own sum takes six times as long."""
    if mask.shape[1] % 8 or mask.shape[1] > COLUMNS:
        return mask.sum(axis=1)
    # Eight bytes are added at once; no more than 255 ones meet in any of them.
    return (
        mask.view(np.uint64).sum(axis=1).view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)
    )


def _count_columns(mask: np.ndarray) -> np.ndarray:
    """int64 [C]: how many of each column of bool [R, C]."""
    ones = mask.view(np.uint8)
    parts = (ones[at : at + 255].sum(axis=0, dtype=np.uint8) for at in range(0, len(ones), 255))
    return np.sum([part.astype(np.int64) for part in parts], axis=0)


def _count_at(places: np.ndarray, length: int) -> np.ndarray:
    return np.bincount(places, minlength=length)


def _places_in_row(rows: np.ndarray) -> np.ndarray:
    """Of ascending `rows` [K] the place of each among those of its row."""
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    return np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))


def _largest(best: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The largest of `best` [R, k] and of the `scores` [K] of ascending `rows`, in any order."""
    if not len(rows):
        return best
    place = _places_in_row(rows)
    more = np.full((len(best), place.max() + 1), -np.inf, np.float32)
    more[rows, place] = scores
    count = best.shape[1]
    return np.partition(np.concatenate([best, more], axis=1), -count, axis=1)[:, -count:]


def _first_of_each(
    rows: np.ndarray, places: np.ndarray, scores: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Per row the first [R, k] places and scores by falling score, then by place; else -inf."""
    order = np.lexsort((places, -scores, rows))
    rows, places, scores = rows[order], places[order], scores[order]
    rank = _places_in_row(rows)
    kept = rank < shape[1]
    at = rows[kept], rank[kept]
    found, best = np.zeros(shape, np.int64), np.full(shape, -np.inf, np.float32)
    found[at], best[at] = places[kept], scores[kept]
    return found, best
