"""The catalogue fits the code, and the runner tells killed from survived."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.mutants.__main__ import Outcome, report
from tests.mutants.catalogue import ROOT, Mutation, catalogue

SAMPLE = 8
ONE = Mutation("Z1", "area", "what", "bench/metrics/bootstrap.py", "LEVEL = 0.05", "LEVEL = 0.1",
               ["tests/metrics/test_bootstrap.py"])  # fmt: skip


def test_every_mutation_can_be_applied() -> None:
    """A text that has moved on is an error: the list moves with the code."""
    found = catalogue()
    assert [problem for one in found if (problem := one.problem())] == []
    assert len(found) >= 150


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"find": "nowhere"}, "stands 0 times"),
        ({"find": "import"}, r"stands \d+ times"),
        ({"file": "bench/gone.py"}, "is gone"),
        ({"replace": "LEVEL = 0.05"}, "changes nothing"),
        ({"tests": ["tests/gone.py"]}, "no tests/gone.py"),
        ({"tests": []}, "no tests named"),
    ],
)
def test_what_cannot_be_applied_is_named(change: dict[str, object], says: str) -> None:
    import re

    assert re.search(says, replace(ONE, **change).problem())  # type: ignore[arg-type]
    assert ONE.problem() == ""


def test_the_score_counts_all_but_the_equivalent() -> None:
    same = replace(ONE, id="Z2", equivalent="why")
    outcomes = [Outcome(ONE, "a test", 1.0), Outcome(replace(ONE, id="Z3"), "", 1.0),
                Outcome(same, "", 1.0)]  # fmt: skip
    assert [outcome.as_expected for outcome in outcomes] == [True, False, True]
    assert report(outcomes).splitlines()[-1].split() == ["all", "1", "/", "2,", "1", "equivalent"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sample_of_the_mutations_dies() -> None:
    """Spread evenly over the catalogue; `make mutants` tries them all."""
    command = [sys.executable, "-m", "tests.mutants", "--sample", str(SAMPLE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("killed by") >= SAMPLE - 2
