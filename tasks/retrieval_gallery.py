"""Retrieval side by side: query, first video, right or wrong (Supplementary Figures 1, 2)."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.report.frames import evenly, markdown_cell, picture, strip

TITLE = "Retrieval: the first video of each model"
NOTE = (
    "Queries on which the models differ come first: those that only the last one answers right, "
    "then others, then what all or none do. They show cases, the boards count them. A score is "
    "the model's own, and comparable with its other scores alone."
)
SHOWN = 4  # frames of a video

Answers = Sequence[Mapping[str, Any]]


def choose(answers: Answers, limit: int) -> list[str]:
    """Items in turn from each pattern of right and wrong, the most telling patterns first."""
    patterns: dict[tuple[bool, ...], list[str]] = defaultdict(list)
    for item, line in answers[0].items():
        if line["direction"] == "t2v" and all(item in lines for lines in answers):
            patterns[tuple(lines[item]["rank"] == 1 for lines in answers)].append(item)
    # Where models differ first; of those, where the last is right.
    order = sorted(patterns, key=lambda pattern: (len(set(pattern)) == 1, not pattern[-1]))
    chosen: list[str] = []
    while len(chosen) < limit and any(patterns[pattern] for pattern in order):
        chosen += [patterns[pattern].pop(0) for pattern in order if patterns[pattern]]
    return chosen[:limit]


def clips_of(answers: Answers, items: Sequence[str]) -> set[str]:
    """The ground-truth video of every item and each model's first."""
    lines = [one[item] for one in answers for item in items]
    return {line["target"] for line in lines} | {line["top"][0][0] for line in lines}


def as_html(
    models: Sequence[str], answers: Answers, items: Sequence[str], frames: Mapping[str, np.ndarray]
) -> str:
    """The items as a piece of a page, each video once; everything from the data is escaped."""
    parts = []
    for item in items:
        parts.append(f"<h3>“{html.escape(answers[0][item]['text'])}”</h3>")
        parts.append('<div class="cards">')
        videos: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
        for name, clip, words, right in _shown(models, answers, item):
            videos[clip].append((name, words, right))
        for clip, found in videos.items():
            image = (
                picture(evenly(frames[clip], SHOWN), f"Frames of {clip}") if clip in frames else ""
            )
            said = "".join(
                f'<li class="{"right" if right else "wrong"}">{"✓" if right else "✗"} '
                f"<strong>{html.escape(name)}</strong> {html.escape(words)}</li>"
                for name, words, right in found
            )
            parts.append(
                f'<div class="card">{image}<p>{html.escape(clip)}</p><ul>{said}</ul></div>'
            )
        parts.append("</div>")
    return "\n".join(parts)


def as_markdown(
    models: Sequence[str],
    answers: Answers,
    items: Sequence[str],
    frames: Mapping[str, np.ndarray],
    keep: Callable[[str, bytes], str],
) -> str:
    """Tables for any renderer. `keep(name, webp)` stores an image and returns its address."""
    parts = []
    for item in items:
        parts.append(f"## {markdown_cell(answers[0][item]['text'])}")
        lines = ["| | video | frames |", "|---|---|---|"]
        for name, clip, words, right in _shown(models, answers, item):
            image = ""
            if clip in frames:
                image = f"![Frames]({keep(f'{clip}.webp', strip(evenly(frames[clip], SHOWN)))})"
            video = f"{'✓' if right else '✗'} {markdown_cell(clip)} {words}"
            lines.append(f"| {markdown_cell(name)} | {video} | {image} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _shown(models: Sequence[str], answers: Answers, item: str) -> list[tuple[str, str, str, bool]]:
    """Name, clip, words and whether it is right: the target, then each model's first video."""
    found = [("ground truth", answers[0][item]["target"], "", True)]
    for name, lines in zip(models, answers, strict=True):
        line = lines[item]
        first, right = line["top"][0][0], line["rank"] == 1
        words = f"score {line['top'][0][1]:.3f}"
        if not right:
            of = f", score {line['score']:.3f}" if "score" in line else ""
            words += f" (the ground-truth video has rank {line['rank']}{of})"
        found.append((name, first, words, right))
    return found
