"""A process of its own, for what two of them do to one file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def started(script: str, path: Path, word: str) -> subprocess.Popen[str]:
    """A process that runs `script` on `path`, once it has printed `word`."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == f"{word}\n"
    return process
