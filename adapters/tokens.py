"""Texts to tokens by open_clip's own tokenizers or those of Hugging Face; how many are cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bench.errors import BenchError

CLIP_SPECIAL = ("<start_of_text>", "<end_of_text>")


class Padded:
    """A tokenizer of transformers, called as open_clip's are: padded and cut to `length`.

    `longest` pads to the longest text of a call only; `lower` is for one that was trained on
    lower-case texts and does not make them so itself.
    """

    def __init__(
        self, tokenizer: Any, length: int, longest: bool = False, lower: bool = False
    ) -> None:
        self.tokenizer, self._length, self.lower = tokenizer, length, lower
        self._padding = "longest" if longest else "max_length"

    def clean_fn(self, text: str) -> str:
        """The text as it is tokenised."""
        return text.lower() if self.lower else text

    def __call__(self, texts: list[str], length: int | None = None) -> Any:
        """`input_ids` and, as the tokenizer has it, `attention_mask`: int64 [M, length].

        Cut to the `length` given, or to its own.
        """
        found = self.tokenizer(list(map(self.clean_fn, texts)), padding=self._padding,
                               truncation=True, max_length=length or self._length,
                               return_tensors="pt")  # fmt: skip
        found.pop("token_type_ids", None)  # no text here has a second part
        return found


class Tokens:
    """A model's tokenizer, as `open_clip.get_tokenizer` gives it.

    A caption that spells out one of its special tokens must not end the text early: they are
    blanked. `context_length` counts the start and end tokens.
    """

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self._call, self.context_length = tokenizer, context_length
        self._inner = getattr(tokenizer, "tokenizer", None)  # of Hugging Face
        special = self._inner.all_special_tokens if self._inner is not None else CLIP_SPECIAL
        # A text that is lower-cased later could spell one out in capitals.
        case = re.IGNORECASE if getattr(tokenizer, "lower", False) else 0
        self._special = re.compile("|".join(map(re.escape, filter(None, special))) or "(?!)", case)

    def __call__(self, texts: Sequence[str], length: int | None = None) -> Any:
        """Token ids int64 [M, context_length]; longer texts are cut, with the end token kept.

        With a `length` they are cut to it, and padded as the tokenizer pads. BenchError where it
        puts a token behind the padding, and so can be cut to no other length.
        """
        plain = [self._plain(text) for text in texts]
        if length in (None, self.context_length):
            return self._call(plain)
        if getattr(self._call, "tokenizer_mode", "") == "clips":
            raise BenchError(
                "its tokenizer ends every text behind the padding; leave --context out"
            )
        return self._padded(self._call(plain, length))

    def _padded(self, found: Any) -> Any:
        """Ids [M, length], or a mapping of them and their mask, as long as the model reads."""
        from torch.nn.functional import pad

        filler = 0 if self._inner is None else self._inner.pad_token_id or 0
        left = self._inner is not None and self._inner.padding_side == "left"

        def longer(ids: Any, value: int) -> Any:
            room = self.context_length - ids.shape[1]
            return pad(ids, (room, 0) if left else (0, room), value=value)

        if isinstance(self._call, Padded):
            for name in found:
                found[name] = longer(found[name], filler if name == "input_ids" else 0)
            return found
        return longer(found, filler)

    def truncated(self, texts: Sequence[str], length: int | None = None) -> int:
        """How many of `texts` have more tokens than `length`, by default the context length."""
        length = length or self.context_length
        plain = [self._plain(text) for text in texts]
        if self._inner is None:
            room = length - 2  # beside its start and end
            return sum(len(self._call.encode(text)) > room for text in plain)
        cleaned = [self._call.clean_fn(text) for text in plain]
        found = self._inner(cleaned, truncation=False)["input_ids"]
        return sum(len(ids) > length for ids in found)

    def _plain(self, text: str) -> str:
        return self._special.sub(" ", text)
