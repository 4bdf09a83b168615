"""The tensors of a TorchScript archive, read as data: its program is never loaded."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from adapters.torch_archive import Inert, Saved, load
from bench.errors import BenchError, plain
from bench.files.untrusted import MISFITS


def tensors(content: bytes, where: Path) -> dict[str, torch.Tensor]:
    """Dotted name -> tensor, of parameters, buffers and attributes alike, on the CPU.

    BenchError names `where` if `content` is no such archive.
    """
    try:
        return dict(_named(load(io.BytesIO(content)), ""))
    except (*MISFITS, StopIteration, zipfile.BadZipFile, pickle.UnpicklingError, EOFError) as error:
        raise BenchError(
            f"{where}: not a TorchScript archive of tensors ({plain(error)}); save the weights as "
            "safetensors"
        ) from error


def _named(module: Any, before: str) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in dict(module.state).items():
        if isinstance(value, Saved):
            yield before + name, value.tensor()
        elif isinstance(value, Inert) and isinstance(value.state, dict):
            yield from _named(value, f"{before}{name}.")
