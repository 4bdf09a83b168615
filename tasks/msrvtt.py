"""MSRVTT 1k-A: 1,000 pairs of the JSFusion split (docs/method.md 7)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from bench.errors import DataError
from bench.files.untrusted import read_text
from tasks.retrieval import Pair, RetrievalTask


class MSRVTT(RetrievalTask):
    """`MSRVTT_JSFUSION_test.csv`: key, vid_key, video_id, sentence; comma or semicolon."""

    name: ClassVar[str] = "msrvtt"
    files: ClassVar[tuple[str, ...]] = ("MSRVTT_JSFUSION_test.csv",)
    published: ClassVar[str] = "1k-A"
    citation: ClassVar[str] = (
        "Xu et al., MSR-VTT: A Large Video Description Dataset for Bridging Video and Language, "
        "CVPR 2016"
    )
    licence: ClassVar[str] = "none found; the videos are YouTube's"

    @classmethod
    def read(cls, path: Path) -> list[Pair]:
        """Pairs by the columns `video_id` and `sentence`; a repeated `key` is refused."""
        text = read_text(path)
        header = text.partition("\n")[0]
        dialect = ";" if header.count(";") > header.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=dialect, strict=True)
        try:
            columns = list(reader.fieldnames or [])
        except csv.Error as error:
            raise DataError(f"{path}:1: {error}; check the quotes") from error
        if len(set(columns)) < len(columns):
            raise DataError(f"{path}:1: a column is named twice; fetch the file again")
        missing = [name for name in ("video_id", "sentence") if name not in columns]
        if missing:
            raise DataError(f"{path}:1: no column {' and '.join(missing)}; fetch the file again")
        pairs: list[Pair] = []
        keys: dict[str, str] = {}
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{where}: {len(columns)} columns expected; check the quotes")
                key = row.get("key") or ""
                if key and key in keys:
                    raise DataError(f"{where}: key '{key}' again, first in {keys[key]}; remove one")
                keys[key] = where
                pairs.append(Pair(row["video_id"].strip(), row["sentence"].strip(), where))
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}; check the quotes") from error
        return pairs
