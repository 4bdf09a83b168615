"""Videos and their classes from lists as they circulate, and from folders of class folders."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import DataError, nearest
from bench.files.untrusted import parse_json, read_text, shown
from tasks.pair_rows import IDS, LINE_END, REMEDY, column_name
from tasks.sources import VIDEOS, is_numbered, walk, without_ending

# Names of the columns, the likeliest first: Something-Something's `label` is a free sentence.
LABELS = ("template", "label", "class", "class_name", "action", "pos_text")
VIDEO_IDS = (*IDS, "youtube_id", "id", "path")
NUMBER = re.compile(r"[0-9]{1,9}")  # of a class
VALIDATION = {"val", "valid", "validate", "validation", "test", "testing"}


@dataclass(frozen=True)
class Labelled:
    """A video and its class as a list names it; `where` is its place, `path` its file if known."""

    video: str
    label: str
    where: str
    path: Path | None = None


@dataclass
class Actions:
    """The videos of a list, the `classes` of the whole set, and what was assumed in reading them.

    `classes` are names as their list has them, by the numbers that lists of videos use; empty
    where there is no list of classes, and then those of the videos are all.
    """

    videos: list[Labelled]
    classes: dict[int, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def words(name: str) -> str:
    """A class as words: `brush_hair`, `ApplyEyeMakeup`, `Pushing [something] up` without brackets.

    >>> words("brush_hair"), words("ApplyEyeMakeup"), words("Pushing [something] up")
    ('brush hair', 'apply eye makeup', 'Pushing something up')
    """
    plain = " ".join(re.sub(r"[\[\]_]", " ", name).split())
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return parted.lower() if parted != plain else re.sub(r" ([,.])", r"\1", plain)


def same(name: str) -> str:
    """What is equal of the spellings of one class: letters and digits, in lower case."""
    return re.sub(r"[\W_]", "", name.casefold())


# --- lists of classes ----------------------------------------------------------------------------


def class_list(path: Path) -> dict[int, str]:
    """Names of classes by their numbers: `1 Name` a line, `id,name`, JSON, or a name a line.

    Names without numbers are counted from 0. DataError for one that is there twice.
    """
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        found = _classes_of_json(parse_json(text, path, REMEDY), path)
    else:
        found = _classes_of_lines(text, path)
    names: dict[str, str] = {}
    for name in found.values():
        if not same(name):
            raise DataError(f"{path}: a class without a name; {REMEDY}")
        if names.setdefault(same(name), name) != name or list(found.values()).count(name) > 1:
            raise DataError(f"{path}: the class {name!r} is there twice; {REMEDY}")
    if not found:
        raise DataError(f"{path}: no classes in it; {REMEDY}")
    return found


def _classes_of_json(value: Any, path: Path) -> dict[int, str]:
    """A list of names, names by number, or numbers by name, as Something-Something has them."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return dict(enumerate(value))
    if isinstance(value, dict):
        for entries in (value.items(), ((name, number) for number, name in value.items())):
            try:
                found = {int(number): name for name, number in entries}
            except (TypeError, ValueError):
                continue
            if not all(isinstance(name, str) for name in found.values()):
                continue
            if len(found) < len(value):
                raise DataError(f"{path}: the number of a class is there twice; {REMEDY}")
            return found
    raise DataError(f"{path}: {shown(value)}, not names of classes; {REMEDY}")


def _classes_of_lines(text: str, path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    lines = [line.strip() for line in LINE_END.split(text) if line.strip()]
    numbered = [re.fullmatch(r"([0-9]{1,9})[\s,;]+(.*)", line) for line in lines]
    if not any(numbered):
        return dict(enumerate(lines))
    for line, match in zip(lines, numbered, strict=True):
        if match is None:
            if found or same(line) not in ("idname", "idclass", "idlabel"):
                raise DataError(f"{path}: no number and name of a class: {shown(line)}; {REMEDY}")
            continue
        if int(match[1]) in found:
            raise DataError(f"{path}: the number {match[1]} is there twice; {REMEDY}")
        found[int(match[1])] = match[2].strip().strip('"')
    return found


# --- lists of videos -----------------------------------------------------------------------------


def video_list(path: Path, classes: Mapping[int, str]) -> Iterator[Labelled]:
    """The videos of a list: columns of ids and labels, JSON objects, or a line a video.

    A line has the video below its class's folder, its class's number behind it, or both. DataError
    names the line that says neither, or that says two classes.
    """
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        value = parse_json(text, path, REMEDY)
        rows = value if isinstance(value, list) else []
        if not rows or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{path}: {shown(value)}, not a list of videos; {REMEDY}")
        named = [(f"{path}: entry {n}", row) for n, row in enumerate(rows)]
        yield from _of_rows(named, classes)
        return
    head = {column_name(name) for name in LINE_END.split(text)[0].split(",")}
    if head & set(LABELS) and head & set(VIDEO_IDS):
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        try:
            yield from _of_rows(((f"{path}:{reader.line_num}", row) for row in reader), classes)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}; check the quotes") from error
        return
    for number, line in enumerate(LINE_END.split(text), 1):
        if line.strip():
            yield _of_line(line.strip(), f"{path}:{number}", classes)


def _of_rows(
    rows: Iterable[tuple[str, Mapping[str, Any]]], classes: Mapping[int, str]
) -> Iterator[Labelled]:
    for where, given in rows:
        row = {column_name(name): value for name, value in given.items() if isinstance(name, str)}
        video, label = (next((row[name] for name in names if name in row), None)
                        for names in (VIDEO_IDS, LABELS))  # fmt: skip
        if not isinstance(video, str | int) or not isinstance(label, str | int):
            raise DataError(f"{where}: no video and label among {shown(list(row))}; {REMEDY}")
        if row.get("time_start") and row.get("time_end"):  # Kinetics' own tables
            try:
                times = [f"{int(float(row[name])):06d}" for name in ("time_start", "time_end")]
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(f"{where}: its times are no numbers; {REMEDY}") from error
            video = "_".join([str(video), *times])
        number = str(label).strip()
        known = classes.get(int(number)) if NUMBER.fullmatch(number) else None
        yield Labelled(_plain(str(video)), known or number, where)


def _of_line(line: str, where: str, classes: Mapping[int, str]) -> Labelled:
    head = line.rstrip("0123456789")
    last = line[len(head) :]
    behind = NUMBER.fullmatch(last) and head[-1:] in (" ", "\t", ",") and head.strip(" \t,")
    video, number = (head.rstrip(" \t,"), int(last)) if behind else (line, None)
    parts = without_ending(video).replace("\\", "/").split("/")
    folder = parts[-2] if len(parts) > 1 else ""
    names = {same(name) for name in classes.values()}
    numbered = classes.get(number) if number is not None else None
    if numbered is None and not folder:
        raise DataError(
            f"{where}: no class for {shown(video)}; lines have CLASS/VIDEO, or VIDEO and the "
            "number of its class in a list of classes"
        )
    if numbered and same(folder) in names and same(folder) != same(numbered):
        raise DataError(
            f"{where}: class {number} is {numbered!r}, the folder is {folder!r}; check whether "
            "the list of classes counts from 0 or from 1"
        )
    return Labelled(parts[-1], numbered or folder, where)


def _plain(video: str) -> str:
    return without_ending(video.strip()).replace("\\", "/").rpartition("/")[2]


# --- folders -------------------------------------------------------------------------------------


def class_folders(root: Path, remarks: list[str]) -> list[Labelled]:
    """Every video below `root`, its class the name of the folder that holds it.

    Where a folder of some split lies at the top (`val`), only that one's. DataError for one name
    in two folders: predictions are known by it.
    """
    found = list(_videos_of(root))
    tops = {path.relative_to(root).parts[0] for path in found}
    if chosen := {name for name in tops if name.lower() in VALIDATION}:
        left = [path for path in found if path.relative_to(root).parts[0] not in chosen]
        found = [path for path in found if path not in set(left)]
        if left:
            remarks.append(f"{root}: {len(left)} videos outside {min(chosen)} are not read")
    seen: dict[str, Path] = {}
    listed = []
    for path in sorted(found):
        name = without_ending(path.name)
        if path.parent == root:
            raise DataError(f"{path}: in no class's folder; give a list of videos, or move it")
        if (first := seen.setdefault(name, path)) is not path:
            raise DataError(f"{path}: named as {first}; rename one")
        listed.append(Labelled(name, path.parent.name, str(path), path))
    return listed


def _videos_of(root: Path) -> Iterator[Path]:
    for where, folders, files in walk(root):
        if where != root and any(map(is_numbered, files)):
            folders.clear()
            yield where
            continue
        yield from (where / name for name in files if Path(name).suffix.lower() in VIDEOS)


# --- together ------------------------------------------------------------------------------------


def matched(found: Actions, whole: int | None) -> tuple[list[str], dict[str, Labelled]]:
    """The classes in the order of their list, and each video with its class by that list's name.

    `whole` is how many classes the set has, None for a generated one; fewer, and what is there
    twice, go to the remarks.
    DataError for a label that is no class, and for a video of two.
    """
    classes = list(found.classes.values()) or sorted({one.label for one in found.videos})
    names = {same(name): name for name in classes}
    if whole is not None and len(classes) != whole:
        found.remarks.append(f"{len(classes)} classes, not {whole}: guessing is easier among fewer")
    labelled: dict[str, Labelled] = {}
    twice = []
    for one in found.videos:
        if (name := names.get(same(one.label))) is None:
            near = nearest(one.label, classes)
            raise DataError(f"{one.where}: {shown(one.label)} is no class{near}; {REMEDY}")
        if not one.video.isprintable() or not 0 < len(one.video) < 256:
            raise DataError(f"{one.where}: {shown(one.video)} is no id of a video; {REMEDY}")
        first = labelled.setdefault(one.video, Labelled(one.video, name, one.where, one.path))
        if first.label != name:
            raise DataError(f"{one.where}: {one.video!r} is {first.label!r} too; {REMEDY}")
        if first.where != one.where:
            twice.append(one.where)
    if not labelled:
        raise DataError("no videos in the list; check the file")
    if twice:
        found.remarks.append(f"{len(twice)} videos are listed twice, the first in {twice[0]}")
    if silent := _without_video(classes, labelled.values()):
        found.remarks.append(f"{len(silent)} classes have no video, such as {silent[0]!r}")
    return classes, labelled


def _without_video(classes: Sequence[str], videos: Collection[Labelled]) -> list[str]:
    shown_ = {one.label for one in videos}
    return [name for name in classes if name not in shown_]
