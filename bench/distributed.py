"""Several processes on one piece of work, as torchrun starts them.

The launcher's environment (RANK, WORLD_SIZE) tells who one is; alone, everything here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Part = TypeVar("Part")


def rank() -> int:
    """This process's number, 0 when alone."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes results and shows progress."""
    return rank() == 0


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the other processes: NCCL for CUDA, gloo otherwise. Nothing when alone, or joined.

    A group cannot be made twice: the second would find the addresses of the first. Work of several
    steps joins once, around all of them.
    """
    if world() == 1:
        yield
        return
    import datetime

    import torch.distributed as dist

    if dist.is_initialized():
        yield
        return
    # Waiting for a process that still decodes may take hours; a dead one is torchrun's to notice.
    backend = "cuda:nccl,cpu:gloo" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=datetime.timedelta(hours=24))
    try:
        yield
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        import torch.distributed as dist

        from bench.progress import waiting

        with waiting("waiting for the other processes"):
            dist.barrier()


def divide(parts: Sequence[Part], make: Callable[[Part], object]) -> None:
    """`make` each part, every process its own ones, and wait for all.

    For what is kept on disk: every process finds all of it there afterwards.
    """
    for part in parts[rank() :: world()]:
        make(part)
    barrier()


def gather_with_own_gradient(features: torch.Tensor) -> torch.Tensor:
    """[B, ...] of every process -> [world * B, ...]; only the own part carries a gradient.

    With the whole batch's loss on every process, summing the parameters' gradients over processes
    (`sum_gradients`) gives exactly the gradient of one process with the whole batch.
    """
    if world() == 1:
        return features
    import torch
    import torch.distributed as dist

    parts = [torch.empty_like(features) for _ in range(world())]
    dist.all_gather(parts, features.detach().contiguous())
    parts[rank()] = features
    return torch.cat(parts)


def gather_all(value: Any) -> list[Any]:
    """Every process's value, by its number; plain data and arrays only."""
    if world() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * world()
    dist.all_gather_object(found, value)
    return found


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Sum every parameter's gradient over the processes, in one message."""
    if world() == 1:
        return
    import torch
    import torch.distributed as dist

    given = [p for p in parameters if p.grad is not None]
    flat = torch.cat([p.grad.flatten() for p in given if p.grad is not None])
    dist.all_reduce(flat)
    for parameter, part in zip(given, flat.split([p.numel() for p in given]), strict=True):
        parameter.grad = part.view_as(parameter)


def share(value: Any) -> Any:
    """The main process's value, on every process; plain data only."""
    if world() == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
