"""VideoWhisperer's head on a model's features: 20 frames as its objects, an event's mean as events.

Beside the published form (`tasks.vidsitu.head.videowhisperer`) it differs in what it is given: a
frame is an object whose box is the whole picture, and belongs to one event; captions are CLIP's
tokens and verbs those of the training split. Objects found in 11 frames are taken as published. It
offers what training and prediction ask of `tasks.vidsitu.head.models.SituationHead`.
"""

from __future__ import annotations

import torch
from torch import nn

from bench.errors import BenchError
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.head.models import Queries, VideoFeatures, places_among
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.head.videowhisperer import (
    SLOTS,
    Seen,
    VideoWhisperer,
    WhispererSizes,
    disjoint_frames,
    published_frames,
)
from tasks.vidsitu.head.vocabulary import END, PAD
from tasks.vidsitu.head.whisperer_data import ABSENT, ROLE_IDS, VERB_SYMBOLS
from tasks.vidsitu.scoring.rules import ROLES

_IDS = [ROLE_IDS.index(role) for role in ROLES]  # VideoWhisperer's number of each of our roles


class WhispererHead(nn.Module):
    """`dim` is the width of frames, or of `objects`, `context_dim` that of events.

    See `SituationHead`.
    """

    most_roles: int | None = SLOTS
    role_order = ROLE_IDS

    def __init__(
        self, settings: HeadSettings, dim: int, context_dim: int, verbs: int, tokens: int,
        objects: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings, self.dim, self.context_dim = settings, dim, context_dim
        self.objects = objects
        frames_of = published_frames() if objects else disjoint_frames(len(EVENTS) * FRAMES)
        self.longest_caption = settings.caption_tokens - 1  # the start is not spelled
        self._start = tokens  # the token after the vocabulary's
        sizes = WhispererSizes(
            event_dim=context_dim,
            object_dim=dim,
            verbs=len(VERB_SYMBOLS) + verbs,
            tokens=tokens + 1,
            width=settings.width,
            heads=settings.heads,
            encoder_heads=settings.vc_heads,
            encoder_layers=settings.vc_layers,
            decoder_layers=settings.layers,
            caption_layers=settings.layers,
            feed_forward=settings.feed_forward,
            dropout=settings.dropout,
            events=len(EVENTS),
            frames=len(frames_of),
            roles=len(ROLES),
            caption_tokens=settings.caption_tokens,
            predicts_roles=settings.roles == "predicted",
        )
        self.model = VideoWhisperer(sizes, frames_of)

    def contextualize(self, features: VideoFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Events and objects as encoded [B, P + F * O, W], and the videos as they came.

        VideoWhisperer has no token of the whole video.
        """
        objects, boxes = features.frames, features.boxes
        if boxes is None:
            objects = objects.flatten(1, 2)[:, :, None]  # one a frame: its whole picture
            boxes = objects.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(*objects.shape[:3], 4)
        return self.model.encode(Seen(features.events, objects, boxes)), features.videos

    def classify(self, encoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits of verbs [B, P, V + 4] and of roles [B, P, R], None for a head of given roles.

        The four symbols before VideoWhisperer's verbs, which no example has, are the last here.
        """
        verbs = self.model.verbs(encoded).roll(-len(VERB_SYMBOLS), dims=-1)
        if not self.model.sizes.predicts_roles:
            return verbs, None
        return verbs, self.model.roles(encoded)[..., _IDS]

    def describe(
        self, features: VideoFeatures, encoded: torch.Tensor, videos: torch.Tensor, queries: Queries
    ) -> torch.Tensor:
        """One vector [Q, W] a query; BenchError for more than six of an event."""
        slots = queries.video.new_full((len(encoded), len(EVENTS), SLOTS), ABSENT)
        place = places_among(queries.video * len(EVENTS) + queries.event)
        if len(place) and int(place.max()) >= SLOTS:
            raise BenchError(f"VideoWhisperer's head describes {SLOTS} roles of an event at most")
        at = queries.video, queries.event, place
        slots[at] = torch.tensor(_IDS, device=slots.device)[queries.role]
        described, _ = self.model.describe(encoded, slots)
        return described.unflatten(1, slots.shape[1:])[at]

    def caption_loss(self, described: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy of the tokens of `captions` [Q, L], END included; PAD is not counted.

        L is `longest_caption` at most.
        """
        start = captions.new_full((len(captions), 1), self._start)
        return self.model.tx_cap.loss(described, torch.cat([start, captions], dim=1), PAD)

    def spell(self, described: torch.Tensor) -> list[list[int]]:
        """Token ids of each query, greedy, up to the first END; symbols within are left out."""
        found = self.model.tx_cap.spell_to(described, self._start, END, self.settings.causal)
        return [[token for token in row if token not in (PAD, self._start)] for row in found]

    # What `bench.training.checkpoints` keeps.

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Every tensor by name."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back a `trainable_state`; RuntimeError where it does not fit."""
        self.load_state_dict(state)
