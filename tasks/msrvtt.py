"""MSRVTT 1k-A: 1,000 pairs of the JSFusion split (docs/method.md 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.capabilities import MTEBTask
from tasks.lists import PublishedList
from tasks.pair_files import read_pairs
from tasks.retrieval import Pairs, RetrievalTask

# Beside an annotation file without splits, as in the copy with MSR_VTT.json: whose ids to take.
SPLIT_LISTS = ("val_list_jsfusion.txt", "test_list.txt", "test_list_full.txt",
               "test_list_miech.txt", "val_list.txt", "val_list_full.txt")  # fmt: skip
MTEB_REVISION = "4661603cee25c1fd370e5478a2953203cf37155b"  # of mteb/MSR-VTT, in mteb 2.26


class MSRVTT(RetrievalTask):
    """`MSRVTT_JSFUSION_test.csv` (key, vid_key, video_id, sentence), or any file of such pairs."""

    name: ClassVar[str] = "msrvtt"
    files: ClassVar[tuple[str, ...]] = (
        "MSRVTT_JSFUSION_test.csv", "MSRVTT_JSFUSION_test.json", "MSRVTT_JSFUSION_test.jsonl",
        "msrvtt_ret_test1k.json", "msrvtt_test_1k.json", "test_videodatainfo.json",
        "MSRVTT_data.json", "MSR_VTT.json",
    )  # fmt: skip
    published: ClassVar[str] = "1k-A"
    lists: ClassVar[Sequence[PublishedList]] = (
        PublishedList(
            published, 1000,
            pairs="62f46b5bc864f04a925c3f30dfa46fd919742b8da4fd4b4393143ff32b60d42d",
            videos="49a09fb68f7ec52b3b9bbb7e856ffbd3f00233976ed435fded658309c3cd491a",
        ),
        PublishedList(  # video7010 to video9999, twenty captions each
            "full-2990", 59_800,
            videos="916e9b2dd9a4518131b76a1e9b4f47fd12847f50356ebd8413bcd555abe2bca8",
        ),
        # Those of 1k-A that have sound; counts by MTEB's own statistics of MSRVTTT2V.
        PublishedList("mteb-879", 879, clips=879, characters=43_882),
    )  # fmt: skip
    citation: ClassVar[str] = (
        "Xu et al., MSR-VTT: A Large Video Description Dataset for Bridging Video and Language, "
        "CVPR 2016"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"

    @classmethod
    def mteb_tasks(cls) -> Sequence[MTEBTask]:
        """Those that read pictures alone, of the list mteb-879."""
        return [
            MTEBTask(name, "msrvtt/mteb-879", direction, "mteb/MSR-VTT", MTEB_REVISION)
            for name, direction in (("MSRVTTT2V", "t2v"), ("MSRVTTV2T", "v2t"))
        ]

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """Pairs of CSV, JSON, JSON lines or Parquet; of a file with splits those of the test."""
        return read_pairs(path, SPLIT_LISTS)
