"""Pairs side by side: both captions with what differs, each model's scores, the frames."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from bench.report.frames import evenly, markdown_cell, picture, strip

TITLE = "Pairs: a true and a false caption of each clip"
NOTE = (
    "One pair of each test in turn, those first on which models differ: they show cases, the "
    "boards count them. A tick: the model gives the true caption the higher score (a cosine)."
)
SHOWN = 4  # frames of a clip

Answers = Sequence[Mapping[str, Any]]


def choose(answers: Answers, limit: int) -> list[str]:
    """Items of each test in turn: of a test first those on which models differ, then all wrong."""
    of_test: dict[str, list[str]] = defaultdict(list)
    for item, line in answers[0].items():
        if all(item in lines for lines in answers):
            of_test[line["test"]].append(item)

    def telling(item: str) -> tuple[bool, bool]:
        right = [_is_right(lines[item]) for lines in answers]
        agreed = len(set(right)) == 1
        return agreed, right[-1] == agreed  # of those that differ, first where the last is right

    turns = zip_longest(*(sorted(items, key=telling) for items in of_test.values()))
    return [item for turn in turns for item in turn if item is not None][:limit]


def clips_of(answers: Answers, items: Sequence[str]) -> set[str]:
    """The clips whose frames are shown with `items`."""
    return {answers[0][item]["clip"] for item in items}


def as_html(
    models: Sequence[str], answers: Answers, items: Sequence[str], frames: Mapping[str, np.ndarray]
) -> str:
    """The items as a piece of a page; everything from the data is escaped."""
    parts = []
    for item in items:
        line = answers[0][item]
        parts.append(f'<article class="case"><h3>{html.escape(_heading(line))}</h3>')
        if line["clip"] in frames:
            words = f"Frames of {line['event'] or 'the clip'}, {line['clip']}"
            parts.append(picture(_shown(frames[line["clip"]], line), words))
        for name, pieces in _captions(line):
            said = " ".join(f"<mark>{html.escape(text)}</mark>" if differs else html.escape(text)
                            for text, differs in pieces)  # fmt: skip
            parts.append(f'<p class="said"><strong>{name}:</strong> {said}</p>')
        parts.append(
            '<table class="pairs"><thead><tr><th scope="col">score</th>'
            '<th scope="col">true</th><th scope="col">false</th></tr></thead><tbody>'
        )
        for name, right, (true, false) in _scores(models, answers, item):
            mark, kind = ("✓", "right") if right else ("✗", "wrong")
            parts.append(
                f'<tr><th scope="row">{html.escape(name)}</th>'
                f'<td class="{kind}">{mark} {true}</td><td>{false}</td></tr>'
            )
        parts.append("</tbody></table></article>")
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
        line = answers[0][item]
        parts.append(f"## {markdown_cell(_heading(line))}")
        if line["clip"] in frames:
            address = keep(f"{item}.webp", strip(_shown(frames[line["clip"]], line)))
            parts.append(f"![Frames]({address})")
        for name, pieces in _captions(line):
            said = " ".join(f"**{markdown_cell(text)}**" if differs else markdown_cell(text)
                            for text, differs in pieces)  # fmt: skip
            parts.append(f"{name}: {said}")
        rows = ["| score | true | false |", "|---|---|---|"]
        for name, right, (true, false) in _scores(models, answers, item):
            rows.append(f"| {markdown_cell(name)} | {'✓' if right else '✗'} {true} | {false} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _heading(line: Mapping[str, Any]) -> str:
    return f"{line['test']}: {line['clip']} {line['event']}".strip()


def _captions(line: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    yield "True", _pieces(line["true"], line["false"])
    yield "False", _pieces(line["false"], line["true"])


def _scores(
    models: Sequence[str], answers: Answers, item: str
) -> Iterator[tuple[str, bool, tuple[str, str]]]:
    """Each model's name, whether it is right, and its scores of the true and the false caption."""
    for name, lines in zip(models, answers, strict=True):
        true, false = (f"{score:.4f}" for score in lines[item]["scores"])
        yield name, _is_right(lines[item]), (true, false)


def _pieces(text: str, other: str) -> list[tuple[str, bool]]:
    """The text in pieces of whole words, each with whether the other text has others there."""
    words = text.split()
    return [
        (" ".join(words[step.src_start : step.src_end]), step.tag != "equal")
        for step in Levenshtein.opcodes(words, other.split())
        if step.src_start < step.src_end
    ]


def _is_right(line: Mapping[str, Any]) -> bool:
    true, false = line["scores"]
    return bool(true > false)


def _shown(frames: np.ndarray, line: Mapping[str, Any]) -> np.ndarray:
    """The frames of the line's part of the clip; of a whole clip SHOWN, evenly from all."""
    if "part" in line:
        place, parts = line["part"]
        return np.array_split(frames, parts)[place]
    return evenly(frames, SHOWN)
