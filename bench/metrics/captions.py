"""CIDEr, BLEU and ROUGE-L of short captions, for a corpus and for any grouping of it at once.

The numbers are those of pycocoevalcap as VidSitu's evaluator calls it: nothing is tokenised beyond
splitting, and a group (a verb, a role) has document frequencies of its own. Every string is taken
apart once; a grouping then costs a few array operations. Raw scale: CIDEr 0..10, the others 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.metrics.numbering import numbering
from bench.metrics.rouge import rouge_l

ORDER = 4
SIGMA = 6.0
DENSE = 8  # a table may have so many times more places than there are entries


@dataclass(frozen=True)
class _Counts:
    """Sparse n-gram counts: `count` of `gram` in `row` (an item, or an item's reference)."""

    row: np.ndarray
    gram: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class _Met:
    """The n-grams of one order, and where the two sides meet: all that no grouping changes.

    The S pairs of `item` and `gram` are those that occur in any of the item's references. For each
    entry of `hypothesis` and of `reference`, `own` and `theirs` is its pair, -1 for a hypothesis's
    n-gram that its item's references lack. `dot` is each reference entry's product of clipped
    counts.
    """

    hypothesis: _Counts
    reference: _Counts
    item: np.ndarray
    gram: np.ndarray
    own: np.ndarray
    theirs: np.ndarray
    dot: np.ndarray

    @classmethod
    def of(cls, hypothesis: _Counts, reference: _Counts, item_of: np.ndarray) -> _Met:
        grams = 1 + max(int(part.gram.max(initial=0)) for part in (hypothesis, reference))
        keys = item_of[reference.row] * grams + reference.gram
        pairs, theirs = np.unique(keys, return_inverse=True)
        own = _place(pairs, hypothesis.row * grams + hypothesis.gram)
        said = np.zeros(len(pairs))
        said[own[own >= 0]] = hypothesis.count[own >= 0]
        dot = np.minimum(said[theirs], reference.count) * reference.count
        return cls(hypothesis, reference, pairs // grams, pairs % grams, own, theirs, dot)

    def clipped(self, items: int) -> np.ndarray:
        """Matching n-grams of each item, each counted as often as in its best reference."""
        most = np.zeros(len(self.item))
        np.maximum.at(most, self.theirs, self.reference.count)
        met = self.own >= 0
        matched = np.minimum(self.hypothesis.count[met], most[self.own[met]])
        return np.bincount(self.hypothesis.row[met], matched, items)

    def cosines(self, group: np.ndarray, item_of: np.ndarray) -> np.ndarray:
        """float64 [R]: clipped tf-idf cosine of each reference with its item's hypothesis."""
        theirs, own = self._squared_idf(group)
        own_norm = np.bincount(self.hypothesis.row, self.hypothesis.count**2 * own, len(group))
        rows = len(item_of)
        norm = np.bincount(self.reference.row, self.reference.count**2 * theirs, rows)
        product = np.bincount(self.reference.row, self.dot * theirs, rows)
        norms = np.sqrt(own_norm[item_of] * norm)
        return np.divide(product, norms, out=np.zeros(rows), where=norms > 0)

    def _squared_idf(self, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of every reference's and every hypothesis's entry; documents are the group's items."""
        size = np.log(np.maximum(np.bincount(group, minlength=1), 1))
        grams = 1 + max(int(self.gram.max(initial=0)), int(self.hypothesis.gram.max(initial=0)))
        own_group = group[self.hypothesis.row]
        slot, asked = group[self.item] * grams + self.gram, own_group * grams + self.hypothesis.gram
        slots = len(size) * grams
        if slots > DENSE * len(
            slot
        ):  # too many to count in a table of all: number those that occur
            occurring, slot = np.unique(slot, return_inverse=True)
            asked, slots = _place(occurring, asked), len(occurring)
        documents = np.log(np.maximum(np.bincount(slot, minlength=slots), 1))
        documents = np.append(documents, 0.0)  # a gram of no reference counts as in one document
        theirs = (size[group[self.item]] - documents[slot])[self.theirs] ** 2
        return theirs, (size[own_group] - documents[asked]) ** 2


@dataclass(frozen=True)
class Captions:
    """Captions of N items, taken apart for scoring; make it with `Captions.of`.

    `item_of` names the item of each of the R references. `met` holds the n-gram counts for
    n = 1..4; `rouge` is each item's ROUGE-L.
    """

    items: int
    item_of: np.ndarray
    hypothesis_words: np.ndarray
    reference_words: np.ndarray
    met: list[_Met]
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
        unique = numbering()
        which = np.array([unique[text] for text in texts], np.int64)
        words, counts = _count_grams(list(unique))
        own, theirs = which[: len(hypotheses)], which[len(hypotheses) :]
        return cls(
            len(hypotheses), item_of, words[own], words[theirs],
            [_Met.of(_expand(table, own), _expand(table, theirs), item_of) for table in counts],
            rouge_l(list(unique), own, theirs, item_of),
        )  # fmt: skip

    def cider(self, group: np.ndarray | None = None) -> np.ndarray:
        """float64 [N]: each item's CIDEr, document frequencies taken within its `group` [N]."""
        group = np.zeros(self.items, np.int64) if group is None else np.asarray(group)
        score = np.zeros(len(self.item_of))
        for met in self.met:
            score += met.cosines(group, self.item_of)
        # Both lengths are counted in bigrams, as there.
        pairs = np.maximum(self.reference_words - 1, 0)
        own = np.maximum(self.hypothesis_words - 1, 0)[self.item_of]
        score *= np.exp(-((own - pairs) ** 2) / (2 * SIGMA**2)) / ORDER
        total = np.bincount(self.item_of, score, self.items)
        return 10.0 * total / np.bincount(self.item_of, minlength=self.items)

    def bleu(self, group: np.ndarray | None = None) -> np.ndarray:
        """float64 [groups, 4]: corpus BLEU-1..4 of each group, closest reference length."""
        group = np.zeros(self.items, np.int64) if group is None else np.asarray(group)
        return bleu_of(sum_by(group, self.bleu_counts))

    @cached_property
    def bleu_counts(self) -> np.ndarray:
        """float64 [N, 10]: matching and possible n-grams (4 each), own and closest length.

        Sums of these over any set of items are all that its BLEU needs; see `bleu_of`.
        """
        correct = [met.clipped(self.items) for met in self.met]
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
    vocabulary = numbering()
    lengths: list[int] = []
    flat: list[int] = []
    for one in texts:
        lengths.append(len(split := one.split()))
        flat.extend([vocabulary[word] for word in split])
    words, token = np.array(lengths, np.int64), np.array(flat, np.int64)
    text = np.repeat(np.arange(len(texts)), words)
    end = np.repeat(np.cumsum(words), words)  # where each token's text ends
    start, gram, tables = np.arange(len(token)), token, []
    for n in range(1, ORDER + 1):
        grams = int(gram.max(initial=0)) + 1
        keys, count = np.unique(text[start] * grams + gram, return_counts=True)
        tables.append(_Counts(keys // grams, keys % grams, count.astype(np.float64)))
        if n < ORDER:
            longer = start + n < end[start]  # an n-gram and the word that follows it in its text
            start = start[longer]
            pairs = gram[longer] * (len(vocabulary) + 1) + token[start + n]
            _, gram = np.unique(pairs, return_inverse=True)
    return words, tables


def _expand(table: _Counts, which: np.ndarray) -> _Counts:
    """The counts of the texts `which`, in their order: row i is text which[i]."""
    sizes = np.bincount(table.row, minlength=int(which.max(initial=0)) + 1)
    starts, lengths = (np.cumsum(sizes) - sizes)[which], sizes[which]
    row = np.repeat(np.arange(len(which)), lengths)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.repeat(starts, lengths) + offset
    return _Counts(row, table.gram[at], table.count[at])


def _place(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted key stands among ascending `keys`, -1 where it is absent."""
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)
