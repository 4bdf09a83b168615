"""clip-tiny: the shipped file is open_clip's CLIP, and the short text encoder is exact."""

from __future__ import annotations

import open_clip
import torch
from safetensors.torch import load_file

from tasks.toyworld.pretrain import ARCH, SHIPPED, build, encode_text
from tasks.toyworld.world import prompt
from tests.toyworld.test_world import CHASE


def test_shipped_weights_fit_the_architecture_and_are_small() -> None:
    file = SHIPPED / f"{ARCH}.safetensors"
    assert file.stat().st_size <= 10_000_000
    state = load_file(file)
    model = build()
    model.load_state_dict(state, strict=True)
    assert all(value.dtype == torch.float16 for value in state.values())
    assert all(torch.isfinite(value).all() for value in state.values())


def test_text_features_of_cut_tokens_are_open_clips() -> None:
    torch.manual_seed(0)
    model = build().eval()
    tokens = open_clip.get_tokenizer(ARCH)(["a red man", prompt(CHASE)])
    with torch.inference_mode():
        short, full = encode_text(model, tokens), model.encode_text(tokens)
    assert torch.allclose(short, full, atol=1e-5)
