"""CLIP4Clip (arXiv 2104.08860): OpenAI's CLIP with a pooling of frames, `meanP` or `seqTransf`.

Read in ArrowLuo/CLIP4Clip at 508ffa3. The head `seqTransf` is of blocks as CLIP's text tower has
them, on open_clip's, but with an epsilon of its own and no causal mask.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from adapters.checkpoint import State
from adapters.clip4clip import HEAD_NAMES, SEQUENCE
from adapters.official import built
from adapters.openai_clip import HEAD_WIDTH, Blocks, clip, clip_config

HEAD_LAYERS = 4  # the official default, `cross_num_hidden_layers`
NORM_EPS = 1e-12  # of the head; CLIP's is 1e-5
PADDING = -1e6  # added to the attention to a frame that is none


class CLIP4Clip(nn.Module):
    """CLIP's towers in `clip`, and the head's blocks under the official names."""

    def __init__(self, config: dict[str, Any], layers: int, positions: int) -> None:
        """`config` is open_clip's; `layers` and `positions` are of the head, 0 without one."""
        super().__init__()
        from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock

        self.clip = clip(config)
        if layers:
            width = config["embed_dim"]
            self.frame_position_embeddings = nn.Embedding(positions, width)
            self.transformerClip = Blocks(
                ResidualAttentionBlock(
                    width, width // HEAD_WIDTH, act_layer=QuickGELU,
                    norm_layer=partial(LayerNorm, eps=NORM_EPS),
                ) for _ in range(layers)
            )  # fmt: skip

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [N, 3, S, S] -> [N, D], not normalised."""
        features: torch.Tensor = self.clip.encode_image(images)
        return features

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [M, context length] -> [M, D], not normalised."""
        features: torch.Tensor = self.clip.encode_text(tokens)
        return features

    def encode_video(self, video: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [B, T, 3, S, S], none of them padding -> [B, D] by `seqTransf`."""
        frames = self.encode_image(video.flatten(0, 1)).float().unflatten(0, video.shape[:2])
        mask = torch.ones(video.shape[:2], device=video.device)
        return pooled(self.sequence(frames, mask), mask)

    def sequence(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Frame features [B, T, D] in the light of each other, by `seqTransf`.

        `mask` [B, T] is 1 for a frame and 0 for padding.
        """
        x = frames + self.frame_position_embeddings.weight[: frames.shape[1]]
        padding = (1 - mask.to(x.dtype)) * PADDING
        heads, length = x.shape[2] // HEAD_WIDTH, x.shape[1]
        added = padding[:, None].expand(-1, length, -1).repeat_interleave(heads, dim=0)
        for block in self.transformerClip.resblocks:
            x = block(x, attn_mask=added)
        return x + frames


def pooled(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Features [B, T, D] -> [B, D] of length 1: the mean of normalised ones where `mask` is 1."""
    weights = mask.to(frames.dtype)[..., None]
    total = (normalize(frames, dim=-1) * weights).sum(dim=1)
    return normalize(total / weights.sum(dim=1).clamp(min=1), dim=-1)


def load(
    state: State,
    head: str,
    where: Any,
    remedy: str,
    layers: int = HEAD_LAYERS,
    config: dict[str, Any] | None = None,
) -> CLIP4Clip:
    """CLIP4Clip from a state dict of `official_state`. BenchError where it does not fit.

    Without weights for `seqTransf` the head is `started` with `layers` blocks; `meanP` leaves them
    aside. `config` is open_clip's, by default that of the weights' own sizes.
    """
    if config is None:
        config = clip_config({name.removeprefix("clip."): state[name] for name in state}, where)
    sizes = config
    blocks = positions = 0
    if head == SEQUENCE:
        state = state if has_head(state) else started(state, layers)
        found = [re.match(r"transformerClip\.resblocks\.(\d+)\.", name) for name in state]
        blocks = 1 + max(int(match[1]) for match in found if match)
        positions = state["frame_position_embeddings.weight"].shape[0]
    else:
        state = {name: value for name, value in state.items() if not name.startswith(HEAD_NAMES)}
    return built(lambda: CLIP4Clip(sizes, blocks, positions), state, where, remedy)


def has_head(state: State) -> bool:
    """Whether the weights of `seqTransf` are there."""
    return any(name.startswith(HEAD_NAMES) for name in state)


def official_state(state: State) -> State:
    """CLIP4Clip's names from its own, with old spellings, or from those of a plain CLIP."""
    own = any(name.startswith(("clip.", *HEAD_NAMES)) for name in state)
    return {
        (name if own else f"clip.{name}").replace("gamma", "weight").replace("beta", "bias"): value
        for name, value in state.items()
    }


def started(state: State, layers: int) -> State:
    """`state` with the head as training starts it: the text tower's first blocks and positions."""
    head = {"frame_position_embeddings.weight": state["clip.positional_embedding"]}
    for name, value in state.items():
        match = re.match(r"clip\.transformer\.resblocks\.(\d+)\.", name)
        if match and int(match[1]) < layers:
            head[name.replace("clip.transformer.", "transformerClip.")] = value
    return state | head
