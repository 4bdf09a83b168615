"""Pickles read as data. A pickle is a program; of its calls only the few below are carried out.

Each is a method of ours that makes a plain value: nothing that a file names is imported, called or
changed. It is Python's own unpickler in Python: the one in C can be made by six bytes to fill all
memory.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bench.errors import DataError, plain

_MAGIC = {
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write",
    b"\x93NUMPY": "an array of numpy.save",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "a file of torch.save",
}
_ADVICE = "save plain lists, dicts, strings and numbers, or JSON"
_EMPTY_ROWS = 1 << 16  # of an array without a single value; more are an attack on the memory
_AXES = 64  # as many as NumPy's arrays may have
_PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[US]\d{1,9}|O8?")


@dataclass(repr=False)
class Array:
    """A NumPy array in a pickle, turned into lists only where somebody reads it."""

    code: str = ""  # a dtype with its byte order; O for objects
    shape: tuple[int, ...] = (0,)
    values: bytes | bytearray | list[Any] = b""
    order: str = "C"
    axes: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"<array of shape {self.shape}>"

    def tolist(self) -> Any:
        """Nested lists of Python's own values. ValueError or TypeError where its parts differ."""
        order: Any = "F" if self.order == "F" else "C"
        if isinstance(self.values, list):
            array = np.fromiter(self.values, object)  # each value as it is, a list too
            array = array.reshape(self.shape)  # written in C's order whatever the array's own is
        else:
            array = np.ndarray(self.shape, self.code, self.values, order=order)
        return array.transpose(self.axes).tolist() if self.axes else array.tolist()


@dataclass
class _Dtype:
    """A dtype on its way out of a pickle: its code, and the byte order that its state names."""

    code: str
    order: str = "="


class Unordered(tuple[Any, ...]):
    """The members of a set that an old protocol writes as a call."""

    __slots__ = ()


def disguise(content: bytes) -> str:
    """What a file is that is often called a pickle and is none; empty for any other."""
    return next((what for magic, what in _MAGIC.items() if content.startswith(magic)), "")


def load(content: bytes, where: Any) -> Any:
    """The plain value of a pickle of any protocol: NumPy's scalars and dicts of any kind are plain.

    An array is an `Array`. DataError names `where` and what the file would import, or what it is.
    """
    if what := disguise(content):
        raise DataError(f"{where}: not a pickle but {what}; {_ADVICE}, uncompressed")
    stream = io.BytesIO(content)
    try:
        value = _PlainUnpickler(stream, len(content)).load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{where}: refused, {plain(error)}; {_ADVICE}") from error
    except Exception as error:  # whatever the opcodes of a hostile file provoke
        raise DataError(
            f"{where}: cannot be read as a pickle ({plain(error)}); check the file"
        ) from error
    if left := len(content) - stream.tell():
        raise DataError(f"{where}: {left} bytes follow the first pickle; save one list of all")
    return value


class _PlainUnpickler(pickle._Unpickler):
    """`load` leaves only containers, strings, numbers, None, and `Array`."""

    def __init__(self, file: io.BytesIO, size: int) -> None:
        super().__init__(file)
        # What the calls may copy, together: a file that calls each value once never needs more.
        self._left = 8 * size

    def find_class(self, module: str, name: str) -> Any:
        """One of the methods below, or a mark that cannot be called."""
        method = _CALLS.get((_MODULES.get(module, module), name))
        if method is None:
            raise pickle.UnpicklingError(f"it would import {module}.{name}")
        return getattr(self, method) if method else _Mark(name)

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")

    def _spend(self, value: Any) -> Any:
        self._left -= len(value)
        if self._left < 0:
            raise pickle.UnpicklingError("it would copy its values over and over")
        return value

    def _ordered(self, pairs: Any = ()) -> dict[Any, Any]:
        return dict(self._spend(pairs))  # of Python 2; since then the items follow

    def _default(self, factory: Any = None) -> dict[Any, Any]:
        return {}  # its items follow; the factory is not needed

    def _counter(self, counts: dict[Any, int]) -> dict[Any, int]:
        return counts

    def _set(self, members: list[Any]) -> Unordered:
        return Unordered(self._spend(members))

    def _bytes(self, text: str = "", encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"it would decode {encoding!r}")
        return self._spend(text).encode("latin1")

    def _bytearray(self, content: Any = b"", encoding: str = "latin1") -> bytes:
        if isinstance(content, str):
            return self._bytes(content, encoding)
        if not isinstance(content, bytes):
            raise pickle.UnpicklingError(f"bytearray of {type(content).__name__}")
        return content

    def _dtype(self, code: str, align: Any = False, copy: Any = True) -> _Dtype:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of dtype {str(code)[:40]!r} is not plain data")
        return _Dtype(code)

    def _scalar(self, dtype: _Dtype, content: bytes = b"") -> Any:
        if dtype.code in ("U0", "S0"):  # NumPy has no buffer of nothing
            return "" if dtype.code == "U0" else b""
        array = _array(dtype, (), self._spend(content))
        if not isinstance(array.values, bytes):
            raise pickle.UnpicklingError("a scalar of any object is not plain data")
        return array.tolist()

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> Array:
        if not isinstance(kind, _Mark) or kind.name != "ndarray":
            raise pickle.UnpicklingError("only numpy.ndarray is plain data")
        return Array()  # its state follows

    def _frombuffer(
        self, content: Any, dtype: _Dtype, shape: Any, order: Any, axes: Any = None
    ) -> Array:
        return _array(dtype, shape, content, order, axes)

    def load_build(self) -> None:
        """The state of an array or its dtype; nothing else may be given any."""
        state = self.stack.pop()  # type: ignore[attr-defined]
        target = self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(target, _Dtype):
            target.order = {"<": "<", ">": ">"}.get(state[1], "=")
        elif isinstance(target, Array):
            _, shape, dtype, fortran, content = state
            target.__dict__.update(vars(_array(dtype, shape, content, "F" if fortran else "C")))
        else:
            raise pickle.UnpicklingError(f"it would change a {type(target).__name__}")

    def load_bytearray8(self) -> None:
        """Read before anything is allocated: the length is the file's own claim."""
        (size,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(self.read(size))  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


@dataclass(frozen=True)
class _Mark:
    """A class that a file names beside a call, such as a defaultdict's factory."""

    name: str

    def __call__(self, *_: Any) -> Any:
        raise pickle.UnpicklingError(f"it would call {self.name}")


def _array(dtype: Any, shape: Any, content: Any, order: Any = "C", axes: Any = None) -> Array:
    """An array whose parts fit each other. UnpicklingError where they do not."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("an array without dtype or shape")
    if len(shape) > _AXES or not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError("an array of no possible shape")
    objects = dtype.code.startswith("O")
    code = "O" if objects else dtype.order + dtype.code
    if not isinstance(content, list if objects else (bytes, bytearray)):
        raise pickle.UnpicklingError(f"an array in a {type(content).__name__}")
    count = math.prod(shape)
    if len(content) != (count if objects else count * np.dtype(code).itemsize):
        raise pickle.UnpicklingError(f"an array of shape {shape} in {len(content)} bytes")
    if not count and math.prod(size for size in shape if size) > _EMPTY_ROWS:
        raise pickle.UnpicklingError(f"an empty array of shape {shape}")
    return Array(code, shape, content, order, axes)


# Python 2's names, and NumPy's of before version 2
_MODULES: Mapping[str, str] = {
    "__builtin__": "builtins",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}
_CALLS: Mapping[tuple[str, str], str] = {
    ("collections", "OrderedDict"): "_ordered",
    ("collections", "defaultdict"): "_default",
    ("collections", "Counter"): "_counter",
    **{("builtins", name): "_set" for name in ("set", "frozenset")},
    **{("builtins", name): "" for name in ("list", "dict", "int", "float", "str", "bool", "tuple")},
    ("builtins", "bytes"): "_bytes",
    ("builtins", "bytearray"): "_bytearray",
    ("_codecs", "encode"): "_bytes",
    ("numpy", "dtype"): "_dtype",
    ("numpy", "ndarray"): "",
    ("numpy.core.multiarray", "scalar"): "_scalar",
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "_frombuffer",
}
