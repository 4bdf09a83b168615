"""Errors a user can act on: one line that says what is wrong, where, and what to do."""

from __future__ import annotations


class BenchError(Exception):
    """The run cannot go on. `str(error)` is a single line for the terminal; the exit code is 1."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())  # it may quote foreign text


class UsageError(BenchError):
    """The request itself is wrong (unknown name, bad configuration). The exit code is 2."""

    exit_code = 2


class DataError(BenchError):
    """A data file is missing, malformed or contradictory. The message names file and line."""


class MissingWeights(BenchError):
    """A model's weights are not on this machine. The message says which file to put where."""


def nearest(name: str, known: list[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the known name closest to `name`, or an empty string."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def printable(text: str) -> str:
    """Foreign text as one line for the terminal: nothing in it moves the cursor or changes colours.

    Control and formatting characters go, text that is to be read from right to left included.
    """
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def plain(error: BaseException) -> str:
    """A library's exception as one short line, without the path that the caller names anyway."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]
