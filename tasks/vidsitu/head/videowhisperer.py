"""VideoWhisperer's model (Khan et al., NeurIPS 2022), as zeeshank95/GVSR at 6b092eb computes it.

An encoder over event and object tokens, a decoder of role queries that look at the objects of
their own event, and a captioner that spells each role. docs/vidsitu.md tells how our own head
differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tasks.vidsitu.head.whisperer_captions import Captioner
from tasks.vidsitu.head.whisperer_layers import EncoderLayer, RoleLayer, Stack

SLOTS = 6  # roles of an event at most
EVENT, OBJECT = 0, 1  # rows of the table of types


@dataclass(frozen=True)
class WhispererSizes:
    """Widths and counts; the defaults are the published ones. `tokens` and `verbs` are classes."""

    event_dim: int
    object_dim: int
    verbs: int
    tokens: int
    width: int = 1024
    heads: int = 8
    encoder_heads: int = 8
    encoder_layers: int = 3
    decoder_layers: int = 3
    caption_layers: int = 3
    feed_forward: int = 2048
    dropout: float = 0.15
    events: int = 5
    frames: int = 11
    roles: int = 12
    caption_tokens: int = 15
    predicts_roles: bool = False


@dataclass(frozen=True)
class Seen:
    """Of B videos, float32: `events` [B, P, De], `objects` [B, F, O, Do], `boxes` [B, F, O, 4].

    Boxes are left, top, right, bottom as parts of the picture's width and height.
    """

    events: torch.Tensor
    objects: torch.Tensor
    boxes: torch.Tensor


def relative_boxes(boxes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Boxes in pixels [B, F, O, 4] by the height and width [B, F, 2] of the first frame."""
    height, width = sizes[:, 0, 0], sizes[:, 0, 1]
    sides = torch.stack([width, height, width, height], dim=-1)
    return boxes / sides[:, None, None]


def published_frames(frames: int = 11, events: int = 5) -> torch.Tensor:
    """Which frame belongs to which events, bool [F, P]: event k has frames 2k to 2k + 2.

    At one frame a second and two seconds an event, those on a boundary belong to two.
    """
    frame, event = torch.arange(frames)[:, None], torch.arange(events)[None]
    return (2 * event <= frame) & (frame <= 2 * event + 2)


def disjoint_frames(frames: int, events: int = 5) -> torch.Tensor:
    """bool [F, P]: equally many frames for each event, each in one."""
    each = frames // events
    return torch.arange(frames)[:, None] // each == torch.arange(events)[None]


class VideoWhisperer(nn.Module):
    """The three stages, by the official names. `frames_of` bool [F, P] says whose a frame is."""

    def __init__(self, sizes: WhispererSizes, frames_of: torch.Tensor) -> None:
        super().__init__()
        self.sizes = sizes
        self.tx_vo_ro = _VideoAndRoles(sizes, frames_of)
        self.tx_cap = Captioner(
            sizes.tokens, sizes.width, sizes.heads, sizes.caption_layers, sizes.feed_forward,
            sizes.dropout, sizes.caption_tokens,
        )  # fmt: skip

    def encode(self, seen: Seen) -> torch.Tensor:
        """[B, P + F * O, W]: events first, then objects, frame by frame."""
        return self.tx_vo_ro.encode(self.tx_vo_ro.tokens(seen))

    def verbs(self, encoded: torch.Tensor) -> torch.Tensor:
        """What `encode` gave -> logits of verbs [B, P, verbs]."""
        found: torch.Tensor = self.tx_vo_ro.verb_classifier(encoded[:, : self.sizes.events])
        return found

    def roles(self, encoded: torch.Tensor) -> torch.Tensor:
        """What `encode` gave -> logits of roles [B, P, roles], for a head that predicts them."""
        part = self.tx_vo_ro
        found: torch.Tensor = part.role_classifer_l2(
            part.role_classifer_l1(encoded[:, : self.sizes.events])
        )
        return found

    def describe(
        self, encoded: torch.Tensor, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """slots int64 [B, P, SLOTS], `roles` where absent -> a vector a slot [B, P * SLOTS, W].

        The second is the attention of the last layer to the objects [B, P * SLOTS, F * O].
        """
        return self.tx_vo_ro.describe(encoded, slots)

    def losses(self, seen: Seen, slots: torch.Tensor, targets: Targets) -> dict[str, torch.Tensor]:
        """`loss_vb`, `loss_SRL`, with role prediction `loss_role`, and their sum `loss`."""
        encoded = self.encode(seen)
        verbs = self.verbs(encoded).flatten(0, 1)
        found = {"loss_vb": functional.cross_entropy(verbs, targets.verbs.flatten())}
        described, _ = self.describe(encoded, slots)
        present = (slots != self.sizes.roles).flatten(1)
        found["loss_SRL"] = self.tx_cap.loss(
            described[present], targets.captions.flatten(1, 2)[present], targets.pad
        )
        if self.sizes.predicts_roles:
            found["loss_role"] = functional.binary_cross_entropy_with_logits(
                self.roles(encoded), targets.presence
            )
        return {**found, "loss": torch.stack([*found.values()]).sum()}


@dataclass(frozen=True)
class Targets:
    """`verbs` int64 [B, P], `captions` int64 [B, P, SLOTS, L] from start to end, then `pad`.

    `presence` float32 [B, P, roles] is what role prediction learns.
    """

    verbs: torch.Tensor
    captions: torch.Tensor
    presence: torch.Tensor
    pad: int


def likely_slots(logits: torch.Tensor) -> torch.Tensor:
    """Logits [B, P, R] -> slots [B, P, SLOTS]: roles of more than a half, in order, six at most."""
    count = logits.shape[-1]
    order = torch.where(logits > 0, torch.arange(count, device=logits.device), count)
    return order.sort(dim=-1).values[..., :SLOTS]


class _VideoAndRoles(nn.Module):
    """Stages 1 and 2. The two norms named `_emb_norm` are in the checkpoint and are never used."""

    frames_of: torch.Tensor

    def __init__(self, sizes: WhispererSizes, frames_of: torch.Tensor) -> None:
        super().__init__()
        width = sizes.width
        self._sizes = sizes
        self.vid_feat_project = _perceptron(sizes.event_dim, width, width)
        self.obj_feat_dim_reduction = _perceptron(sizes.object_dim, width, width)
        self.obj_spatial_pos_emd = nn.Linear(4, width)
        self.event_pos_embed = nn.Embedding(sizes.events, width)
        self.frame_pos_embed = nn.Embedding(sizes.frames, width)
        self.input_type_embed = nn.Embedding(2, width)
        self.vid_enc_emb_norm, self.obj_enc_emb_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.vo_encoder: Any = Stack(
            (EncoderLayer(width, sizes.encoder_heads, sizes.feed_forward, sizes.dropout)
             for _ in range(sizes.encoder_layers)), width,
        )  # fmt: skip
        self.verb_classifier = _perceptron(width, 2 * width, sizes.verbs)
        if sizes.predicts_roles:  # [sic]; no activation between the two
            self.role_classifer_l1 = nn.Linear(width, width)
            self.role_classifer_l2 = nn.Linear(width, sizes.roles)
        self.role_embed = nn.Embedding(sizes.roles + 1, width)
        self.ro_decoder: Any = Stack(
            (RoleLayer(width, sizes.heads, sizes.feed_forward, sizes.dropout, number == 0)
             for number in range(sizes.decoder_layers)), width,
        )  # fmt: skip
        self.register_buffer("frames_of", frames_of, persistent=False)

    def tokens(self, seen: Seen) -> torch.Tensor:
        """The encoder's input [B, P + F * O, W]."""
        places, types = self.event_pos_embed.weight, self.input_type_embed.weight
        events = self.vid_feat_project(seen.events) + places + types[EVENT]
        # A frame on a boundary has the places of both of its events.
        of_frames = self.frames_of.to(places.dtype) @ places + self.frame_pos_embed.weight
        objects = (
            self.obj_feat_dim_reduction(seen.objects)
            + self.obj_spatial_pos_emd(seen.boxes)
            + (of_frames + types[OBJECT])[:, None]
        )
        return torch.cat([events, objects.flatten(1, 2)], dim=1)

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        for layer in self.vo_encoder.layers:
            tokens = layer(tokens)
        found: torch.Tensor = self.vo_encoder.norm(tokens)
        return found

    def queries(self, encoded: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """The role's vector, its event as encoded and its event's place: [B, P * SLOTS, W]."""
        events = encoded[:, : self._sizes.events] + self.event_pos_embed.weight
        found: torch.Tensor = (self.role_embed(slots) + events[:, :, None]).flatten(1, 2)
        return found

    def describe(
        self, encoded: torch.Tensor, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `VideoWhisperer.describe`."""
        queries, objects = self.queries(encoded, slots), encoded[:, self._sizes.events :]
        present = (slots != self._sizes.roles).flatten(1)
        seen = self._own_objects(objects.shape[1], slots.shape[-1])
        stream = torch.zeros_like(queries)
        for layer in self.ro_decoder.layers:
            stream, looked = layer(stream, queries, present, objects, seen)
            stream = stream * present[..., None]
        return self.ro_decoder.norm(stream), looked

    def _own_objects(self, objects: int, slots: int) -> torch.Tensor:
        """bool [1, P * slots, objects]: those of the slot's own event."""
        each = objects // self._sizes.frames
        seen = self.frames_of.T.repeat_interleave(each, dim=1)
        return seen.repeat_interleave(slots, dim=0)[None]


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
