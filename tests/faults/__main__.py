"""`python -m tests.faults`: break everything on purpose and write docs/reliability.md.

`--quick` runs the part that CI runs, prints the table and writes nothing.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.faults.table import FaultRow, markdown

MODULES = ("kills", "concurrency", "disks", "videos", "data", "numbers")
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """# Reliability

What was broken on purpose, how often, and what came of it. Written by `make faults` on
{machine}, Python {python}; edit nothing here. An outcome is what happened every time it was tried;
where something is wrong and cannot be known, the row says so.
"""


def collect(quick: bool) -> list[FaultRow]:
    """The rows of every module that is there."""
    found: list[FaultRow] = []
    for name in MODULES:
        if find_spec(f"tests.faults.{name}") is not None:
            print(f"faults: {name}", file=sys.stderr)
            found += importlib.import_module(f"tests.faults.{name}").rows(quick)
    return found


def main() -> None:
    """Run, and write the page or print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the part that CI runs; only print")
    quick = parser.parse_args().quick
    table = markdown(collect(quick))
    if quick:
        print(table)
        return
    head = HEAD.format(machine=f"{platform.system()} {platform.machine()}",
                       python=platform.python_version())  # fmt: skip
    PAGE.write_text(f"{head}\n{table}\n", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
