"""A system against the vectors of its own code: `python -m tests.systems SYSTEM PATH`.

Builds the model at the sizes of the case at PATH, loads its state dict by the official names, runs
its inputs and prints how far each output is from the official one. Exits with 1 where one is
beyond its tolerance or was not computed, with 2 for wrong use.

A system is the module of its name beside this one. Its `outputs(case)` yields a
`tests.systems.case.Output` for each official output; its `UNCOMPARED`, where it has one, says why
some are none of the system's zero-shot path.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch

from bench.errors import BenchError, UsageError, nearest
from tests.systems.case import FORMS, Line, compared, read_case

NOT_SYSTEMS = {"__init__", "__main__", "case"}


def systems() -> list[str]:
    """The systems there are: the modules beside this one, with a dash for an underscore."""
    stems = {file.stem for file in Path(__file__).parent.glob("*.py")} - NOT_SYSTEMS
    return sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("test_"))


def system(name: str) -> ModuleType:
    """The module of a system. UsageError for an unknown one."""
    known = systems()
    if name.replace("_", "-") not in known:
        raise UsageError(
            f"unknown system '{name}'{nearest(name, known)}; known: {', '.join(known)}"
        )
    return importlib.import_module(f"tests.systems.{name.replace('-', '_')}")


def compare(name: str, path: Path) -> list[Line]:
    """What the table has of a system and a case."""
    module, case = system(name), read_case(path)
    with torch.inference_mode():
        return list(compared(case, module.outputs(case), uncompared(module)))


def uncompared(module: ModuleType) -> dict[str, str]:
    """Outputs that are left out by design, and why."""
    return getattr(module, "UNCOMPARED", {})


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        if len(arguments) != 2:
            raise UsageError(f"usage: python -m tests.systems SYSTEM PATH; PATH is {FORMS}; "
                             f"systems: {', '.join(systems())}")  # fmt: skip
        name, path = arguments[0], Path(arguments[1])
        lines = compare(name, path)
    except BenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    width = max([len(line.name) for line in lines], default=0)
    for line in lines:
        verdict = "ok" if line.passed else "TOO FAR"
        if line.difference != line.difference:
            verdict = "NOT COMPUTED"
        print(
            f"{line.name:{width}}  {line.difference:9.2e}  at most {line.tolerance:7.1e}  {verdict}"
        )
    for left_out, why in uncompared(system(name)).items():
        print(f"{left_out:{width}}  not compared: {why}")
    failed = [line.name for line in lines if not line.passed]
    print(f"{name} {path}: {len(lines) - len(failed)} of {len(lines)} outputs within tolerance")
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
