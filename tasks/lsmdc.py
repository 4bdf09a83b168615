"""LSMDC: the 1,000 clips of the 2016 challenge's public test (docs/method.md 7)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.errors import DataError
from bench.files.untrusted import read_text
from tasks.retrieval import Pair, RetrievalTask


class LSMDC(RetrievalTask):
    """`LSMDC16_challenge_1000_publictect.csv`: tab-separated, no header, six columns.

    Columns: clip id, start and end aligned, start and end extracted, sentence. The clips are cut
    already, so that the times are not needed.
    """

    name: ClassVar[str] = "lsmdc"
    files: ClassVar[tuple[str, ...]] = ("LSMDC16_challenge_1000_publictect.csv",)
    published: ClassVar[str] = "test-1000"
    citation: ClassVar[str] = (
        "Rohrbach et al., Movie Description, International Journal of Computer Vision, 2017, "
        "arXiv 1605.03705"
    )
    licence: ClassVar[str] = "by agreement with its authors, who hand it out on request"

    @classmethod
    def read(cls, path: Path) -> list[Pair]:
        """Pairs by position. Sentences hold stray quotes, so that none are taken as quoting."""
        pairs: list[Pair] = []
        seen: dict[str, str] = {}
        for number, line in enumerate(read_text(path).split("\n"), 1):
            where = f"{path}:{number}"
            fields = line.rstrip("\r").split("\t")
            if fields == [""]:
                continue
            if len(fields) != 6:
                raise DataError(f"{where}: {len(fields)} columns, 6 expected; check the tabs")
            clip = fields[0].strip()
            if clip in seen:
                raise DataError(f"{where}: clip '{clip}' again, first in {seen[clip]}; remove one")
            seen[clip] = where
            pairs.append(Pair(clip, fields[5].strip(), where))
        return pairs
