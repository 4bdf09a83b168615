"""A golden case: sizes, a state dict under the official names, inputs, and the official outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench.errors import DataError, UsageError, plain
from bench.files.untrusted import read_json

State = dict[str, torch.Tensor]
PARTS = {"state": "state", "input": "inputs", "output": "outputs",
         "state_dict": "state", "inputs": "inputs", "outputs": "outputs"}  # fmt: skip
# In a folder's golden.safetensors inputs and outputs share one level of names.
INPUTS = ("token_ids", "text_mask", "pixel_values", "video_mask", "openai_clip.")
FORMS = (
    "a folder with config.json, state_dict.safetensors and golden.safetensors, or the stem of "
    "NAME.json and NAME.safetensors"
)


@dataclass(frozen=True)
class Case:
    """`config` has the sizes, `state` the weights by their official names."""

    config: dict[str, Any]
    state: State
    inputs: State
    outputs: State


@dataclass(frozen=True)
class Output:
    """What we computed for one of the official outputs, and how far it may be from it."""

    name: str
    value: torch.Tensor
    tolerance: float


@dataclass(frozen=True)
class Line:
    """One output of the file: the largest difference (inf for another shape or NaN)."""

    name: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance


def read_case(path: Path) -> Case:
    """The case at `path`, in either form. UsageError where there is none, or it is unreadable."""
    folder = path.is_dir()
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    config = path / "config.json" if folder else stem.with_name(f"{stem.name}.json")
    files = (
        [path / "state_dict.safetensors", path / "golden.safetensors"]
        if folder
        else [stem.with_name(f"{stem.name}.safetensors")]
    )
    if absent := [file for file in (config, *files) if not file.is_file()]:
        raise UsageError(f"{absent[0]}: no such file; PATH is {FORMS}")
    try:
        sizes, tensors = read_json(config), [load_file(file) for file in files]
    except (SafetensorError, OSError, DataError) as error:
        raise UsageError(f"{path}: cannot be read ({plain(error)})") from error
    if folder:
        state, golden = tensors
        inputs = {name: golden.pop(name) for name in list(golden) if name.startswith(INPUTS)}
        return Case(sizes, state, inputs, golden)
    return Case(sizes, **_parts(tensors[0], path))


def _parts(tensors: State, path: Path) -> dict[str, State]:
    found: dict[str, State] = {part: {} for part in PARTS.values()}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part not in PARTS:
            raise UsageError(f"{path}: {name} is neither a state, an input nor an output")
        found[PARTS[part]][rest] = value
    return found


def compared(
    case: Case, outputs: Iterable[Output], uncompared: Mapping[str, str]
) -> Iterator[Line]:
    """A line for each output of the file, but those of `uncompared`.

    One that was not computed has the difference NaN: it has not passed. What was computed beyond
    the file's outputs is of no account.
    """
    found = {output.name: output for output in outputs}
    for name in sorted(case.outputs.keys() - uncompared.keys()):
        if name not in found:
            yield Line(name, float("nan"), float("nan"))
            continue
        output = found[name]
        yield Line(name, _difference(output.value, case.outputs[name]), output.tolerance)


def _difference(value: torch.Tensor, official: torch.Tensor) -> float:
    if value.shape != official.shape:
        return float("inf")
    if not value.numel():
        return 0.0
    difference = (value.double() - official.double()).abs().max().item()
    return difference if difference == difference else float("inf")
