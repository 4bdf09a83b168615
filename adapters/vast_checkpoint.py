"""VAST's released checkpoint: a flat state dict, with the spellings that its own loader knows.

The official loader only logs a name that is missing; here it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adapters.checkpoint import State, read_state
from adapters.official import built
from adapters.vast_model import VAST
from adapters.vast_settings import RELEASED, VASTSettings
from adapters.vast_sizes import VASTSizes
from bench.errors import BenchError

# Of a name the first that it contains is replaced; `module.` is removed before.
SPELLINGS = (
    ("video", "vision"),
    ("evaclip_model", "vision_encoder"),
    ("clip_model", "vision_encoder"),
)


def load(path: Path, settings: VASTSettings, tasks: Sequence[str]) -> VAST:
    """The model of a checkpoint for `tasks`, on the CPU. BenchError names file, fault, remedy."""
    try:
        state = read_state(path)
    except BenchError as error:
        raise BenchError(f"{error}; {RELEASED}") from error
    return build(state, settings, tasks, path)


def build(state: State, settings: VASTSettings, tasks: Sequence[str], where: Any = "VAST") -> VAST:
    """The model of a state dict. BenchError names `where` and what of all that `tasks` need."""
    try:
        state = renamed(state)
        shapes = {name: value.shape for name, value in state.items()}
        sizes = VASTSizes.of(shapes, tasks, settings)
    except BenchError as error:
        raise BenchError(f"{where}: {error}; {RELEASED}") from error
    with torch.device("meta"):
        needed = VAST(sizes, settings, tasks).state_dict().keys()
    known = {name: state[name] for name in needed & state.keys()}
    return built(lambda: VAST(sizes, settings, tasks), known, where, RELEASED)


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
