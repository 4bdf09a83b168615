"""OpenAI's CLIP at the sizes of a state dict, on open_clip's model: the base of several systems."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

from adapters.checkpoint import State
from bench.files.untrusted import well_formed

HEAD_WIDTH = 64  # of every head of OpenAI's models


class Blocks(nn.Module):
    """Transformer blocks under the name that OpenAI's CLIP gives them."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)


def clip_config(state: State, where: Any) -> dict[str, Any]:
    """open_clip's configuration of the ViT that `state` holds under OpenAI's names.

    Heads are 64 wide, the activation is QuickGELU. DataError for a state dict of something else.
    """
    with well_formed(where, "give the weights of an OpenAI CLIP with a ViT"):
        width, _, _, patch = state["visual.conv1.weight"].shape
        side = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
        length, text_width = state["positional_embedding"].shape
        return {
            "embed_dim": state["text_projection"].shape[1],
            "quick_gelu": True,
            "vision_cfg": {
                "image_size": side * patch, "patch_size": patch, "width": width,
                "layers": _blocks(state, "visual.transformer"), "head_width": HEAD_WIDTH,
            },
            "text_cfg": {
                "context_length": length, "vocab_size": state["token_embedding.weight"].shape[0],
                "width": text_width, "heads": text_width // HEAD_WIDTH,
                "layers": _blocks(state, "transformer"),
            },
        }  # fmt: skip


def clip(config: dict[str, Any]) -> Any:
    """open_clip's model of its configuration, with random weights."""
    from open_clip.model import CLIP

    return CLIP(**config)


def _blocks(state: State, of: str) -> int:
    found = re.compile(re.escape(of) + r"\.resblocks\.(\d+)\.")
    return 1 + max(int(match[1]) for name in state if (match := found.match(name)))
