"""Pairs from files as they circulate: of any encoding and kind, with splits or lists of ids.

What no metric reads may hold anything; what had to be assumed is said in `Pairs.remarks`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files.untrusted import read_bytes, shown, text_of
from tasks.captions import Pair, Pairs
from tasks.pair_rows import (
    IDS,
    LINE_END,
    REMEDY,
    SENTENCES,
    SUBTITLES,
    Needed,
    Row,
    column_name,
    csv_rows,
    header_of,
    json_rows,
    parquet_rows,
    value_of,
)
from tasks.sources import search, without_ending

LIST = re.compile(r"""\[\s*(['"]).*\1\s*\]""", re.DOTALL)  # as pandas writes one into a table
TEST, OTHERS = {"test", "testing"}, {"train", "training", "val", "valid", "validate", "validation"}


def read_pairs(path: Path, split_lists: Sequence[str] = (), parts: bool = False) -> Pairs:
    """The pairs of a file of any kind, by the columns of `IDS` and `SENTENCES`.

    A row may have a list of sentences, subtitles of the video, and a `cluster`, what it belongs
    with (a film, say). Of a file with splits the test split is read; of JSON without any, the ids
    of the first of `split_lists` that lies near it. With `parts` a row's `start` and `end`, or its
    `segment`, say which part of the video it describes. DataError names file and line, or the
    columns that there are.
    """
    if is_parquet(path):
        return Pairs(_pairs(parquet_rows(path), parts))
    text, remarks = decoded(path)
    if not _is_json(text):
        rows = _test_split(list(csv_rows(text, path, remarks)), path, remarks)
        subtitles = _subtitles(rows, path, remarks)
        return Pairs(_pairs(_with_own_keys(rows), parts), remarks, subtitles)
    every = list(json_rows(text, path, remarks))
    rows = _test_split(every, path, remarks)
    pairs = list(_pairs(rows, parts))
    if not any(_split(row) in TEST for _, row in every):
        pairs = listed_pairs(pairs, path, split_lists, remarks)
    subtitles = _subtitles(rows, path, remarks)
    return Pairs(pairs, remarks, subtitles)


def table_rows(path: Path, needed: Needed) -> tuple[list[Row], list[str]]:
    """The rows of a file of any kind by the columns that are `needed`, and remarks on reading it.

    DataError names file and line, or the columns that there are.
    """
    if is_parquet(path):
        return parquet_rows(path, needed), []
    text, remarks = decoded(path)
    if _is_json(text):
        return list(json_rows(text, path, remarks)), remarks
    return list(csv_rows(text, path, remarks, needed)), remarks


def has_columns(path: Path) -> bool:
    """Whether a file names its columns: Parquet, JSON, or a header that no tab divides."""
    if is_parquet(path):
        return True
    text, _ = decoded(path)
    header = header_of(text)
    names = {column_name(name) for name in re.split("[,;|]", header)}
    table = bool("\t" not in header and names & set(IDS) and names & set(SENTENCES))
    return table or _is_json(text)


def is_parquet(path: Path) -> bool:
    """By its first bytes; a file with the videos in it is too large to be read for that."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def decoded(path: Path) -> tuple[str, list[str]]:
    """A text file as UTF-8, else as UTF-16 with its mark or as Windows-1252, with a remark."""
    content = read_bytes(path)
    if content[:4] == b"PK\3\4":
        raise DataError(f"{path}: a workbook or zip archive; save the table as CSV in UTF-8")
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        if not utf16:
            content.decode()
            return text_of(content, path), []
    except UnicodeDecodeError as error:
        place = f"{path.name}:{content[: error.start].count(10) + 1}: "
    encoding, name, place = ("utf-16", "UTF-16", f"{path.name}: ") if utf16 else (
        "cp1252", "Windows-1252", place)  # fmt: skip
    try:
        if not utf16 and _is_mixed(content):
            raise DataError(f"{path.parent / place}partly UTF-8 and partly not; convert the file")
        content = content.decode(encoding).encode()
    except UnicodeError as error:
        raise DataError(f"{path}: neither UTF-8 nor {name}; convert the file to UTF-8") from error
    return text_of(content, path), [f"{place}not UTF-8, read as {name}; check its letters"]


def _is_mixed(content: bytes) -> bool:
    """Whether some of the letters beyond ASCII are UTF-8, which Windows-1252 would garble."""
    letters = content.decode(errors="replace").replace("\ufffd", "")
    return not letters.isascii()


def _is_json(text: str) -> bool:
    """Whether a text is JSON or JSON lines by how it begins; no table begins so."""
    return text.lstrip()[:1] in ("[", "{")


def _pairs(rows: Iterable[Row], parts: bool) -> Iterator[Pair]:
    for where, row in rows:
        video, sentences = (value_of(row, names, where) for names in (IDS, SENTENCES))
        if not isinstance(video, str):
            raise DataError(f"{where}: the id is {shown(video)}, not a text; {REMEDY}")
        several = isinstance(sentences, list) and sentences
        for sentence in sentences if several else [sentences]:
            if not isinstance(sentence, str):
                raise DataError(f"{where}: a sentence is {shown(sentence)}, no text; {REMEDY}")
            if LIST.fullmatch(sentence.strip()):
                raise DataError(f"{where}: a list written as text; give each sentence a row")
            yield Pair(
                video.strip(), sentence.strip(), where, str(row.get("cluster") or ""),
                part_of(video.strip(), row, where) if parts else None,
            )  # fmt: skip


def part_of(video: str, row: Mapping[str, Any], where: str) -> tuple[str, float, float] | None:
    """The part of a whole video that a row describes; None where it does not say. DataError."""
    given = row.get("segment", [row.get("start"), row.get("end")])
    if given == [None, None]:
        return None
    try:
        start, end = (float(one) for one in given)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: its start and end are {shown(given)}; {REMEDY}") from error
    if not 0 <= start < end < float("inf"):
        raise DataError(f"{where}: from {start:g} to {end:g} s is no part of a video; {REMEDY}")
    return video, start, end


def _subtitles(rows: Iterable[Row], path: Path, remarks: list[str]) -> dict[str, str] | None:
    """The subtitles of each video by its id, where the rows have any; "" for one without.

    Most models read none: odd ones are no fault of the file, but a remark.
    """
    found: dict[str, str] = {}
    odd = []
    for where, row in rows:
        if (name := next((name for name in SUBTITLES if name in row), "")) == "":
            continue
        said, video = row[name], str(value_of(row, IDS, where)).strip()
        text = said.strip() if isinstance(said, str) else ""
        other = found.setdefault(video, text) != text
        if other or not (isinstance(said, str) or said is None or said != said):
            odd.append(video)
    if odd:
        remarks.append(
            f"{path.name}: subtitles of {len(odd)} rows are no text, or others than the video's "
            f"first, as of {odd[0]}; they are not read"
        )
    return found or None


def _with_own_keys(rows: list[Row]) -> Iterator[Row]:
    """The rows of a table, whose keys are of one video each: two files put together have others."""
    keys: dict[str, tuple[str, str]] = {}
    for where, row in rows:
        key, video = row.get("key", ""), value_of(row, IDS, where)
        first, place = keys.setdefault(key, (video, where))
        if key and first != video:
            raise DataError(f"{where}: key '{key}' again, first in {place}; remove one")
        yield where, row


def _split(row: Mapping[str, Any]) -> str:
    return str(row.get("split") or "").strip().lower()


def _test_split(rows: list[Row], path: Path, remarks: list[str]) -> list[Row]:
    """The rows of the test split, where the file has splits at all."""
    splits = Counter(_split(row) for _, row in rows)
    if not splits.keys() & (TEST | OTHERS) or splits.keys() <= TEST:
        return rows
    if not splits.keys() & TEST:
        raise DataError(
            f"{path}: no split 'test' in it, only {shown(sorted(splits))}; take another"
        )
    others = ", ".join(f"{count} of {name or 'no split'}" for name, count in splits.items()
                       if name not in TEST)  # fmt: skip
    remarks.append(f"{path.name}: its split 'test' is read, not the rows {others[:200]}")
    return [(where, row) for where, row in rows if _split(row) in TEST]


def listed_pairs(
    pairs: list[Pair], path: Path, names: Sequence[str], remarks: list[str]
) -> list[Pair]:
    """The pairs whose ids are in a list near the file: beside it, or beside its annotation folder.

    Without a list all of them.
    """
    root = path.parent
    near = [root, root.parent] if root.name.lower().startswith("annotation") else [root]
    found = next((one for folder in near if names and (one := search(folder, names))), None)
    if found is None:
        return pairs
    text, said = decoded(found)
    wanted = {without_ending(line.strip()) for line in LINE_END.split(text)} - {""}
    kept = [pair for pair in pairs if without_ending(pair.video) in wanted]
    if not kept:
        raise DataError(f"{found}: none of its {len(wanted)} ids is in {path.name}; check both")
    remarks += [
        *said,
        f"{path.name}: the ids of {found.name} are read, {len(kept)} of {len(pairs)} pairs",
    ]
    if lost := len(wanted) - len({pair.video for pair in kept}):
        remarks.append(f"{found.name}: {lost} of its ids have no sentence in {path.name}")
    return kept
