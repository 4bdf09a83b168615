"""Bad data files: each reader returns or refuses in one line, in bounded time, and runs nothing."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError
from tests.faults.readers import READERS, Reader
from tests.faults.table import FaultRow

SECONDS = 10.0  # that no reader may exceed on any of these
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, after in itertools.pairwise("abcdefghijklmnopqrst")
)


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch owned",))


def contents(reader: Reader) -> Iterator[tuple[str, bytes]]:
    """What the reader is given, by what is wrong with it."""
    yield from _anything(reader.good)
    if reader.kind != "tensors":
        yield from _texts(reader.good)
    yield from {"json": _jsons, "yaml": _yamls, "pickle": _pickles, "tensors": _tensors,
                "text": _tables}[reader.kind](reader.good)  # fmt: skip


def _anything(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "blanks", b" \n\n\t \n"
    yield "cut in half", good[: len(good) // 2]
    yield "zeros", bytes(10_000)
    yield "random bytes", bytes((i * i * 7 + i // 3) % 256 for i in range(5000))
    yield "a NUL inside", good[: len(good) // 2] + b"\0" + good[len(good) // 2 :]
    yield "a pickle with code", pickle.dumps(_Evil())
    yield "something after the end", good + good


def _texts(good: bytes) -> Iterator[tuple[str, bytes]]:
    text = good.decode("latin-1")
    yield "BOM", b"\xef\xbb\xbf" + good
    yield "UTF-16", text.encode("utf-16")
    yield "latin-1", good.replace(b"a", "é".encode("latin-1"))
    yield "CRLF", good.replace(b"\n", b"\r\n")
    yield "old Mac line ends", good.replace(b"\n", b"\r")
    yield "control characters", good.replace(b"a", b"\x1b[2J")
    yield "a field of 5 million characters", good.replace(b"a", b"a" * 5_000_000, 1)


def _tables(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "a stray quote in the head", b'"a"b,c\n' + good
    yield "a quote never closed", good + b'r1,m1,video1,"a man\n' + b"x,y,z,w\n" * 1000
    yield (
        "a path as an id",
        good.replace(b"video0", b"../../etc/passwd").replace(b"a\t1", b"../../etc/passwd\t1"),
    )
    yield "a line break in an id", good.replace(b"video0", b'"vid\neo"')
    yield "a column named twice", good.replace(b"vid_key", b"video_id")
    yield "100,000 columns", b"," * 100_000 + b"\t" * 100_000 + b"\n" + good
    yield "the same line twice", good + good.split(b"\n")[-2] + b"\n"


def _jsons(good: bytes) -> Iterator[tuple[str, bytes]]:
    for name, value in {
        "null": "null", "a number": "3", "a text": '"x"', "an empty list": "[]",
        "an empty mapping": "{}", "a list of null": "[null]", "NaN": "NaN", "list of NaN": "[NaN]",
        "Infinity": "[Infinity]", "a number of a million digits": "1" * 1_000_000,
        "1e999": "[1e999]", "a key given twice": '{"a": 1, "a": 2}',
        "half a Unicode pair": '["\\ud800"]', "a thousand levels": "[" * 990 + "]" * 990,
        "a million levels": "[" * 1_000_000, "a million mappings": '{"a":' * 1_000_000,
    }.items():  # fmt: skip
        yield name, value.encode()
    yield from _altered(good)


def _altered(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Each value of the good file replaced by each of some that do not belong there."""
    first, *others = good.split(b"\n")  # of JSON lines the first one is altered
    value = json.loads(first)
    odd = [None, True, -1, 10**30, 1e308, "", "../../x", "<script>", [], {}, [[]], {"a": {}}]
    for place in range(_count(value)):
        for other in odd:
            yield (
                "one value of a wrong type",
                b"\n".join([json.dumps(_with(value, place, other)).encode(), *others]),
            )


def _count(value: object) -> int:
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return 1 + sum(map(_count, children))


def _with(value: object, place: int, other: object) -> object:
    """`value` with its part number `place`, counted depth first, replaced by `other`."""
    if place == 0:
        return other
    place -= 1
    items = list(value.items() if isinstance(value, dict) else enumerate(value))  # type: ignore[arg-type]
    made = []
    for key, child in items:
        size = _count(child)
        made.append((key, _with(child, place, other) if 0 <= place < size else child))
        place -= size
    return dict(made) if isinstance(value, dict) else [child for _, child in made]


def _yamls(good: bytes) -> Iterator[tuple[str, bytes]]:
    for name, text in {
        "a billion laughs": LAUGHS, "a thousand levels": "[" * 1000, "an alias": "a: &b 1\nc: *b",
        "a key twice": "a: 1\na: 2", "code": "!!python/object/apply:os.system ['touch owned']",
        "null": "~", "a number": "3", "a list": "[1]", "a bool that is none": "a: !!bool x",
        "an int that is none": "a: !!int ''", "a float that is none": "a: !!float ''",
        "a date that is none": "a: 2020-99-99", "a set": "!!set {a, b}", "a tab": "\ta: 1",
        "a mapping as a key": "{a: 1}: 2", "two documents": "a: 1\n---\nb: 2",
        "a number of 10,000 digits": "a: " + "9" * 10_000, "binary that is none": "a: !!binary é",
        "the home of nobody": "run: {cache: ~nobody-at-all/x}", "infinity": "run: {seed: .inf}",
    }.items():  # fmt: skip
        yield name, text.encode()
    for old in (b"1", b"m", b"{", b"x"):
        for new in (b"[]", b"{}", b".nan", b"!!bool x", b"'", b"2020-01-01", b"~"):
            yield "one value of a wrong type", good.replace(old, new, 1)


def _pickles(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "imports a name", b"cos\nsystem\n(S'touch owned'\ntR."
    yield "imports by stack", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch owned\x85R."
    yield "an extension code", b"\x80\x02\x82\x01."
    yield "an object outside", b"Pnowhere\n."
    yield "memo place of two thousand million", b"\x80\x02]r\xff\xff\xff\x7f."
    yield "text of 2^62 bytes", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"a."
    yield "a number of a million digits", b"L" + b"9" * 1_000_000 + b"L\n."
    yield "lists in lists, each twice", b"\x80\x02]" + b"q\x00]h\x00ah\x00a" * 60 + b"."
    yield "a million levels", b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b"."
    yield "a list in itself", b"\x80\x02]q\x00h\x00a."
    yield "calls a text", b"\x80\x02U\x01a)R."
    yield "builds a list", b"\x80\x02]}b."
    yield "a buffer from outside", b"\x80\x05\x97."
    yield "cut inside a number", b"\x80\x02J\x01"
    for at in range(0, len(good), 3):
        yield "a byte changed", good[:at] + bytes([good[at] ^ 0x5A]) + good[at + 1 :]


def _tensors(good: bytes) -> Iterator[tuple[str, bytes]]:
    def file(header: str, body: bytes = b"") -> bytes:
        return struct.pack("<Q", len(header)) + header.encode() + body

    tensor = '{"x": {"dtype": "F32", "shape": %s, "data_offsets": [0, %d]}}'
    yield "a head of 2^60 bytes", struct.pack("<Q", 1 << 60) + b"{"
    yield "no head", struct.pack("<Q", 0)
    yield "a head that is no JSON", file("[" * 1000)
    yield "more than there is", file(tensor % ("[1000000000]", 4_000_000_000), bytes(8))
    yield "a shape that overflows", file(tensor % ("[4294967296, 4294967296, 4]", 8), bytes(8))
    yield "NaN", file(tensor % ("[2]", 8), struct.pack("<ff", float("nan"), 1.0))
    yield (
        "a record that is no mapping",
        good.replace(b'{\\"decoder\\": \\"x\\"}', b"[1,2,3,4,5,6,7,8,9]"),
    )
    deep = json.dumps({"__metadata__": {"record": "[" * 100_000}})
    yield "a record of 100,000 levels", file(deep)
    for at in range(0, min(len(good), 200), 5):
        yield "a byte changed", good[:at] + bytes([good[at] ^ 0x15]) + good[at + 1 :]


def attempt(reader: Reader, folder: Path, content: bytes) -> str:
    """What came of it: read, or refused. AssertionError for all that must not be.

    Anything but a BenchError of one line passes through, as the defect that it is.
    """
    began = time.monotonic()
    try:
        reader.of(folder, content)
        told = "read"
    except BenchError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000, str(error)[:2000]
        told = "refused"
    seconds = time.monotonic() - began
    assert seconds < SECONDS, f"{seconds:.0f} seconds"
    assert not list(folder.rglob("owned")) and not Path("owned").exists(), "code was run"
    return told


def in_place_of_file(reader: Reader, folder: Path) -> str:
    """The same with a folder, then with a pipe, where the file should be."""
    path = folder / reader.place
    path.parent.mkdir(parents=True, exist_ok=True)
    told = set()
    for make, remove in ((Path.mkdir, Path.rmdir), (os.mkfifo, Path.unlink)):
        make(path)  # type: ignore[operator]
        try:
            reader.read(folder)
            told.add("taken as absent")
        except BenchError as error:
            assert "\n" not in str(error)
            told.add("refused")
        remove(path)
    return " or ".join(sorted(told))


def rows(quick: bool) -> list[FaultRow]:
    """A row a reader: how many hostile files, how many of them were read and refused."""
    found = []
    for reader in READERS:
        counts = {"read": 0, "refused": 0}
        with tempfile.TemporaryDirectory() as folder:
            for place, (_, content) in enumerate(contents(reader)):
                counts[attempt(reader, Path(folder) / str(place), content)] += 1
        told = f"{counts['refused']} refused in one line, {counts['read']} read; no code run"
        found.append(FaultRow("Bad data files", reader.name, sum(counts.values()), told))
    return found
