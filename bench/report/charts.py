"""Charts as SVG: lines, dots and rows with intervals, scatter. Colours are of the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.report.tables import Chart, Point

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 46
LARGEST = 1e300  # differences and sums of larger numbers are none
ROW, NAMES = 22, 150  # of a chart of rows: a row's height, and the room for their names
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#555b63}.name{fill:#1c1e21}.grid{stroke:#d9dbd6}"
    ".axis{stroke:#5a6068}.line,.whisker{fill:none;stroke:#1f6fb4}.whisker{stroke-width:1.4}"
    ".mark{fill:#1f6fb4}"
)
TOY = "Toy world: not comparable with real videos"  # where no page says so
LETTER = 7  # about as wide as one is
TILT = 80  # what names that are turned take below the axis
SHAPES = 5  # markers, so that colour is never the only difference


def svg(chart: Chart) -> str:
    """The chart as one SVG element, its text escaped; points that are no numbers are left out."""
    series = [(one.name, [p for p in one.points if _finite(p)]) for one in chart.series]
    points = [point for _, found in series for point in found]
    if not points:
        return '<p class="empty">Nothing to draw.</p>'
    if chart.kind == "rows":
        return _framed(chart, _height(points), "".join(_rows(chart, points)))
    names = list(dict.fromkeys(str(p.x) for p in points)) if chart.kind == "dots" else []
    # A cost is shown from nothing up: two that lie close together should look so.
    start = [0.0] if chart.kind == "scatter" else []
    across = Names(names) if names else Scale([*start, *(float(p.x) for p in points)], chart.log)
    up = Scale([v for p in points for v in (p.y, p.low, p.high) if v is not None], False)
    tilt = TILT if _are_long(names) else 0
    parts = [_axes(chart, across, up, tilt)]
    for place, (name, found) in enumerate(series):
        shift = (place - (len(series) - 1) / 2) * 9 if names else 0.0
        parts.append(_series(chart.kind, place, name, found, across, up, shift))
    return _framed(chart, HEIGHT + tilt, "".join(parts))


def standalone(chart: Chart) -> str:
    """The chart as an SVG file of its own, dark on white, with its title and note above."""
    lines = [chart.title, *([TOY] if chart.toy else []), *filter(None, chart.note.split(". "))]
    words = "".join(
        _text(line, f'class="name" x="12" y="{18 * place}"', "start")
        for place, line in enumerate(lines, 1)
    )
    points = [point for series in chart.series for point in series.points if _finite(point)]
    top, tall = 18 * len(lines) + 6, _height(points) if chart.kind == "rows" else HEIGHT
    place = f'<svg y="{top}" width="{WIDTH}" height="{tall:g}" '
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + tall:g}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{words}{svg(chart).replace('<svg ', place, 1)}</svg>\n"
    )


def _framed(chart: Chart, height: float, body: str) -> str:
    names = ", ".join(one.name for one in chart.series)
    words = f"{chart.y} by {chart.x} of {names}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(chart.title)}">'
        f"<title>{escape(chart.title)}</title><desc>{escape(words)}</desc>{body}</svg>"
    )


def _height(points: Sequence[Point]) -> float:
    return TOP + ROW * len(points) + BOTTOM


def _rows(chart: Chart, points: Sequence[Point]) -> Iterator[str]:
    """Each point in a row of its own, its name on the left, its interval across; zero is marked."""
    scale = Scale([0.0, *(v for p in points for v in (p.y, p.low, p.high) if v is not None)], False)
    base = _height(points) - BOTTOM

    def across(value: float) -> float:
        return NAMES + scale.at(value) * (WIDTH - RIGHT - NAMES)

    for value, label in scale.ticks():
        kind, x = "grid" if value else "axis", across(value)
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{base}"/>'
        yield _text(label, f'x="{x:.1f}" y="{base + 17}"')
    for place, point in enumerate(points):
        y, words = TOP + ROW * (place + 0.5), f"{point.x}: {point.y:.2f}"
        yield _text(str(point.x), f'class="name" x="{NAMES - 10}" y="{y + 4:.1f}"', "end")
        if point.low is not None and point.high is not None:
            left, right = across(point.low), across(point.high)
            words += f" [{point.low:.2f}, {point.high:.2f}]"
            yield (f'<path class="whisker s0" d="M{left:.1f} {y:.1f}H{right:.1f}m0 -4v8'
                   f'M{left:.1f} {y - 4:.1f}v8"/>')  # fmt: skip
        yield marker(0, across(point.y), y, words)
    yield _text(chart.y, f'class="name" x="{(NAMES + WIDTH - RIGHT) / 2}" y="{base + 38}"')


def marker(place: int, x: float, y: float, words: str = "") -> str:
    """The marker of series `place`, with `words` as its tooltip."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"/>',
        f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
        f'<path d="M{x:.1f} {y - 5.2:.1f}l5.2 5.2l-5.2 5.2l-5.2 -5.2z"/>',
        f'<path d="M{x:.1f} {y + 5:.1f}l5 -9h-10z"/>',
    )
    return (
        f'<g class="mark s{place % 8}">{shapes[place % SHAPES]}<title>{escape(words)}</title></g>'
    )


def _finite(point: Point) -> bool:
    values = [point.y, point.low, point.high, point.x]
    return all(abs(v) < LARGEST for v in values if isinstance(v, int | float))


class Scale:
    """Numbers to a share of the axis, 0 to 1, with round ticks."""

    def __init__(self, values: Sequence[float], log: bool) -> None:
        self.log = log and min(values) > 0
        low, high = min(map(self._form, values)), max(map(self._form, values))
        # At least a thousandth of the value is shown: labels of six digits tell ticks apart.
        margin = max((high - low) * 0.06, abs(high) * 5e-4) if low < high else abs(high) * 0.1 or 1
        self.low, self.high = low - margin, high + margin

    def _form(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def at(self, value: float | str) -> float:
        """Where the value lies between the ends."""
        return (self._form(float(value)) - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values and their labels: three to seven, or 1, 2 and 5 of each decade."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            found = [f * 10.0**d for d in decades for f in (1, 2, 5)]
            inside = [(v, f"{v:g}") for v in found if self.low <= math.log10(v) <= self.high]
            # Between 3.1 and 4.9 there is none of these.
            return inside if len(inside) > 1 else _round(10**self.low, 10**self.high)
        return _round(self.low, self.high)


def _round(low: float, high: float) -> list[tuple[float, str]]:
    """Values at a round distance between `low` and `high`, and their labels."""
    rough = (high - low) / 6
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * f for f in (1, 2, 5, 10) if size * f >= rough)
    return [(k * step, f"{k * step:g}" if k else "0")
            for k in range(math.ceil(low / step), math.floor(high / step) + 1)]  # fmt: skip


class Names:
    """Categories at even distances."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def at(self, value: float | str) -> float:
        """The middle of the category's part of the axis."""
        return (self.names.index(str(value)) + 0.5) / len(self.names)

    def ticks(self) -> list[tuple[str, str]]:
        """Every category."""
        return [(name, name) for name in self.names]


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _are_long(names: list[str]) -> bool:
    """Whether names beside each other would overlap."""
    return max(map(len, names), default=0) * LETTER > (WIDTH - LEFT - RIGHT) / max(1, len(names))


def _axes(chart: Chart, across: Scale | Names, up: Scale, tilt: int) -> str:
    parts = []
    base, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value, label in up.ticks():
        y = _y(up.at(value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(label, f'x="{LEFT - 7}" y="{y + 4:.1f}"', "end"))
    for at, label in across.ticks():
        x = f"{_x(across.at(at)):.1f}"
        if tilt:
            turned = f'transform="translate({x} {base + 14}) rotate(-40)"'
            parts.append(_text(label, turned, "end"))
        else:
            parts.append(_text(label, f'x="{x}" y="{base + 17}"'))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{end}" y1="{base}" y2="{base}"/>')
    parts.append(_text(chart.x, f'class="name" x="{(LEFT + end) / 2}" y="{HEIGHT + tilt - 8}"'))
    turned = f'class="name" transform="translate(14 {(TOP + base) / 2}) rotate(-90)"'
    return "".join([*parts, _text(chart.y, turned)])


def _text(words: str, where: str, anchor: str = "middle") -> str:
    return f'<text {where} text-anchor="{anchor}">{escape(words)}</text>'


def _series(
    kind: str,
    place: int,
    name: str,
    points: Sequence[Point],
    across: Scale | Names,
    up: Scale,
    shift: float,
) -> str:
    parts, path = [], []
    for point in points:
        x, y = _x(across.at(point.x)) + shift, _y(up.at(point.y))
        path.append(f"{x:.1f} {y:.1f}")
        words = f"{name}, {point.x}: {point.y:.2f}"
        if point.low is not None and point.high is not None:
            top, low = _y(up.at(point.high)), _y(up.at(point.low))
            words += f" [{point.low:.2f}, {point.high:.2f}]"
            parts.append(f'<path class="whisker s{place % 8}" d="M{x:.1f} {low:.1f}V{top:.1f}'
                         f'm-4 0h8M{x - 4:.1f} {low:.1f}h8"/>')  # fmt: skip
        if kind != "line" or len(points) <= 20:
            parts.append(marker(place, x, y, words))
    if kind == "line" and len(path) > 1:
        parts.insert(0, f'<path class="line s{place % 8}" d="M{"L".join(path)}"/>')
    return "".join(parts)
