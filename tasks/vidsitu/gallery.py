"""Situations side by side: truth and models, event by event, with the frames (Supp. Figure 3)."""

from __future__ import annotations

import html
import math
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
NOTE = (
    "Clips on which the models differ most in what they get right: they show cases, the boards "
    "count them. A tick: an annotator said the same. Beside a verb is the model's probability of "
    "it; an event on which all models are right or wrong alike is folded."
)


@dataclass(frozen=True)
class Cell:
    """One model's words for a verb or a role; `right` where the truth says the same.

    `score` is the probability of a verb, where the line keeps it.
    """

    text: str
    right: bool
    score: float | None = None


@dataclass(frozen=True)
class Row:
    """The verb of an event, or one role: what annotators said, what each model says."""

    name: str
    truth: list[str]
    models: list[Cell]

    @property
    def differs(self) -> bool:
        """Whether some models are right and some are not."""
        return len({cell.right for cell in self.models}) > 1


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
            Row("verb", common, [_verb(line, place, votes) for line in lines])
        ]  # fmt: skip
        for key, _ in truth.references[0].events[place].arguments:
            values = [dict(one.events[place].arguments).get(key, "") for one in truth.references]
            annotated = list(dict.fromkeys(value for value in values if value))
            said = [line["roles"].get(name, {}).get(short_role(key), "") for line in lines]
            rows.append(Row(key, annotated, [Cell(text, text in annotated) for text in said]))
        events.append(rows)
    return Situation(clip, events, frames)


def _verb(line: Mapping[str, Any], place: int, votes: Sequence[str]) -> Cell:
    verb = line["verbs"][place][0]
    score = math.exp(line["scores"][place][0]) if "scores" in line else None
    return Cell(verb, verb in votes, score)


def choose(answers: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """Of the clips that every model answered those on which they differ most, then in order."""
    items = [item for item in answers[0] if all(item in lines for lines in answers)]

    def alike(item: str) -> int:
        events = situation(item, [lines[item] for lines in answers], None).events
        return -sum(row.differs for rows in events for row in rows)

    return sorted(items, key=alike)[:limit]


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
        parts.append(f'<p class="said">{html.escape(_counts(models, one))}</p>')
        parts.append('<div class="situations">')
        for number, rows in enumerate(one.events, 1):
            folded = len(models) > 1 and not any(row.differs for row in rows)
            parts.append(
                f'<details class="situation"{"" if folded else " open"}>'
                f"<summary>Event {number}</summary>"
            )
            if one.frames is not None:
                words = f"Frames of event {number} of {one.clip}"
                parts.append(picture(_event(one.frames, number - 1), words))
            parts.append(
                '<div class="wide"><table><thead><tr><th scope="col">role</th>'
                f'<th scope="col">annotators</th>{head}</tr></thead><tbody>'
            )
            parts += [_html_row(row, models) for row in rows]
            parts.append("</tbody></table></div></details>")
        parts.append("</div>")
    return "\n".join(parts)


def _counts(models: Sequence[str], one: Situation) -> str:
    """How many verbs and roles each model says as an annotator does."""
    verbs = [rows[0] for rows in one.events]
    roles = [row for rows in one.events for row in rows[1:]]
    return "; ".join(
        f"{name}: "
        + ", ".join(f"{sum(row.models[place].right for row in rows)} of {len(rows)} {what}"
                    for rows, what in ((verbs, "verbs"), (roles, "roles")))
        for place, name in enumerate(models)
    )  # fmt: skip


def _html_row(row: Row, models: Sequence[str]) -> str:
    truth = html.escape(" / ".join(row.truth)) or "-"
    cells = "".join(
        f'<td class="{"right" if cell.right else "wrong"}" data-label="{html.escape(name)}">'
        f"{_mark(cell)} {html.escape(_said(cell))}</td>"
        for name, cell in zip(models, row.models, strict=True)
    )
    kind = ' class="differs"' if row.differs else ""
    return (
        f'<tr{kind}><th scope="row">{html.escape(row.name)}</th>'
        f'<td data-label="annotators">{truth}</td>{cells}</tr>'
    )


def _said(cell: Cell) -> str:
    return cell.text if cell.score is None else f"{cell.text} ({cell.score:.2f})"


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
                said = [f"{_mark(cell)} {markdown_cell(_said(cell))}" for cell in row.models]
                truth = markdown_cell(" / ".join(row.truth)) or "-"
                lines.append(f"| {' | '.join([markdown_cell(row.name), truth, *said])} |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _mark(cell: Cell) -> str:
    return "✓" if cell.right else "✗"


def _event(frames: np.ndarray, event: int) -> np.ndarray:
    return frames[event * FRAMES : (event + 1) * FRAMES]
