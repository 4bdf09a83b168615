"""The Video Contextualizer: each part shows, at any scale of features, and it can be trained."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.contextualizer import VideoContextualizer

DIM = 32


@pytest.fixture
def module() -> VideoContextualizer:
    torch.manual_seed(0)
    return VideoContextualizer(DIM, layers=2, heads=4).eval()


def clip_like(videos: int, dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames [V, 5, 4, D] as CLIP gives them, of length 10 and much alike (cosine 0.8 within a
    video), and texts [V, 5, D] that say what an event's frames show."""
    fixed, random = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    to_frames, to_texts = (torch.randn(32, dim, generator=fixed) / 32**0.5 for _ in range(2))
    common = functional.normalize(torch.randn(dim, generator=fixed), dim=0)
    video = torch.randn(videos, 1, 32, generator=random)
    events = 0.8 * video + torch.randn(videos, 5, 32, generator=random)
    shown = events[:, :, None] + 0.5 * torch.randn(videos, 5, 4, 32, generator=random)
    frames = functional.normalize(2 * common + 0.12 * 8 * dim**-0.5 * (shown @ to_frames), dim=-1)
    return 10 * frames, functional.normalize(events @ to_texts, dim=-1)


def own_five(module: VideoContextualizer, frames: torch.Tensor, texts: torch.Tensor) -> float:
    """Percent of texts whose event comes first among the five of its video."""
    with torch.no_grad():
        events = functional.normalize(module.eval()(frames)[0], dim=-1)
    first = torch.einsum("vpd,vqd->vpq", texts, events).argmax(dim=-1)
    return 100 * float((first == torch.arange(5)).float().mean())


def trained(module: VideoContextualizer, dim: int, steps: int, rate: float) -> None:
    """A few steps of the VC-event loss alone."""
    optimizer = torch.optim.AdamW(module.train().parameters(), rate)
    for step in range(steps):
        frames, texts = clip_like(8, dim, seed=step + 1)
        events = functional.normalize(module(frames)[0].flatten(0, 1), dim=-1)
        logits = 20 * events @ texts.flatten(0, 1).T
        target = torch.arange(len(logits))
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def test_every_token_and_place_shows(module: VideoContextualizer) -> None:
    frames = torch.randn(1, 5, 4, DIM)
    events, videos = module(frames)
    for name in ("event_token", "video_token", "types", "event_places", "frame_places"):
        parameter = getattr(module, name)
        before = parameter.clone()
        parameter.add_(torch.randn_like(parameter))
        changed_events, changed_videos = module(frames)
        parameter.copy_(before)
        assert (changed_events - events).abs().max() > 1e-2, name
        assert (changed_videos - videos).abs().max() > 1e-2, name
    assert (module(frames.flip(2))[0] - events).abs().max() > 1e-2  # frames in another order


@torch.no_grad()
def test_what_the_encoder_reads_is_the_sum_of_what_is_known(module: VideoContextualizer) -> None:
    """Video token, then each event's token and its frames; features at length sqrt(D)."""
    module.encoder = torch.nn.Identity()  # type: ignore[assignment]
    frames, own, whole = torch.randn(2, 5, 4, DIM), torch.randn(2, 5, DIM), torch.randn(2, DIM)
    events, videos = module(frames, own, whole)
    video_type, event_type, _ = module.types

    def long(features: torch.Tensor) -> torch.Tensor:
        return features / features.norm(dim=-1, keepdim=True) * DIM**0.5

    torch.testing.assert_close(
        events, module.event_token + event_type + module.event_places + long(own)
    )
    torch.testing.assert_close(videos, module.video_token + video_type + long(whole))
    seen: list[torch.Tensor] = []
    module.encoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    module(frames)
    places = module.event_places[:, None] + module.frame_places
    read = seen[0][:, 1:].unflatten(1, (5, 5))[:, :, 1:]
    torch.testing.assert_close(read, long(frames) + module.types[2] + places)


@torch.no_grad()
def test_an_output_is_of_its_own_token(module: VideoContextualizer) -> None:
    """Where no layer adds anything the outputs are the normalised tokens themselves."""
    for layer in module.encoder.layers:
        for linear in (layer.self_attn.out_proj, layer.linear2):
            linear.weight.zero_()
            linear.bias.zero_()
    events, videos = module(torch.randn(1, 5, 4, DIM))
    norm, types = module.encoder.norm, module.types
    assert norm is not None
    expected = norm(module.event_token + types[1] + module.event_places)
    torch.testing.assert_close(events[0], expected)
    torch.testing.assert_close(videos[0], norm(module.video_token + types[0]))


@torch.no_grad()
def test_places_alone_tell_events_apart(module: VideoContextualizer) -> None:
    apart = functional.normalize(module(torch.zeros(1, 5, 4, DIM))[0][0], dim=-1)
    cosines = apart @ apart.T
    assert (cosines - torch.eye(5)).max() < 0.95
    torch.manual_seed(0)
    blind = VideoContextualizer(DIM, layers=2, heads=4, event_places=False).eval()
    same = blind(torch.zeros(1, 5, 4, DIM))[0][0]
    torch.testing.assert_close(same, same[:1].expand(5, -1))
    assert "event_places" not in {n for n, p in blind.named_parameters() if p.requires_grad}


@torch.no_grad()
def test_the_length_of_features_does_not_matter(module: VideoContextualizer) -> None:
    frames = torch.randn(2, 5, 4, DIM)
    own = torch.randn(2, 5, DIM), torch.randn(2, DIM)
    for scale in (0.01, 15.0, 1000.0):
        for one, other in zip(module(scale * frames), module(frames), strict=True):
            torch.testing.assert_close(one, other)
        scaled = module(frames, *(scale * part for part in own))
        torch.testing.assert_close(scaled, module(frames, *own))
    assert torch.isfinite(module(torch.zeros(1, 5, 4, DIM))[0]).all()


def test_every_layer_is_drawn_anew(module: VideoContextualizer) -> None:
    one, two = (layer.linear1.weight for layer in module.encoder.layers)
    assert not torch.equal(one, two)


@torch.no_grad()
@pytest.mark.parametrize("dim", [512, 768])
def test_embeddings_survive_beside_real_features(dim: int) -> None:
    """Untrained, of the published six layers, the five events are not one vector.

    With embeddings of std 0.02 their cosines were 1.000, with frames and embeddings of length 1
    still 0.995: each layer adds more than that to every token alike.
    """
    torch.manual_seed(0)
    module = VideoContextualizer(dim).eval()
    events = functional.normalize(module(clip_like(2, dim)[0])[0], dim=-1)
    alike = torch.einsum("vpd,vqd->vpq", events, events)
    assert float(alike[:, ~torch.eye(5, dtype=torch.bool)].max()) < 0.95


def test_it_learns_to_tell_events_apart() -> None:
    torch.manual_seed(0)
    module = VideoContextualizer(128, layers=2)
    held_out = clip_like(40, 128, seed=1000)
    assert own_five(module, *held_out) < 35
    trained(module, 128, 80, 1e-3)
    assert own_five(module, *held_out) > 90


@pytest.mark.slow
@pytest.mark.parametrize("dim", [512, 768])
def test_it_learns_at_the_published_size(dim: int) -> None:
    torch.manual_seed(0)
    module = VideoContextualizer(dim)
    held_out = clip_like(40, dim, seed=1000)
    trained(module, dim, 70, 1e-4)
    assert own_five(module, *held_out) > 60
