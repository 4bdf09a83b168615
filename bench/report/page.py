"""The HTML report: one file, nothing from elsewhere, everything foreign escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from bench.report.answers import UNITS, answers, summary
from bench.report.charts import marker, svg
from bench.report.facts import size_in_words
from bench.report.tables import Board, Page
from bench.report.text import LEGEND, arrow, difference, footnotes, number
from bench.results.document import interval

FILES = Path(__file__).with_name("page_files")
ARROWS = (
    '<svg{} class="sort" viewBox="0 0 12 16" aria-hidden="true">'
    '<path class="up" d="M6 1l5 6H1z"/><path class="down" d="M6 15l5-6H1z"/></svg>'
)


def render_page(page: Page) -> str:
    """The page as HTML. Only the bodies of figures are taken as they are: galleries escape them.

    Script and style are inline and named to the browser by their hashes: no other may run.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    style, script = (
        (FILES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
    )
    toy, mixed = _toy(page)
    placed = list(enumerate(page.boards, 1))
    return environment.get_template("page.html.j2").render(
        page=page,
        legend=LEGEND,
        style=Markup(style),
        script=Markup(script),
        policy=(
            f"default-src 'none'; img-src data:; script-src {_hash(script)}; "
            f"style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
        ),
        provenance=Markup(embedded(page.provenance)),
        answers=answers(page.boards), summary=summary(page.boards), units=UNITS,
        toy=toy, mixed=mixed,
        badge=lambda drawn: Markup(' <span class="badge">toy</span>') if drawn and mixed else "",
        boards=[(place, board) for place, board in placed if not board.grid],
        grids=[(place, board) for place, board in placed if board.grid],
        charts=[chart for chart in page.charts if not chart.grid],
        grid_charts=[chart for chart in page.charts if chart.grid],
        kinds=_kinds(page.boards),
        owned=any(row.own for board in page.boards for row in board.rows),
        results=lambda row: [one for one in row.results if one in page.cards],
        sort_icon=Markup(ARROWS.format(' id="sort-icon"')),
        head=lambda board, name: Markup("<wbr>").join(
            Markup("<span>{}</span>").format(part) for part in _parts(name, arrow(board, name))
        ),
        svg=lambda chart: Markup(svg(chart)),
        key=lambda place: Markup(
            f'<svg viewBox="0 0 14 14" class="key" aria-hidden="true">{marker(place, 7, 7)}</svg>'
        ),
        body=Markup,
        arrow=arrow, number=number, interval=interval, difference=difference,
        footnotes=footnotes, size_in_words=size_in_words,
        numbers=partial(sorted, key=lambda item: item[1]),
    )  # fmt: skip


def _toy(page: Page) -> tuple[bool, bool]:
    """Whether anything measured is of drawn videos, and whether something else is not."""
    toy = (
        any(board.toy for board in page.boards) or any(chart.toy for chart in page.charts)
        or any(figure.toy for figure in page.figures)
    )  # fmt: skip
    real = any(_is_measured(board) and not board.toy for board in page.boards)
    return toy, toy and real


def _is_measured(board: Board) -> bool:
    return any(row.kind not in ("published", "chance", "ceiling") for row in board.rows)


def _parts(name: str, arrow_: str) -> list[str]:
    """A column's name where it may be broken, the arrow beside the last part."""
    parts = [part for part in re.split(r"(?<=[ /])", name) if part]
    return [*parts[:-1], f"{parts[-1]}\N{NO-BREAK SPACE}{arrow_}".rstrip()] if parts else [arrow_]


def _kinds(boards: list[Board]) -> list[str]:
    """Of the rows that can be filtered, in order of appearance."""
    return list(dict.fromkeys(row.kind for b in boards if not b.grid for row in b.rows))


def embedded(value: Any) -> str:
    """JSON that can stand in a <script>: no character of it can end the element."""
    text = json.dumps(value, ensure_ascii=True)  # ASCII: U+2028 and its like are escaped too
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
