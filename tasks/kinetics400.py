"""Kinetics-400: the validation videos of 400 actions (docs/sets.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from tasks.actions import ActionTask
from tasks.lists import CUT, PublishedList


class Kinetics400(ActionTask):
    """Kinetics' own table, a list with numbers of classes, or folders of classes."""

    name: ClassVar[str] = "kinetics400"
    files: ClassVar[tuple[str, ...]] = (
        "val.csv", "validate.csv", "kinetics-400_val.csv", "kinetics400_val_list_videos.txt",
        "val.txt",
    )  # fmt: skip
    class_files: ClassVar[tuple[str, ...]] = ("kinetics_400_labels.csv", "label_map_k400.txt")
    class_count: ClassVar[int] = 400
    lists: ClassVar[Sequence[PublishedList]] = (PublishedList("val-19906", 19_906, form=CUT),)
    cut_from: ClassVar[str] = CUT
    citation: ClassVar[str] = (
        "Kay et al., The Kinetics Human Action Video Dataset, 2017, arXiv 1705.06950"
    )
    licence: ClassVar[str] = "CC BY 4.0, as copies on the hub say; the videos are YouTube's"

    @classmethod
    def other_names(cls, video: str) -> Sequence[str]:
        """YouTube's id alone, as some copies name their cut files."""
        found = re.fullmatch(CUT, video)
        return (found[1],) if found else ()
