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
from adapters.tokens import Padded, Tokens
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


def test_a_text_cut_shorter_keeps_its_end(folder: Path) -> None:
    """Filled up with the tokenizer's own padding to what the model reads."""
    tokens = Tokens(HFTokenizer(str(folder), context_length=6), 6)
    assert tokens(["a dog runs a dog", "dog"], 4).tolist() == [
        [3, 4, 5, 1, 0, 0],
        [4, 1, 0, 0, 0, 0],
    ]
    inner = tokens._inner
    assert inner is not None
    inner.padding_side = "left"
    assert tokens(["a dog runs a dog"], 4).tolist() == [[0, 0, 3, 4, 5, 1]]
    inner.padding_side = "right"
    padded = Tokens(Padded(inner, 6), 6)
    found = padded(["a dog runs a dog"], 4)
    assert found["input_ids"].tolist() == [[3, 4, 5, 1, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0]]
    for length in (None, 6):
        assert padded(["a dog"], length)["input_ids"].tolist() == [[3, 4, 1, 0, 0, 0]]
    odd = Tokens(HFTokenizer(str(folder), context_length=6, tokenizer_mode="clips"), 6)
    with pytest.raises(BenchError, match="ends every text behind the padding; leave --context out"):
        odd(["a dog"], 4)


def test_openai_s_tokens_are_cut_with_their_end_kept() -> None:
    import open_clip

    tokens = Tokens(open_clip.get_tokenizer("ViT-B-32"), 77)
    whole, cut = tokens(["a man is walking"]), tokens(["a man is walking"], 4)
    assert cut.shape == whole.shape == (1, 77)
    assert cut[0, :3].tolist() == whole[0, :3].tolist() and cut[0, 3] == 49407
    assert not cut[0, 4:].any()
    assert tokens.truncated(["a man is walking"], 4) == 1
