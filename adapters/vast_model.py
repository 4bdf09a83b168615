"""VAST (Chen et al., arXiv 2305.18500) as its evaluation code computes it.

Frames, sound and subtitles are encoded to tokens; a contrastive head compares their pooled vector
with a text's, and a matching head reads a text's tokens with those of a video. The modules carry
the names of the official checkpoint, so that loading is strict by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.eva import Eva
from torch import nn

from adapters.beats import BEATs
from adapters.fusion_bert import EPS, FusionBert, Memory
from adapters.vast_settings import TASKS, VASTSettings
from adapters.vast_sizes import VASTSizes

VISION_EPS = 1e-6
NAMES = {"v": "vision", "a": "audio", "s": "subtitle"}

Tokens = Mapping[str, torch.Tensor]  # by modality: v [B, T, P, W], a [B, n, P, W], s [B, L, D]


class VAST(nn.Module):
    """The part of VAST that `tasks` (names of `TASKS`) need."""

    def __init__(self, sizes: VASTSizes, settings: VASTSettings, tasks: Sequence[str]) -> None:
        super().__init__()
        self.sizes, self._settings = sizes, settings
        widths = {"v": sizes.vision_width, "s": sizes.width}
        if sizes.audio is not None:
            widths["a"] = sizes.audio.width
            self.audio_encoder = BEATs(sizes.audio)
            self.audio_frame_embedding = _rows(sizes.audio_rows, sizes.width)
        self.vision_encoder = nn.Module()
        self.vision_encoder.visual = _eva(sizes, settings.vision_heads)
        self.vision_frame_embedding = _rows(sizes.vision_rows, sizes.width)
        self.multimodal_encoder = FusionBert(
            sizes.vocabulary, sizes.width, sizes.layers, settings.text_heads, sizes.hidden,
            sizes.positions,
        )  # fmt: skip
        for kind in sorted({kind for task in tasks for kind in TASKS[task]}):
            mapped = nn.Sequential(
                nn.Linear(widths[kind], sizes.width), nn.LayerNorm(sizes.width, EPS)
            )
            self.add_module(f"hidden_trans_{NAMES[kind]}_multimodal", mapped)
            self.register_parameter(f"{NAMES[kind]}_type_embeddings", _rows(1, sizes.width))
        self.contra_head_t = _Unbiased(sizes.width, sizes.embed_dim)
        for kinds in (TASKS[task] for task in tasks):
            width = sum(widths[kind] for kind in kinds)
            head = _Unbiased if len(kinds) == 1 else nn.Linear
            self.add_module(f"contra_head_{kinds}", head(width, sizes.embed_dim))
        self.itm_head = _MatchingHead(sizes.width)

    def vision_tokens(self, frames: torch.Tensor) -> torch.Tensor:
        """Normalised frames [B, T, 3, S, S] -> [B, T, 1 + P, W], the class token first."""
        visual: Any = self.vision_encoder.visual
        found: torch.Tensor = visual.forward_features(frames.flatten(0, 1))
        return found.unflatten(0, frames.shape[:2])

    def audio_tokens(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """Normalised spectrograms [B, n, time, mel] of n segments -> [B, n, P, W]."""
        found: torch.Tensor = self.audio_encoder(spectrograms.flatten(0, 1))
        return found.unflatten(0, spectrograms.shape[:2])

    def text_tokens(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """ids, mask int64 [B, L] of captions or subtitles -> [B, L, D], pads included."""
        found: torch.Tensor = self.multimodal_encoder(ids, mask)
        return found

    def text_features(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of captions [B, L, D] -> [B, E], not normalised."""
        found: torch.Tensor = self.contra_head_t(tokens[:, 0])
        return found

    def video_features(self, task: str, tokens: Tokens) -> torch.Tensor:
        """Tokens of what `task` reads -> [B, E], not normalised."""
        kinds = TASKS[task]
        vectors = torch.cat([pooled(kind, tokens[kind]) for kind in kinds], dim=-1)
        found: torch.Tensor = self.get_submodule(f"contra_head_{kinds}")(vectors)
        return found

    def condition(self, task: str, tokens: Tokens) -> torch.Tensor:
        """What the matching head reads of videos: [B, S, D], none of it masked.

        Frames, segments and subtitle, one after another.
        """
        return torch.cat([self._fusion_tokens(kind, tokens[kind]) for kind in TASKS[task]], dim=1)

    def _fusion_tokens(self, kind: str, tokens: torch.Tensor) -> torch.Tensor:
        name = NAMES[kind]
        found: torch.Tensor = self.get_submodule(f"hidden_trans_{name}_multimodal")(tokens)
        if kind != "s":
            largest = {"v": self._settings.vision_frames, "a": self._settings.audio_segments}
            # In two steps, as the official code does: when the file is loaded, and in the forward.
            loaded = _resized(self.get_parameter(f"{name}_frame_embedding"), largest[kind])
            rows = _resized(loaded, tokens.shape[1])
            found = (found + rows[:, :, None]).flatten(1, 2)
        return found + self.get_parameter(f"{name}_type_embeddings")

    def memory(self, condition: torch.Tensor) -> Memory:
        """The keys and values that one video's condition [S, D] gives the matching head."""
        return self.multimodal_encoder.memory(condition)

    def match(self, ids: torch.Tensor, mask: torch.Tensor, memory: Memory) -> torch.Tensor:
        """ids, mask [B, L] of captions -> the probability [B] that each fits the one video."""
        logits: torch.Tensor = self.itm_head(self.multimodal_encoder(ids, mask, memory)[:, 0])
        return logits.softmax(dim=-1)[:, 1]


def pooled(kind: str, tokens: torch.Tensor) -> torch.Tensor:
    """A modality's tokens -> [B, W]: the frames' mean class token, all of the sound's, a text's."""
    if kind == "v":
        return tokens[:, :, 0].mean(dim=1)
    return tokens.mean(dim=2).mean(dim=1) if kind == "a" else tokens[:, 0]


def matched(
    model: VAST,
    ids: torch.Tensor,
    mask: torch.Tensor,
    condition: torch.Tensor,
    batch: int = 64,
) -> torch.Tensor:
    """Captions' ids and mask [B, L] against the condition [S, D] of one video -> [B].

    The video's keys and values are computed once; `batch` captions at a time are read with them.
    """
    memory = model.memory(condition)
    return torch.cat([
        model.match(*_trimmed(*part), memory)
        for part in zip(ids.split(batch), mask.split(batch), strict=True)
    ])  # fmt: skip


def _trimmed(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Without the pads that all texts of a batch end in; nothing reads them."""
    longest = int(mask.sum(dim=1).max())
    return ids[:, :longest], mask[:, :longest]


def _eva(sizes: VASTSizes, heads: int) -> nn.Module:
    """EVA-CLIP's image tower of timm, without its head; its final norm is over all tokens."""
    # Half a unit more than the ratio: timm rounds down, and the ratio may be rounded itself.
    return Eva(
        img_size=sizes.image_size, patch_size=sizes.patch, num_classes=0, global_pool="token",
        embed_dim=sizes.vision_width, depth=sizes.vision_layers, num_heads=heads,
        mlp_ratio=(sizes.vision_hidden + 0.5) / sizes.vision_width,
        norm_layer=partial(nn.LayerNorm, eps=VISION_EPS),
    )  # fmt: skip


class _MatchingHead(nn.Module):
    """Linear, GELU, LayerNorm, Linear to the logits of no match and match."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.layernorm = nn.LayerNorm(width, EPS)
        self.linear2 = nn.Linear(width, 2)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear2(self.layernorm(F.gelu(self.linear1(vectors))))
        return found


class _Unbiased(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(vectors)
        return found


def _rows(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(1, count, width))


def _resized(rows: torch.Tensor, count: int) -> torch.Tensor:
    """[1, F, D] -> [1, count, D], the nearest row below for each."""
    return F.interpolate(rows.transpose(1, 2), count, mode="nearest").transpose(1, 2)
