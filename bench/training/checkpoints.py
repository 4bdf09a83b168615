"""A training's state as one file, written whole or not at all; nothing in it is unpickled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bench.errors import BenchError, UsageError, plain
from bench.files.atomic import atomic_path
from bench.files.untrusted import well_formed

Record = dict[str, Any]
LAST, BEST = "last.safetensors", "best.safetensors"


class Stateful(Protocol):
    """What can be kept: `trainable_state` is name -> tensor of all that training changes."""

    def trainable_state(self) -> dict[str, torch.Tensor]: ...
    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None: ...


def write(path: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
    """Tensors and a JSON record in one safetensors file. BenchError if not writable."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(kept, temporary, metadata={"record": json.dumps(record)})


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What `write` wrote, or None where nothing is. BenchError for a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})["record"])
            if not isinstance(record, dict):
                raise ValueError("its record is no mapping")
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        raise BenchError(f"{path}: damaged checkpoint ({plain(error)}); move it away") from error


def pack(model: Stateful, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Trained weights, the optimiser's moments and the generators' states."""
    tensors = {f"model.{name}": value for name, value in model.trainable_state().items()}
    for place, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{place}.{name}"] = torch.as_tensor(value)
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return tensors


def unpack(
    tensors: dict[str, torch.Tensor], model: Stateful, optimizer: torch.optim.Optimizer
) -> None:
    """Put back what `pack` took, to the same bits."""
    model.load_trainable_state(model_state(tensors))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, place, name = key.split(".")
            state.setdefault(int(place), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def model_state(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The trained weights among a checkpoint's tensors."""
    return {
        name.removeprefix("model."): value
        for name, value in tensors.items()
        if name.startswith("model.")
    }


def save(folder: Path, model: Stateful, optimizer: torch.optim.Optimizer, record: Record) -> None:
    """Write the checkpoint from which `restore` continues to the same bits."""
    write(folder / LAST, pack(model, optimizer), record)


def restore(
    folder: Path,
    model: Stateful,
    optimizer: torch.optim.Optimizer,
    check: Callable[[Record], object] = lambda record: None,
) -> Record | None:
    """Put back the folder's checkpoint, after `check` of its record; None where there is none."""
    path = folder / LAST
    if (found := read(path)) is None:
        return None
    tensors, record = found
    with well_formed(path, "move it away"):
        check(record)
        unpack(tensors, model, optimizer)
    return record


def save_best(folder: Path, model: Stateful, record: Record) -> None:
    """Keep the model as it is now as the best so far."""
    write(folder / BEST, {f"model.{k}": v for k, v in model.trainable_state().items()}, record)


def restore_best(folder: Path, model: Stateful, epoch: int | None = None) -> None:
    """Put back what `save_best` kept last, if anything; with `epoch`, BenchError unless of that."""
    found = read(folder / BEST)
    if epoch is not None and (found is None or found[1].get("epoch") != epoch):
        raise lost_best(folder, epoch)
    if found:
        model.load_trainable_state(model_state(found[0]))


def lost_best(folder: Path, epoch: int) -> BenchError:
    """The error where the weights of the best epoch are not there."""
    return BenchError(
        f"{folder / BEST}: gone, or not of epoch {epoch}, the best one; put it back, take the last "
        "epoch with --set keep=last, or train into another --output"
    )


def check_identity(path: Path, kept: dict[str, Any], own: dict[str, Any], epochs: str = "") -> None:
    """UsageError with every difference where a checkpoint is of another training.

    `keep` may differ: it only picks among what is kept; so may the number of epochs, unless
    `epochs` says why it may not.
    """
    free = {"keep"} if epochs else {"keep", "epochs"}
    differences = [
        f"{key}: {kept.get(key)!r} there, {own.get(key)!r} here{epochs if key == 'epochs' else ''}"
        for key in sorted((kept.keys() | own.keys()) - free)
        if kept.get(key) != own.get(key)
    ]
    if differences:
        raise UsageError(
            f"{path}: checkpoint of another training ({'; '.join(differences)}); train into "
            "another --output, or remove it"
        )
