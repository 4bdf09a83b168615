"""The four losses against their definition, written out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bench.errors import UsageError
from bench.settings import settings_from
from bench.training.losses import Visual, info_nce, srl_loss, visual_features
from bench.training.settings import TrainSettings

B, P, T, D, N = 3, 5, 4, 16, 4
ALL = TrainSettings()


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture
def batch() -> tuple[Visual, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    frames, events, videos = torch.randn(B, P, T, D), torch.randn(B, P, D), torch.randn(B, D)
    scale = torch.tensor(math.log(20.0))
    return visual_features(frames, events, videos), unit(B, P, D), unit(B, P, N, D), scale


def defined(videos: torch.Tensor, texts: torch.Tensor, hard: torch.Tensor, scale: float) -> float:
    """InfoNCE a pair at a time, in Python's own numbers."""
    total = 0.0
    videos = [functional.normalize(v, dim=0) for v in videos.double()]
    texts = [functional.normalize(t, dim=0) for t in texts.double()]
    for i in range(len(videos)):
        row = [scale * float(videos[i] @ text) for text in texts]
        extra = [scale * float(videos[i] @ text.double()) for text in hard[i]]
        column = [scale * float(video @ texts[i]) for video in videos]
        total -= row[i] - math.log(sum(map(math.exp, [*row, *extra])))
        total -= column[i] - math.log(sum(map(math.exp, column)))
    return total / (2 * len(videos))


def test_every_term_is_as_defined(
    batch: tuple[Visual, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    visual, texts, hard, scale = batch
    terms = srl_loss(visual, texts, hard, scale, ALL)
    none, flat = hard[:, :, :0].flatten(0, 1), hard.flatten(0, 1)
    event_texts, video_texts = texts.flatten(0, 1), texts.mean(1)
    no_video = none[:B]
    expected = {
        "clip_event": defined(visual.event_means.flatten(0, 1), event_texts, flat, 20.0),
        "vc_event": defined(visual.events.flatten(0, 1), event_texts, flat, 20.0),
        "clip_video": 0.25 * defined(visual.video_means, video_texts, no_video, 20.0),
        "vc_video": 0.25 * defined(visual.videos, video_texts, no_video, 20.0),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-5), name
    assert float(terms["total"]) == pytest.approx(sum(expected.values()), rel=1e-5)


@pytest.mark.parametrize("name", ["clip_event", "vc_event", "clip_video", "vc_video"])
def test_each_loss_can_be_switched_off(
    batch: tuple[Visual, torch.Tensor, torch.Tensor, torch.Tensor], name: str
) -> None:
    whole = srl_loss(*batch, ALL)
    part = srl_loss(*batch, replace(ALL, **{name: False}))  # type: ignore[arg-type]
    assert name not in part
    assert float(whole["total"] - part["total"]) == pytest.approx(float(whole[name]), rel=1e-4)


def test_negatives_only_make_events_harder(
    batch: tuple[Visual, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    visual, texts, hard, scale = batch
    with_, without = (srl_loss(visual, texts, h, scale, ALL) for h in (hard, hard[:, :, :0]))
    assert with_["clip_event"] > without["clip_event"] and with_["vc_event"] > without["vc_event"]
    assert with_["clip_video"] == without["clip_video"]


def test_large_batches_and_scales_stay_finite() -> None:
    torch.manual_seed(0)
    videos = unit(2000, 8).requires_grad_()
    loss = info_nce(videos, unit(2000, 8), torch.tensor(1e4))
    loss.backward()
    assert torch.isfinite(loss) and videos.grad is not None and torch.isfinite(videos.grad).all()
    perfect = unit(50, 64)
    assert float(info_nce(perfect, perfect, torch.tensor(1e4))) == pytest.approx(0, abs=1e-6)


def test_settings_name_their_mistakes() -> None:
    with pytest.raises(UsageError, match="did you mean 'learning_rate'"):
        settings_from(TrainSettings, {"learning_rat": 1}, "here")
    with pytest.raises(UsageError, match=r"here: epochs cannot be 2\.5"):
        settings_from(TrainSettings, {"epochs": 2.5}, "here")
    with pytest.raises(UsageError, match="clip_event cannot be 'no'"):
        settings_from(TrainSettings, {"clip_event": "no"}, "here")
    for bad in ({"schedule": "linear"}, {"epochs": 0}, {"share": 0.0}, {"batch_videos": 1}):
        with pytest.raises(UsageError, match=f"here: {next(iter(bad))} cannot be"):
            settings_from(TrainSettings, bad, "here").check("here")


def test_rates() -> None:
    warm = TrainSettings(learning_rate=1.0, warmup_steps=4)
    assert [warm.rate(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    cosine = TrainSettings(learning_rate=1.0, schedule="cosine")
    assert [cosine.rate(step, 4) for step in (0, 2)] == pytest.approx([1, 0.5])
