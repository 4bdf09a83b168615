"""BT-Adapter (arXiv 2309.15785): CLIP with a branch over time beside its last image blocks.

The equations were read in farewellthree/BT-Adapter at 393b4b8, folder mmaction2. The names of the
modules are those of its checkpoints. The text tower is transformers' CLIP, as it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from adapters.checkpoint import State
from adapters.official import built

NORM_EPS = 1e-5
OUT_NORM, MIDDLE_NORM = 1e4, 1e2  # the pretraining configuration's, of balance1 and balance2


@dataclass(frozen=True)
class Sizes:
    """`vision` and `text` are named as transformers' configurations have them."""

    vision: Mapping[str, int]
    text: Mapping[str, int]
    proj: int  # dimensions of a feature
    depth: int  # blocks of the branch
    positions: int = 64  # the most frames


class Attention(nn.Module):
    """Plain multi-head attention, with the names of transformers' CLIP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, L, W] -> [N, L, W]."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """With QuickGELU."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class Block(nn.Module):
    """CLIP's image block."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = _norm(width), _norm(width)
        self.self_attn = Attention(width, heads)
        self.mlp = MLP(width, inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 1 + P, W] -> the same shape."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class SpaceBlock(Block):
    """CLIP's image block on a video: one class token for all frames."""

    def forward(  # type: ignore[override]
        self, token: torch.Tensor, patches: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Class token [B, W] and patches [B, P, T, W] -> the same shapes."""
        frames = patches.shape[2]
        copies = token[:, None, None].expand(-1, 1, frames, -1)
        x = self.layer_norm1(torch.cat([copies, patches], dim=1))
        x = self.self_attn(x.transpose(1, 2).flatten(0, 1))  # frame by frame
        x = x.unflatten(0, (-1, frames)).transpose(1, 2)
        token, patches = token + x[:, 0].mean(dim=1), patches + x[:, 1:]
        return (token + self.mlp(self.layer_norm2(token)),
                patches + self.mlp(self.layer_norm2(patches)))  # fmt: skip


class TimeLayer(nn.Module):
    """Attention of each patch over its frames, without the class token and without an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layer_norm1 = _norm(width)
        self.self_attn = Attention(width, heads)
        self.temporal_fc = nn.Linear(width, width)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """[B, P, T, W] -> the same shape."""
        x = self.self_attn(self.layer_norm1(patches).flatten(0, 1))
        return patches + self.temporal_fc(x).unflatten(0, patches.shape[:2])


class Backbone(nn.Module):
    """CLIP's image tower, frame by frame, and the branch, which reads it and never feeds back."""

    def __init__(self, sizes: Sizes, balance: bool) -> None:
        super().__init__()
        vision = sizes.vision
        width, patch = vision["hidden_size"], vision["patch_size"]
        heads, inner = vision["num_attention_heads"], vision["intermediate_size"]
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding(1 + (vision["image_size"] // patch) ** 2, width)
        self.pre_layrnorm = _norm(width)  # spelt as in the checkpoints
        self.layers = nn.ModuleList(
            Block(width, heads, inner) for _ in range(vision["num_hidden_layers"])
        )
        self.post_layernorm = _norm(width)
        self.visual_projection = nn.Linear(width, sizes.proj, bias=False)
        self.btadapter_cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.btadapter_time_embed = nn.Embedding(sizes.positions, width)
        self.btadapter_T_layers = nn.ModuleList(TimeLayer(width, heads) for _ in range(sizes.depth))
        self.btadapter_S_layers = nn.ModuleList(
            SpaceBlock(width, heads, inner) for _ in range(sizes.depth)
        )
        if balance:
            self.balance1 = nn.Parameter(torch.empty(width))
            self.balance2 = nn.Parameter(torch.empty(width))
        self.balance = balance

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """[B, T, 3, S, S] -> frame features [B, T, D], not normalised. T up to `positions`."""
        clips, frames = video.shape[:2]
        x = self.patch_embedding(video.flatten(0, 1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.pre_layrnorm(x + self.position_embedding.weight)
        first = len(self.layers) - len(self.btadapter_S_layers)
        token = patches = None
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index >= first:
                by_frame = x.unflatten(0, (clips, frames))
                token, patches = self._merged(token, patches, by_frame)
                patches = self.btadapter_T_layers[index - first](patches)
                token, patches = self.btadapter_S_layers[index - first](token, patches)
        own = x[:, 0].unflatten(0, (clips, frames))
        joined = self._joined(own, token[:, None]) if token is not None else own
        return self.visual_projection(self.post_layernorm(joined))

    def _merged(
        self, token: torch.Tensor | None, patches: torch.Tensor | None, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The branch's state with a block's output `x` [B, T, 1 + P, W] added."""
        new_token, new_patches = x[:, :, 0].mean(dim=1), x[:, :, 1:].transpose(1, 2)
        positions = self.position_embedding.weight
        if token is None or patches is None:
            new_token = new_token + self.btadapter_cls_token[:, 0] + positions[0]
            times = self.btadapter_time_embed.weight[: x.shape[1]]
            return new_token / 2, new_patches + positions[1:, None] + times
        if not self.balance:
            return token + new_token, patches + new_patches
        weight = torch.sigmoid(MIDDLE_NORM * self.balance2)
        return (torch.lerp(token, new_token, weight), torch.lerp(patches, new_patches, weight))

    def _joined(self, own: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """Class tokens of the frames [B, T, W] and of the branch [B, 1, W] in one."""
        if not self.balance:
            return own + token
        return torch.lerp(token.expand_as(own), own, torch.sigmoid(OUT_NORM * self.balance1))


class BTAdapter(nn.Module):
    """Both towers."""

    def __init__(self, sizes: Sizes, balance: bool) -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        self.backbone = Backbone(sizes, balance)
        vocabulary = sizes.text["vocab_size"]
        config: dict[str, Any] = {
            **sizes.text, "projection_dim": sizes.proj, "hidden_act": "quick_gelu",
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
        }  # fmt: skip
        self.text_backbone = CLIPTextModelWithProjection(CLIPTextConfig(**config))

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [B, T, 3, S, S] -> [B, D]: the mean of unnormalised frame features."""
        return self.backbone(video).mean(dim=1)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [M, L] -> [M, D], not normalised, of the token with the largest id."""
        states = self.text_backbone.text_model(input_ids=tokens).last_hidden_state
        last = states[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
        features: torch.Tensor = self.text_backbone.text_projection(last)
        return features


def load(sizes: Sizes, state: State, balance: bool, where: Any, remedy: str) -> BTAdapter:
    """BT-Adapter from a state dict of `official_state`, with the balance terms or without.

    BenchError where it does not fit.
    """
    unread = ("extra_proj.", *(() if balance else ("backbone.balance",)))
    state = {name: value for name, value in state.items() if not name.startswith(unread)}
    return built(lambda: BTAdapter(sizes, balance), state, where, remedy)


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, NORM_EPS)
