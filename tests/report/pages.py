"""A page with everything on it, and with hostile words wherever words may come from data."""

from __future__ import annotations

from html import escape

from bench.report.tables import Board, Chart, Figure, Page, Point, Row, Series

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"><svg/onload=alert(3)>',
    "{{ 7 * 7 }}\u2028alert(4)//",
)


def row(model: str, r1: float, mdr: float, **others: object) -> Row:
    bounds = {"R@1": (r1 - 2, r1 + 2)}
    return Row(model, "measured", {"R@1": r1, "MdR": mdr}, bounds, "288/288", **others)  # type: ignore[arg-type]


def full_page() -> Page:
    """Two boards, the three kinds of chart, a gallery, provenance."""
    higher = {"R@1": True, "MdR": False}
    rows = [
        row("good", 100.5, 3, best=("R@1", "MdR"), provenance="one",
            differences={"R@1": 0.4, "MdR": -1.0}),
        row("weak", 9.1, 9, second=("R@1",), tied=("R@1",), provenance="two"),
        *(row(words, 5.0, 20, notes=(f"note {words}",), provenance=f"h{place}")
          for place, words in enumerate(HOSTILE)),
        Row("part", "partial", {"R@1": 90.0, "MdR": 1}, remark="10/288 partial"),
        Row("old", "stale", {"R@1": 80.0}, remark=f"stale: {HOSTILE[0]}"),
        Row("(chance)", "chance", {"R@1": 0.3, "MdR": 144.5}, remark="guessing"),
    ]  # fmt: skip
    published = [
        Row("SRL-CLIP", "published", {"R@1": 52.36}, remark="the paper", notes=("As printed.",)),
        Row("BT-Adapter", "published", {"R@1": 41}, about=True, notes=("As printed.",)),
    ]
    toy = "msrvtt/toy, 288 items (toy world: not comparable with published numbers)"
    boards = [
        Board(toy, "msrvtt", "msrvtt/toy", ["R@1", "MdR"], rows, higher),
        Board(HOSTILE[1], "msrvtt", "msrvtt/1k-A", ["R@1", "MdR"], published, higher),
    ]
    curve = Series(HOSTILE[0], [Point(k, 10.0 * k, 8.0 * k, 12.0 * k) for k in (1, 2, 5)])
    dots = Series("measured", [Point("0", 3.0, 2.0, 4.0), Point(HOSTILE[2], 5.0, 4.0, 6.0)])
    charts = [
        Chart("Recall at k", "k", "R@k (%)", "line", [curve, Series("b", [Point(1, 3.0)])],
              log=True),
        Chart(HOSTILE[1], HOSTILE[0], "mean", "dots", [dots, Series("paper", dots.points)]),
        Chart("Cost", "ms", "R@1", "scatter", [Series("a", [Point(3.2, 20.0)])], "Toy."),
        Chart("Empty", "x", "y", "line", []),
    ]  # fmt: skip
    card = '<div class="cards"><div class="card"><p class="right">✓ a</p></div></div>'
    body = f"<h3>{escape(HOSTILE[0])}</h3>{card}"
    facts = {
        place: {"model": {"name": words, HOSTILE[0]: [1, 2]}, "metrics": {"R@1": {"value": 5}}}
        for place, words in [*((f"h{n}", words) for n, words in enumerate(HOSTILE)),
                             ("one", "good"), ("two", "weak")]
    }  # fmt: skip
    figure = Figure("Retrieval", HOSTILE[3], body)
    return Page("srl-bench", "made today", boards, charts, [figure], facts)
