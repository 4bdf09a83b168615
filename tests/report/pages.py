"""A page with everything on it, and with hostile words wherever words may come from data."""

from __future__ import annotations

from html import escape

from bench.report.tables import Board, Card, Chart, Figure, Lead, Page, Point, Row, Series

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"><svg/onload=alert(3)>',
    "{{ 7 * 7 }}\u2028alert(4)//",
)
TOY = " (toy world: not comparable with published numbers)"
ADDRESS = "https://example.org/paper"
PAPERS = 11  # published rows beside the paper's own


def row(model: str, r1: float, mdr: float, **others: object) -> Row:
    bounds = {"R@1": (r1 - 2, r1 + 2)}
    return Row(model, "measured", {"R@1": r1, "MdR": mdr}, bounds, "288/288", **others)  # type: ignore[arg-type]


def measured() -> Board:
    """Measured rows on drawn data, of every kind."""
    rows = [
        row("good", 100.5, 3, best=("R@1", "MdR"), provenance="one", rank=1, frames="12",
            size=4_200_000, differences={"R@1": 0.4, "MdR": -1.0}),
        row("weak", 9.1, 9, second=("R@1",), tied=("R@1",), provenance="two+one", rank=2,
            frames="8", size=151_000_000),
        *(row(words, 5.0, 20, notes=(f"note {words}",), provenance=f"h{place}", frames=words)
          for place, words in enumerate(HOSTILE)),
        Row("part", "partial", {"R@1": 90.0, "MdR": 1}, remark="10/288 partial"),
        Row("old", "stale", {"R@1": 80.0}, remark=f"stale: {HOSTILE[0]}"),
        Row("(chance)", "chance", {"R@1": 0.3, "MdR": 144.5}, remark="guessing"),
    ]  # fmt: skip
    lead = Lead("R@1", "%", "good", "weak", 91.4, (80.0, 99.0))
    return Board(f"msrvtt/toy, 288 items{TOY}", "msrvtt", "msrvtt/toy", ["R@1", "MdR"], rows,
                 {"R@1": True, "MdR": False}, toy=TOY, lead=lead)  # fmt: skip


def published() -> Board:
    """Published rows, more than are shown unasked, the paper's own the worst of them."""
    rows = [
        Row("SRL-CLIP", "published", {"R@1": 52.36}, remark="the paper, Table 1; 23k videos",
            notes=("As printed.",), link=("the paper, Table 1", ADDRESS), frames="8"),
        Row("BT-Adapter", "published", {"R@1": 41}, about=True, notes=("As printed.",),
            remark=HOSTILE[0], link=("elsewhere", f"{ADDRESS}?<&")),
        *(Row(f"other {n}", "published", {"R@1": 30.0 - n}) for n in range(PAPERS - 2)),
        Row("ours", "published", {"R@1": 10.0}, own=True),
    ]  # fmt: skip
    return Board(HOSTILE[1], "msrvtt", "msrvtt/1k-A", ["R@1", "MdR"], rows,
                 {"R@1": True, "MdR": False})  # fmt: skip


def ablation() -> Board:
    rows = [Row("qkv", "measured", {"R@1": 7.0}), Row("qkvo", "measured", {"R@1": 8.0})]
    return Board(f"What LoRA adapts{TOY}", "ablations", "t", ["R@1"], rows, toy=TOY, grid=True)


def full_page() -> Page:
    """Three boards, the three kinds of chart, a gallery, provenance."""
    curve = Series(HOSTILE[0], [Point(k, 10.0 * k, 8.0 * k, 12.0 * k) for k in (1, 2, 5)])
    dots = Series("measured", [Point("0", 3.0, 2.0, 4.0), Point(HOSTILE[2], 5.0, 4.0, 6.0)])
    charts = [
        Chart("Recall at k", "k", "R@k (%)", "line", [curve, Series("b", [Point(1, 3.0)])],
              log=True, toy=True),
        Chart(HOSTILE[1], HOSTILE[0], "mean", "dots", [dots, Series("paper", dots.points)]),
        Chart("Cost", "ms", "R@1", "scatter", [Series("a", [Point(3.2, 20.0)])], toy=True),
        Chart("Empty", "x", "y", "line", []),
        Chart("What LoRA adapts", "x", "y", "dots", [dots], toy=True, grid=True),
    ]  # fmt: skip
    card = '<div class="cards"><div class="card"><p class="right">✓ a</p></div></div>'
    body = f"<h3>{escape(HOSTILE[0])}</h3>{card}"
    named = [*((f"h{n}", words) for n, words in enumerate(HOSTILE)), ("one", "good"),
             ("two", "weak")]  # fmt: skip
    facts = {place: {"model": {"name": words, HOSTILE[0]: [1, 2]}} for place, words in named}
    cards = {
        place: Card(f"{words} on msrvtt", [("Model", HOSTILE[0]), (HOSTILE[1], words)],
                    f"bench run --model {words}", f"Built. {HOSTILE[2]}")
        for place, words in named
    }  # fmt: skip
    figure = Figure("Retrieval", HOSTILE[3], body, toy=True)
    return Page("srl-bench", "made by nobody", [measured(), published(), ablation()], charts,
                [figure], facts, cards)  # fmt: skip
