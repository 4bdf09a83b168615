"""`python -m tests.statistics`: every simulation, as a table; exit code 1 where one is off.

A few minutes on one core. `--quick` is the part that CI runs; `--write` puts the table into
docs/statistics.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from tests.statistics.simulations import simulations

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
BLOCK = re.compile(r"(<!-- simulations -->\n).*?(\n<!-- end -->)", re.DOTALL)
QUICK = 150  # repetitions


def main() -> int:
    """Run them, and print or write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.statistics", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = ["| per cent of simulated test sets in which the | found | expected | within |",
             "|---|---:|---:|---|"]  # fmt: skip
    off = 0
    for one in simulations():
        repetitions = min(one.repetitions, QUICK) if given.quick else one.repetitions
        found, allowed = one.percent(repetitions), one.allowed(repetitions)
        off += (bad := abs(found - one.expected) > allowed)
        said = f"± {allowed:.1f}{', NOT MET' if bad else ''}"
        lines.append(f"| {one.what} | {found:.1f} of {repetitions} | {one.expected} | {said} |")
        print(lines[-1], file=sys.stderr, flush=True)
    table = "\n".join(lines)
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(BLOCK.sub(lambda part: part[1] + table + part[2], text), encoding="utf-8")
    print(table)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
