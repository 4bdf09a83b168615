"""The HTML report: one file, nothing from elsewhere, everything foreign escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from bench.report.charts import marker, svg
from bench.report.tables import Page
from bench.report.text import LEGEND, arrow, difference, footnotes, number

FILES = Path(__file__).with_name("page_files")


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
        kinds=list(dict.fromkeys(row.kind for board in page.boards for row in board.rows)),
        svg=lambda chart: Markup(svg(chart)),
        key=lambda place: Markup(
            f'<svg viewBox="0 0 14 14" class="key" aria-hidden="true">{marker(place, 7, 7)}</svg>'
        ),
        body=Markup,
        arrow=arrow,
        number=number,
        difference=difference,
        footnotes=footnotes,
        numbers=partial(sorted, key=lambda item: item[1]),
    )


def embedded(value: Any) -> str:
    """JSON that can stand in a <script>: no character of it can end the element."""
    text = json.dumps(value, ensure_ascii=True)  # ASCII: U+2028 and its like are escaped too
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
