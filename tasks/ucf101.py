"""UCF101: 101 actions, three published splits (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.actions import ActionTask, SplitPrompting
from tasks.lists import PublishedList

CLIP = r"(v_\w+_g\d+)_c\d+"  # of a class the clips of a group are cut from one video


class UCF101(ActionTask):
    """`testlist01.txt` with `classInd.txt`, a list with numbers of classes, or folders of them."""

    name: ClassVar[str] = "ucf101"
    files: ClassVar[tuple[str, ...]] = ("testlist0{split}.txt", "val{split}.txt")
    class_files: ClassVar[tuple[str, ...]] = ("classInd.txt", "ucf_101_labels.csv")
    class_count: ClassVar[int] = 101
    lists: ClassVar[Sequence[PublishedList]] = (
        PublishedList("split-1", 3783, form=CLIP),
        PublishedList("split-2", 3734, form=CLIP),
        PublishedList("split-3", 3696, form=CLIP),
    )
    cut_from: ClassVar[str] = CLIP
    recipe: ClassVar[type | None] = SplitPrompting
    citation: ClassVar[str] = (
        "Soomro et al., UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, "
        "2012, arXiv 1212.0402"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"
