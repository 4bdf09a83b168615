"""LoRA on split attention: exact before training, exact after merging, and of the right size."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from adapters.lora import TARGETS, add_lora, pack_attention, split_attention
from bench.contextualizer import VideoContextualizer
from bench.errors import UsageError


def tower(arch: str = "ViT-B-32-quickgelu") -> Any:
    import open_clip

    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    model = open_clip.create_model(arch, pretrained=None, load_weights=False)
    logging.disable(logging.NOTSET)
    return model.visual.eval()


@pytest.fixture(scope="module")
def small() -> Any:
    """A two-block tower of the real kind."""
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(32, 8, 64, 2, 4, 4.0, output_dim=16).eval()


def copy(visual: Any) -> Any:
    import copy as module

    return module.deepcopy(visual)


def randomise(visual: Any) -> None:
    for name, parameter in visual.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)


def test_splitting_is_exact_and_untrained_lora_changes_nothing(small: Any) -> None:
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = small(images)
        split = split_attention(copy(small))
        assert torch.allclose(split(images), expected, atol=2e-6)
        plain = split(images)
        lora = add_lora(split, "qkvo+fc+proj", 4, 4, 0.0).eval()
        assert torch.equal(lora(images), plain)


@pytest.mark.parametrize("weights", list(TARGETS))
def test_merging_and_packing_give_a_plain_tower(small: Any, weights: str) -> None:
    images = torch.randn(3, 3, 32, 32)
    lora = add_lora(split_attention(copy(small)), weights, 4, 8, 0.0).eval()
    randomise(lora)
    with torch.no_grad():
        expected = lora(images)
        assert not torch.allclose(expected, small(images), atol=1e-3)
        plain = copy(small)
        plain.load_state_dict(pack_attention(lora.merge_and_unload()).state_dict(), strict=True)
        assert torch.allclose(plain(images), expected, atol=3e-6)


@pytest.mark.parametrize(
    ("weights", "count"),
    [("qkv", 3_538_944), ("qkvo", 4_718_592), ("qkvo+fc", 7_667_712), ("qkvo+fc+proj", 10_616_832)],
)
def test_trained_parameters_of_vit_b32_at_rank_64(weights: str, count: int) -> None:
    lora = add_lora(split_attention(tower()), weights, 64, 64, 0.0)
    assert sum(p.numel() for p in lora.parameters() if p.requires_grad) == count


def test_gradient_checkpointing_changes_no_gradient(small: Any) -> None:
    images = torch.randn(2, 3, 32, 32)
    gradients = []
    for checkpointing in (False, True):
        lora = add_lora(split_attention(copy(small)), "qkv", 4, 4, 0.0)
        torch.manual_seed(1)
        randomise(lora)
        torch.manual_seed(2)
        for name, parameter in lora.named_parameters():
            if "lora_A" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        lora.base_model.model.transformer.grad_checkpointing = checkpointing
        lora.train()(images).square().sum().backward()
        gradients.append([p.grad for p in lora.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_unknown_weights_and_towers_are_refused(small: Any) -> None:
    with pytest.raises(UsageError, match="did you mean 'qkv"):
        add_lora(small, "qkv0", 4, 4, 0.0)
    with pytest.raises(UsageError, match="vision transformer"):
        split_attention(torch.nn.Linear(2, 2))


def test_the_contextualizer_sees_a_whole_video_and_no_other() -> None:
    torch.manual_seed(0)
    vc = VideoContextualizer(32, layers=2, heads=4).eval()
    features = torch.randn(3, 5, 4, 32)
    with torch.no_grad():
        events, videos = vc(features)
        assert events.shape == (3, 5, 32) and videos.shape == (3, 32)
        order = torch.tensor([2, 0, 1])
        again, _ = vc(features[order])
        assert torch.allclose(again, events[order], atol=1e-6)
        changed = features.clone()
        changed[0, 4] = torch.randn(4, 32)
        other_events, other_videos = vc(changed)
    assert not torch.allclose(other_events[0, 0], events[0, 0])  # the context reaches every event
    assert not torch.allclose(other_videos[0], videos[0])
    assert torch.allclose(other_events[1:], events[1:], atol=1e-6)
