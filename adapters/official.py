"""A system's own checkpoint in our model of it: by the official names, strictly, without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from adapters.checkpoint import State, misfit
from bench.errors import BenchError

Model = TypeVar("Model", bound=nn.Module)


def built(
    factory: Callable[[], Model],
    state: State,
    where: Any,
    remedy: str,
    official: Callable[[str], str] = str,
) -> Model:
    """The model that `factory` makes, in float32 on the CPU, with the weights of `state`.

    `official` turns a name of ours into the one in `state`. BenchError names `where`, the names or
    shapes that do not fit, and the `remedy`. The model is made on the meta device first: what does
    not fit is refused before memory is taken.
    """
    import open_clip  # noqa: F401 - older PyTorch cannot import what it needs on the meta device

    with torch.device("meta"):
        model = factory()
    names = {name: official(name) for name in model.state_dict()}
    own = {names[name]: value for name, value in model.state_dict().items()}
    if fault := misfit(own, state):
        raise BenchError(f"{where}: it {fault}; {remedy}")
    weights = {name: state[names[name]].float() for name in names}
    model.load_state_dict(weights, assign=True)
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:  # of no checkpoint, and so not loaded
            owner, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(owner), own_name, _MADE[own_name](buffer.shape))
    return model.eval().requires_grad_(False)


def _causal(shape: torch.Size) -> torch.Tensor:
    return torch.full(shape, float("-inf")).triu_(1)


def _positions(shape: torch.Size) -> torch.Tensor:
    return torch.arange(shape[-1]).expand(shape)


def _no_types(shape: torch.Size) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.int64)


def _zeros(shape: torch.Size) -> torch.Tensor:
    return torch.zeros(shape)


# The buffers that open_clip's and transformers' text towers and timm's EVA compute.
_MADE = {"attn_mask": _causal, "position_ids": _positions, "token_type_ids": _no_types,
         "k_bias": _zeros}  # fmt: skip
