"""Situations side by side: truth and models, event by event, with the frames (Supp. Figure 3)."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics.verbs import LABELS
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.lines import truth_of
from tasks.vidsitu.scoring import short_role

TITLE = "VidSitu: verbs and semantic roles side by side"


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
            told = list(dict.fromkeys(value for value in values if value))
            said = [line["roles"].get(name, {}).get(short_role(key), "") for line in lines]
            rows.append(Row(key, told, [Cell(text, text in told) for text in said]))
        events.append(rows)
    return Situation(clip, events, frames)


def as_html(models: Sequence[str], shown: Sequence[Situation], note: str) -> str:
    """One page without outside parts; everything from the data is escaped."""
    parts = [f"<h1>{TITLE}</h1>", f"<p>{html.escape(note)}</p>"]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in models)
    for one in shown:
        clip = html.escape(one.clip)
        parts.append(f"<h2>{clip}</h2>")
        for number, rows in enumerate(one.events, 1):
            parts.append(f"<section><h3>Event {number}</h3>")
            if one.frames is not None:
                data = base64.b64encode(_strip(one.frames, number - 1)).decode()
                label = f"Frames of event {number} of {clip}"
                parts.append(f'<img alt="{label}" src="data:image/jpeg;base64,{data}">')
            parts.append(
                '<div class="wide"><table><thead><tr><th scope="col">role</th>'
                f'<th scope="col">annotators</th>{head}</tr></thead><tbody>'
            )
            parts += [_html_row(row) for row in rows]
            parts.append("</tbody></table></div></section>")
    return _PAGE.replace("TITLE", TITLE).replace("BODY", "\n".join(parts))


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
    shown: Sequence[Situation],
    note: str,
    keep: Callable[[str, bytes], str],
) -> str:
    """Tables for any renderer. `keep(name, jpeg)` stores an image and returns its address."""
    parts = [f"# {TITLE}", _cell(note)]
    head = " | ".join(["role", "annotators", *map(_cell, models)])
    rule = "|".join(["---"] * (len(models) + 2))
    for one in shown:
        parts.append(f"## {_cell(one.clip)}")
        for number, rows in enumerate(one.events, 1):
            if one.frames is not None:
                address = keep(f"{one.clip}-{number}.jpg", _strip(one.frames, number - 1))
                parts.append(f"![Frames of event {number}]({address})")
            lines = [f"| {head} |", f"|{rule}|"]
            for row in rows:
                said = [f"{_mark(cell)} {_cell(cell.text)}" for cell in row.models]
                truth = _cell(" / ".join(row.truth)) or "-"
                lines.append(f"| {' | '.join([_cell(row.name), truth, *said])} |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _mark(cell: Cell) -> str:
    return "✓" if cell.right else "✗"


def _cell(text: str) -> str:
    escaped = html.escape(" ".join(text.split()), quote=False).replace("\\", "\\\\")
    return "".join("\\" + c if c in "|*_`[]" else c for c in escaped)


def _strip(frames: np.ndarray, event: int) -> bytes:
    """The frames of an event side by side, as JPEG."""
    from PIL import Image

    chosen = frames[event * FRAMES : (event + 1) * FRAMES]
    out = io.BytesIO()
    Image.fromarray(np.concatenate(list(chosen), axis=1)).save(out, "JPEG", quality=85)
    return out.getvalue()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>TITLE</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --line: #8884; --right: #0a7d33; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --right: #6fdc8c; --wrong: #ff9c94; } }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
section { margin: 0 0 1.5rem; }
h3 { margin: 0 0 .4rem; }
img { display: block; max-width: 100%; margin: 0 0 .4rem; border-radius: 4px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; min-width: 36rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem;
  border-bottom: 1px solid var(--line); }
.right { color: var(--right); } .wrong { color: var(--wrong); }
</style></head><body><main>
BODY
</main></body></html>
"""
