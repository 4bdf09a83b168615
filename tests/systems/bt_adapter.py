"""BT-Adapter: with the balance terms and without, and the branch's states of the first video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import normalize

from adapters.bt_adapter_model import BTAdapter, Sizes, load
from adapters.checkpoint import unprefixed
from tests.systems.case import Case, Output

RELATIVE = 1e-6  # of the branch's states, which grow from block to block
POSITIONS = "backbone.btadapter_time_embed.weight"


def outputs(case: Case) -> Iterator[Output]:
    """The official `predict`, in both configurations."""
    state, config = unprefixed(case.state), case.config["config"]
    sizes = Sizes(config["vision"], config["text"], config["proj"], config["depth"],
                  len(state[POSITIONS]))  # fmt: skip
    tolerance = case.config["tolerance"]
    for before, balance in (("", False), ("balanced.", True)):
        model = load(sizes, state, balance, "the case", "check its names")
        seen: dict[str, torch.Tensor] = {}
        pixels = case.inputs["pixel_values"]
        watched(model, pixels.shape[1], seen)
        frames = model.backbone(pixels)
        videos, texts = model.encode_video(pixels), model.encode_text(case.inputs["token_ids"])
        yield Output(f"{before}frame_features", frames, tolerance)
        yield Output(f"{before}video_features", videos, tolerance)
        yield Output(f"{before}text_features", texts, tolerance)
        yield Output(f"{before}similarity_raw", texts @ videos.T, tolerance)
        similarity = normalize(texts, dim=-1) @ normalize(videos, dim=-1).T
        yield Output(f"{before}similarity", similarity, tolerance)
        for name, value in seen.items():
            large = value.abs().max().item()
            yield Output(f"{before}debug.{name}", value, max(tolerance, RELATIVE * large))


def watched(model: BTAdapter, frames: int, seen: dict[str, torch.Tensor]) -> None:
    """Put what flows through the modules into `seen`: of the first video, of so many `frames`."""
    backbone = model.backbone

    def joined(token: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        return torch.cat([token[:1, None], patches[:1].flatten(1, 2)], dim=1)

    def watch_branch(index: int) -> None:
        entering: list[torch.Tensor] = []

        def time(_: Any, inputs: Any, output: Any) -> None:
            entering[:] = inputs

        def space(_: Any, inputs: Any, output: Any) -> None:
            token, patches = inputs
            seen[f"branch{index}.in"] = joined(token, *entering)
            seen[f"branch{index}.after_T"] = joined(token, patches)
            seen[f"branch{index}.after_S"] = joined(*output)

        backbone.btadapter_T_layers[index].register_forward_hook(time)
        backbone.btadapter_S_layers[index].register_forward_hook(space)

    def watch_block(index: int) -> None:
        def block(_: Any, inputs: Any, output: torch.Tensor) -> None:
            seen[f"clip_layer{index}.cls"] = output[:frames, 0]

        backbone.layers[index].register_forward_hook(block)

    def last(_: Any, inputs: Any) -> None:
        seen["cls_before_post_layernorm"] = inputs[0][0]

    for index in range(len(backbone.btadapter_T_layers)):
        watch_branch(index)
    for index in range(len(backbone.layers)):
        watch_block(index)
    backbone.post_layernorm.register_forward_pre_hook(last)
