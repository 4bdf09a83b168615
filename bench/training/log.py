"""What a training says while it runs: JSON lines always, TensorBoard and W&B where wanted."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.files.atomic import unwritable

LONGEST = 65_536  # bytes; no line is longer


def check_project(project: str | None) -> None:
    """UsageError where a project of Weights & Biases is named and its package is not installed."""
    if project is not None and not find_spec("wandb"):
        raise UsageError("--wandb needs the package: pip install wandb")


class Log:
    """Appends a JSON line an entry to `folder/log.jsonl`; numbers also go to the other sinks.

    TensorBoard is used where it is installed, Weights & Biases where a `project` is named.
    """

    def __init__(self, folder: Path, project: str | None, settings: dict[str, Any]) -> None:
        self._path = folder / "log.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _opened(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._board: Any = None
        self._wandb: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"))
        if project is not None:
            import wandb  # type: ignore[import-not-found]

            self._wandb = wandb.init(project=project, dir=str(folder), config=settings)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of step `step`; `kind` is step or epoch. BenchError if not writable."""
        line = {"kind": kind, "step": step, **values}
        try:
            text = (json.dumps(line) + "\n").encode()
            if self._file.write(text) != len(text):  # the disk's last bytes took a part of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise unwritable(self._path, error) from error
        for name, value in values.items():
            if self._board is not None:
                self._board.add_scalar(f"{kind}/{name}", value, step)
        if self._wandb is not None:
            self._wandb.log({f"{kind}/{name}": v for name, v in values.items()}, step=step)

    def close(self) -> None:
        """Flush and close every sink."""
        self._file.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _opened(path: Path) -> FileIO:
    """The log, unbuffered, for appending; a last line that a kill or a full disk cut is dropped."""
    file = path.open("ab+", buffering=0)
    start = max(0, file.seek(0, os.SEEK_END) - LONGEST)
    file.seek(start)
    text = file.read()
    if not text.endswith(b"\n"):
        file.truncate(start + text.rfind(b"\n") + 1)
    return file
