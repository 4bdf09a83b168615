"""The tensors of a TorchScript archive, read as data: its program is never loaded.

The archive is a zip: `data.pkl` is a pickle of modules whose tensors name the files `data/0`,
`data/1` and so on that hold their numbers.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError, plain
from bench.files.untrusted import MISFITS

_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
}  # fmt: skip


def tensors(content: bytes, where: Path) -> dict[str, torch.Tensor]:
    """Dotted name -> tensor, of parameters, buffers and attributes alike, on the CPU.

    BenchError names `where` if `content` is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entry = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            unpickler = _Reader(archive, entry.removesuffix("data.pkl") + "data/")
            return dict(_named(unpickler.load(), ""))
    except (*MISFITS, StopIteration, zipfile.BadZipFile, pickle.UnpicklingError, EOFError) as error:
        raise BenchError(
            f"{where}: not a TorchScript archive of tensors ({plain(error)}); save the weights as "
            "safetensors"
        ) from error


class _Module:
    """A module of the archive, whatever its class: only its attributes are of use."""

    attributes: Any = None

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


class _Reader(pickle.Unpickler):
    """Of what the pickle names nothing is imported: it gets one of the stand-ins below."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(folder.removesuffix("data/") + "data.pkl")))
        self._archive, self._folder = archive, folder
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return _Module if module.startswith("__torch__") else _nothing

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """[N] numbers of a file, whatever device they were on."""
        _, dtype, key, *_ = pid
        if key not in self._storages:
            numbers = bytearray(self._archive.read(f"{self._folder}{key}"))
            self._storages[key] = (
                torch.frombuffer(numbers, dtype=dtype) if numbers else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def _tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)


def _nothing(*_: Any) -> None:
    """What a list's type, an empty dict of hooks and the like are good for here."""


def _named(module: Any, before: str) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in dict(module.attributes).items():
        if isinstance(value, torch.Tensor):
            yield before + name, value
        elif isinstance(value, _Module) and isinstance(value.attributes, dict):
            yield from _named(value, f"{before}{name}.")
