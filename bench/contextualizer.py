"""The Video Contextualizer: a transformer over a video's events and frames (METHOD 3)."""

from __future__ import annotations

import torch
from torch import nn

TYPES = 3  # video, event, frame


class VideoContextualizer(nn.Module):
    """Encoder over [video token, (event token, T frame features) x P].

    Learned embeddings of the token's type, of the event's place and of the frame's place in its
    event are added. Pre-norm, so that it trains from scratch at a small learning rate.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 6,
        heads: int = 8,
        events: int = 5,
        frames: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.video_token = nn.Parameter(torch.randn(dim) * 0.02)
        self.event_token = nn.Parameter(torch.randn(dim) * 0.02)
        self.types = nn.Parameter(torch.randn(TYPES, dim) * 0.02)
        self.event_places = nn.Parameter(torch.randn(events, dim) * 0.02)
        self.frame_places = nn.Parameter(torch.randn(frames, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(dim), enable_nested_tensor=False
        )

    def forward(self, frame_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, P, T, D] -> events [B, P, D] and videos [B, D]; P and T at most as configured."""
        batch, events, frames = frame_features.shape[:3]
        video_type, event_type, frame_type = self.types
        event = self.event_token + event_type + self.event_places[:events]  # [P, D]
        frame = frame_features + frame_type + self.frame_places[:frames]
        frame = frame + self.event_places[:events, None]
        tokens = torch.cat([event[None, :, None].expand(batch, -1, -1, -1), frame], dim=2)
        video = (self.video_token + video_type).expand(batch, 1, -1)
        encoded = self.encoder(torch.cat([video, tokens.flatten(1, 2)], dim=1))
        return encoded[:, 1:].unflatten(1, (events, frames + 1))[:, :, 0], encoded[:, 0]
