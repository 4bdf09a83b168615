"""BEATs, the audio encoder of VAST (Chen et al., arXiv 2212.09058), by its official names.

Settings that change no shape are those of BEATs_iter3_plus_AS2M.pt: deep norm after each layer, a
gated bias of relative positions, distances up to 800.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-5
GATES = 8  # values a query is projected to; summed by fours to two gates


@dataclass(frozen=True)
class BEATsSizes:
    """`patch` is the side of a patch, `embed` its width, `kernel` and `groups` of the convolution.

    `buckets` are the rows of the table of relative positions, `distance` the largest that has a row
    of its own.
    """

    patch: int
    embed: int
    width: int
    heads: int
    layers: int
    hidden: int
    kernel: int
    groups: int
    buckets: int
    distance: int


class BEATs(nn.Module):
    """Spectrograms [B, time, mel], both multiples of the patch -> tokens [B, P, width].

    P = (time / patch) * (mel / patch), time-major; no class token.
    """

    def __init__(self, sizes: BEATsSizes) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(1, sizes.embed, sizes.patch, sizes.patch, bias=False)
        self.layer_norm = nn.LayerNorm(sizes.embed, EPS)
        self.post_extract_proj = nn.Linear(sizes.embed, sizes.width)
        self.encoder = _Encoder(sizes)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embedding(spectrograms[:, None])  # [B, embed, time, mel]
        tokens = self.layer_norm(patches.flatten(2).transpose(1, 2))
        found: torch.Tensor = self.encoder(self.post_extract_proj(tokens))
        return found


class _Encoder(nn.Module):
    def __init__(self, sizes: BEATsSizes) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(_PositionConv(sizes))
        self.layer_norm = nn.LayerNorm(sizes.width, EPS)
        # One table, which a checkpoint repeats for each layer.
        table = nn.Embedding(sizes.buckets, sizes.heads)
        self.layers = nn.ModuleList(_Layer(sizes, table) for _ in range(sizes.layers))
        self._distance = sizes.distance

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        first: Any = self.layers[0]
        table = first.self_attn.relative_attention_bias
        buckets = relative_buckets(
            places[None] - places[:, None], table.num_embeddings, self._distance
        )
        bias = table(buckets).permute(2, 0, 1)  # [heads, query, key]
        tokens = self.layer_norm(tokens + self.pos_conv(tokens))
        for layer in self.layers:
            tokens = layer(tokens, bias)
        return tokens


class _PositionConv(nn.Module):
    """A grouped convolution over time whose kernel is normalised at each of its taps."""

    def __init__(self, sizes: BEATsSizes) -> None:
        super().__init__()
        per_group = sizes.width // sizes.groups
        self.weight_g = nn.Parameter(torch.ones(1, 1, sizes.kernel))
        self.weight_v = nn.Parameter(torch.randn(sizes.width, per_group, sizes.kernel))
        self.bias = nn.Parameter(torch.zeros(sizes.width))
        self._groups, self._padding = sizes.groups, sizes.kernel // 2

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        weight = self.weight_g * self.weight_v / self.weight_v.norm(dim=(0, 1), keepdim=True)
        found = F.conv1d(
            tokens.transpose(1, 2), weight, self.bias, padding=self._padding, groups=self._groups
        )
        # An even kernel gives one place more than there are tokens: the last one goes.
        return F.gelu(found[:, :, : tokens.shape[1]]).transpose(1, 2)


class _Layer(nn.Module):
    """A post-norm layer: each residual is scaled up, x = LN(a x + f(x)), a = (2 layers)^(1/4)."""

    def __init__(self, sizes: BEATsSizes, table: nn.Embedding) -> None:
        super().__init__()
        self.self_attn = _GatedAttention(sizes, table)
        self.self_attn_layer_norm = nn.LayerNorm(sizes.width, EPS)
        self.fc1 = nn.Linear(sizes.width, sizes.hidden)
        self.fc2 = nn.Linear(sizes.hidden, sizes.width)
        self.final_layer_norm = nn.LayerNorm(sizes.width, EPS)
        self._scale = (2 * sizes.layers) ** 0.25

    def forward(self, tokens: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        tokens = self.self_attn_layer_norm(self._scale * tokens + self.self_attn(tokens, bias))
        changed = self.fc2(F.gelu(self.fc1(tokens)))
        found: torch.Tensor = self.final_layer_norm(self._scale * tokens + changed)
        return found


class _GatedAttention(nn.Module):
    """Self-attention with a bias of relative positions that each query scales by its own gate."""

    def __init__(self, sizes: BEATsSizes, table: nn.Embedding) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(sizes.width, sizes.width) for _ in range(4)
        )
        self.relative_attention_bias = table
        self.grep_linear = nn.Linear(sizes.width // sizes.heads, GATES)
        self.grep_a = nn.Parameter(torch.ones(1, sizes.heads, 1, 1))
        self._heads = sizes.heads

    def forward(self, tokens: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        queries, keys, values = (
            projected.unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projected in (self.q_proj(tokens), self.k_proj(tokens), self.v_proj(tokens))
        )  # each [B, heads, P, width / heads]
        sums = self.grep_linear(queries).unflatten(-1, (2, GATES // 2)).sum(-1)
        first, second = torch.sigmoid(sums).split(1, dim=-1)
        gates = first * (second * self.grep_a - 1) + 2  # [B, heads, P, 1]
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=gates * bias)
        joined: torch.Tensor = self.out_proj(found.transpose(1, 2).flatten(2))
        return joined


def relative_buckets(distance: torch.Tensor, buckets: int, largest: int) -> torch.Tensor:
    """The row of the table for each `distance` (key position - query position).

    Half of the rows are for keys that follow. Of each half the first half is exact, the other
    logarithmic up to `largest`; farther keys share the last row.
    """
    half = buckets // 2
    exact = half // 2
    far = distance.abs().clamp(min=1).float()  # a float32 logarithm, as the official code's
    scaled = torch.log(far / exact) / math.log(largest / exact) * (half - exact)
    logarithmic = (exact + scaled.long()).clamp(max=half - 1)
    rows = torch.where(distance.abs() < exact, distance.abs(), logarithmic)
    return rows + half * (distance > 0)
