"""Every system equals its own code on the golden vectors (tests/golden/systems)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.systems.__main__ import compare

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/systems"
CASES = ["tvtsv2/a_b", "tvtsv2/a_h", "bt-adapter/a", "vifi-clip/a", "clip4clip/a"]


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_the_official_ones(case: str) -> None:
    lines = compare(case.partition("/")[0], GOLDEN / case)
    assert lines and [line for line in lines if not line.passed] == []


def test_the_command_prints_a_line_an_output() -> None:
    command = [sys.executable, "-m", "tests.systems", "vifi-clip", str(GOLDEN / "vifi-clip/a")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("frame_features ")
    assert done.stdout.rstrip().endswith("6 of 6 outputs within tolerance")
