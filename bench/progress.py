"""Progress on stderr: what is done, and what is waited for; on a terminal live, else plain lines.

`waiting` may be called anywhere: it costs nothing where no `Bar` is open, and imports nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bench import distributed
from bench.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 0.5  # seconds of waiting before a terminal shows it
LOGGED = 5.0  # seconds of waiting before a log file has a line of it
LONG = 10.0  # seconds between lines of a log file on one stage
WIDEST, NARROWEST = 30, 4  # columns of the bar itself
_open: list[Bar] = []  # the bars in use, the newest last


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Have the open bar say what is being done, such as `loading clip-b32`, while it lasts.

    For what counts no items and may last: of several, the innermost that lasts is shown.
    """
    if not _open:
        yield
        return
    bar, wait = _open[-1], (printable(what), time.monotonic())
    bar.waits.append(wait)
    try:
        yield
    finally:
        bar.waits.remove(wait)


class Bar:
    """Shows one stage after the other; a context manager that leaves the terminal tidy.

    A finished stage becomes a line above, so that what is under way stands last.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Any = None  # rich's, on a terminal
        self.waits: list[tuple[str, float]] = []  # what is waited for, and since when
        self._told: set[str] = set()  # of these, what a log file has a line of
        self._closed = threading.Event()
        self._name, self._done, self._total, self._began, self._said = "", 0, 0, 0.0, 0.0

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.live import Live

        _open.append(self)
        console = Console(stderr=True)
        if self._quiet:
            return self
        if console.is_terminal:
            # What commands print is none of ours where it goes to a file or a pipe.
            self._live = Live(
                get_renderable=self.shown, console=console, transient=True,
                refresh_per_second=10, redirect_stdout=sys.stdout.isatty(),
            )  # fmt: skip
            self._live.start()
        else:
            threading.Thread(target=self._log, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _open.remove(self)
        self._closed.set()
        self._finish()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items."""
        self._finish()
        self._name, self._done, self._total = printable(stage), 0, total
        self._began = self._said = time.monotonic()
        self._told.clear()

    def advance(self, by: int = 1) -> None:
        """Note `by` items more as done."""
        self._done += by
        if self._name and self._done >= self._total:
            self._finish()
            return
        # In a log file one line every ten seconds tells as much as a bar, and fills no disk.
        if self._live is None and time.monotonic() - self._said > LONG:
            self._said = time.monotonic()
            self._print(self._line())

    def to(self, done: int, total: int) -> None:
        """Set the current stage to `done` of `total`: the callback of a source being made."""
        if not self._name and done >= total:
            return  # it is there already
        if not self._name or total != self._total:
            self.start("drawing the toy world", total)
        self.advance(done - self._done)

    def warn(self, line: str) -> None:
        """One line for the user, shown in every mode; of several processes the main one says it."""
        if not distributed.is_main():
            return
        line = printable(line)
        if self._live is not None:
            self._above(line, "yellow")
        else:
            print(line, file=sys.stderr, flush=True)

    def table(self, text: str) -> None:
        """Lines that stay as they are, in every mode; the text must be printable."""
        if self._live is not None:
            self._above(text, "none")
        else:
            print(text, file=sys.stderr, flush=True)

    def shown(self) -> RenderableType:
        """What a terminal shows now: the stage under way, and what is waited for."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        lines: list[RenderableType] = []
        if self._name:
            numbers = self._numbers()
            room = self._live.console.width - len(numbers) - 3  # between the columns, and the edge
            name = min(len(self._name), max(room - NARROWEST, NARROWEST))  # numbers are never cut
            row = Table.grid(padding=(0, 1))
            row.add_column(no_wrap=True, overflow="ellipsis", max_width=name)
            row.add_column(width=max(1, min(WIDEST, room - name)))
            row.add_column(no_wrap=True)
            done = self._done if self._total else 1
            row.add_row(self._name, ProgressBar(max(1, self._total), done), numbers)
            lines.append(row)
        if wait := self._waited(SHOWN):
            lines.append(Text(f"  {wait[0]}, {time.monotonic() - wait[1]:.0f} s", style="cyan",
                              no_wrap=True, overflow="ellipsis"))  # fmt: skip
        return Group(*lines)

    def _waited(self, patience: float) -> tuple[str, float] | None:
        """The innermost wait that lasts longer than `patience`, in seconds."""
        now = time.monotonic()
        return next((one for one in reversed(self.waits) if now - one[1] >= patience), None)

    def _numbers(self) -> str:
        """How many are done, how fast, and how long the others will take at that rate."""
        spent = time.monotonic() - self._began
        text = f"{self._done}/{self._total}"
        if not self._done or spent < 0.05:  # all of it was kept from before
            return text
        rate = self._done / spent
        left = (self._total - self._done) / rate
        text += f", {rate:.0f}/s" if rate >= 10 else f", {rate:.1f}/s"
        return text + (f", {_duration(left)} left" if left else f", {_duration(spent)}")

    def _line(self) -> str:
        return f"{self._name}: {self._numbers()}"

    def _finish(self) -> None:
        """The stage as a line above what follows; in a log file only one that was long."""
        line, known, self._name = self._line(), self._name and self._done, ""
        if known and self._live is not None:
            self._above(line, "dim")
        elif known and time.monotonic() - self._began > LONG:
            self._print(line)

    def _above(self, text: str, style: str) -> None:
        """Print above what is live; that is drawn anew first, for rich repeats what it drew."""
        self._live.refresh()
        self._live.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _log(self) -> None:
        """In a log file, a line of every wait of a stage that lasts; in a thread of its own."""
        while not self._closed.wait(LOGGED / 10):
            wait = self._waited(LOGGED)
            if wait and wait[0] not in self._told:
                self._told.add(wait[0])
                self._print(f"{wait[0]} ...")

    def _print(self, line: str) -> None:
        if not self._quiet:
            print(line, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """Such as `42 s`, `3:05` minutes or `1:02:03` hours."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
