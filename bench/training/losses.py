"""The four contrastive losses of METHOD 4.

Each is CLIP's InfoNCE, the mean of video-to-text and text-to-video. An event's verb-role negatives
stand in the denominator of its own video-to-text term; the other events of its video are negatives
because they are in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from bench.training.settings import TrainSettings


@dataclass(frozen=True)
class Visual:
    """Video-side features of a batch, not normalised: of frames and of the contextualizer."""

    event_means: torch.Tensor  # [B, P, D] mean of an event's frames
    events: torch.Tensor  # [B, P, D] contextualised
    video_means: torch.Tensor  # [B, D] mean of all frames
    videos: torch.Tensor  # [B, D] contextualised


def visual_features(frames: torch.Tensor, events: torch.Tensor, videos: torch.Tensor) -> Visual:
    """From frame features [B, P, T, D] and the contextualizer's outputs.

    Frames are normalised before they are averaged, as zero-shot retrieval does with them.
    """
    frames = functional.normalize(frames, dim=-1)
    return Visual(frames.mean(dim=2), events, frames.mean(dim=(1, 2)), videos)


def srl_loss(
    visual: Visual,
    texts: torch.Tensor,
    negatives: torch.Tensor,
    logit_scale: torch.Tensor,
    settings: TrainSettings,
) -> dict[str, torch.Tensor]:
    """The terms by name and their weighted sum `total`, all float32 scalars.

    `texts` [B, P, D] and `negatives` [B, P, N, D] are normalised; a video's text is the mean of its
    events' texts. Products are taken in float32 whatever autocast says: with the scale at 100 a
    half-precision logit is off by tenths.
    """
    scale = logit_scale.float().exp()
    event_texts, hard = texts.flatten(0, 1), negatives.flatten(0, 1)
    video_texts = texts.mean(dim=1)
    weight = settings.lambda_video
    terms: dict[str, torch.Tensor] = {}
    with torch.autocast(texts.device.type, enabled=False):
        if settings.clip_event:
            terms["clip_event"] = info_nce(
                visual.event_means.flatten(0, 1), event_texts, scale, hard
            )
        if settings.vc_event:
            terms["vc_event"] = info_nce(visual.events.flatten(0, 1), event_texts, scale, hard)
        if settings.clip_video:
            terms["clip_video"] = weight * info_nce(visual.video_means, video_texts, scale)
        if settings.vc_video:
            terms["vc_video"] = weight * info_nce(visual.videos, video_texts, scale)
    return {**terms, "total": torch.stack(list(terms.values())).sum()}


def info_nce(
    videos: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    hard: torch.Tensor | None = None,
) -> torch.Tensor:
    """CLIP's loss of M pairs [M, D]; `hard` [M, N, D] are texts that only their own row sees."""
    videos = functional.normalize(videos.float(), dim=-1)
    texts = functional.normalize(texts.float(), dim=-1)
    logits = scale * videos @ texts.T
    right = torch.arange(len(logits), device=logits.device)
    to_text = logits
    if hard is not None and hard.shape[1]:
        extra = scale * torch.einsum("md,mnd->mn", videos, hard.float())
        to_text = torch.cat([logits, extra], dim=1)
    return (
        functional.cross_entropy(to_text, right) + functional.cross_entropy(logits.T, right)
    ) / 2
