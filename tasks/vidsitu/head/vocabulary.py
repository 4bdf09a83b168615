"""Captions as CLIP's BPE tokens, restricted to those that the training captions use.

CLIP reads lower case; with `cased` capitals are kept, and a word that has some is spelled in more
pieces.

A token that training never shows cannot be learnt, and leaving it out saves the head most of its
output layer. A token carries whether a blank follows it, so that `yellow-haired` comes back as it
was: the official metrics compare words between blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

PAD, END = 0, 1  # PAD also stands where a caption has ended
Token = tuple[int, bool]  # BPE id, whether it ends a word


@dataclass(frozen=True)
class Vocabulary:
    """`tokens` in a fixed order; a caption's ids are their places, from 2."""

    tokens: list[Token]
    places: dict[Token, int] = field(repr=False)
    cased: bool = False

    @classmethod
    def of(cls, captions: Iterable[str], cased: bool = False) -> Vocabulary:
        """Every token of `captions`."""
        found = {token for text in captions for token in split(text, cased)}
        return cls.from_tokens(sorted(found), cased)

    @classmethod
    def from_tokens(cls, tokens: Sequence[Sequence[Any]], cased: bool = False) -> Vocabulary:
        """From kept tokens, such as JSON's lists."""
        pairs = [(int(token), bool(ends)) for token, ends in tokens]
        return cls(pairs, {token: place for place, token in enumerate(pairs, END + 1)}, cased)

    def __len__(self) -> int:
        return len(self.tokens) + END + 1

    def encode(self, text: str, most: int) -> list[int]:
        """At most `most` ids; what the vocabulary does not know is left out."""
        tokens = split(text, self.cased)
        return [self.places[token] for token in tokens if token in self.places][:most]

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first END or PAD."""
        words = ""
        for place in ids:
            if place in (PAD, END):
                break
            token, ends = self.tokens[place - END - 1]
            words += _tokenizer().decode([token]).strip() + (" " if ends else "")
        return words.strip()


@lru_cache(maxsize=1 << 16)
def split(text: str, cased: bool = False) -> tuple[Token, ...]:
    """The tokens of a caption, word by word; lower case, as CLIP reads, unless `cased`."""
    found: list[Token] = []
    for word in re.split(r"\s+", text.strip()):
        ids = _tokenizer(cased).encode(word) if word else []
        found += [(token, False) for token in ids[:-1]] + [(token, True) for token in ids[-1:]]
    return tuple(found)


@lru_cache(maxsize=2)
def _tokenizer(cased: bool = False) -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(clean="whitespace" if cased else "lower")
