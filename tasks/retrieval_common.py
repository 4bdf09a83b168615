"""Two retrieval runs on the videos that both answered, as far as kept lines tell the ranks."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.capabilities import Bounds

Lines = list[dict[str, Any]]


def common(first: Lines, second: Lines) -> tuple[Bounds, Bounds]:
    """Both runs' lines with ranks among the common videos; see `bench.capabilities.SharesItems`.

    A line keeps its best ten videos: a rank within them is known exactly in any smaller gallery,
    one beyond them only between bounds.
    """
    galleries = [_gallery(lines) for lines in (first, second)]
    both = galleries[0] & galleries[1]
    one, two = (
        _restricted(lines, both, len(gallery) - len(both))
        for lines, gallery in zip((first, second), galleries, strict=True)
    )
    if _questions(one[0]) != _questions(two[0]):
        raise ValueError("other sentences of the same videos")
    return one, two


def _gallery(lines: Lines) -> set[str]:
    """The videos that were ranked: each of them has ranked the captions."""
    return {line["target"] for line in lines if line["direction"] == "v2t"}


def _questions(lines: Lines) -> Counter[tuple[str, str, str]]:
    return Counter((line["direction"], line["target"], line.get("text", "")) for line in lines)


def _restricted(lines: Lines, both: set[str], removed: int) -> Bounds:
    """The lines of videos in `both`, with the lowest and with the highest rank that each can have
    where `removed` videos leave the gallery."""
    kept = [line for line in lines if line["target"] in both]
    bounds = [_bounds(line, both, removed) for line in kept]
    lowest, highest = (
        [{**line, "rank": pair[side]} for line, pair in zip(kept, bounds, strict=True)]
        for side in (0, 1)
    )
    return lowest, highest


def _bounds(line: dict[str, Any], both: set[str], removed: int) -> tuple[int, int]:
    """The lowest and the highest rank among the videos in `both`."""
    rank = int(line["rank"])
    # Who ranks before the target, as far as kept; a tie ranks the target behind its equals.
    ahead = [name for name, _ in line["top"][:rank] if name != line["target"]][: rank - 1]
    left = sum(name in both for name in ahead)
    unknown = rank - 1 - len(ahead)
    may_leave = removed - (len(ahead) - left)
    return 1 + left + max(0, unknown - may_leave), min(1 + left + unknown, len(both))
