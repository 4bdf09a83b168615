"""Pickles as data: what is plain comes out as it went in, and nothing else does anything."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import DataError
from bench.files.pickles import Array, load

NUMBERS = np.arange(6).reshape(2, 3)
ARRAYS = {
    "C": NUMBERS,
    "Fortran": np.asfortranarray(NUMBERS),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "slices": NUMBERS[:, ::2],
    "big-endian": NUMBERS.astype(">i4"),
    "half": np.array([1, np.inf], np.float16),
    "bool": np.array([True, False]),
    "text": np.array([["run.01", "é"]]),
    "no dimension": np.array(3.5),
    "no row": np.zeros((0, 4)),
    "no column": np.zeros((5, 0)),
    "objects": np.array([["a", None], [{"b": 1}, "d"]], object, order="F"),
    "lists": np.array([[1], [2, 3]], object),
}
PLAIN = {
    "int": (np.int32(4), 4),
    "float": (np.float32(0.5), 0.5),
    "bool": (np.bool_(True), True),
    "text": (np.str_("é"), "é"),
    "empty text": (np.str_(""), ""),
    "bytes": (b"\xe9", b"\xe9"),
    "no bytes": (b"", b""),
    "tuple": (("a", ("b",)), ("a", ("b",))),
    "OrderedDict": (OrderedDict(a=1), {"a": 1}),
    "defaultdict": (defaultdict(list, a=[1]), {"a": [1]}),
    "defaultdict of OrderedDict": (defaultdict(OrderedDict, a=1), {"a": 1}),
    "Counter": (Counter("aab"), {"a": 2, "b": 1}),
    "NumPy's key": ({np.str_("Ev1"): np.int64(1)}, {"Ev1": 1}),
}
each_protocol = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def older(content: bytes) -> bytes:
    """With the names of NumPy 1, where the length of a name is not written before it."""
    return content.replace(b"numpy._core", b"numpy.core")


@each_protocol
def test_plain_values_come_out_as_they_went_in(protocol: int) -> None:
    for name, (value, expected) in PLAIN.items():
        content = pickle.dumps([value, value], protocol)
        for each in {content, older(content) if protocol < 4 else content}:
            found = load(each, "p.pkl")
            assert found == [expected, expected], name
            assert type(found[0]) is type(expected), name
    for members in ({1, 2}, frozenset({1, 2})):
        assert set(load(pickle.dumps(members, protocol), "p.pkl")) == {1, 2}
    for raw in (pickle.dumps(bytearray(b"\xe9a"), protocol), pickle.dumps(bytearray(), protocol)):
        assert load(raw, "p.pkl") in (b"\xe9a", b"")


@each_protocol
def test_arrays_become_lists(protocol: int) -> None:
    for name, array in ARRAYS.items():
        content = pickle.dumps([array, array], protocol)
        for each in {content, older(content) if protocol < 4 else content}:
            first, second = load(each, "p.pkl")
            assert isinstance(first, Array) and first is second, name
            assert first.tolist() == array.tolist(), name
    assert repr(load(pickle.dumps(NUMBERS), "p.pkl")) == "<array of shape (2, 3)>"


_SCALAR, _RECONSTRUCT = np.float64(1).__reduce__()[0], NUMBERS.__reduce__()[0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Call(os.system, "touch owned"), "it would import posix.system"),
        (Call(eval, "1"), r"it would import \w+.eval"),
        (Call(getattr, "a", "upper"), r"it would import \w+.getattr"),
        (Call(np.load, "owned"), "it would import numpy.load"),
        (Call(list, [1]), "it would call list"),
        (Call(bytes, 10**11), "no len"),
        (Call(bytearray, 10**11), "bytearray of int"),
        (Call(_RECONSTRUCT, dict, (0,), b"b"), "only numpy.ndarray"),
        (Call(_SCALAR, np.dtype("U99999999"), b"abcd"), r"shape \(\) in 4 bytes"),
        (Call(_SCALAR, np.dtype(object), ["a"]), "any object"),
        (Call(_RECONSTRUCT, np.ndarray, (0,), Path), "pathlib"),
        (np.ma.array([1]), "it would import numpy.ma"),
        (np.array([(1, 2.0)], "i4,f4"), "dtype 'V8' is not plain"),
        (np.array([Call(os.system, "touch owned")], object), "posix.system"),
        (np.zeros((1 << 20, 0)), "an empty array of shape"),
        (Path("owned"), "it would import pathlib"),
        (defaultdict(Path), "it would import pathlib"),
        (np.float64, "it would import numpy.float64"),
    ],
)
def test_code_and_what_is_not_plain_is_refused(value: Any, says: str) -> None:
    for protocol in (2, 4, 5):
        with pytest.raises(DataError, match=says) as caught:
            load(pickle.dumps([value], protocol), "p.pkl")
        assert str(caught.value).startswith("p.pkl: ") and "\n" not in str(caught.value)
    assert not Path("owned").exists()


def test_an_ordered_dict_of_python_2() -> None:
    content = b"ccollections\nOrderedDict\n((lp1\n(lp2\nVa\naI1\naatR."
    assert load(content, "p.pkl") == {"a": 1}


_CALL_OF_SET = b"c__builtin__\nset\n"


def _bomb(value: bytes, call: bytes) -> bytes:
    """`value` once, and a call that copies it, hundreds of times."""
    return b"\x80\x02" + value + b"q\xfe0(" + call * 300 + b"l."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x05\x96" + (1 << 28).to_bytes(8, "little") + b".", "EOFError"),
        (b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b".", "EOFError"),
        (b"\x80\x02\x8b" + (1 << 30).to_bytes(4, "little") + b"1.", "EOFError"),
        (_bomb(b"](" + b"N" * 50_000 + b"e", _CALL_OF_SET + b"h\xfe\x85R"), "over and over"),
        (_bomb(b"X" + (1 << 16).to_bytes(4, "little") + b"a" * (1 << 16),
               b"c_codecs\nencode\nh\xfe\x85R"), "over and over"),
        (b"\x80\x02" + _CALL_OF_SET + b"}X\x01\x00\x00\x00aK\x01sb.", "it would change a method"),
        (b"\x80\x02}}X\x01\x00\x00\x00aK\x01sb.", "it would change a dict"),
        (b"\x80\x02\x82\x01.", "extension code"),
        (b"Pnowhere\n.", "objects outside the file"),
        (pickle.dumps(NUMBERS, 5, buffer_callback=lambda _: None), "out-of-band"),
        (pickle.dumps([1]) + pickle.dumps([2]), "bytes follow the first pickle"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"PK\x03\x04", "a zip archive, as torch.save"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", "a file of torch.save"),
    ],
)  # fmt: skip
def test_a_few_bytes_fill_no_memory_and_odd_files_are_named(content: bytes, says: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=says):
            load(content, "p.pkl")
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
