"""Entries of stores that we did not write: each opens, or nearly, and holds something else."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

NAMES = {"f4": "F32", "f8": "F64", "u1": "U8", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64"}
NOTHING = object()


@dataclass(frozen=True)
class Entry:
    """What a file of a store holds; `types` are other names of types than the arrays' own."""

    arrays: dict[str, np.ndarray]
    record: dict[str, Any] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def array(self, name: str, value: Any = NOTHING, type_: str = "") -> Entry:
        """With another array of that name, or without it."""
        others = {one: array for one, array in self.arrays.items() if one != name}
        if value is not NOTHING:
            others[name] = np.asarray(value)
        return Entry(others, self.record, {name: type_} if type_ else {})

    def fact(self, name: str, value: Any = NOTHING) -> Entry:
        """With another value of that name in its record, or without it."""
        others = {one: fact for one, fact in self.record.items() if one != name}
        return Entry(self.arrays, others if value is NOTHING else others | {name: value})

    def write(self, path: Path) -> None:
        """As safetensors, written by hand: its library refuses some types."""
        header: dict[str, Any] = {"__metadata__": {"record": json.dumps(self.record)}}
        parts, end = [], 0
        for name, array in self.arrays.items():
            parts.append(np.ascontiguousarray(array).tobytes())
            header[name] = {
                "dtype": self.types.get(name) or NAMES[array.dtype.str[1:]],
                "shape": list(array.shape), "data_offsets": [end, end + len(parts[-1])],
            }  # fmt: skip
            end += len(parts[-1])
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *parts]))


Poison = Callable[[Entry], Entry]


def of_array(name: str, many: int = 100_000) -> Iterator[tuple[str, Poison]]:
    """Another count, shape or type of the array [count, ...] called `name`."""

    def changed(change: Callable[[np.ndarray], Any], type_: str = "") -> Poison:
        return lambda entry: entry.array(name, change(entry.arrays[name]), type_)

    yield f"no {name}", lambda entry: entry.array(name)
    yield f"0 rows of {name}", changed(lambda a: a[:0])
    yield f"a row less of {name}", changed(lambda a: a[:-1])
    yield f"{many:,} rows of {name}", changed(lambda a: np.resize(a, (many, *a.shape[1:])))
    yield f"{name} without dimensions", changed(lambda a: a.ravel()[0])
    yield f"{name} of another dimension", changed(lambda a: a[None])
    yield f"{name} as text", changed(lambda a: np.frombuffer(b"12 texts", np.uint8))
    yield f"{name} as whole numbers", changed(lambda a: a.astype(np.int16))
    for type_ in ("BF16", "F16"):
        yield f"{name} as {type_}", changed(lambda a: np.zeros(a.shape, np.int16), type_)
    for type_ in ("F8_E4M3", "F8_E5M2", "BOOL"):
        yield f"{name} as {type_}", changed(lambda a: np.zeros(a.shape, np.int8), type_)
    yield f"{name} of a type that there is not", changed(lambda a: a, "F7")


def of_numbers(name: str) -> Iterator[tuple[str, Poison]]:
    """Numbers of the floating-point array `name` that are none."""
    for value in (np.nan, np.inf):

        def change(entry: Entry, value: float = value) -> Entry:
            array = entry.arrays[name].copy()
            array.flat[-1] = value
            return entry.array(name, array)

        yield f"{value} in {name}", change


def of_decoder() -> Iterator[tuple[str, Poison]]:
    """Records whose `decoder` is no text."""
    for value in (NOTHING, None, 3, ["pyav"], {"pyav": 1}):
        name = "no decoder" if value is NOTHING else f"the decoder {value}"
        yield name, lambda entry, value=value: entry.fact("decoder", value)


def of_times_listed() -> Iterator[tuple[str, Poison]]:
    """Records whose `times` cannot be those of the frames."""
    bad: dict[str, Callable[[list[float]], Any]] = {
        "none": lambda times: NOTHING, "null": lambda times: None, "empty": lambda times: [],
        "a text": lambda times: "0.5", "texts": lambda times: [str(time) for time in times],
        "a number": lambda times: 0.5, "a mapping": lambda times: {"0": 0.5},
        "one less": lambda times: times[:-1], "one more": lambda times: [*times, times[-1]],
        "100,000": lambda times: times[:1] * 100_000,
        "ragged": lambda times: [times[:1], times[:2]], "nested": lambda times: [times],
        "whole numbers": lambda times: [1] * len(times),
        "truths": lambda times: [True] * len(times),
        "beyond floats": lambda times: [*times[:-1], 10**400],
        "NaN": lambda times: [*times[:-1], float("nan")],
        "infinite": lambda times: [*times[:-1], float("inf")],
        "out of order": lambda times: times[::-1],
    }  # fmt: skip
    for name, change in bad.items():
        yield (
            f"times: {name}",
            lambda entry, change=change: entry.fact("times", change(entry.record["times"])),
        )


def out_of_order(entry: Entry) -> Entry:
    """With its array `times` backwards."""
    return entry.array("times", entry.arrays["times"][::-1])


OF_FRAMES: dict[str, Poison] = dict(
    [*of_array("frames", many=20_000), *of_array("times"), *of_numbers("times"), *of_decoder(),
     ("times out of order", out_of_order)]
)  # fmt: skip
OF_CLIPS: dict[str, Poison] = dict(
    [*of_array("features"), *of_numbers("features"), *of_decoder(), *of_times_listed()]
)
OF_TEXTS: dict[str, Poison] = dict([*of_array("features"), *of_numbers("features")])
OF_DRAWS: dict[str, Poison] = {
    **dict(poison for poison in [*of_array("R@1"), *of_numbers("R@1")] if poison[0] != "no R@1"),
    "no draws": lambda entry: Entry({}),
}
OF_SCORES: dict[str, Poison] = {
    **dict(of_array("answered")),
    **dict(of_numbers("answered")),
    "fewer than none answered": lambda entry: entry.array("answered", [-1.0]),
    "a part of one answered": lambda entry: entry.array("answered", [0.5]),
    "no metric": lambda entry: Entry({"answered": entry.arrays["answered"]}),
    "a metric is infinite": lambda entry: entry.array("MdR", [np.inf, 1.0, 2.0]),
    "one bound": lambda entry: entry.array("MdR", [1.0, np.nan, 2.0]),
    "a metric is text": lambda entry: entry.array("MdR", np.frombuffer(b"abc", np.uint8)),
    "a metric alone": lambda entry: entry.array("MdR", 1.0),
    "a metric of four": lambda entry: entry.array("MdR", [1.0] * 4),
    "a metric without bounds, of four": lambda entry: entry.array("MdR", [1.0, *[np.nan] * 3]),
}
