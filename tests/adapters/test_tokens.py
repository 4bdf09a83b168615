"""Texts reach a model as its own tokenizer cuts them, and what is cut is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from open_clip.tokenizer import HFTokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from adapters import clip_base
from adapters.clip_base import _tokenizer
from adapters.published import CONFIG
from adapters.tokens import Tokens
from bench.errors import BenchError

WORDS = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "dog": 4, "runs": 5}
TEXT = {"hf_tokenizer_name": "somebody/nowhere", "context_length": 6}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>",
                            unk_token="<unk>").save_pretrained(tmp_path)  # fmt: skip
    return tmp_path


def test_a_tokenizer_of_hugging_face_is_counted_as_it_cuts(folder: Path) -> None:
    """SigLIP's canonicalisation takes punctuation away before the tokens are counted."""
    tokens = Tokens(HFTokenizer(str(folder), context_length=6, clean="canonicalize"), 6)
    five, six = "a dog runs a dog", "a dog runs a dog runs"
    assert tokens([five]).tolist() == [[3, 4, 5, 3, 4, 1]]
    assert tokens.truncated([five, six, "A dog! Runs... a dog???", "dog"]) == 1
    assert tokens(["a </s> dog"]).tolist() == tokens(["a dog"]).tolist()


@pytest.mark.parametrize("text", ["\U0001f600" * 30, "\u00df" * 50])
def test_letters_of_several_tokens_are_counted(text: str) -> None:
    import open_clip

    tokens = Tokens(open_clip.get_tokenizer("ViT-B-32"), 77)
    assert tokens.truncated([text]) == (len(tokens._call.encode(text)) > 75)


def test_a_tokenizer_lies_beside_the_weights_or_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_base, "hub_in_reach", lambda: False)
    config: dict[str, Any] = {"text_cfg": TEXT}
    monkeypatch.setattr("open_clip.factory.get_model_config", lambda name: config)
    monkeypatch.setattr(clip_base, "_register", lambda arch: None)
    with pytest.raises(BenchError, match="its tokenizer 'somebody/nowhere' is not on this machine"):
        _tokenizer("some-siglip", config, folder)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": config}))
    found = Tokens(_tokenizer("some-siglip", config, folder), 6)
    assert found(["a dog"]).tolist() == [[3, 4, 1, 0, 0, 0]]
