"""BT-Adapter's checkpoints in the spellings there are, and OpenAI's CLIP under their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from adapters.checkpoint import State

VISION, TEXT = "backbone.", "text_backbone."
BRANCH = ("backbone.btadapter_", "backbone.balance")
_TOP = (VISION, TEXT, "extra_proj.")
# OpenAI's -> transformers' names of the parts of a block, and of the towers beside them.
_PARTS = {
    "ln_1.": "layer_norm1.", "ln_2.": "layer_norm2.", "attn.out_proj.": "self_attn.out_proj.",
    "mlp.c_fc.": "mlp.fc1.", "mlp.c_proj.": "mlp.fc2.",
}  # fmt: skip
_OTHERS = {
    "visual.class_embedding": "backbone.class_embedding",
    "visual.positional_embedding": "backbone.position_embedding.weight",
    "visual.conv1.weight": "backbone.patch_embedding.weight",
    "visual.ln_pre.weight": "backbone.pre_layrnorm.weight",
    "visual.ln_pre.bias": "backbone.pre_layrnorm.bias",
    "visual.ln_post.weight": "backbone.post_layernorm.weight",
    "visual.ln_post.bias": "backbone.post_layernorm.bias",
    "visual.proj": "backbone.visual_projection.weight",
    "token_embedding.weight": "text_backbone.text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_backbone.text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_backbone.text_model.final_layer_norm.weight",
    "ln_final.bias": "text_backbone.text_model.final_layer_norm.bias",
    "text_projection": "text_backbone.text_projection.weight",
}
_MATRICES = ("visual.proj", "text_projection")  # here the weights of linear layers
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")


def official_name(name: str) -> str:
    """A name of a checkpoint as the retrieval code has it.

    Older ones call the branch `timesFPN`, those of the LLaVA code lie below `model.vision_tower.`,
    and those of the vision tower alone have no prefix.
    """
    name = name.removeprefix("module.").replace("timesFPN", "btadapter")
    name = name.removeprefix("model.vision_tower.")
    return name if name.startswith(_TOP) else VISION + name


def official_state(state: State) -> State:
    """`state` under the retrieval code's names, without the positions that older ones count."""
    return {official_name(name): value for name, value in state.items()
            if not name.endswith("position_ids")}  # fmt: skip


def absent_towers(names: Iterable[str]) -> list[str]:
    """Which of CLIP's towers official names have nothing of; pretraining changes neither."""
    towers = {VISION if name.startswith(VISION) else TEXT
              for name in names if not name.startswith((*BRANCH, "extra_proj."))}  # fmt: skip
    return [tower for tower in (VISION, TEXT) if tower not in towers]


def of_openai(state: State) -> State:
    """The state dict of OpenAI's CLIP, under the official names."""
    found: State = {}
    for name, value in state.items():
        if match := _BLOCK.fullmatch(name):
            tower = "backbone." if match[1] else "text_backbone.text_model.encoder."
            found |= _of_block(f"{tower}layers.{match[2]}.", match[3], value)
        elif name in _OTHERS:
            found[_OTHERS[name]] = value.T if name in _MATRICES else value
    return found


def _of_block(block: str, part: str, value: torch.Tensor) -> State:
    if part.startswith("attn.in_proj_"):
        kind = part.removeprefix("attn.in_proj_")
        return {f"{block}self_attn.{one}_proj.{kind}": piece
                for one, piece in zip("qkv", value.chunk(3), strict=True)}  # fmt: skip
    theirs = next(one for one in _PARTS if part.startswith(one))
    return {block + _PARTS[theirs] + part.removeprefix(theirs): value}
