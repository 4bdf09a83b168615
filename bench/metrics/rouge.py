"""ROUGE-L of many captions at once, as pycocoevalcap counts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metrics.numbering import numbering

BETA = 1.2


def rouge_l(
    texts: Sequence[str], own: np.ndarray, theirs: np.ndarray, item_of: np.ndarray
) -> np.ndarray:
    """float64 [N]: ROUGE-L of texts `own` [N] against their references, texts `theirs` [R].

    `item_of` [R] names each reference's item; every item has one. The best precision and the best
    recall may come from different references. Texts are split at single blanks, so that "" is one
    empty token, as there.

    >>> texts = ["a dog runs", "a dog slowly runs home"]
    >>> rouge_l(texts, np.array([0]), np.array([1]), np.array([0])).round(3)
    array([0.718])
    """
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cpdist

    vocabulary = numbering()
    tokens = [[vocabulary[word] for word in text.split(" ")] for text in texts]
    lengths = np.array([len(words) for words in tokens])
    # Each pair of texts once: captions repeat.
    pairs, which = np.unique(own[item_of] * len(texts) + theirs, return_inverse=True)
    sides = ([tokens[text] for text in side] for side in (pairs // len(texts), pairs % len(texts)))
    common = cpdist(*sides, scorer=LCSseq.similarity, dtype=np.int64)[which]
    precision, recall = np.zeros(len(own)), np.zeros(len(own))
    np.maximum.at(precision, item_of, common / lengths[own[item_of]])
    np.maximum.at(recall, item_of, common / lengths[theirs])
    scale = recall + BETA**2 * precision
    score = (1 + BETA**2) * precision * recall
    return np.divide(score, scale, out=np.zeros(len(own)), where=score > 0)
