"""Weights from files as people have them: nested, prefixed, sharded. Nothing in them is run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from adapters import torch_archive
from adapters.weights import INDEX, shards, weights_file
from bench.errors import BenchError, plain

State = dict[str, torch.Tensor]
# What training code puts a state dict under, and before its names.
NESTS = ("state_dict", "model_state_dict", "model", "module", "network")
PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")  # of its TorchScript archives
TRANSFORMERS = ("vision_model.", "text_model.")


def read_state(path: Path) -> State:
    """Name -> tensor of a checkpoint, without the wrappings of training code.

    `path` is a safetensors file, a .pt of tensors, an index of shards, or a folder with one of
    them. BenchError says what else it is.
    """
    state = unprefixed(read_tensors(path))
    if any(name.startswith(TRANSFORMERS) for name in state):
        raise BenchError(
            f"{path}: in transformers' format, not open_clip's; give its folder, with its "
            "config.json, as transformers:DIR"
        )
    return {name: value for name, value in state.items() if name not in OPENAI_EXTRAS}


def read_tensors(path: Path) -> State:
    """The state dict of a checkpoint under its own names. Raises as `read_state`."""
    path = weights_file(path)
    found = _unnested(_shards(path) if path.name.endswith(INDEX) else _read(path), path)
    try:
        return {
            name: value.tensor() if isinstance(value, torch_archive.Saved) else value
            for name, value in found.items()
        }
    except Exception as error:  # of a zip that is cut or lies about its numbers
        raise BenchError(f"{path}: damaged ({plain(error)}); fetch it again") from error


def tensor_names(path: Path) -> set[str]:
    """The names that `read_tensors` would give, without the numbers where these lie apart."""
    path = weights_file(path)
    if path.suffix == ".safetensors":
        with suppress(OSError, SafetensorError), safe_open(path, framework="pt") as file:
            return set(file.keys())
        return set(read_tensors(path))  # which says what is wrong
    found = _beside_objects(path)
    return set(read_tensors(path) if found is None else _unnested(found, path))


def _read(path: Path) -> Mapping[str, Any]:
    """What a file holds; a tensor is a `Saved` where foreign objects lie beside it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, safetensors and pickle each raise their own kinds
        found = _beside_objects(path)
        if found is None:
            reason = plain(error).partition(" WeightsUnpickler")[0].partition(". In PyTorch")[0]
            raise BenchError(
                f"{path}: not a checkpoint ({reason}); give a safetensors file, or a .pt of tensors"
            ) from error
    if not isinstance(found, Mapping):
        raise BenchError(f"{path}: holds a {type(found).__name__}; give a state dict of tensors")
    return found


def _beside_objects(path: Path) -> Mapping[str, Any] | None:
    """A file of torch.save with objects of training code, such as a logger, beside the tensors.

    None for any other file.
    """
    try:
        found = torch_archive.load(path)
    except Exception:  # whatever the opcodes of a hostile file provoke
        return None
    return found if isinstance(found, Mapping) else None


def _shards(path: Path) -> State:
    """The tensors of all shards that an index names."""
    state: dict[str, Any] = {}
    for shard in shards(path):
        state |= _read(shard)
    return state


def _unnested(found: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The state dict inside of `found`, which may hold an optimiser and more beside it."""
    kinds = (torch.Tensor, torch_archive.Saved)
    while not (found and all(isinstance(value, kinds) for value in found.values())):
        inner = [key for key in NESTS if isinstance(found.get(key), Mapping)]
        if not inner:
            keys = ", ".join(map(str, list(found)[:5]))
            raise BenchError(
                f"{path}: no weights under {', '.join(NESTS)}, only {keys or 'nothing'}; "
                "give the state dict itself"
            )
        found = found[inner[0]]
    return found


def unprefixed(state: State) -> State:
    """Names without what all of them begin with, as DDP, compile, Lightning and CLIP4Clip add."""
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def misfit(own: Mapping[str, torch.Tensor], state: State) -> str:
    """How `state` differs from what a model has; empty where it fits."""
    reasons, unknown = [], state.keys() - own.keys()
    for what, names in (("lacks", own.keys() - state.keys()), ("has an unknown", unknown)):
        if names:
            reasons.append(f"{what} {min(names)} ({len(names)} such names)")
    if prefixed := sorted({p for p in PREFIXES for name in unknown if name.startswith(p)}):
        reasons.append(f"some names, not all, begin with {', '.join(prefixed)}")
    for name in sorted(own.keys() & state.keys()):
        if own[name].shape != state[name].shape:
            shapes = f"{list(state[name].shape)} where {list(own[name].shape)} is needed"
            reasons.append(f"{name} has shape {shapes}")
            break
    return "; ".join(reasons)
