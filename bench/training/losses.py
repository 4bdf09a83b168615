"""The four contrastive losses of docs/method.md 4.

Each is CLIP's InfoNCE, the mean of video-to-text and text-to-video. An event's verb-role negatives
stand in the denominator of its own video-to-text term; the other events of its video are negatives
because they are in the batch. Equal texts are no negatives of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from bench.training.settings import TrainSettings


@dataclass(frozen=True)
class Visual:
    """Video-side features of a batch, not normalised: of frames and of the contextualizer.

    `events` and `videos` are None where no loss asks for them.
    """

    event_means: torch.Tensor  # [B, P, D] mean of an event's frames
    video_means: torch.Tensor  # [B, D] mean of all frames
    events: torch.Tensor | None = None  # [B, P, D] contextualised
    videos: torch.Tensor | None = None  # [B, D] contextualised


@dataclass(frozen=True)
class Texts:
    """Text features of a batch: `events` [B, P, D], `negatives` [B, P, N, D], and which texts the
    events' are: equal numbers in `ids` int64 [B, P] are equal texts. `swaps` [B, P, D] are zero
    where an event has no role-swap negative; None where no loss asks for them."""

    events: torch.Tensor
    negatives: torch.Tensor
    ids: torch.Tensor
    swaps: torch.Tensor | None = None


def visual_features(
    frames: torch.Tensor,
    contextual: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Visual:
    """From frame features [B, P, T, D] and the contextualizer's outputs.

    Frames are normalised before they are averaged, as zero-shot retrieval does with them.
    """
    frames = functional.normalize(frames, dim=-1)
    return Visual(frames.mean(dim=2), frames.mean(dim=(1, 2)), *(contextual or ()))


def srl_loss(
    visual: Visual, texts: Texts, logit_scale: torch.Tensor, settings: TrainSettings
) -> dict[str, torch.Tensor]:
    """The terms by name and their weighted sum `total`, all float32 scalars.

    A video's text is the mean of its events' texts. Products are taken in float32 whatever autocast
    says: with the scale at 100 a half-precision logit is off by tenths.
    """
    scale = logit_scale.float().exp()
    event_texts = texts.events.flatten(0, 1)
    hard, times = _hard(texts, settings.role_swaps)
    video_texts = texts.events.mean(dim=1)
    events, videos = no_negatives(texts.ids, settings.natural_negatives)
    terms: dict[str, torch.Tensor] = {}

    def video_loss(features: torch.Tensor) -> torch.Tensor:
        return settings.lambda_video * info_nce(features, video_texts, scale, None, videos)

    with torch.autocast(texts.events.device.type, enabled=False):
        if settings.clip_event:
            means = visual.event_means.flatten(0, 1)
            terms["clip_event"] = info_nce(means, event_texts, scale, hard, events, times)
        if settings.vc_event and visual.events is not None:
            contextual = visual.events.flatten(0, 1)
            terms["vc_event"] = info_nce(contextual, event_texts, scale, hard, events, times)
        if settings.clip_video:
            terms["clip_video"] = video_loss(visual.video_means)
        if settings.vc_video and visual.videos is not None:
            terms["vc_video"] = video_loss(visual.videos)
    return {**terms, "total": torch.stack(list(terms.values())).sum()}


def _hard(texts: Texts, swaps: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`hard` and `times` of `info_nce`: verb-role negatives once each, role-swaps `swaps` times."""
    negatives = texts.negatives.flatten(0, 1)
    if not swaps or texts.swaps is None:
        return negatives, None
    swapped = texts.swaps.flatten(0, 1)[:, None]  # [M, 1, D]
    times = torch.ones(negatives.shape[:2], device=negatives.device)
    return torch.cat([negatives, swapped], 1), torch.cat([times, swaps * swapped.any(-1)], 1)


def no_negatives(ids: torch.Tensor, natural: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of a batch's events, bool [B * P, B * P], and videos, [B, B], are no negatives of each
    other: those of the same text; without `natural` negatives all events of a video as well.

    Two videos have the same text if their events have, in any order: it is the events' mean.
    """
    events = ids.flatten()
    ordered = ids.sort(dim=1).values
    same = events[:, None] == events
    if not natural:
        own = torch.arange(len(ids), device=ids.device).repeat_interleave(ids.shape[1])
        same = same | (own[:, None] == own)
    return same, (ordered[:, None] == ordered).all(dim=-1)


def info_nce(
    videos: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    hard: torch.Tensor | None = None,
    same: torch.Tensor | None = None,
    times: torch.Tensor | None = None,
) -> torch.Tensor:
    """CLIP's loss of M pairs [M, D]; `hard` [M, N, D] are texts that only their own row sees, each
    as if it were there `times` [M, N], from 0; None is once.

    Nothing needs to be normalised. Pairs that are `same`, bool [M, M], are left out of each
    other's denominators; its diagonal does not matter.
    """
    videos = functional.normalize(videos.float(), dim=-1)
    texts = functional.normalize(texts.float(), dim=-1)
    logits = scale * videos @ texts.T
    target = torch.arange(len(logits), device=logits.device)
    if same is not None:
        others = same & (target[:, None] != target)
        logits = logits.masked_fill(others, -torch.inf)
    to_text = logits
    if hard is not None and hard.shape[1]:
        hard = functional.normalize(hard.float(), dim=-1)
        against = scale * torch.einsum("md,mnd->mn", videos, hard)
        if times is not None:  # n exp(x) is exp(x + log n)
            against = against + times.log()
        to_text = torch.cat([logits, against], dim=1)
    return (
        functional.cross_entropy(to_text, target) + functional.cross_entropy(logits.T, target)
    ) / 2
