"""ROUGE-L of many captions at once, as pycocoevalcap counts it.

The longest common subsequence is found for all pairs together: a row of the table is the bits of
one integer a pair (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004; a zero bit is a
step upwards), and a step takes one word of every second text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bench.metrics.numbering import numbering

BETA = 1.2
WIDEST = 63  # words that fit the bits of one integer with a place to spare


def rouge_l(
    texts: Sequence[str], own: np.ndarray, theirs: np.ndarray, item_of: np.ndarray
) -> np.ndarray:
    """float64 [N]: ROUGE-L of texts `own` [N] against their references, texts `theirs` [R].

    `item_of` [R] names each reference's item; every item has one. The best precision and the best
    recall may come from different references. Texts are split at single blanks, so that "" is one
    empty token, as there.
    """
    vocabulary = numbering()
    counts: list[int] = []
    flat: list[int] = []
    for text in texts:
        counts.append(len(split := text.split(" ")))
        flat.extend([vocabulary[word] for word in split])
    tokens, lengths = np.array(flat, np.int64), np.array(counts, np.int64)
    pairs, which = np.unique(own[item_of] * len(texts) + theirs, return_inverse=True)
    common = _common(tokens, lengths, pairs // len(texts), pairs % len(texts))[which]
    precision, recall = np.zeros(len(own)), np.zeros(len(own))
    np.maximum.at(precision, item_of, common / lengths[own[item_of]])
    np.maximum.at(recall, item_of, common / lengths[theirs])
    scale = recall + BETA**2 * precision
    score = (1 + BETA**2) * precision * recall
    return np.divide(score, scale, out=np.zeros(len(own)), where=score > 0)


def _common(
    tokens: np.ndarray, lengths: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Length of the longest common subsequence of texts `first` and `second`, pair by pair.

    `tokens` holds the words of all texts one after the other, `lengths` how many are whose.
    """
    common = np.empty(len(first), np.int64)
    ends = np.cumsum(lengths)
    # Texts of like length go together, so that little is padded.
    widths = np.maximum(lengths[first], lengths[second])
    for low, high in pairwise((0, 2, 4, 6, 8, 12, 16, 24, 32, WIDEST)):
        chosen = np.flatnonzero((widths > low) & (widths <= high))
        if len(chosen):
            one, two = first[chosen], second[chosen]
            rows = [_padded(tokens, ends[side], lengths[side], high) for side in (one, two)]
            common[chosen] = _common_of(rows[0], rows[1], lengths[one], lengths[two])
    for pair in np.flatnonzero(widths > WIDEST):
        common[pair] = _common_long(*(
            tokens[ends[text] - lengths[text] : ends[text]].tolist()
            for text in (first[pair], second[pair])
        ))  # fmt: skip
    return common


def _padded(tokens: np.ndarray, ends: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """int64 [width, texts]: the words of texts that end in `tokens` at `ends`, then any others."""
    return tokens[np.minimum((ends - lengths) + np.arange(width)[:, None], len(tokens) - 1)]


def _common_of(
    first: np.ndarray, second: np.ndarray, lengths: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Of columns of words, of which the first `lengths` and `others` count."""
    mask = (np.uint64(1) << lengths.astype(np.uint64)) - np.uint64(1)
    row = mask.copy()
    for step, words in enumerate(second):
        matches = np.zeros_like(row)
        for place, word in enumerate(first):
            matches |= (word == words).astype(np.uint64) << np.uint64(place)
        matches &= row  # no bit of it lies past the end of `first`
        matches[others <= step] = 0
        row = ((row + matches) | (row - matches)) & mask
    return lengths - _ones(row)


def _ones(values: np.ndarray) -> np.ndarray:
    """How many bits of each unsigned 64-bit value are set."""
    octets = values.view(np.uint8).reshape(len(values), 8)
    return np.unpackbits(octets, axis=1).sum(axis=1)


def _common_long(first: Sequence[int], second: Sequence[int]) -> int:
    """The same for one pair of any length: Python's integers have as many bits as are needed."""
    bits: dict[int, int] = {}
    for place, word in enumerate(first):
        bits[word] = bits.get(word, 0) | 1 << place
    mask = (1 << len(first)) - 1
    row = mask
    for word in second:
        matches = row & bits.get(word, 0)
        row = (row + matches | row - matches) & mask
    return len(first) - row.bit_count()
