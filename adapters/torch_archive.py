"""Files of torch.save and TorchScript read as data: of what they name, nothing is imported or run.

Such a file is a zip: `data.pkl` is a pickle whose tensors name the files `data/0`, `data/1` and so
on that hold their numbers. Checkpoints hold objects of the training code beside the tensors, which
`torch.load(weights_only=True)` refuses with the whole file; here they become `Inert`.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip


def load(file: Path | io.BytesIO) -> Any:
    """The value of the pickle in `file`, its tensors as `Saved`: only what is used is read.

    Raises whatever zipfile, pickle or a hostile pickle's opcodes raise.
    """
    archive = zipfile.ZipFile(file)
    name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    return _Unpickler(_Numbers(archive, name.removesuffix("data.pkl")), name).load()


class _Fixed:
    """A pickle may give its objects a state, and so change them; not these."""

    def __setstate__(self, *_: Any) -> None:
        pass


class Inert:
    """Stands for whatever a pickle names: it is made, called and filled, and does nothing.

    Only the `state` that the file gives it is kept: in TorchScript, a module's attributes.
    """

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return object.__new__(Inert)  # `cls` may be one of these, where a class was named

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, *_: Any) -> None:
        pass

    def _nothing(self, *_: Any) -> None:
        pass

    append = extend = add = _nothing


class _Dict(dict[Any, Any], _Fixed):
    """An OrderedDict of the file, which has a state beside its items."""


class _Numbers(_Fixed):
    """The files beside the pickle, each read once."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self.archive, self._folder = archive, folder
        self._read: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def content(self, name: str) -> bytes:
        """A file as it lies in the archive: torch compresses none, so none is larger than it."""
        if self.archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError(f"{name} is compressed")
        return self.archive.read(name)

    def of(self, key: str, dtype: torch.dtype) -> torch.Tensor:
        """[N] numbers of a storage, whatever device they were on."""
        if (key, dtype) not in self._read:
            content = bytearray(self.content(f"{self._folder}data/{key}"))
            self._read[key, dtype] = (
                torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
            )
        return self._read[key, dtype]


@dataclass(frozen=True)
class Saved(_Fixed):
    """A tensor of the file, whose numbers are not read yet."""

    numbers: _Numbers
    storage: tuple[str, torch.dtype]
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> torch.Tensor:
        """On the CPU. Raises where the file has fewer numbers than it says."""
        return self.numbers.of(*self.storage).as_strided(self.size, self.stride, self.offset)


class _Tensor(_Fixed):
    """torch._utils._rebuild_tensor_v2"""

    def __init__(self, numbers: _Numbers) -> None:
        self._numbers = numbers

    def __call__(self, storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Saved:
        return Saved(self._numbers, storage, offset, size, stride)


class _Parameter(_Fixed):
    """torch._utils._rebuild_parameter"""

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


class _Unpickler(pickle._Unpickler):
    """Python's own: the one in C can be made by six bytes to fill all memory."""

    def __init__(self, numbers: _Numbers, name: str) -> None:
        super().__init__(io.BytesIO(numbers.content(name)))
        self._known = {
            ("torch._utils", "_rebuild_tensor_v2"): _Tensor(numbers),
            ("torch._utils", "_rebuild_parameter"): _Parameter(),
            ("collections", "OrderedDict"): _Dict,
            **{("torch", name): dtype for name, dtype in _DTYPES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """One of the above, or an `Inert`; never what is called so."""
        return self._known.get((module, name)) or Inert()

    def persistent_load(self, pid: Any) -> tuple[str, torch.dtype]:
        _, dtype, key, *_ = pid
        return key, dtype
