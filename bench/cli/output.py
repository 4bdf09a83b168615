"""Where a command writes: the format follows the ending of `--output`, and `--open` shows it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.errors import UsageError, printable

Command = TypeVar("Command", bound=Callable[..., Any])

ENDINGS = {".html": "html", ".md": "md", ".tex": "latex", ".csv": "csv", ".json": "json"}
TABLES = ("md", "latex", "csv", "json")
BY_ENDING = "by its ending: " + ", ".join(ending for ending in ENDINGS if ending != ".html")


def open_option(command: Command) -> Command:
    """`--open`, as `opened`."""
    return click.option("--open", "opened", is_flag=True,
                        help="Show the written page in the browser.")(command)  # fmt: skip


def format_of(output: Path | None, given: str | None, able: Sequence[str]) -> str | None:
    """The format of the file to write, by its ending; None where `output` is no file but a folder.

    `given` is `--format`, which must not say otherwise. UsageError for that, and for an ending that
    is none of the formats that the command is `able` to write.
    """
    if output is None or output.is_dir() or not re.fullmatch(r"\.[A-Za-z]+", output.suffix):
        return None
    endings = [ending for ending, name in ENDINGS.items() if name in able]
    found = ENDINGS.get(output.suffix.lower())
    if found not in able:
        if found is None and given is not None:
            return None  # a folder, as --format says
        raise UsageError(f"--output {output}: files can be {', '.join(endings)}; name it so")
    if given not in (None, found):
        raise UsageError(
            f"--format {given}, but {output} is named as {found}; leave --format out, or name the "
            "file by it"
        )
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], format_: str) -> str:
    """A table as `md`, `latex` or `csv`; None is an empty cell. Foreign text is escaped."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if format_ == "csv":
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *cells])
        return text.getvalue().rstrip("\n")
    from tabulate import tabulate

    from bench.report.frames import markdown_cell

    escape, layout = (markdown_cell, "github") if format_ == "md" else (printable, "latex_booktabs")
    return tabulate([[escape(cell) for cell in row] for row in cells],
                    headers=[escape(name) for name in head], tablefmt=layout,
                    disable_numparse=True)  # fmt: skip


def written(output: Path, text: str) -> None:
    """Write a file whole or not at all, and print its path."""
    from bench.files.atomic import write_text

    write_text(output, text.rstrip("\n") + "\n")
    click.echo(output)


def show_in_browser(page: Path) -> None:
    """Open a written page; where there is nothing to show it with, say so and go on."""
    import webbrowser

    # Without a display Python would start a browser of the terminal, and wait for it.
    if not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        try:
            if webbrowser.open(page.resolve().as_uri()):
                return
        except (webbrowser.Error, OSError):
            pass
    click.echo(f"--open: no browser found; open {printable(str(page.resolve()))}", err=True)
