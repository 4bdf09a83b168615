"""VAST's released checkpoint: a flat state dict, with the spellings that its own loader knows.

The official loader only logs a name that is missing; here it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from adapters.checkpoint import State, misfit, read_state
from adapters.vast_model import VAST
from adapters.vast_sizes import VASTSettings, VASTSizes
from bench.errors import BenchError

RELEASED = (
    "the released one is pretrain_vast/ckpt/model_step_N.pt, linked in the README of "
    "github.com/TXH-mercury/VAST"
)
# Of a name the first that it contains is replaced; `module.` is removed before.
SPELLINGS = (
    ("video", "vision"),
    ("evaclip_model", "vision_encoder"),
    ("clip_model", "vision_encoder"),
)


def load(path: Path, settings: VASTSettings, tasks: Sequence[str]) -> VAST:
    """The model of a checkpoint for `tasks`, on the CPU. BenchError names file, fault, remedy."""
    try:
        return build(read_state(path), settings, tasks)
    except BenchError as error:
        text = str(error)
        if text.startswith(str(path)):  # not a file of tensors at all
            raise BenchError(f"{text}; {RELEASED}") from error
        raise BenchError(f"{path}: not a checkpoint of VAST: {text}; {RELEASED}") from error


def build(state: State, settings: VASTSettings, tasks: Sequence[str]) -> VAST:
    """The model of a state dict. BenchError says what of all that `tasks` need is missing."""
    state = renamed(state)
    sizes = VASTSizes.of({name: value.shape for name, value in state.items()}, tasks, settings)
    model = VAST(sizes, settings, tasks)
    own = model.state_dict()
    if fault := misfit(own, {name: value for name, value in state.items() if name in own}):
        raise BenchError(f"it {fault}")
    model.load_state_dict({name: state[name] for name in own})
    return model.eval()


def renamed(state: Mapping[str, torch.Tensor]) -> State:
    """The present names of a state dict in any of the spellings. BenchError where two meet."""
    found: State = {}
    for name, value in state.items():
        new = spelling(name)
        if new in found:
            raise BenchError(f"it has {new} in two spellings")
        found[new] = value
    return found


def spelling(name: str) -> str:
    """A tensor's present name."""
    name = name.replace("module.", "")
    for old, new in SPELLINGS:
        if old in name:
            return name.replace(old, new)
    return name
