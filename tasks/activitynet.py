"""ActivityNet Captions: paragraphs of the 4,917 videos of its list val_1 (docs/sets.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tasks.lists import PublishedList
from tasks.pair_files import read_pairs
from tasks.retrieval import Pairs, RetrievalTask


class ActivityNet(RetrievalTask):
    """`val_1.json` with the sentences of each video, or a file with a paragraph a video."""

    name: ClassVar[str] = "activitynet"
    files: ClassVar[tuple[str, ...]] = (
        "val_1.json", "anet_ret_val_1.json", "activitynet_ret_val_1.json",
        "activitynet.descs_ret_test.json", "descs_ret_test.json",
    )  # fmt: skip
    published: ClassVar[str] = "val1-4917"
    lists: ClassVar[Sequence[PublishedList]] = (
        PublishedList(
            published, 4917,
            pairs="5e347fef126e55fb80d19ff79df1b2fe5c7e060638ffa0da91064f18508a74a0",
            videos="0671f5d7abbea12fc83b90e93971c706b67e1096c14eef124a116abd7da1dcd9",
        ),
    )  # fmt: skip
    joins: ClassVar[bool] = True
    citation: ClassVar[str] = (
        "Krishna et al., Dense-Captioning Events in Videos, ICCV 2017, arXiv 1705.00754"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"

    @classmethod
    def canonical(cls, video: str) -> str:
        """With the `v_` that the annotations put before YouTube's eleven characters."""
        return f"v_{video}" if re.fullmatch(r"[\w-]{11}", video) else video

    @classmethod
    def other_names(cls, video: str) -> Sequence[str]:
        """YouTube's own id, by which downloaders name files."""
        return (video[2:],) if re.fullmatch(r"v_[\w-]{11}", video) else ()

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """Sentences or paragraphs of JSON, CSV, JSON lines or Parquet."""
        return read_pairs(path, ("test_list.txt",))
