"""Pairs of a true and a false caption as rows of a file, in VELOCITI's columns: read and written.

`video_id`, `test_name`, `event` (`Ev2`, or several: `(Ev1, Ev3)`), `pos`, `neg`; others, such as
`in_subset`, are not read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError, nearest
from bench.files.untrusted import shown
from tasks.pair_files import table_rows
from tasks.pair_rows import REMEDY, Needed, value_of
from tasks.retrieval import Pair, check_pairs
from tasks.sources import without_ending

COLUMNS = ("video_id", "test_name", "event", "pos", "neg")
NEEDED: Needed = tuple((name,) for name in COLUMNS)
_EVENT = re.compile(r"Ev([1-5])")


@dataclass(frozen=True)
class CaptionPair:
    """A caption that is true of a clip, or of an `event` of it, and one that is not.

    `event` is as in the file, such as `Ev2`; empty, or several, for the clip as a whole.
    """

    clip: str
    test: str
    event: str
    true: str
    false: str

    @property
    def part(self) -> int | None:
        """The number of its event from 0; None for the clip as a whole."""
        found = _EVENT.findall(self.event)
        return int(found[0]) - 1 if len(found) == 1 else None


def items_of(pairs: Iterable[CaptionPair]) -> list[str]:
    """A name for each pair, such as `verb v_ID_seg_0_10 Ev2`; others of the name are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for pair in pairs:
        name = " ".join(filter(None, (pair.test, pair.clip, pair.event)))
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def read_pairs(path: Path, tests: Collection[str]) -> tuple[list[CaptionPair], list[str]]:
    """The pairs of a file (JSON, JSON lines, CSV, Parquet) in its order, and remarks on them.

    DataError names the row: an unknown test, an empty caption, a misshapen id. Rows that are there
    twice, and pairs of two equal captions, which nobody gets right, are read and remarked on.
    """
    rows, remarks = table_rows(path, NEEDED)
    pairs, places = [], []
    for where, row in rows:
        values = {name: value_of(row, (name,), where) for name in COLUMNS}
        for name in ("video_id", "test_name", "pos", "neg"):
            if not isinstance(values[name], str):
                raise DataError(f"{where}: {name} is {shown(values[name])}, no text; {REMEDY}")
        test = values["test_name"].strip()
        if test not in tests:
            raise DataError(
                f"{where}: unknown test {shown(test)}{nearest(test, list(tests))}; "
                f"known: {', '.join(tests)}"
            )
        event = " ".join(str(values["event"] or "").split())
        clip = without_ending(values["video_id"].strip())
        pairs.append(CaptionPair(clip, test, event, values["pos"].strip(), values["neg"].strip()))
        places.append(where)
    captions = [Pair(pair.clip, caption, where) for pair, where in zip(pairs, places, strict=True)
                for caption in (pair.true, pair.false)]  # fmt: skip
    check_pairs(captions, path)  # its remark is on captions of several pairs, which are no fault
    return pairs, [*remarks, *_oddities(pairs, places)]


def _oddities(pairs: Sequence[CaptionPair], places: Sequence[str]) -> list[str]:
    first: dict[CaptionPair, str] = {}
    twice, equal = [], []
    for pair, where in zip(pairs, places, strict=True):
        name = Path(where).name
        if first.setdefault(pair, name) != name:
            twice.append(f"{name} as {first[pair]}")
        if pair.true == pair.false:
            equal.append(name)
    return [
        *([f"{len(twice)} pairs are there twice, the first in {twice[0]}"] if twice else []),
        *([f"{len(equal)} pairs of two equal captions, which no model gets right, the first in "
           f"{equal[0]}"] if equal else []),
    ]  # fmt: skip


def as_json(pairs: Iterable[CaptionPair]) -> str:
    """The pairs as a JSON list, a row a line; `read_pairs` reads it back."""
    rows = (
        dict(zip(COLUMNS, (p.clip, p.test, p.event, p.true, p.false), strict=True)) for p in pairs
    )
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n"
