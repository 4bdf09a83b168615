"""CIDEr, BLEU and ROUGE-L of short captions, for a corpus and for any grouping of it at once.

The numbers are those of pycocoevalcap as VidSitu's evaluator calls it: nothing is tokenised beyond
splitting, and a group (a verb, a role) has document frequencies of its own. Every string is taken
apart once; a grouping then costs a few array operations. Raw scale: CIDEr 0..10, the others 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ORDER = 4
SIGMA = 6.0
BETA = 1.2


@dataclass(frozen=True)
class _Counts:
    """Sparse n-gram counts: `count` of `gram` in `row` (an item, or an item's reference)."""

    row: np.ndarray
    gram: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Captions:
    """Captions of N items, taken apart for scoring; make it with `Captions.of`.

    `item_of` names the item of each of the R references. `hypothesis` and `reference` hold the
    n-gram counts for n = 1..4; `rouge` is each item's ROUGE-L.
    """

    items: int
    item_of: np.ndarray
    hypothesis_words: np.ndarray
    reference_words: np.ndarray
    hypothesis: list[_Counts]
    reference: list[_Counts]
    rouge: np.ndarray

    @classmethod
    def of(cls, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Captions:
        """Hypothesis and at least one reference of every item. ValueError otherwise."""
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} items")
        if not all(references):
            raise ValueError("an item has no reference")
        item_of = np.repeat(np.arange(len(references)), [len(group) for group in references])
        texts = [*hypotheses, *(text for group in references for text in group)]
        unique = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        which = np.array([unique[text] for text in texts], np.int64)
        words, counts = _count_grams(list(unique))
        split = len(hypotheses)
        return cls(
            len(hypotheses), item_of, words[which[:split]], words[which[split:]],
            [_expand(table, which[:split]) for table in counts],
            [_expand(table, which[split:]) for table in counts],
            np.array([_rouge(h, tuple(group)) for h, group in
                      zip(hypotheses, references, strict=True)]),
        )  # fmt: skip

    def cider(self, group: np.ndarray | None = None) -> np.ndarray:
        """float64 [N]: each item's CIDEr, document frequencies taken within its `group` [N]."""
        group = np.zeros(self.items, np.int64) if group is None else np.asarray(group)
        sizes = np.bincount(group, minlength=1)
        score = np.zeros(len(self.item_of))
        for hypothesis, reference in zip(self.hypothesis, self.reference, strict=True):
            score += self._cosines(hypothesis, reference, group, sizes)
        # Both lengths are counted in bigrams, as there.
        pairs = np.maximum(self.reference_words - 1, 0)
        own = np.maximum(self.hypothesis_words - 1, 0)[self.item_of]
        score *= np.exp(-((own - pairs) ** 2) / (2 * SIGMA**2)) / ORDER
        total = np.bincount(self.item_of, score, self.items)
        return 10.0 * total / np.bincount(self.item_of, minlength=self.items)

    def _cosines(
        self, hypothesis: _Counts, reference: _Counts, group: np.ndarray, sizes: np.ndarray
    ) -> np.ndarray:
        """float64 [R]: clipped tf-idf cosine of each reference with its item's hypothesis."""
        grams = 1 + max(int(part.gram.max(initial=0)) for part in (hypothesis, reference))
        item = self.item_of[reference.row]
        seen = np.unique(item * grams + reference.gram)  # once an item, however many references
        slots, frequency = np.unique(
            group[seen // grams] * grams + seen % grams, return_counts=True
        )

        def squared_idf(items: np.ndarray, gram: np.ndarray) -> np.ndarray:
            keys = group[items] * grams + gram
            if not len(slots):
                return np.log(sizes[group[items]]) ** 2
            at = np.minimum(np.searchsorted(slots, keys), len(slots) - 1)
            documents = np.where(slots[at] == keys, frequency[at], 1)
            squared: np.ndarray = (np.log(sizes[group[items]]) - np.log(documents)) ** 2
            return squared

        own = squared_idf(hypothesis.row, hypothesis.gram)
        theirs = squared_idf(item, reference.gram)
        own_norm = np.bincount(hypothesis.row, hypothesis.count**2 * own, self.items)
        norm = np.bincount(reference.row, reference.count**2 * theirs, len(self.item_of))
        keys = hypothesis.row * grams + hypothesis.gram  # ascending, as the counts are
        matched = _lookup(keys, hypothesis.count, item * grams + reference.gram)
        dot = np.minimum(matched, reference.count) * reference.count * theirs
        product = np.bincount(reference.row, dot, len(self.item_of))
        norms = np.sqrt(own_norm[self.item_of] * norm)
        return np.divide(product, norms, out=np.zeros(len(product)), where=norms > 0)

    def bleu(self, group: np.ndarray | None = None) -> np.ndarray:
        """float64 [groups, 4]: corpus BLEU-1..4 of each group, closest reference length."""
        group = np.zeros(self.items, np.int64) if group is None else np.asarray(group)
        return bleu_of(sum_by(group, self.bleu_counts()))

    def bleu_counts(self) -> np.ndarray:
        """float64 [N, 10]: matching and possible n-grams (4 each), own and closest length.

        Sums of these over any set of items are all that its BLEU needs; see `bleu_of`.
        """
        correct = [self._clipped(n) for n in range(ORDER)]
        guess = [np.maximum(self.hypothesis_words - n, 0) for n in range(ORDER)]
        return np.stack([*correct, *guess, self.hypothesis_words, self._closest()], axis=1).astype(
            np.float64
        )

    def _closest(self) -> np.ndarray:
        """Length of the reference closest to each hypothesis; of two as close, the shorter."""
        distance = np.abs(self.reference_words - self.hypothesis_words[self.item_of])
        order = np.lexsort((self.reference_words, distance, self.item_of))
        first = np.searchsorted(self.item_of[order], np.arange(self.items))
        closest: np.ndarray = self.reference_words[order][first]
        return closest

    def _clipped(self, n: int) -> np.ndarray:
        """Matching n-grams of each item, each counted as often as in its best reference."""
        hypothesis, reference = self.hypothesis[n], self.reference[n]
        grams = 1 + max(int(part.gram.max(initial=0)) for part in (hypothesis, reference))
        keys = self.item_of[reference.row] * grams + reference.gram
        order = np.lexsort((-reference.count, keys))
        unique, first = np.unique(keys[order], return_index=True)
        most = _lookup(
            unique, reference.count[order][first], hypothesis.row * grams + hypothesis.gram
        )
        return np.bincount(hypothesis.row, np.minimum(hypothesis.count, most), self.items)


def bleu_of(counts: np.ndarray) -> np.ndarray:
    """float64 [groups, 4]: BLEU-1..4 from sums of `Captions.bleu_counts` [groups, 10]."""
    ratio = (counts[:, 8] + 1e-15) / (counts[:, 9] + 1e-9)
    penalty = np.where(ratio < 1, np.exp(1 - 1 / np.maximum(ratio, 1e-300)), 1.0)
    shares = (counts[:, :ORDER] + 1e-15) / (counts[:, ORDER : 2 * ORDER] + 1e-9)
    scores: np.ndarray = np.cumprod(shares, axis=1) ** (1 / np.arange(1, ORDER + 1))
    return scores * penalty[:, None]


def sum_by(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Column sums of `values` [N, C] within each group: float64 [groups, C]."""
    groups = int(group.max(initial=0)) + 1
    return np.stack([np.bincount(group, column, groups) for column in values.T], axis=1)


def _count_grams(texts: list[str]) -> tuple[np.ndarray, list[_Counts]]:
    """Words of each text, and its n-gram counts for n = 1..4, rows ascending."""
    split = [text.split() for text in texts]
    words = np.array([len(tokens) for tokens in split], np.int64)
    vocabulary: dict[str, int] = {}
    token = np.array(
        [vocabulary.setdefault(token, len(vocabulary)) for tokens in split for token in tokens],
        np.int64,
    )
    text = np.repeat(np.arange(len(texts)), words)
    end = np.repeat(np.cumsum(words), words)  # where each token's text ends
    start, gram, tables = np.arange(len(token)), token, []
    for n in range(1, ORDER + 1):
        grams = int(gram.max(initial=0)) + 1
        keys, count = np.unique(text[start] * grams + gram, return_counts=True)
        tables.append(_Counts(keys // grams, keys % grams, count.astype(np.float64)))
        longer = start + n < end[start]  # an n-gram and the word that follows it in its text
        start = start[longer]
        pairs = gram[longer] * (len(vocabulary) + 1) + token[start + n]
        _, gram = np.unique(pairs, return_inverse=True)
    return words, tables


def _expand(table: _Counts, which: np.ndarray) -> _Counts:
    """The counts of the texts `which`, in their order: row i is text which[i]."""
    starts = np.searchsorted(table.row, which, side="left")
    lengths = np.searchsorted(table.row, which, side="right") - starts
    row = np.repeat(np.arange(len(which)), lengths)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.repeat(starts, lengths) + offset
    return _Counts(row, table.gram[at], table.count[at])


def _lookup(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value at each wanted key of ascending `keys`, 0 where absent."""
    if not len(keys):
        return np.zeros(len(wanted))
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0.0)


@lru_cache(maxsize=1 << 18)
def _rouge(hypothesis: str, references: tuple[str, ...]) -> float:
    """ROUGE-L of one item; split at single blanks, so that "" is one empty token, as there."""
    tokens = hypothesis.split(" ")
    bits: dict[str, int] = {}
    for place, token in enumerate(tokens):
        bits[token] = bits.get(token, 0) | 1 << place
    precision = recall = 0.0
    for reference in references:
        others = reference.split(" ")
        common = _common(bits, len(tokens), others)
        precision = max(precision, common / len(tokens))
        recall = max(recall, common / len(others))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common(bits: dict[str, int], length: int, others: list[str]) -> int:
    """Length of the longest common subsequence, a row of the table as the bits of one integer.

    Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a zero bit is a step upwards.
    """
    mask = (1 << length) - 1
    row = mask
    for token in others:
        matches = row & bits.get(token, 0)
        row = (row + matches | row - matches) & mask
    return length - row.bit_count()
