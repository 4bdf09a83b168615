"""BERT's tokenizer from a folder, or from Hugging Face's cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.tokens import Padded, Tokens
from adapters.weights import hub_in_reach
from bench.errors import BenchError, plain

HUB = "google-bert/bert-base-uncased"


def bert_tokens(folder: Path, files: Sequence[str], length: int) -> Tokens:
    """Texts -> input_ids and attention_mask int64 [M, length], padded and cut to `length`.

    The vocabulary is one of `files` in `folder`, else bert-base-uncased's. BenchError where it is
    not on this machine.
    """
    return Tokens(Padded(_tokenizer(folder, files), length), length)


def _tokenizer(folder: Path, files: Sequence[str]) -> Any:
    from transformers import BertTokenizer

    here = any((folder / name).is_file() for name in files)
    offline = here or not hub_in_reach()
    try:
        return BertTokenizer.from_pretrained(folder if here else HUB, local_files_only=offline)
    except Exception as error:  # tokenizers and the hub raise kinds of their own
        raise BenchError(
            f"{folder}: no tokenizer of BERT ({plain(error)}); put vocab.txt of "
            f"huggingface.co/{HUB} there"
        ) from error
