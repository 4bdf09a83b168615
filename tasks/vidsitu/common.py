"""Two VidSitu runs on the videos that both answered."""

from __future__ import annotations

from typing import Any

from bench.capabilities import Bounds
from tasks.vidsitu.events import VIEWS

Lines = list[dict[str, Any]]


def common(first: Lines, second: Lines) -> tuple[Bounds, Bounds]:
    """Both runs' lines of the same videos; see `bench.capabilities.SharesItems`.

    Verbs and roles are scored video by video. An event's rank among all events is of the run's own
    videos: among fewer of them it is known only between bounds.
    """
    truths = [{line["item"]: line["truth"] for line in lines} for lines in (first, second)]
    both = truths[0].keys() & truths[1].keys()
    if any(truths[0][name] != truths[1][name] for name in both):
        raise ValueError("other annotations of the same videos")
    return _restricted(first, both), _restricted(second, both)


def _restricted(lines: Lines, both: set[str]) -> Bounds:
    kept = [line for line in lines if line["item"] in both]
    removed = len(lines) - len(kept)
    return [_ranked(line, removed, len(both)) for line in kept], [
        _ranked(line, 0, len(both)) for line in kept
    ]


def _ranked(line: dict[str, Any], removed: int, videos: int) -> dict[str, Any]:
    """The line where of `removed` videos every event ranked before the line's own."""
    views = {
        view: {**line[view], "all": [
            min(max(1, rank - removed * len(line[view]["all"])), videos * len(line[view]["all"]))
            for rank in line[view]["all"]
        ]}
        for view in VIEWS if view in line
    }  # fmt: skip
    return {**line, **views}
