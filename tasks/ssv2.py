"""Something-Something V2: the validation videos of 174 templates of actions (docs/sets.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.actions import ActionTask
from tasks.lists import PublishedList


class SSv2(ActionTask):
    """Its own validation file and labels, a list with numbers of classes, or folders of classes.

    A class is its template, `Pushing [something] up`, read without the brackets.
    """

    name: ClassVar[str] = "ssv2"
    files: ClassVar[tuple[str, ...]] = (
        "something-something-v2-validation.json", "validation.json", "val.txt"
    )  # fmt: skip
    class_files: ClassVar[tuple[str, ...]] = (
        "something-something-v2-labels.json", "labels.json", "ssv2_labels.csv"
    )  # fmt: skip
    class_count: ClassVar[int] = 174
    lists: ClassVar[Sequence[PublishedList]] = (PublishedList("val-24777", 24_777, form=r"\d+"),)
    citation: ClassVar[str] = (
        'Goyal et al., The "Something Something" Video Database for Learning and Evaluating Visual '
        "Common Sense, ICCV 2017, arXiv 1706.04261"
    )
    licence: ClassVar[str] = "other (its owner's own terms), as a copy on the hub says"
