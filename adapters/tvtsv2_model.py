"""TVTSv2 (arXiv 2305.14173): CLIP with divided space-time attention in its vision tower.

The equations were read in TencentARC/TVTS at 290a63e, folder v2. The text tower is CLIP's, so
open_clip's; the vision tower is in no library: unlike TimeSformer's its space attention adds to the
block's input instead of to the time attention's output, and one class token attends to all frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from adapters.checkpoint import State
from adapters.official import built
from adapters.openai_clip import Blocks

NORM_EPS = 1e-5
# Ours -> official, of the text tower.
TEXT_NAMES = {
    "text.transformer.": "text_model.", "text.token_embedding.": "text_token_embedding.",
    "text.positional_embedding": "text_positional_embedding", "text.ln_final.": "text_ln_final.",
    "text.text_projection": "text_projection",
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Sizes of both towers; `quick_gelu` is False for H/14, whose CLIP is OpenCLIP's."""

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    num_frames: int
    context_length: int
    vocab_size: int
    text_width: int
    text_layers: int
    text_heads: int
    quick_gelu: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sizes:
        """Those of a mapping that may hold more; without `quick_gelu`, by its `kind` B or H."""
        known = {field.name: config[field.name] for field in fields(cls) if field.name in config}
        return cls(**{"quick_gelu": config.get("kind") != "H", **known})

    @property
    def activation(self) -> type[nn.Module]:
        """Of both towers: QuickGELU, or GELU by the error function."""
        from open_clip.transformer import QuickGELU

        return QuickGELU if self.quick_gelu else nn.GELU


class GroupedAttention(nn.Module):
    """Attention of patches in groups, each with the class token; that attends to everything."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, frames: int, over_time: bool) -> torch.Tensor:
        """[B, 1 + T * N, W], frame after frame -> the same shape.

        A patch attends to its place in all T frames (`over_time`), or to the N of its frame.
        """
        # each [B, H, 1 + T * N, D]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        token = scaled_dot_product_attention(q[:, :, :1], k, v)
        queries = _groups(q, frames, over_time)
        keys, values = (_with_token(one, frames, over_time) for one in (k, v))
        # One batch dimension: PyTorch has fast kernels for four dimensions only.
        patches = scaled_dot_product_attention(
            queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
        ).unflatten(0, queries.shape[:2])
        # [B, G, H, L, D] -> [B, T, N, H, D]
        patches = patches.permute(0, 3, 1, 2, 4) if over_time else patches.transpose(2, 3)
        joined = torch.cat([token.transpose(1, 2), patches.flatten(1, 2)], dim=1)
        return self.proj(joined.flatten(2))


def _groups(one: torch.Tensor, frames: int, over_time: bool) -> torch.Tensor:
    """[B, H, 1 + T * N, D] -> the patches' groups [B, G, H, L, D]: over time, N of T."""
    patches = one[:, :, 1:].unflatten(2, (frames, -1))  # [B, H, T, N, D]
    return patches.permute(0, 3, 1, 2, 4) if over_time else patches.transpose(1, 2)


def _with_token(one: torch.Tensor, frames: int, over_time: bool) -> torch.Tensor:
    """As `_groups`, the class token before each group: [B, G, H, 1 + L, D]."""
    groups = _groups(one, frames, over_time)
    token = one[:, None, :, :1].expand(-1, groups.shape[1], -1, -1, -1)
    return torch.cat([token, groups], dim=3)


class Block(nn.Module):
    """`s = x + Space(ln_1(x + Time(ln_3 x)))`, then `s + MLP(ln_2 s)`."""

    def __init__(self, width: int, heads: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, NORM_EPS)
        self.ln_2 = nn.LayerNorm(width, NORM_EPS)
        self.ln_3 = nn.LayerNorm(width, NORM_EPS)
        self.attn = GroupedAttention(width, heads)
        self.timeattn = GroupedAttention(width, heads)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", activation())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """[B, 1 + T * N, W] -> the same shape."""
        in_time = x + self.timeattn(self.ln_3(x), frames, over_time=True)
        # The residual is of x: what time attention found reaches only the space attention.
        x = x + self.attn(self.ln_1(in_time), frames, over_time=False)
        return x + self.mlp(self.ln_2(x))


class VideoTower(nn.Module):
    """One class token for all frames, whose last state is projected."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, patch = sizes.vision_width, sizes.patch_size
        patches = (sizes.image_size // patch) ** 2
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + patches, width))
        self.temporal_embedding = nn.Parameter(torch.empty(sizes.num_frames, width))
        self.ln_pre = nn.LayerNorm(width, NORM_EPS)
        self.transformer = Blocks(
            Block(width, sizes.vision_heads, sizes.activation) for _ in range(sizes.vision_layers)
        )
        self.ln_post = nn.LayerNorm(width, NORM_EPS)
        self.proj = nn.Parameter(torch.empty(width, sizes.embed_dim))

    def tokens(self, video: torch.Tensor) -> torch.Tensor:
        """[B, T, 3, S, S] -> [B, 1 + T * N, D], the class token first. T as trained, or fewer."""
        clips, frames = video.shape[:2]
        x = self.conv1(video.flatten(0, 1)).flatten(2).transpose(1, 2)
        x = x.unflatten(0, (clips, frames)) + self.positional_embedding[1:]
        x = x + self.temporal_embedding[:frames, None]
        token = self.class_embedding + self.positional_embedding[0]
        x = torch.cat([token.expand(clips, 1, -1), x.flatten(1, 2)], dim=1)
        x = self.ln_pre(x)
        for block in self.transformer.resblocks:
            x = block(x, frames)
        return self.ln_post(x) @ self.proj

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """[B, T, 3, S, S] -> [B, D], not normalised."""
        return self.tokens(video)[:, 0]


class TVTSv2(nn.Module):
    """Both towers; `encode_text` is as open_clip's models have it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        from open_clip.transformer import TextTransformer

        self.text = TextTransformer(
            context_length=sizes.context_length, vocab_size=sizes.vocab_size,
            width=sizes.text_width, heads=sizes.text_heads, layers=sizes.text_layers,
            output_dim=sizes.embed_dim, act_layer=sizes.activation,
        )  # fmt: skip
        self.video_model = VideoTower(sizes)

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [B, T, 3, S, S] -> [B, D], not normalised."""
        features: torch.Tensor = self.video_model(video)
        return features

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [M, L] -> [M, D], not normalised."""
        features: torch.Tensor = self.text(tokens)
        return features


def load(sizes: Sizes, state: State, where: Any, remedy: str) -> TVTSv2:
    """TVTSv2 from a state dict under the official names. BenchError where it does not fit."""
    return built(lambda: TVTSv2(sizes), state, where, remedy, official_name)


def official_name(name: str) -> str:
    """A name of `TVTSv2.state_dict` as the released files have it, without their `module.`."""
    for ours, official in TEXT_NAMES.items():
        if name.startswith(ours):
            return official + name.removeprefix(ours)
    return name
