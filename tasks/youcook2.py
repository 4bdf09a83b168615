"""YouCook2: the steps of the validation videos, each a clip with one sentence (docs/sets.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.errors import DataError
from bench.files.untrusted import read_json, shown, well_formed
from tasks.lists import PublishedList
from tasks.pair_files import part_of, read_pairs
from tasks.pair_rows import REMEDY
from tasks.retrieval import Pair, Pairs, RetrievalTask

CLIP = r"([\w-]{11})_\d+"  # a YouTube video and the number of a step
OFFICIAL = "youcookii_annotations_trainval.json"


class YouCook2(RetrievalTask):
    """YouCook2's own file, `validation_youcook.csv`, or a file with a sentence a clip.

    Clips are found as cut files, `ID_N.mp4`, or as parts of whole videos, `ID.mp4`.
    """

    name: ClassVar[str] = "youcook2"
    files: ClassVar[tuple[str, ...]] = (
        "validation_youcook.csv", "youcook2_val.json", "youcook2_ret_val.json", OFFICIAL,
        "descs_ret_test.json",
    )  # fmt: skip
    published: ClassVar[str] = "val-3350"
    lists: ClassVar[Sequence[PublishedList]] = (PublishedList(published, 3350, form=CLIP),)
    cut_from: ClassVar[str] = CLIP
    citation: ClassVar[str] = (
        "Zhou et al., Towards Automatic Learning of Procedures from Web Instructional Videos, "
        "AAAI 2018, arXiv 1703.09788"
    )
    licence: ClassVar[str] = "MIT, as a copy on the hub says; the videos are YouTube's"

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """The steps of the file; of YouCook2's own file those of its validation videos."""
        if path.name == OFFICIAL:
            return _official(path)
        found = read_pairs(path, ("val_list.txt",), parts=True)
        return Pairs(_numbered(found), found.remarks, found.subtitles)


def _numbered(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Parts of whole videos as clips with ids of their own, numbered in the file's order."""
    steps: Counter[str] = Counter()
    for pair in pairs:
        yield replace(pair, video=f"{pair.video}_{steps[pair.video]}") if pair.part else pair
        steps[pair.video] += 1


def _official(path: Path) -> Pairs:
    """`database`: by a video's id its `subset` and `annotations` of id, segment and sentence."""
    found: list[Pair] = []
    with well_formed(path, REMEDY):
        subsets: dict[str, Any] = read_json(path)["database"]
        for video, facts in subsets.items():
            for step in facts["annotations"] if facts["subset"] == "validation" else ():
                where = f"{path}: {video}, step {shown(step['id'])}"
                if not isinstance(step["sentence"], str):
                    raise DataError(f"{where}: its sentence is no text; {REMEDY}")
                part = part_of(video, step, where)
                found.append(Pair(f"{video}_{step['id']}", step["sentence"].strip(), where,
                                  part=part))  # fmt: skip
    return Pairs(found)
