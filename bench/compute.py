"""How torch computes in a run: threads and precision, in training and evaluation alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.config import RunConfig

if TYPE_CHECKING:
    import torch


def use_threads(run: RunConfig) -> None:
    """Have torch use `run.threads` threads; its own choice where that is `auto`.

    To be called before anything is computed: a sum over other threads may round otherwise.
    """
    if run.threads != "auto":
        import torch

        torch.set_num_threads(int(run.threads))


def autocast(device: str, precision: str) -> torch.autocast:
    """A context in which matrix products on `device` run in `precision`, as `RunConfig` has it."""
    import torch

    kind = device.partition(":")[0]
    if precision == "float32":
        return torch.autocast(kind, torch.bfloat16, enabled=False)
    return torch.autocast(kind, getattr(torch, precision))
