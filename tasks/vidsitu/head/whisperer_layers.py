"""VideoWhisperer's transformer layers: pre-norm, ReLU, each with its own quirks.

Parameters carry the names of the official code (zeeshank95/GVSR at 6b092eb), unused ones too, so
that its checkpoints load by name.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

MASKED = -1e9  # added where a key must not be seen; finite, for a row may have no other key


class Attention(nn.Module):
    """Multi-head attention with a mask of keys; dropout falls on its weights."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.q_lin, self.k_lin, self.v_lin, self.out_lin = (
            nn.Linear(width, width) for _ in range(4)
        )
        self.dropout, self._heads = nn.Dropout(dropout), heads

    def forward(
        self, queries: torch.Tensor, memory: torch.Tensor, seen: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """queries [B, Q, W], memory [B, K, W], seen bool [B or 1, Q or 1, K] -> [B, Q, W], weights.

        The weights [B, Q, K] are the heads' mean.
        """
        query, key, value = (
            projected.unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projected in (self.q_lin(queries), self.k_lin(memory), self.v_lin(memory))
        )
        scores = query @ key.transpose(2, 3) / key.shape[-1] ** 0.5
        if seen is not None:
            scores = scores + MASKED * (~seen[:, None]).to(scores.dtype)
        weights = scores.softmax(dim=-1)
        found = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)
        return self.out_lin(found), weights.mean(dim=1)

    def alone(self, memory: torch.Tensor) -> torch.Tensor:
        """What attention to a single key gives, whatever the query: its weight is 1."""
        weight: torch.Tensor = self.dropout(memory.new_ones(len(memory), self._heads, 1, 1))
        value = self.v_lin(memory).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        found: torch.Tensor = self.out_lin((weight * value).transpose(1, 2).flatten(2))
        return found


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward. No dropout between the two layers of the latter."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normal = self.norm1(tokens)
        tokens = tokens + self.dropout(self.self_attn(normal, normal)[0])
        changed = self.linear2(self.linear1(self.norm2(tokens)).relu())
        found: torch.Tensor = tokens + self.dropout(changed)
        return found


class RoleLayer(nn.Module):
    """A decoder layer as DETR's: role queries are added to what attends, never to what is seen."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.multihead_attn = Attention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout, self._first = nn.Dropout(dropout), first

    def forward(
        self,
        stream: torch.Tensor,
        queries: torch.Tensor,
        present: torch.Tensor,
        objects: torch.Tensor,
        seen: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """stream, queries [B, Q, W]; present bool [B, Q]; objects [B, K, W]; seen bool [B, Q, K].

        Returns the stream and the attention to the objects [B, Q, K].
        """
        normal = stream
        if not self._first:  # the first layer has a stream of zeros: it looks at objects only
            normal = self.norm1(stream)
            added, _ = self.self_attn(normal + queries, normal, present[:, None])
            stream = stream + self.dropout(added)
            normal = self.norm2(stream)
        added, looked = self.multihead_attn(normal + queries, objects, seen)
        stream = stream + self.dropout(added)
        hidden = self.dropout(self.linear1(self.norm3(stream)).relu())
        return stream + self.dropout(self.linear2(hidden)), looked


class CaptionLayer(nn.Module):
    """Self-attention, a described role at every position, feed-forward.

    The official layer attends to the role, a single key, so that `cross_attn`'s queries and keys
    and `norm2` have no effect.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.cross_attn = Attention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, words: torch.Tensor, described: torch.Tensor, seen: torch.Tensor | None
    ) -> torch.Tensor:
        """words [N, L, W], described [N, W], seen bool [1, L, L] or None for all."""
        normal = self.norm1(words)
        words = words + self.dropout(self.self_attn(normal, normal, seen)[0])
        words = words + self.dropout(self.cross_attn.alone(described[:, None]))
        hidden = self.dropout(self.linear1(self.norm3(words)).relu())
        found: torch.Tensor = words + self.dropout(self.linear2(hidden))
        return found


class Stack(nn.Module):
    """Layers and the norm after the last one."""

    def __init__(self, layers: Iterable[nn.Module], width: int) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), nn.LayerNorm(width)
