"""The situation head: verbs and role captions of five events from a model's features.

See docs/method.md 6. As VideoWhisperer does, an encoder over events and frames is trained with the
head, a decoder of role queries looks at events, video and frames, every role of all five events at
once, and a captioner spells out each role from its query. The head is the same for every model,
layer for layer, so that a difference is the features': what a model's own video module says of an
event enters as a feature of it, and where there is none the mean of its frames does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bench.contextualizer import VideoContextualizer
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.head.vocabulary import END, PAD
from tasks.vidsitu.scoring.rules import ROLES


@dataclass(frozen=True)
class VideoFeatures:
    """Of B videos, float32: `frames` [B, P, T, D], `events` [B, P, C] and `videos` [B, C].

    Where objects were found in frames, `frames` are these, [B, F, O, D], and `boxes` [B, F, O, 4]
    their left, top, right, bottom as parts of the picture.
    """

    frames: torch.Tensor
    events: torch.Tensor
    videos: torch.Tensor
    boxes: torch.Tensor | None = None

    @property
    def dims(self) -> tuple[int, int]:
        """The widths D and C."""
        return self.frames.shape[-1], self.events.shape[-1]

    def take(self, places: torch.Tensor, device: str) -> VideoFeatures:
        """Those of the videos at `places`, on `device`."""
        return VideoFeatures(
            *(part[places].to(device) for part in (self.frames, self.events, self.videos))
        )


@dataclass(frozen=True)
class Queries:
    """Q roles queried of B videos, int64 [Q] each: places of video and event, and in ROLES."""

    video: torch.Tensor
    event: torch.Tensor
    role: torch.Tensor


class SituationHead(nn.Module):
    """Verb classifier, role classifier and role captioner on frames of width `dim`.

    `context_dim` is the width C of the model's events and videos. `most_roles` of an event are
    described, or all for None, in `role_order` where they are predicted.
    """

    most_roles: int | None = None
    role_order = ROLES
    objects = False  # it has no part for objects found in frames

    def __init__(
        self, settings: HeadSettings, dim: int, context_dim: int, verbs: int, tokens: int
    ) -> None:
        super().__init__()
        width, self.settings = settings.width, settings
        self.dim, self.context_dim = dim, context_dim
        self.longest_caption = settings.caption_tokens  # its end included
        # Another width than the frames' is fitted to it; the layers are the same all the same.
        self.fit = nn.Linear(context_dim, dim) if context_dim != dim else nn.Identity()
        self.contextualizer = VideoContextualizer(
            dim, settings.vc_layers, math.gcd(settings.vc_heads, dim), len(EVENTS), FRAMES,
            settings.dropout,
        )  # fmt: skip
        event = dim + FRAMES * dim
        self.normalise = nn.LayerNorm(dim, elementwise_affine=False)
        self.frame, self.event, self.video = (nn.Linear(size, width) for size in (dim, event, dim))
        self.event_places = nn.Parameter(torch.randn(len(EVENTS), width) * 0.02)
        self.frame_places = nn.Parameter(torch.randn(FRAMES, width) * 0.02)
        self.types = nn.Parameter(torch.randn(3, width) * 0.02)  # video, event, frame
        self.verbs = _classifier(event, width, verbs, settings.dropout)
        self.role_presence = _classifier(event, width, len(ROLES), settings.dropout)
        self.roles = nn.Embedding(len(ROLES), width)
        layer = nn.TransformerDecoderLayer(
            width, settings.heads, settings.feed_forward, settings.dropout, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(layer, settings.layers, norm=nn.LayerNorm(width))
        self.captioner = _captioner(settings, tokens)

    def contextualize(self, features: VideoFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Events [B, P, (1 + T) * D] and videos [B, D], for what is built on them.

        An event is the encoder's output beside its own frames, these as their mean and the steps
        from each to the next: the same numbers in a basis where what moves stands out. Without
        them the head learns too little from few videos (docs/vidsitu.md has the numbers).
        """
        events, videos = self.contextualizer(
            features.frames, self.fit(features.events), self.fit(features.videos)
        )
        frames = self.normalise(features.frames)
        steps = (frames[:, :, 1:] - frames[:, :, :-1]).flatten(2)
        return torch.cat([events, frames.mean(dim=2), steps], dim=-1), videos

    def classify(self, events: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Events as from `contextualize` -> logits of verbs [B, P, V] and of roles [B, P, R]."""
        return self.verbs(events), self.role_presence(events)

    def describe(
        self, features: VideoFeatures, events: torch.Tensor, videos: torch.Tensor, queries: Queries
    ) -> torch.Tensor:
        """One vector [Q, W] a query, from which the captioner spells the role's value."""
        memory = self._memory(features.frames, events, videos)
        rows = (
            self.roles(queries.role)
            + self.event_places[queries.event]
            + self.event(events[queries.video, queries.event])
        )
        # All queries of a video stand in one row: roles see each other, so that one person can be
        # called the same in every event.
        place = places_among(queries.video)
        padded = rows.new_zeros(len(memory), int(place.max()) + 1, rows.shape[-1])
        padded[queries.video, place] = rows
        empty = torch.ones(padded.shape[:2], dtype=torch.bool, device=padded.device)
        empty[queries.video, place] = False
        empty[:, 0] = False  # a row without queries must not be all padding: its softmax is NaN
        decoded: torch.Tensor = self.decoder(padded, memory, tgt_key_padding_mask=empty)
        return decoded[queries.video, place]

    def _memory(
        self, frames: torch.Tensor, events: torch.Tensor, videos: torch.Tensor
    ) -> torch.Tensor:
        """[B, 1 + P + P * T, W]: what the role queries look at."""
        event_places = self.event_places[:, None]
        seen = self.frame(self.normalise(frames)) + self.types[2] + event_places + self.frame_places
        return torch.cat([
            (self.video(videos) + self.types[0])[:, None],
            self.event(events) + self.types[1] + self.event_places,
            seen.flatten(1, 2),
        ], dim=1)  # fmt: skip

    def caption_loss(self, described: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy of the tokens of `captions` [Q, L], END included, by teacher forcing.

        PAD after END is not counted.
        """
        words = self.captioner.transformer.wte(captions[:, :-1])
        inputs = torch.cat([described[:, None], words], dim=1)
        logits = self.captioner(inputs_embeds=inputs, use_cache=False).logits
        return functional.cross_entropy(logits.flatten(0, 1), captions.flatten(), ignore_index=PAD)

    def spell(self, described: torch.Tensor) -> list[list[int]]:
        """Token ids of each query, greedy or by beam, with cached keys and values."""
        found: torch.Tensor = self.captioner.generate(
            inputs_embeds=described[:, None],
            attention_mask=described.new_ones(len(described), 1, dtype=torch.int64),
            max_new_tokens=self.settings.caption_tokens, num_beams=self.settings.beam,
            do_sample=False, pad_token_id=PAD, eos_token_id=END,
        )  # fmt: skip
        return [list(map(int, row)) for row in found.tolist()]

    # What `bench.training.checkpoints` keeps.

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Every tensor by name."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back a `trainable_state`; RuntimeError where it does not fit."""
        self.load_state_dict(state)


def _classifier(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )


def _captioner(settings: HeadSettings, tokens: int) -> Any:
    """A causal transformer that a described role starts in place of a first token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokens, n_positions=settings.caption_tokens + 1, n_embd=settings.width,
            n_layer=settings.layers, n_head=settings.heads, n_inner=settings.feed_forward,
            resid_pdrop=settings.dropout, embd_pdrop=settings.dropout, attn_pdrop=settings.dropout,
            bos_token_id=END, eos_token_id=END, pad_token_id=PAD, tie_word_embeddings=False,
        )
    )  # fmt: skip


def places_among(group: torch.Tensor) -> torch.Tensor:
    """The place of each query among those of its own group; `group` int64 [Q] is ascending."""
    counts = torch.bincount(group)
    starts = torch.cumsum(counts, 0) - counts
    return torch.arange(len(group), device=group.device) - starts[group]
