"""Which results may leave for other people's boards: whole ones, with numbers that are theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import DataError, UsageError
from bench.results.comparison import verified
from bench.results.document import Document
from bench.results.files import load, load_predictions


def whole_result(path: Path) -> tuple[Document, list[dict[str, Any]]]:
    """A result and its prediction lines, which give its numbers once more.

    UsageError for a partial one and one of the toy world, DataError for one that was edited or
    keeps no lines.
    """
    document = load(path)
    if document.toy:
        raise UsageError(f"{path}: {document.protocol} is of the toy world, no public data set")
    if document.partial:
        raise UsageError(
            f"{path}: {document.covered} items are answered; other boards take whole results"
        )
    lines = load_predictions(path, document)
    if wrong := verified(path, document)[1]:
        raise DataError(f"{path}: edited ({wrong[0]}); run it again")
    return document, lines
