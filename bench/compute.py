"""How torch computes in a run: threads and precision, in training and evaluation alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.config import RunConfig
from bench.errors import UsageError

if TYPE_CHECKING:
    import torch


def use_threads(run: RunConfig) -> None:
    """Have torch use `run.threads` threads; its own choice where that is `auto`.

    To be called before anything is computed: a sum over other threads may round otherwise.
    """
    if run.threads != "auto":
        import torch

        torch.set_num_threads(int(run.threads))


def check_device(device: str) -> None:
    """UsageError where PyTorch has no such device on this machine; `auto` and `cpu` always are."""
    kind, _, number = device.partition(":")
    if kind in ("auto", "cpu"):
        return
    import torch

    count = int(torch.backends.mps.is_available())
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        found = f"{count} devices of this kind" if count else "no device of this kind"
        raise UsageError(
            f"device {device}: PyTorch finds {found} here; choose another, or auto "
            "(--device, or run.device in bench.yaml)"
        )


def autocast(device: str, precision: str) -> torch.autocast:
    """A context in which matrix products on `device` run in `precision`, as `RunConfig` has it."""
    import torch

    kind = device.partition(":")[0]
    if precision == "float32":
        return torch.autocast(kind, torch.bfloat16, enabled=False)
    return torch.autocast(kind, getattr(torch, precision))
