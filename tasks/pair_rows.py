"""Rows of the files that hold ids and sentences: CSV of any dialect, JSON, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import DataError, plain
from bench.files.untrusted import MISFITS, parse_json, shown

# Names of the columns, the likeliest first: copies hold several.
IDS = ("video_id", "videoid", "clip_id", "clip_name", "video_name", "video", "clip", "image_id",
       "video_path")  # fmt: skip
SENTENCES = ("sentence", "caption", "captions", "desc", "description", "text", "encap", "sentences")
SUBTITLES = (
    "subtitle",
    "subtitles",
)  # in the JSON of VAST and GRAM
LINE_END = re.compile(r"\r\n|\r|\n")
DELIMITERS = ",;\t|"
REMEDY = "check the file"

Row = tuple[str, Mapping[str, Any]]  # its place for messages, and its fields by column
Needed = Sequence[Sequence[str]]  # of each column that a file must have, the names that it may have
RETRIEVAL: Needed = (IDS, SENTENCES)


def value_of(row: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    """The value under the first of `names` that the row has. DataError where it has none."""
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"{where}: no {names[0]} among {shown(list(row))}; {REMEDY}")


# --- CSV -----------------------------------------------------------------------------------------


def csv_rows(
    text: str, path: Path, remarks: list[str], needed: Needed = RETRIEVAL
) -> Iterator[Row]:
    """The rows of a table with a header; blank ones, `sep=` and repeated headers are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True,
                        skipinitialspace=True)  # fmt: skip
    columns: list[str] = []
    try:
        for fields in reader:
            where = f"{path}:{reader.line_num}"
            values = [field.strip() for field in fields]
            if not any(values):
                continue
            names = [column_name(value) for value in values]
            if not columns:
                if not names[0].startswith("sep="):
                    columns = _checked(names, where, needed)
            elif _is_header(names, needed):
                if list(filter(None, names)) != list(filter(None, columns)):
                    raise DataError(f"{where}: another header, {shown(names)}; split the file")
                remarks.append(f"{path.name}:{reader.line_num}: the header again, skipped")
            else:
                yield where, _named(columns, values, where, needed)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num or 1}: {error}; check the quotes") from error
    if not columns:
        raise DataError(f"{path}:1: no column {_first(needed)}, the file is empty; {REMEDY}")


def _delimiter(text: str) -> str:
    """What `sep=` says, as Excel writes it, else what the header has most of."""
    if declared := re.match(r'\s*"?sep=([,;\t|])', text, re.IGNORECASE):
        return declared[1]
    return max(DELIMITERS, key=header_of(text).count)


def header_of(text: str) -> str:
    """The first line that has more than separators."""
    return next((line for line in io.StringIO(text) if line.strip(f'{DELIMITERS} \r\n"')), "")


def column_name(text: str) -> str:
    """A column's name without what differs between copies: case, blanks, quotes, hyphens."""
    return re.sub(r"[\s-]+", "_", text.strip(" \t\r\n\"'<>\xa0\ufeff").lower())


def _first(needed: Needed) -> str:
    """What the needed columns are called, for messages."""
    return " and ".join(names[0] for names in needed)


def _is_header(names: Sequence[str], needed: Needed) -> bool:
    return all(set(names) & set(known) for known in needed)


def _checked(columns: list[str], where: str, needed: Needed) -> list[str]:
    """The header, where it has what is `needed` once each. DataError shows it otherwise."""
    chosen = [next((name for name in names if name in columns), "") for names in needed]
    missing = [names[0] for names, name in zip(needed, chosen, strict=True) if not name]
    header = f"the header is {shown(columns)}"
    if missing:
        raise DataError(f"{where}: no column {' and '.join(missing)}; {header}; name it so")
    if twice := [name for name in chosen if columns.count(name) > 1]:
        raise DataError(f"{where}: column {twice[0]} is named twice; {header}; rename one")
    return columns


def _named(columns: list[str], values: list[str], where: str, needed: Needed) -> dict[str, str]:
    """A row by its columns. Only what has no name may be left out or be left over, and is empty."""
    if any(columns[len(values) :]) or any(values[len(columns) :]):
        parts = [column_name(part) for part in re.split("[,;|\t]", ",".join(values))]
        if _is_header(parts, needed):
            raise DataError(f"{where}: another header, {shown(values)}; split the file")
        raise DataError(
            f"{where}: {len(columns)} columns expected, not {len(values)}; check the quotes"
        )
    return dict(zip(columns, values, strict=False))


# --- JSON and Parquet ----------------------------------------------------------------------------


def json_rows(text: str, path: Path, remarks: list[str]) -> Iterator[Row]:
    """Rows of a list, of lines, of `videos` and `sentences`, or of sentences by their id."""
    lines = [(n, line) for n, line in enumerate(LINE_END.split(text), 1) if line.strip()]
    first = lines[0][1].strip()
    if len(lines) > 1 and first.startswith("{") and first.endswith("}"):
        entries = [(f"{path}:{n}", parse_json(line, f"{path}:{n}", REMEDY, nan=True))
                   for n, line in lines]  # fmt: skip
    else:
        value = parse_json(text, path, REMEDY, nan=True)
        listed = _listed(value, path, remarks) if isinstance(value, dict) else value
        entries = [(f"{path}: entry {n}", entry) for n, entry in enumerate(listed)]
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise DataError(f"{where}: {shown(entry)}, not an object with id and sentence")
        yield where, _renamed(entry)


_known_name = lru_cache(1024)(column_name)  # files have few names and many entries


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {_known_name(name): value for name, value in entry.items()}


def _listed(value: dict[str, Any], path: Path, remarks: list[str]) -> list[Any]:
    """The entries of one JSON object. DataError says which keys it has."""
    listed = {key: one for key, one in value.items() if _is_list_of(one, dict)}
    for key in ("sentences", "annotations"):
        if key in listed:
            return _joined(listed[key], value.get("videos", value.get("images")), path, remarks)
    if "test" in listed or len(listed) == 1:
        return listed.get("test") or next(iter(listed.values()))
    named = _renamed(value)
    video, sentence = (next((name for name in names if name in named), "")
                       for names in (IDS, SENTENCES))  # fmt: skip
    if video and sentence and type(named[video]) in (dict, list):
        return _of_columns(named[video], named[sentence], path)
    if video and sentence:
        return [value]  # JSON lines of one line
    if value and all(isinstance(one, dict) for one in value.values()):
        return [{IDS[0]: video, **one} for video, one in value.items()]
    if value and all(isinstance(one, str) or _is_list_of(one, str) for one in value.values()):
        return [{IDS[0]: video, SENTENCES[0]: sentences} for video, sentences in value.items()]
    raise DataError(
        f"{path}: JSON without 'sentences' or 'annotations' or a list of id and sentence; "
        f"its keys are {shown(list(value))}"
    )


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, kind) for one in value)


def _of_columns(videos: Any, sentences: Any, path: Path) -> list[Any]:
    """The entries of a table that was written by its columns, as pandas does."""
    if type(videos) is not type(sentences) or len(videos) != len(sentences):
        raise DataError(f"{path}: columns of ids and sentences of different length; {REMEDY}")
    keys = videos if isinstance(videos, dict) else range(len(videos))
    if isinstance(videos, dict) and videos.keys() != sentences.keys():
        raise DataError(f"{path}: columns of ids and sentences with different rows; {REMEDY}")
    return [{IDS[0]: videos[key], SENTENCES[0]: sentences[key]} for key in keys]


def _joined(sentences: list[Any], videos: Any, path: Path, remarks: list[str]) -> list[Any]:
    """The sentences with the splits of their videos, as MSRVTT_data.json has them."""
    if not isinstance(videos, list) or not videos:
        return sentences
    splits: dict[Any, Any] = {}
    for number, entry in enumerate(videos):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: video {number} is {shown(entry)}, not an object")
        video = value_of(_renamed(entry), (*IDS, "id"), f"{path}: video {number}")
        splits[str(video)] = entry.get("split")
    rows = [_renamed(entry) if isinstance(entry, dict) else {} for entry in sentences]
    ids = [str(next((row[name] for name in IDS if name in row), "")) for row in rows]
    if lost := sum(video not in splits for video in ids):
        remarks.append(f"{path.name}: {lost} sentences of videos that it does not list, left out")
    if silent := len(splits.keys() - set(ids)):
        remarks.append(f"{path.name}: {silent} of its videos have no sentence, and are left out")
    return [
        {**entry, "split": splits[video]}
        for entry, video in zip(rows, ids, strict=True) if video in splits
    ]  # fmt: skip


def parquet_rows(path: Path, needed: Needed = RETRIEVAL) -> list[Row]:
    """The columns of a Parquet file that are needed, whose videos themselves are never loaded."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path}: a Parquet file, for which pyarrow is needed; install it, or save "
            f"{_first(needed)} as CSV"
        ) from error
    if int(pyarrow.__version__.partition(".")[0]) < 15:  # older ones run code in a file's schema
        raise DataError(f"{path}: pyarrow {pyarrow.__version__} is too old; install 15 or newer")
    try:
        file = parquet.ParquetFile(path)
        texts = {field.name: field for field in file.schema_arrow
                 if re.fullmatch(r"(large_)?(string|list<.*string>)", str(field.type))}  # fmt: skip
        named = {column_name(name): name for name in texts}
        chosen = [next((named[name] for name in names if name in named), "")
                  for names in needed]  # fmt: skip
        if not all(chosen):
            raise DataError(
                f"{path}: no column of texts called {_first(needed)}; it has "
                f"{shown(file.schema_arrow.names)}"
            )
        rows = file.read(columns=chosen).to_pylist()
    except (OSError, *MISFITS) as error:  # pyarrow's own are of these
        raise DataError(f"{path}: not readable as Parquet ({plain(error)}); {REMEDY}") from error
    return [(f"{path}: row {n}", _renamed(row)) for n, row in enumerate(rows)]
