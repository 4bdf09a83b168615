"""MSVD: the 670 test videos with about forty captions each (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.errors import DataError
from bench.files import pickles
from bench.files.untrusted import read_bytes, shown
from tasks.lists import CUT, PublishedList
from tasks.pair_files import decoded, has_columns, listed_pairs, read_pairs
from tasks.pair_rows import LINE_END, REMEDY
from tasks.retrieval import Pair, Pairs, RetrievalTask

TEST_LISTS = ("test_list.txt", "msvd_test_list.txt")
JOINED = "msvd_test_multi.csv"  # in which captions of a video stand in one field, with @ between


class MSVD(RetrievalTask):
    """A file of the test's captions, or all of MSVD's with `test_list.txt` near it.

    All captions: `raw-captions.pkl` (id to lists of words), `AllVideoDescriptions.txt` (an id and
    a caption a line).
    """

    name: ClassVar[str] = "msvd"
    files: ClassVar[tuple[str, ...]] = (
        "msvd_test.json", "msvd_ret_test.json", JOINED, "descs_ret_test.json", "raw-captions.pkl",
        "AllVideoDescriptions.txt",
    )  # fmt: skip
    published: ClassVar[str] = "test-670"
    lists: ClassVar[Sequence[PublishedList]] = (PublishedList(published, 0, form=CUT, clips=670),)
    cut_from: ClassVar[str] = CUT
    citation: ClassVar[str] = (
        "Chen and Dolan, Collecting Highly Parallel Data for Paraphrase Evaluation, ACL 2011"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """The test's captions. DataError where a file of all captions has no list beside it."""
        if path.suffix.lower() == ".pkl":
            return _of_the_test(list(_pickled(path)), path, [])
        if not has_columns(path):
            text, remarks = decoded(path)
            return _of_the_test(list(_lines(text, path)), path, remarks)
        found = read_pairs(path, TEST_LISTS)
        if path.name != JOINED:
            return found
        parts = [replace(pair, sentence=one.strip())
                 for pair in found for one in pair.sentence.split("@") if one.strip()]  # fmt: skip
        said = f"{path.name}: {len(parts)} captions in {len(found)} fields, divided at each @"
        return Pairs(parts, [*found.remarks, said])


def _of_the_test(pairs: list[Pair], path: Path, remarks: list[str]) -> Pairs:
    kept = listed_pairs(pairs, path, TEST_LISTS, remarks)
    if kept is pairs:
        raise DataError(
            f"{path}: the captions of all videos, and no {TEST_LISTS[0]} near it; put the list of "
            "the test's 670 ids beside it"
        )
    return Pairs(kept, remarks)


def _pickled(path: Path) -> Iterator[Pair]:
    """Ids to captions, each a text or a list of words."""
    found = pickles.load(read_bytes(path), path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: {shown(found)}, not captions by their video; {REMEDY}")
    for video, captions in found.items():
        where = f"{path}: {shown(video)}"
        if not isinstance(video, str) or not isinstance(captions, list):
            raise DataError(f"{where}: {shown(captions)} is no list of captions; {REMEDY}")
        for words in captions:
            listed = words if isinstance(words, list) else [words]
            if not all(isinstance(word, str) for word in listed):
                raise DataError(f"{where}: a caption is {shown(words)}; {REMEDY}")
            yield Pair(video, " ".join(listed).strip(), where)


def _lines(text: str, path: Path) -> Iterator[Pair]:
    """Lines of an id and a caption; empty ones and those of the head, which begin with #, not."""
    for number, line in enumerate(LINE_END.split(text), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(maxsplit=1)
        if len(parts) < 2:
            raise DataError(f"{path}:{number}: no id and caption; {REMEDY}")
        yield Pair(parts[0], parts[1].strip(), f"{path}:{number}")
