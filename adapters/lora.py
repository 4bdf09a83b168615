"""LoRA on open_clip's image tower, through peft, on attention split into its four projections.

peft's own LoRA on nn.MultiheadAttention shares one A between q, k and v and applies the output
projection's update twice; on plain linear layers it does what the paper says. Splitting is exact
(rows of one matrix), and what was trained packs back into a plain open_clip checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bench.errors import UsageError, nearest

# The choices of Supplementary Table 2, as regular expressions on full names: a list of suffixes
# would reach into other towers.
_BLOCK = r"transformer\.resblocks\.\d+\."
TARGETS = {
    "qkv": _BLOCK + r"attn\.[qkv]_proj",
    "qkvo": _BLOCK + r"attn\.([qkv]|out)_proj",
    "qkvo+fc": _BLOCK + r"(attn\.([qkv]|out)_proj|mlp\.c_fc)",
    "qkvo+fc+proj": _BLOCK + r"(attn\.([qkv]|out)_proj|mlp\.c_(fc|proj))",
}
FULL = "full"  # no LoRA: every weight of the image tower is trained
NONE = "none"  # no LoRA: no weight of the image tower is


class SplitAttention(nn.Module):
    """nn.MultiheadAttention with a linear layer for each of q, k, v and the output."""

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads, self.batch_first = packed.num_heads, packed.batch_first
        weights = packed.in_proj_weight.chunk(3)
        biases = packed.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = _linear(packed.out_proj.weight, packed.out_proj.bias)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        need_weights: bool = False,
        attn_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        """Attend as the packed layer does; returns the output and, as it may, no weights."""
        attended = functional.scaled_dot_product_attention(
            self._heads(self.q_proj(query)),
            self._heads(self.k_proj(key)),
            self._heads(self.v_proj(value)),
            attn_mask=attn_mask,
        )
        output = self.out_proj(attended.transpose(1, 2).flatten(2))
        return (output if self.batch_first else output.transpose(0, 1)), None

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        """[B, L, D] (or [L, B, D]) -> [B, heads, L, D / heads]."""
        batched = projected if self.batch_first else projected.transpose(0, 1)
        return batched.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def pack(self) -> nn.MultiheadAttention:
        """The same weights as one nn.MultiheadAttention."""
        width = self.out_proj.out_features
        packed = nn.MultiheadAttention(width, self.num_heads, batch_first=self.batch_first)
        layers = (self.q_proj, self.k_proj, self.v_proj)
        with torch.no_grad():
            packed.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
            packed.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
            packed.out_proj.weight.copy_(self.out_proj.weight)
            packed.out_proj.bias.copy_(self.out_proj.bias)
        return packed


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.requires_grad_(weight.requires_grad)


def split_attention(visual: Any) -> Any:
    """Replace the packed attention of every block of an open_clip image tower, in place."""
    for block in _blocks(visual):
        block.attn = SplitAttention(block.attn)
    return visual


def pack_attention(visual: Any) -> Any:
    """Undo `split_attention`, in place; LoRA must have been merged."""
    for block in _blocks(visual):
        block.attn = block.attn.pack()
    return visual


def _blocks(visual: Any) -> Any:
    """The tower's blocks. UsageError for towers that are no open_clip vision transformer."""
    transformer = getattr(visual, "transformer", None)
    blocks = getattr(transformer, "resblocks", None)
    if blocks is None or not all(hasattr(block, "attn") for block in blocks):
        raise UsageError("LoRA needs an open_clip vision transformer, such as ViT-B-32-quickgelu")
    return blocks


def add_lora(visual: Any, weights: str, rank: int, alpha: int, dropout: float) -> Any:
    """Wrap a split image tower in a peft model; equal to the tower until trained (B = 0).

    `weights` is a key of TARGETS. Only the LoRA matrices need gradients afterwards.
    """
    from peft import LoraConfig, get_peft_model

    if weights not in TARGETS:
        known = [*TARGETS, FULL, NONE]
        raise UsageError(
            f"unknown LoRA weights '{weights}'{nearest(weights, known)}; known: {', '.join(known)}"
        )
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, bias="none", target_modules=TARGETS[weights]
    )
    return get_peft_model(visual, config)
