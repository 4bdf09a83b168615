"""The Video Contextualizer: a transformer over a video's events and frames (docs/method.md 3)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

TYPES = 3  # video, event, frame


class VideoContextualizer(nn.Module):
    """Encoder over [video token, (event token, T frame features) x P].

    Learned embeddings of the token's type, of the event's place and of the frame's place in its
    event are added. Frames and embeddings must be of one size, for the first LayerNorm drowns what
    is much smaller, and of the size of what a layer adds, or tokens start out all alike: events
    then come out as one vector. CLIP's features have a length of about 10, clip-tiny's of 15; here
    every one is scaled to length `sqrt(dim)`, and embeddings are drawn with standard deviation 1.

    Pre-norm, so that it trains from scratch at a small learning rate. With `event_places` False
    the events' places are unknown to it (an ablation).
    """

    def __init__(
        self,
        dim: int,
        layers: int = 6,
        heads: int = 8,
        events: int = 5,
        frames: int = 4,
        dropout: float = 0.1,
        event_places: bool = True,
    ) -> None:
        super().__init__()

        def embedding(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape))

        def layer() -> nn.TransformerEncoderLayer:
            return nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
            )

        self.video_token, self.event_token = embedding(dim), embedding(dim)
        self.types = embedding(TYPES, dim)
        self.event_places = embedding(events, dim)
        self.frame_places = embedding(frames, dim)
        if not event_places:
            self.event_places.requires_grad_(False).zero_()
        self.encoder = nn.TransformerEncoder(
            layer(), layers, norm=nn.LayerNorm(dim), enable_nested_tensor=False
        )
        # nn.TransformerEncoder copies the layer it is given: all would start equal.
        self.encoder.layers = nn.ModuleList(layer() for _ in range(layers))

    def forward(
        self,
        frame_features: torch.Tensor,
        own_events: torch.Tensor | None = None,
        own_videos: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, P, T, D] -> events [B, P, D] and videos [B, D]; P and T at most as configured.

        Lengths of the features do not matter. `own_events` [B, P, D] and `own_videos` [B, D], what
        is known of them beforehand, are added to their tokens.
        """
        return self.every(frame_features, own_events, own_videos)[:2]

    def every(
        self,
        frame_features: torch.Tensor,
        own_events: torch.Tensor | None = None,
        own_videos: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What `forward` gives, and the frames as encoded [B, P, T, D]."""
        batch, events, frames = frame_features.shape[:3]
        video_type, event_type, frame_type = self.types
        places = self.event_places[:events]
        event = (self.event_token + event_type + places).expand(batch, -1, -1)  # [B, P, D]
        video = (self.video_token + video_type).expand(batch, -1)
        if own_events is not None:
            event = event + _scaled(own_events)
        if own_videos is not None:
            video = video + _scaled(own_videos)
        frame = _scaled(frame_features) + frame_type + self.frame_places[:frames] + places[:, None]
        tokens = torch.cat([event[:, :, None], frame], dim=2)
        encoded = self.encoder(torch.cat([video[:, None], tokens.flatten(1, 2)], dim=1))
        by_event = encoded[:, 1:].unflatten(1, (events, frames + 1))
        return by_event[:, :, 0], encoded[:, 0], by_event[:, :, 1:]


def _scaled(features: torch.Tensor) -> torch.Tensor:
    """Of length sqrt(D), so that an element is about 1."""
    return features.shape[-1] ** 0.5 * functional.normalize(features.float(), dim=-1)
