"""LSMDC: the 1,000 clips of the 2016 challenge's public test (docs/method.md 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from bench.errors import DataError
from tasks.lists import PublishedList
from tasks.pair_files import decoded, has_columns, read_pairs
from tasks.pair_rows import IDS, LINE_END, SENTENCES, column_name
from tasks.retrieval import Pair, Pairs, RetrievalTask

# A film and two times, such as 0001_Film_00.00.01.000-00.00.02.000
_TIMES = r"_\d\d\.\d\d\.\d\d\.\d{3}-\d\d\.\d\d\.\d\d\.\d{3}"
CLIP, FILM = rf".+{_TIMES}", rf"(.+){_TIMES}"
TIME = r"[\d.:,;\s-]*|(?i:nan|none|null)"
COLUMNS = 6
Line = tuple[int, list[str]]  # its number and its fields


class LSMDC(RetrievalTask):
    """`LSMDC16_challenge_1000_publictect.csv`: tab-separated, no header, six columns.

    Columns: clip id, start and end aligned, start and end extracted, sentence. The clips are cut
    already, so that the times are not needed.
    """

    name: ClassVar[str] = "lsmdc"
    files: ClassVar[tuple[str, ...]] = ("LSMDC16_challenge_1000_publictect.csv",)
    published: ClassVar[str] = "test-1000"
    lists: ClassVar[Sequence[PublishedList]] = (PublishedList(published, 1000, form=CLIP),)
    cut_from: ClassVar[str] = FILM
    citation: ClassVar[str] = (
        "Rohrbach et al., Movie Description, International Journal of Computer Vision, 2017, "
        "arXiv 1605.03705"
    )
    licence: ClassVar[str] = "by agreement with its authors, who hand it out on request"

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """Pairs by position. Sentences hold stray quotes, so that none are taken as quoting.

        A copy that is no such table, such as JSON or CSV with a header, is read by its columns.
        """
        if has_columns(path):
            return read_pairs(path)
        text, remarks = decoded(path)
        lines = list(_without_headers(_lines(text), path, remarks))
        if len(lines) > 1 and all(len(fields) > COLUMNS for _, fields in lines):
            raise DataError(f"{path}: {len(lines[0][1])} columns, {COLUMNS} expected in every line")
        pairs: list[Pair] = []
        seen: dict[str, str] = {}
        for number, fields in lines:
            where, clip = f"{path}:{number}", fields[0]
            if clip in seen:
                raise DataError(f"{where}: clip '{clip}' again, first in {seen[clip]}; remove one")
            seen[clip] = where
            if len(fields) > COLUMNS:
                remarks.append(f"{path.name}:{number}: tabs in the sentence, read as blanks")
            pairs.append(Pair(clip, " ".join(fields[COLUMNS - 1 :]).strip(), where))
        return Pairs(pairs, remarks)


def _lines(text: str) -> Iterator[Line]:
    """The lines that hold anything, without what is beside the six columns.

    That is empty fields at the ends, a first column that only counts, as exports add one, and
    quotes around every field.
    """
    for number, line in enumerate(LINE_END.split(text), 1):
        fields = [field.strip(" \ufeff") for field in line.split("\t")]
        while len(fields) > COLUMNS and not fields[-1]:
            fields.pop()
        while len(fields) > COLUMNS and not fields[0]:
            fields.pop(0)
        if all(len(field) > 1 and field[0] == field[-1] == '"' for field in fields):
            fields = [field[1:-1].replace('""', '"').strip() for field in fields]
        if len(fields) > COLUMNS and _is_index(*fields[:2]):
            fields.pop(0)
        if any(fields):
            yield number, fields


def _is_index(first: str, second: str) -> bool:
    """Whether the first field only counts, and a clip follows, or is the header of such."""
    counts = first.isdigit() and not re.fullmatch(TIME, second)
    return counts or first.lower() == "index" or first.lower().startswith("unnamed")


def _without_headers(lines: Iterator[Line], path: Path, remarks: list[str]) -> Iterator[Line]:
    """The lines without a header that comes first, and without its repetitions.

    DataError for any other line that has no times where they belong, or too few columns.
    """
    header: list[str] | None = None
    for place, (number, fields) in enumerate(lines):
        if len(fields) < COLUMNS:
            raise DataError(
                f"{path}:{number}: {len(fields)} columns, {COLUMNS} expected; check the tabs"
            )
        if _is_line(fields):
            yield number, fields
            continue
        if (place and fields != header) or any(re.fullmatch(CLIP, one) for one in fields):
            raise DataError(
                f"{path}:{number}: a header or a shifted line, no times in columns 2 to 5; "
                "remove it or check the tabs"
            )
        header = _checked(fields, f"{path}:{number}")
        remarks.append(f"{path.name}:{number}: a header, skipped")


def _is_line(fields: list[str]) -> bool:
    """Whether there are times where they belong; columns that are only numbered are a header."""
    numbered = [[str(first + n) for n in range(COLUMNS)] for first in (0, 1)]
    times = fields[1 : COLUMNS - 1]
    return fields not in numbered and all(re.fullmatch(TIME, one) for one in times)


def _checked(header: list[str], where: str) -> list[str]:
    """The header. DataError where it says that the columns are in another order."""
    names = [column_name(name) for name in header]
    if set(names[1:]) & set(IDS) or set(names[: COLUMNS - 1]) & set(SENTENCES):
        raise DataError(
            f"{where}: the header has another order than clip, four times, sentence; save it so"
        )
    return header
