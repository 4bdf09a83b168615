"""Progress on stderr: a bar with rate and remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from bench import distributed
from bench.errors import printable


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f}/s", style="cyan")


class Bar:
    """Shows one stage after the other; a context manager that leaves the terminal tidy."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(stderr=True)
        self._live = console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )
        self._stage: TaskID | None = None
        self._name, self._done, self._total, self._began, self._said = "", 0, 0, 0.0, 0.0

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items."""
        self._stage = self._bar.add_task(stage, total=total)
        self._name, self._done, self._total = stage, 0, total
        self._began = self._said = time.monotonic()

    def advance(self, by: int = 1) -> None:
        """Note `by` items more as done."""
        if self._stage is not None:
            self._bar.advance(self._stage, by)
        self._done += by
        now = time.monotonic()
        # In a log file one line every ten seconds tells as much as a bar, and fills no disk.
        if not self._live and not self._quiet and now - self._said > 10:
            self._said = now
            rate = self._done / (now - self._began)
            print(f"{self._name}: {self._done}/{self._total}, {rate:.1f}/s", file=sys.stderr)

    def to(self, done: int, total: int) -> None:
        """Set the current stage to `done` of `total`: the callback of a source being made."""
        if self._stage is None or total != self._total:
            self.start("drawing the toy world", total)
        self.advance(done - self._done)

    def warn(self, line: str) -> None:
        """One line for the user, shown in every mode; of several processes the main one says it."""
        if not distributed.is_main():
            return
        line = printable(line)
        if self._live:
            self._bar.console.print(line, style="yellow", markup=False, highlight=False)
        else:
            print(line, file=sys.stderr)
