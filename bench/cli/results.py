"""Results on the command line: files of `bench run`, or folders, which stand for all in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.cli.options import FilePath, Options, complete
from bench.errors import DataError

Command = TypeVar("Command", bound=Callable[..., Any])
Given = TypeVar("Given")


def results_given(command: Command) -> Command:
    """RESULTS..., as `given`, and the same by `--results`, as `results`."""
    command = click.argument("given", nargs=-1, metavar="[RESULTS]...", type=FilePath(exists=True),
                             shell_complete=complete("result"))(command)  # fmt: skip
    return results_option(command)


def results_option(command: Command) -> Command:
    """`--results` alone."""
    return click.option("--results", type=FilePath(), shell_complete=complete("result"),
                        help="The same as RESULTS.")(command)  # fmt: skip


def together(given: Iterable[Given], results: Path | None) -> list[Given | Path]:
    """RESULTS and the one of `--results`."""
    return [*given, *([] if results is None else [results])]


def places(options: Options, given: Iterable[Path], results: Path | None) -> list[Path]:
    """The files and folders that were given, else the results folder of bench.yaml.

    DataError for one that is not there.
    """
    found = together(given, results) or [options.load().run.output]
    for path in found:
        if not path.exists():
            raise DataError(f"{path}: no such folder; run `bench run` first, or give RESULTS")
    return found


def files_in(given: Iterable[Path]) -> list[Path]:
    """The results of files and folders, in this order. DataError for a folder without any."""
    from bench.results.files import find_all

    found = []
    for place in given:
        inside = find_all(place) if place.is_dir() else [place]
        if not inside:
            raise DataError(f"{place}: no results in it; give a file or a folder of `bench run`")
        found += inside
    return found
