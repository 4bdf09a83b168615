"""DiDeMo: paragraphs of the test videos, 1,003 or 1,004 of them (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tasks.lists import PublishedList
from tasks.pair_files import read_pairs
from tasks.retrieval import Pairs, RetrievalTask

VIDEO = r"(\d+@N\d\d)_\d+_[0-9a-f]+"  # an uploader to Flickr, a photo's number and its secret


class DiDeMo(RetrievalTask):
    """`test_data.json` with a sentence a moment, or a file with a paragraph a video."""

    name: ClassVar[str] = "didemo"
    files: ClassVar[tuple[str, ...]] = (
        "test_data.json", "didemo_test.json", "didemo_ret_test.json", "didemo.descs_ret_test.json",
        "descs_ret_test.json",
    )  # fmt: skip
    published: ClassVar[str] = "test-1003"
    lists: ClassVar[Sequence[PublishedList]] = (
        PublishedList(
            published, 1003,
            pairs="d365e94ce3da27afcddc702d49b847f0b2933ba99807af0096621ce153fca7fa",
            videos="28567ae80e17b56eff472111462650547a8c5a22f2d2f725132c0a4271fc2418",
        ),
        PublishedList("test-1004", 1004, form=VIDEO),
    )  # fmt: skip
    joins: ClassVar[bool] = True
    cut_from: ClassVar[str] = VIDEO
    citation: ClassVar[str] = (
        "Hendricks et al., Localizing Moments in Video with Natural Language, ICCV 2017, "
        "arXiv 1708.01641"
    )
    licence: ClassVar[str] = "BSD 2-Clause (its repository); the videos are Flickr's (YFCC100M)"

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """Sentences or paragraphs of CSV, JSON, JSON lines or Parquet."""
        return read_pairs(path, ("test_list.txt",))
