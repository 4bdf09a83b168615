"""The four losses against their definition, written out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bench.errors import UsageError
from bench.settings import settings_from
from bench.training.losses import Texts, Visual, info_nce, no_negatives, srl_loss, visual_features
from bench.training.settings import TrainSettings

B, P, T, D, N = 3, 5, 4, 16, 4
ALL = TrainSettings()


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture
def batch() -> tuple[Visual, Texts, torch.Tensor]:
    torch.manual_seed(0)
    frames, events, videos = torch.randn(B, P, T, D), torch.randn(B, P, D), torch.randn(B, D)
    scale = torch.tensor(math.log(20.0))
    texts = Texts(unit(B, P, D), unit(B, P, N, D), torch.arange(B * P).reshape(B, P))
    return visual_features(frames, (events, videos)), texts, scale


def test_frames_are_normalised_before_they_are_averaged() -> None:
    frames = torch.tensor([[[[2.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [0.0, 1.0]]]])
    visual = visual_features(frames)
    assert visual.event_means.tolist() == [[[0.5, 0.5], [0.0, 1.0]]]
    assert visual.video_means.tolist() == [[0.25, 0.75]]
    assert visual.events is None and visual.videos is None


def defined(
    videos: torch.Tensor,
    texts: torch.Tensor,
    hard: torch.Tensor | list[torch.Tensor],
    scale: float,
) -> float:
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


def test_every_term_is_as_defined(batch: tuple[Visual, Texts, torch.Tensor]) -> None:
    visual, texts, scale = batch
    assert visual.events is not None and visual.videos is not None
    terms = srl_loss(visual, texts, scale, ALL)
    none, flat = texts.negatives[:, :, :0].flatten(0, 1), texts.negatives.flatten(0, 1)
    event_texts, video_texts = texts.events.flatten(0, 1), texts.events.mean(1)
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
    batch: tuple[Visual, Texts, torch.Tensor], name: str
) -> None:
    whole = srl_loss(*batch, ALL)
    part = srl_loss(*batch, replace(ALL, **{name: False}))  # type: ignore[arg-type]
    assert name not in part
    assert float(whole["total"] - part["total"]) == pytest.approx(float(whole[name]), rel=1e-4)


def test_negatives_only_make_events_harder(batch: tuple[Visual, Texts, torch.Tensor]) -> None:
    visual, texts, scale = batch
    fewer = replace(texts, negatives=texts.negatives[:, :, :0])
    with_, without = (srl_loss(visual, some, scale, ALL) for some in (texts, fewer))
    assert with_["clip_event"] > without["clip_event"] and with_["vc_event"] > without["vc_event"]
    assert with_["clip_video"] == without["clip_video"]


def test_a_role_swap_counts_as_often_as_is_said(batch: tuple[Visual, Texts, torch.Tensor]) -> None:
    """Beside the verb-role negatives, in both event losses; an event without one has none."""
    visual, texts, scale = *batch[:2], torch.tensor(math.log(2.0))  # low: even zeros would show
    swaps = unit(B, P, D)
    swaps[0, 1] = swaps[2, 4] = 0
    texts = replace(texts, swaps=swaps)
    terms = srl_loss(visual, texts, scale, replace(ALL, role_swaps=3))
    hard = []
    for swap, negatives in zip(swaps.flatten(0, 1), texts.negatives.flatten(0, 1), strict=True):
        hard.append(torch.cat([negatives, swap.expand(3 if swap.any() else 0, D)]))
    assert visual.events is not None
    for name, events in (("clip_event", visual.event_means), ("vc_event", visual.events)):
        expected = defined(events.flatten(0, 1), texts.events.flatten(0, 1), hard, 2.0)
        assert float(terms[name]) == pytest.approx(expected, rel=1e-5)
    without = srl_loss(visual, texts, scale, ALL)  # none are counted unless they are asked for
    assert without["total"] == srl_loss(visual, replace(texts, swaps=None), scale, ALL)["total"]
    assert terms["clip_video"] == without["clip_video"]


def test_a_hard_negative_lowers_its_own_score_and_counts_by_its_direction_alone() -> None:
    """The gradient drives an event away from its negative; how long that is does not matter."""
    torch.manual_seed(0)
    videos, texts, hard = unit(4, D).requires_grad_(), unit(4, D), unit(4, N, D)
    scale = torch.tensor(20.0)
    loss = info_nce(videos, texts, scale, hard)
    torch.testing.assert_close(info_nce(videos, texts, scale, 7 * hard), loss)
    loss.backward()
    without = videos.detach().clone().requires_grad_()
    info_nce(without, texts, scale).backward()
    assert videos.grad is not None and without.grad is not None
    step = -(videos.grad - without.grad)  # what the negatives alone ask for
    assert (torch.einsum("md,mnd->mn", step, hard).sum(dim=1) < 0).all()


def test_equal_texts_are_no_negatives_of_each_other() -> None:
    """As if the twin were not in the batch; a video without natural negatives likewise."""
    torch.manual_seed(0)
    videos, texts, scale = unit(3, D), unit(3, D), torch.tensor(20.0)
    texts[2] = texts[0]
    same = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
    logits = (scale * videos @ texts.T).double()
    terms = [
        scores[rivals].logsumexp(0) - scores[i]
        for i, rivals in enumerate(([0, 1], [0, 1, 2], [1, 2]))
        for scores in (logits[i], logits[:, i])
    ]
    expected = float(torch.stack(terms).sum()) / 6
    assert float(info_nce(videos, texts, scale, None, same)) == pytest.approx(expected, rel=1e-5)
    assert float(info_nce(videos, texts, scale)) > expected


def test_which_pairs_are_no_negatives() -> None:
    ids = torch.tensor([[0, 1], [1, 0], [2, 2], [3, 0]])
    events, videos = no_negatives(ids)
    pairs = {(i, j) for i, j in events.nonzero().tolist() if i < j}
    assert pairs == {(0, 3), (0, 7), (1, 2), (3, 7), (4, 5)}
    assert {(i, j) for i, j in videos.nonzero().tolist() if i < j} == {(0, 1)}
    unnatural, _ = no_negatives(ids, natural=False)
    assert {(i, j) for i, j in unnatural.nonzero().tolist() if i < j} == pairs | {
        (0, 1), (2, 3), (4, 5), (6, 7)
    }  # fmt: skip


def test_the_losses_leave_such_pairs_out(batch: tuple[Visual, Texts, torch.Tensor]) -> None:
    visual, texts, scale = batch
    plain = srl_loss(visual, texts, scale, ALL)
    ids = texts.ids.clone()
    ids[1] = ids[0].flip(0)  # the second video's texts are the first's, in another order
    twins = srl_loss(visual, replace(texts, ids=ids), scale, ALL)
    assert all(twins[name] < plain[name] for name in plain)
    apart = srl_loss(visual, texts, scale, replace(ALL, natural_negatives=False))
    assert apart["clip_event"] < plain["clip_event"] and apart["vc_event"] < plain["vc_event"]
    assert apart["clip_video"] == plain["clip_video"]


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
    rate = "learning_rate_contextualizer"
    assert settings_from(TrainSettings, {rate: 1e-4}, "here").learning_rate_contextualizer == 1e-4
    assert settings_from(TrainSettings, {rate: None}, "here").learning_rate_contextualizer is None
    with pytest.raises(UsageError, match=f"here: {rate} cannot be 'fast'"):
        settings_from(TrainSettings, {rate: "fast"}, "here")
    for bad in ({"schedule": "linear"}, {"epochs": 0}, {"share": 0.0}, {"batch_videos": 1}):
        with pytest.raises(UsageError, match=f"here: {next(iter(bad))} cannot be"):
            settings_from(TrainSettings, bad, "here").check("here")


def test_rates() -> None:
    warm = TrainSettings(learning_rate=1.0, warmup_steps=4)
    assert [warm.rate(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    cosine = TrainSettings(learning_rate=1.0, schedule="cosine")
    assert [cosine.rate(step, 4) for step in (0, 2)] == pytest.approx([1, 0.5])


def test_the_published_recipe_is_the_default() -> None:
    """docs/method.md 3 to 5; the rest is ours and may change."""
    assert (ALL.learning_rate, ALL.epochs, ALL.batch_videos) == (1e-6, 40, 20)
    assert (ALL.lambda_video, ALL.negatives, ALL.share) == (0.25, 4, 1.0)
    assert ALL.clip_event and ALL.vc_event and ALL.clip_video and ALL.vc_video
    assert ALL.natural_negatives and ALL.learning_rate_contextualizer is None


def test_the_best_epoch_is_chosen_by_what_is_trained() -> None:
    clip_only = replace(ALL, vc_event=False, vc_video=False)
    vc_only = replace(ALL, clip_event=False, clip_video=False)
    assert ALL.criterion == ("R@1", "vc/R@1")
    assert clip_only.criterion == ("R@1",) and vc_only.criterion == ("vc/R@1",)


def test_nothing_leaves_the_device_of_the_features() -> None:
    """On the meta device, as on a GPU, a tensor of the CPU among others is an error."""
    meta = torch.device("meta")
    features = torch.empty(10, 8, device=meta)
    same = no_negatives(torch.zeros(2, 5, dtype=torch.long, device=meta), natural=False)
    assert all(one.device == meta for one in same)
    scale, hard = torch.empty((), device=meta), torch.empty(10, 4, 8, device=meta)
    assert info_nce(features, features, scale, hard, same[0]).device == meta
    assert info_nce(features, features, scale).device == meta
