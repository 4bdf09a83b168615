"""Folders of pictures: which ones are the frames, in which order, and is one missing?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

IMAGES = {".jpg", ".jpeg", ".png"}
NAMED = 5  # so many holes are named


@dataclass(frozen=True)
class Numbered:
    """A folder's frames in the order of their numbers, and what makes them no clip, or ''."""

    paths: list[Path]
    fault: str = ""


def numbered_frames(folder: Path) -> Numbered:
    """A folder's jpg and png pictures with a number in their names. Raises OSError.

    The copies of a picture in several formats are one frame, the png where there is one. Of several
    numbers in a name the last counts that tells all pictures apart without a hole, or with holes.
    """
    copies: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if path.suffix.lower() in IMAGES and not path.name.startswith("."):
            copies.setdefault(path.stem.lower(), []).append(path)
    names = {stem: digits for stem in copies if (digits := re.findall(r"\d+", stem))}
    chosen = {stem: min(copies[stem], key=_preference) for stem in names}
    numbers = _numbers(names)
    stems = sorted(numbers, key=lambda stem: (numbers[stem], chosen[stem].name))
    paths = [chosen[stem] for stem in stems]
    return Numbered(paths, _fault([numbers[stem] for stem in stems], paths))


def _preference(path: Path) -> tuple[bool, str]:
    return path.suffix.lower() != ".png", path.name  # what a jpg has lost, its copy need not


def _numbers(names: dict[str, list[str]]) -> dict[str, int]:
    """The numbers that tell the pictures apart, of all numbers in their names."""
    fewest = min(map(len, names.values()), default=0)
    places = [
        {stem: int(digits[-place]) for stem, digits in names.items()}
        for place in range(1, fewest + 1)
    ]
    telling = [found for found in places if len(set(found.values())) == len(found)]
    whole = [found for found in telling if max(found.values()) - min(found.values()) < len(found)]
    return next(iter([*whole, *telling, *places]), {})


def _fault(numbers: list[int], paths: list[Path]) -> str:
    """Why numbers in ascending order are no numbering of one clip's frames, or ''."""
    if series := _other_series(paths):
        return f"pictures of several series, such as {series[0]} and {series[1]}; keep one"
    for (before, one), (after, other) in pairwise(zip(numbers, paths, strict=True)):
        if before == after:
            return f"{one.name} and {other.name} have one number; keep one of them"
    holes = [(a + 1, b - 1) for a, b in pairwise(numbers) if b > a + 1]
    if not holes:
        return ""
    total = numbers[-1] - numbers[0] + 1
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in holes[:NAMED])
    more = f" and {len(holes) - NAMED} more holes" if len(holes) > NAMED else ""
    return (
        f"{total - len(numbers)} of {total} frames missing: {shown}{more}; "
        "if none was lost, number the pictures without gaps"
    )


def _other_series(paths: list[Path]) -> list[str]:
    """One picture's name of each of two series, if their names differ by more than numbers."""
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(re.sub(r"\d+", "#", path.stem.lower()), path.name)
    return list(first.values())[:2] if len(first) > 1 else []
