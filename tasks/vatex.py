"""VATEX: 1,500 videos with ten English captions each (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tasks.lists import CUT, PublishedList
from tasks.pair_files import read_pairs
from tasks.retrieval import Pairs, RetrievalTask


class VATEX(RetrievalTask):
    """A file of ids and English captions, or VATEX's own with a list of ids beside it."""

    name: ClassVar[str] = "vatex"
    files: ClassVar[tuple[str, ...]] = (
        "vatex_test.json", "vatex.descs_ret_test.json", "descs_ret_test.json",
        "vatex_validation_v1.0.json", "vatex_public_test_english_v1.1.json",
    )  # fmt: skip
    published: ClassVar[str] = "test-1500"
    lists: ClassVar[Sequence[PublishedList]] = (
        PublishedList(
            published, 15_000,
            pairs="979ef6333b2de48d5f721c18843fdb916fef58612223e80ec2d28bb6fb8a582f",
            videos="ac90b74da5c0d7773fa4604112712e71648a12ae9c80733c7b04b910eab51011",
        ),
    )  # fmt: skip
    cut_from: ClassVar[str] = CUT
    citation: ClassVar[str] = (
        "Wang et al., VATEX: A Large-Scale, High-Quality Multilingual Dataset for "
        "Video-and-Language Research, ICCV 2019, arXiv 1904.03493"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """English captions of JSON, CSV, JSON lines or Parquet."""
        return read_pairs(path, ("test_list.txt",))
