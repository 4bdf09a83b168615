"""What a page opens with: who is best on each board and by how much, in sentences and one plot."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from html import escape

from bench.report.charts import Scale, marker
from bench.report.marks import has_mark
from bench.report.tables import Board, Lead
from bench.report.text import number
from bench.results.document import interval

WIDTH, HEIGHT, EDGE = 320, 26, 10  # of one board's strip of the plot, and what is left at its sides
UNITS = {"%": "points", "rank": "ranks"}
NAMED = 3  # so many others that are tied or level are counted and not named
CLEAR, TIED, OPEN = "clear", "tied", "open"  # how the best stands to the rest


@dataclass(frozen=True)
class Answer:
    """One board's: its place on the page, who is best, what that rests on, its strip as SVG."""

    place: int
    board: Board
    headline: str
    detail: str
    strip: str


@dataclass(frozen=True)
class Answers:
    """Boards whose strips share an axis: all of drawn data or none, all of one unit."""

    toy: bool
    unit: str
    found: list[Answer]
    axis: str


def answers(boards: list[Board]) -> list[Answers]:
    """Of the boards with measured rows, in order; places count from 1."""
    groups: dict[tuple[bool, str], list[tuple[int, Board, Lead]]] = defaultdict(list)
    for place, board in enumerate(boards, 1):
        if board.lead is not None:
            groups[bool(board.toy), board.lead.unit].append((place, board, board.lead))
    return [_group(toy, unit, found) for (toy, unit), found in groups.items()]


def summary(boards: list[Board]) -> str:
    """How often each model is the best; empty where nothing can be compared."""
    leads = [board.lead for board in boards if board.lead and board.lead.second]
    if not leads:
        return ""
    wins = Counter(lead.best for lead in leads if _standing(lead) == CLEAR)
    counted = Counter(map(_standing, leads))
    said = [f"{name} is best on {count}" for name, count in wins.most_common()]
    said += [f"on {counted[TIED]} the best are statistically tied"] if counted[TIED] else []
    said += [f"on {counted[OPEN]} that was not tested"] if counted[OPEN] else []
    many = f"{len(leads)} boards" if len(leads) > 1 else "one board"
    return f"Of {many} with several models: {'; '.join(said)}."


def _standing(lead: Lead) -> str:
    """Whether one model is best, by the marks of the board and by the interval to the next."""
    if lead.second in lead.untested:
        return OPEN
    if lead.tied or (lead.interval and lead.interval[0] <= 0):
        return TIED
    return CLEAR if lead.interval or has_mark(lead.metric) else OPEN


def _group(toy: bool, unit: str, found: list[tuple[int, Board, Lead]]) -> Answers:
    bounds = [v for _, _, lead in found if lead.interval for v in (lead.gap, *lead.interval)]
    scale = Scale([0.0, *bounds], False) if bounds else None
    made = [
        Answer(place, board, *sentence(board, lead), _strip(lead, scale))
        for place, board, lead in found
    ]
    return Answers(toy, unit, made, _axis(scale, _unit(unit)) if scale else "")


# --- sentences -----------------------------------------------------------------------------------


def sentence(board: Board, lead: Lead) -> tuple[str, str]:
    """Who is best, in a few words, and what that rests on."""
    row = next(one for one in board.rows if (one.model, one.kind) == (lead.best, "measured"))
    value = f"{lead.metric} {number(row, lead.metric)}"
    if not lead.second:
        bounds = f" {_bounds(row.bounds[lead.metric])}" if lead.metric in row.bounds else ""
        return f"Only {lead.best} was measured", f"{value}{bounds}.{_beside(board, lead)}"
    headline = _headline(board, lead)
    if lead.gap == 0:
        return headline, f"{value} each.{_beside(board, lead)}"
    gap = f"{lead.gap:.1f} {_unit(lead.unit)}"
    if lead.interval:
        gap = f"a paired difference of {lead.gap:.1f} {_bounds(lead.interval)} {_unit(lead.unit)}"
    who = f"{value}," if _standing(lead) == CLEAR else f"{lead.best} has {value},"
    said = f"{who} ahead of {lead.second} by {gap.rstrip()}{_doubt(lead)}."
    return headline, said + _beside(board, lead)


def _bounds(found: tuple[float, float]) -> str:
    """An interval that no line's end divides."""
    return interval(*found).replace(" ", "\N{NO-BREAK SPACE}")


def _headline(board: Board, lead: Lead) -> str:
    if lead.gap == 0:
        level = [row.model for row in board.rows if lead.metric in row.best]
        return f"{_listed(level)} are level"
    standing = _standing(lead)
    if standing == CLEAR:
        return f"{lead.best} is best"
    if standing == OPEN:
        return "Not tested"
    # Without a mark of the board it is the pair alone that does not differ.
    return f"{_listed([lead.best, *(lead.tied or (lead.second,))])} are statistically tied"


def _listed(names: list[str]) -> str:
    """All names, or of many the first and how many others there are."""
    first, *others = names
    if len(others) >= NAMED:
        others = [f"{len(others)} others"]
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}"


def _doubt(lead: Lead) -> str:
    """What keeps the difference from being read as more than it is."""
    if _standing(lead) == OPEN:
        return "; whether that is more than chance is not known"
    if lead.interval is None:
        return " (this pair cannot be tested alone)"
    if lead.tied and lead.interval[0] > 0:
        return " (the interval of this pair alone; among all models together it can be chance)"
    return ""


def _beside(board: Board, lead: Lead) -> str:
    """The baseline and the highest published value, where the board has them."""
    said = ""
    name, up = lead.metric, board.higher.get(lead.metric, True)
    base = next((r for r in board.rows if r.kind == "chance" and name in r.values), None)
    if base:
        said += f" {base.remark.capitalize()}: {number(base, name)}."
    published = [
        r for r in board.rows if r.kind == "published" and name in r.values and not r.about
    ]
    published = [row for row in published if not row.dual_softmax] or published
    if published:
        best = (max if up else min)(published, key=lambda row: row.values[name])
        said += f" Best published value: {number(best, name)} ({best.model}), which is not paired."
    return said


def _unit(unit: str) -> str:
    return UNITS.get(unit, unit)


# --- the plot ------------------------------------------------------------------------------------


def _strip(lead: Lead, scale: Scale | None) -> str:
    """A dot for the difference and a bar for its interval; neither where it was not tested."""
    if scale is None:
        return ""
    if lead.interval is None:
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{_lines(scale)}</svg>'
    middle, words = HEIGHT / 2, f"{lead.best} ahead of {lead.second} by {lead.gap:.1f}"
    words += f" {interval(*lead.interval)} {_unit(lead.unit)}"
    left, right = (_across(scale, bound) for bound in lead.interval)
    kind = "s0" if _standing(lead) == CLEAR else "s7"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">'
        f"{_lines(scale)}"
        f'<path class="whisker {kind}" d="M{left:.1f} {middle}H{right:.1f}m0 -5v10'
        f'M{left:.1f} {middle - 5}v10"/>'
        f"{marker(int(kind[1]), _across(scale, lead.gap), middle, words)}</svg>"
    )


def _axis(scale: Scale, unit: str) -> str:
    labels = "".join(
        f'<text x="{_across(scale, value):.1f}" y="32" text-anchor="middle">{escape(label)}</text>'
        for value, label in scale.ticks()
    )
    name = escape(f"ahead of the next, {unit}".rstrip(", "))
    return (
        f'<svg viewBox="0 0 {WIDTH} 36" aria-hidden="true">{labels}'
        f'<text class="name" x="{WIDTH / 2}" y="14" text-anchor="middle">{name}</text></svg>'
    )


def _lines(scale: Scale) -> str:
    """Through the strips above and below as well: they are one plot."""
    return "".join(
        f'<line class="{"grid" if value else "axis"}" x1="{_across(scale, value):.1f}" '
        f'x2="{_across(scale, value):.1f}" y1="-400" y2="400"/>'
        for value, _ in scale.ticks()
    )


def _across(scale: Scale, value: float) -> float:
    return EDGE + scale.at(value) * (WIDTH - 2 * EDGE)
