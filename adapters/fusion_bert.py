"""BERT that reads texts alone, or with the tokens of a video in every layer's cross-attention.

The parts are those of transformers' BertModel; they are called layer by layer, because a video's
keys and values are needed once for many texts, and because BertModel's own masks make a decoder
causal (VAST configures BERT as a decoder but reads in both directions).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import BertConfig, BertModel

EPS = 1e-12
MASKED = -1e4  # added to the attention to a pad

Memory = list[tuple[torch.Tensor, torch.Tensor]]  # each layer's keys and values [heads, S, d]


class FusionBert(nn.Module):
    """`bert` is transformers' BertModel with cross-attention, under the official names."""

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, hidden: int, positions: int
    ) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers,
            num_attention_heads=heads, intermediate_size=hidden, max_position_embeddings=positions,
            hidden_act="gelu", layer_norm_eps=EPS, is_decoder=True, add_cross_attention=True,
        )  # fmt: skip
        self.bert: Any = BertModel(config, add_pooling_layer=False)
        self._heads = heads

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, memory: Memory | None = None
    ) -> torch.Tensor:
        """ids, mask int64 [B, L] -> tokens [B, L, D]; with `memory`, fused with that one video."""
        hidden = self.bert.embeddings(input_ids=ids)
        # Four-dimensional and additive: right in each of the library's attention kernels, also
        # where no text has a pad.
        added = (MASKED * (1 - mask[:, None, None, :].to(hidden.dtype))).expand(
            -1, 1, mask.shape[1], -1
        )
        for number, layer in enumerate(self.bert.encoder.layer):
            hidden = layer.attention(hidden, attention_mask=added)[0]
            if memory is not None:
                hidden = self._cross(layer.crossattention, hidden, *memory[number])
            hidden = layer.output(layer.intermediate(hidden), hidden)
        return hidden

    def memory(self, condition: torch.Tensor) -> Memory:
        """Each layer's keys and values of a video's tokens [S, D]."""
        attentions = [layer.crossattention.self for layer in self.bert.encoder.layer]
        return [
            (self._split(one.key(condition)), self._split(one.value(condition)))
            for one in attentions
        ]

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        """[S, D] -> [heads, S, D / heads]."""
        return projected.unflatten(-1, (self._heads, -1)).transpose(0, 1)

    def _cross(
        self, part: Any, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        # No token of a video is masked, so all texts' tokens are queries side by side.
        queries = self._split(part.self.query(hidden.flatten(0, 1)))
        found = F.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
        joined: torch.Tensor = part.output(found.transpose(0, 1).reshape(hidden.shape), hidden)
        return joined
