"""Situations side by side: truth and models, event by event, with the frames (Supp. Figure 3)."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics.verbs import LABELS
from bench.report.frames import markdown_cell, picture, strip
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.lines import truth_of
from tasks.vidsitu.scoring.rules import short_role

TITLE = "VidSitu: verbs and semantic roles side by side"
NOTE = "The first clips of the split. A tick: an annotator said the same."


@dataclass(frozen=True)
class Cell:
    """One model's words for a verb or a role; `right` where the truth says the same."""

    text: str
    right: bool


@dataclass(frozen=True)
class Row:
    """The verb of an event, or one role: what annotators said, what each model says."""

    name: str
    truth: list[str]
    models: list[Cell]


@dataclass(frozen=True)
class Situation:
    """One clip: five lists of rows, and its frames uint8 [P * T, H, W, 3] where it has some."""

    clip: str
    events: list[list[Row]]
    frames: np.ndarray | None


def situation(
    clip: str, lines: Sequence[Mapping[str, Any]], frames: np.ndarray | None
) -> Situation:
    """The clip's rows from each model's line on it, in the models' order."""
    truth = truth_of(lines[0])
    events = []
    for place, name in enumerate(EVENTS):
        votes = truth.votes[place][:LABELS]
        common = sorted(set(votes), key=lambda verb: (-votes.count(verb), verb))
        rows = [
            Row("verb", common, [Cell(line["verbs"][place][0], line["verbs"][place][0] in votes)
                                 for line in lines])
        ]  # fmt: skip
        for key, _ in truth.references[0].events[place].arguments:
            values = [dict(one.events[place].arguments).get(key, "") for one in truth.references]
            annotated = list(dict.fromkeys(value for value in values if value))
            said = [line["roles"].get(name, {}).get(short_role(key), "") for line in lines]
            rows.append(Row(key, annotated, [Cell(text, text in annotated) for text in said]))
        events.append(rows)
    return Situation(clip, events, frames)


def choose(answers: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """The first clips that every model answered: nobody picked them."""
    return [item for item in answers[0] if all(item in lines for lines in answers)][:limit]


def clips_of(answers: Sequence[Mapping[str, Any]], items: Sequence[str]) -> set[str]:
    """The clips whose frames are shown with `items`."""
    return set(items)


def as_html(
    models: Sequence[str],
    answers: Sequence[Mapping[str, Any]],
    items: Sequence[str],
    frames: Mapping[str, np.ndarray],
) -> str:
    """The items' situations as a piece of a page; everything from the data is escaped."""
    parts = []
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in models)
    for item in items:
        one = situation(item, [lines[item] for lines in answers], frames.get(item))
        clip = html.escape(one.clip)
        parts.append(f"<h3>{clip}</h3>")
        for number, rows in enumerate(one.events, 1):
            parts.append(f'<section class="situation"><h4>Event {number}</h4>')
            if one.frames is not None:
                words = f"Frames of event {number} of {one.clip}"
                parts.append(picture(_event(one.frames, number - 1), words))
            parts.append(
                '<div class="wide"><table><thead><tr><th scope="col">role</th>'
                f'<th scope="col">annotators</th>{head}</tr></thead><tbody>'
            )
            parts += [_html_row(row) for row in rows]
            parts.append("</tbody></table></div></section>")
    return "\n".join(parts)


def _html_row(row: Row) -> str:
    truth = html.escape(" / ".join(row.truth)) or "-"
    cells = "".join(
        f'<td class="{"right" if cell.right else "wrong"}">{_mark(cell)} {html.escape(cell.text)}'
        "</td>"
        for cell in row.models
    )
    return f'<tr><th scope="row">{html.escape(row.name)}</th><td>{truth}</td>{cells}</tr>'


def as_markdown(
    models: Sequence[str],
    answers: Sequence[Mapping[str, Any]],
    items: Sequence[str],
    frames: Mapping[str, np.ndarray],
    keep: Callable[[str, bytes], str],
) -> str:
    """Tables for any renderer. `keep(name, webp)` stores an image and returns its address."""
    parts = []
    head = " | ".join(["role", "annotators", *map(markdown_cell, models)])
    rule = "|".join(["---"] * (len(models) + 2))
    for item in items:
        one = situation(item, [lines[item] for lines in answers], frames.get(item))
        parts.append(f"## {markdown_cell(one.clip)}")
        for number, rows in enumerate(one.events, 1):
            if one.frames is not None:
                address = keep(f"{one.clip}-{number}.webp", strip(_event(one.frames, number - 1)))
                parts.append(f"![Frames of event {number}]({address})")
            lines = [f"| {head} |", f"|{rule}|"]
            for row in rows:
                said = [f"{_mark(cell)} {markdown_cell(cell.text)}" for cell in row.models]
                truth = markdown_cell(" / ".join(row.truth)) or "-"
                lines.append(f"| {' | '.join([markdown_cell(row.name), truth, *said])} |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _mark(cell: Cell) -> str:
    return "✓" if cell.right else "✗"


def _event(frames: np.ndarray, event: int) -> np.ndarray:
    return frames[event * FRAMES : (event + 1) * FRAMES]
