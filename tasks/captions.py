"""Sentences and the videos they describe, as a file gives them: plain ids, and what is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import DataError
from tasks.sources import without_ending

LONGEST = 10_000  # characters of a sentence; beyond that the file was misread


@dataclass(frozen=True)
class Pair:
    """A sentence and the video it describes; `where` is its place in the file, for messages.

    `cluster` names what the video belongs with, where the file has a column of that name. `part`
    says of a clip that may be uncut where it is: the id of the whole video, start and end in
    seconds.
    """

    video: str
    sentence: str
    where: str
    cluster: str = ""
    part: tuple[str, float, float] | None = None


class Pairs(list[Pair]):
    """Pairs, what was assumed in reading them, and each video's subtitles if the file has any."""

    def __init__(
        self,
        pairs: Iterable[Pair] = (),
        remarks: Iterable[str] = (),
        subtitles: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pairs)
        self.remarks, self.subtitles = list(remarks), subtitles


def with_plain_ids(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs with ids for files' names: without a video's ending and the folder before it.

    DataError where that makes one of two.
    """
    plain, folders = [], dict[str, tuple[str, str]]()
    for pair in pairs:
        name = without_ending(pair.video)
        folder = ""
        if name != pair.video and "\0" not in name:
            folder, _, name = name.replace("\\", "/").rpartition("/")
        first, where = folders.setdefault(name, (folder, pair.where))
        if first != folder and first and folder:
            raise DataError(f"{pair.where}: {name!r} in another folder than in {where}; rename one")
        plain.append(replace(pair, video=name))
    return plain


def paragraphs(pairs: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """One paragraph a video, its sentences in the file's order with a blank between two; remarks.

    As all code of paragraph retrieval joins them (docs/sets.md).
    """
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.video, []).append(pair)
    if len(groups) == len(pairs):
        return list(pairs), []
    joined = [
        replace(group[0], sentence=" ".join(pair.sentence for pair in group))
        for group in groups.values()
    ]
    return joined, [f"{len(pairs)} sentences are joined to {len(joined)} paragraphs, one a video"]


def subtitles_of(
    read: Sequence[Pair], pairs: Sequence[Pair], kept: Collection[str]
) -> dict[str, str] | None:
    """The subtitles of the clips that are kept, by the ids that they have as files."""
    own: Mapping[str, str] | None = getattr(read, "subtitles", None)
    if own is None:
        return None
    return {pair.video: own.get(before.video, "")
            for before, pair in zip(read, pairs, strict=True) if pair.video in kept}  # fmt: skip


def check_pairs(pairs: Sequence[Pair], path: Path) -> list[str]:
    """Refuse what would make a score wrong, such as no pairs or empty fields; return remarks.

    A sentence twice for its video is one query more: the sets of 20 captions a video have such.
    """
    if not pairs:
        raise DataError(f"{path}: no pairs in it; check the file")
    seen: dict[tuple[str, str], str] = {}
    twice: list[str] = []
    for pair in pairs:
        if not pair.video or not pair.sentence.strip():
            raise DataError(f"{pair.where}: an empty id or sentence; correct the line")
        if len(pair.sentence) > LONGEST or len(pair.video) > 255:
            raise DataError(f"{pair.where}: a field far too long; check quotes and separators")
        if "/" in pair.video or "\\" in pair.video or pair.video in (".", ".."):
            raise DataError(f"{pair.where}: the id {pair.video!r} is a path; ids are plain names")
        if not pair.video.isprintable():
            raise DataError(f"{pair.where}: the id {pair.video!r} holds control characters")
        key = (pair.video, pair.sentence)
        if key in seen:
            twice.append(f"{Path(pair.where).name} as {Path(seen[key]).name}")
        seen.setdefault(key, pair.where)
    if not twice:
        return []
    return [f"{len(twice)} sentences are there twice for their video, the first in {twice[0]}"]
