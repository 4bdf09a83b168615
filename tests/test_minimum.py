"""The versions that `make test-minimum` installs are the lower bounds of setup.cfg."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_constraints_are_the_lower_bounds() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    needed = [line for line in config["options"]["install_requires"].splitlines() if line]
    assert all(">=" in line for line in needed), "a requirement without a lower bound"
    text = (ROOT / "tests" / "minimum-versions.txt").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("#")]
    assert kept == [line.replace(">=", "==", 1) for line in needed]
