"""Which mutations the tests notice: `python -m tests.mutants [ID ...] [--area AREA] [--sample N]`.

Each is put into a copy of the tree, where the tests that are meant to notice run. Prints killed,
survived and by what, and the score by area; exits with 1 where one survives that should not, or
where one cannot be applied any more.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.mutants.catalogue import Mutation, catalogue, copy_tree

TIMEOUT = 600  # seconds; a mutation that makes a test hang is noticed too


@dataclass(frozen=True)
class Outcome:
    """`killer` is the first test that failed, or what else showed the fault; empty: it survived."""

    mutation: Mutation
    killer: str
    seconds: float

    @property
    def as_expected(self) -> bool:
        return bool(self.killer) != bool(self.mutation.equivalent)


def run_tests(root: Path, tests: list[str], slow: bool) -> str:
    """The first test that fails at `root`; empty if all pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--no-header",
        "--tb=no",
        "-p",
        "no:warnings",
    ]
    command += [] if slow else ["-m", "not slow"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1",
                   "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    try:
        done = subprocess.run([*command, *tests], cwd=root, env=environment, timeout=TIMEOUT,
                              capture_output=True, text=True)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "a test that hangs"
    if done.returncode == 0:
        return ""
    if found := re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE):
        return found[1]
    if done.returncode == 5:
        raise RuntimeError(f"no test among {', '.join(tests)}")
    return f"exit code {done.returncode}"


def tried(mutation: Mutation, copies: Queue[Path]) -> Outcome:
    """Put the fault into a copy that is free, and run its tests there."""
    began = time.monotonic()
    root = copies.get()
    try:
        with mutation.applied(root):
            killer = run_tests(root, mutation.tests, mutation.slow)
    finally:
        copies.put(root)
    return Outcome(mutation, killer, time.monotonic() - began)


def run(chosen: list[Mutation], jobs: int) -> list[Outcome]:
    """Try every mutation, `jobs` at a time, and print each as it is done.

    RuntimeError where the tests fail without any mutation.
    """
    copies: Queue[Path] = Queue()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="srl-bench-mutants-") as folder:
        for number in range(jobs):
            copies.put(copy_tree(Path(folder) / str(number)))
        for slow in (False, True):
            tests = sorted({test for one in chosen if one.slow == slow for test in one.tests})
            if tests and (broken := run_tests(Path(folder) / "0", tests, slow)):
                raise RuntimeError(f"{broken} fails without any mutation")
        with ThreadPoolExecutor(jobs) as pool:
            for outcome in pool.map(lambda one: tried(one, copies), chosen):
                outcomes.append(outcome)
                one = outcome.mutation
                fate = f"killed by {outcome.killer}" if outcome.killer else "SURVIVED"
                note = f" ({one.equivalent})" if one.equivalent else ""
                print(f"{one.id:6} {outcome.seconds:5.0f} s  {one.what}: {fate}{note}", flush=True)
    return outcomes


def report(outcomes: list[Outcome]) -> str:
    """The score by area: killed of all that are not equivalent."""
    total = Counter(one.mutation.area for one in outcomes if not one.mutation.equivalent)
    killed = Counter(
        one.mutation.area for one in outcomes if one.killer and not one.mutation.equivalent
    )
    equivalent = sum(bool(one.mutation.equivalent) for one in outcomes)
    lines = [f"{area:20} {killed[area]:4} / {total[area]}" for area in sorted(total)]
    lines.append(f"{'all':20} {sum(killed.values()):4} / {sum(total.values())}"
                 f", {equivalent} equivalent")  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    """Run the mutations that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--area", action="append", help="a file of the catalogue, without .yaml")
    parser.add_argument("--sample", type=int, help="so many, evenly spread over the catalogue")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    everything = catalogue()
    if problems := [problem for one in everything if (problem := one.problem())]:
        print("\n".join(problems))
        return 1
    ids, areas = given.ids, given.area or []
    chosen = [one for one in everything
              if one.id in ids or one.area in areas or not (ids or areas)]  # fmt: skip
    known = {name for one in everything for name in (one.id, one.area)}
    if unknown := [name for name in [*ids, *areas] if name not in known]:
        parser.error(f"no mutation or area {', '.join(unknown)}")
    if given.sample:
        chosen = chosen[:: max(1, len(chosen) // given.sample)][: given.sample]
    outcomes = run(chosen, given.jobs)
    print(report(outcomes))
    return 0 if all(outcome.as_expected for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
