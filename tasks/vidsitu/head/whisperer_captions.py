"""VideoWhisperer's captioner: each role of an event is a sequence of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tasks.vidsitu.head.whisperer_layers import CaptionLayer, Stack


class Captioner(nn.Module):
    """Spells a described role, one vector, as tokens. Parameters carry the official names."""

    def __init__(
        self, tokens: int, width: int, heads: int, layers: int, hidden: int, dropout: float,
        most: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocab_embed = nn.Embedding(tokens, width)
        self.pos_cap_embed = nn.Embedding(most, width)
        self.caption_decoder: Any = Stack(
            (CaptionLayer(width, heads, hidden, dropout) for _ in range(layers)), width
        )
        self.noun_classifier = nn.Linear(width, tokens, bias=False)

    def hidden(self, ids: torch.Tensor, described: torch.Tensor, causal: bool) -> torch.Tensor:
        """ids int64 [N, L], described [N, W] -> [N, L, W], whose place L - 1 says the next token.

        Without `causal` each token sees those after it too.
        """
        length = ids.shape[1]
        words = self.vocab_embed(ids)
        seen = torch.ones(1, length, length, dtype=torch.bool, device=ids.device).tril()
        for layer in self.caption_decoder.layers:
            words = words + self.pos_cap_embed.weight[:length]  # before every layer
            words = layer(words, described, seen if causal else None)
        found: torch.Tensor = self.caption_decoder.norm(words)
        return found

    def loss(self, described: torch.Tensor, captions: torch.Tensor, pad: int) -> torch.Tensor:
        """Mean cross entropy of all tokens of `captions` int64 [N, L] but the start and `pad`."""
        logits = self.noun_classifier(self.hidden(captions, described, causal=True))
        expected = captions[:, 1:].flatten()
        return functional.cross_entropy(logits[:, :-1].flatten(0, 1), expected, ignore_index=pad)

    def spell(
        self, described: torch.Tensor, start: int, causal: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """described [N, W] -> greedy ids int64 [N, most] and their logits [N, most, tokens].

        Always as many tokens as there are places: what follows the first end is to be cut off. As
        published it is not `causal`, unlike training: in each step the whole prefix is read anew,
        its first tokens in the light of the last.
        """
        ids = torch.full((len(described), 1), start, device=described.device)
        logits = []
        for _ in range(self.pos_cap_embed.num_embeddings):
            last = self.hidden(ids, described, causal)[:, -1]
            logits.append(self.noun_classifier(last))
            ids = torch.cat([ids, logits[-1].argmax(dim=-1, keepdim=True)], dim=1)
        return ids[:, 1:], torch.stack(logits, dim=1)

    def spell_to(
        self, described: torch.Tensor, start: int, end: int, causal: bool
    ) -> list[list[int]]:
        """The ids of `spell` before the first `end` of each row.

        A row that has ended takes no part in further steps: what follows is cut off in any case,
        and the rows do not see each other.
        """
        rows: list[list[int]] = [[] for _ in described]
        going = torch.arange(len(described), device=described.device)
        ids = torch.full((len(described), 1), start, device=described.device)
        for _ in range(self.pos_cap_embed.num_embeddings):
            last = self.hidden(ids, described[going], causal)[:, -1]
            said = self.noun_classifier(last).argmax(dim=-1)
            on = said != end
            going, ids = going[on], torch.cat([ids[on], said[on, None]], dim=1)
            for row, token in zip(going.tolist(), said[on].tolist(), strict=True):
                rows[row].append(token)
            if not len(going):
                break
        return rows
