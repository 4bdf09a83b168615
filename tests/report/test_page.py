"""The HTML report as text: complete, foreign words escaped, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from pages import ADDRESS, HOSTILE, full_page, measured, published

from bench.report.charts import svg
from bench.report.page import embedded, render_page
from bench.report.tables import Board, Chart, Page, Point, Row, Series


class Reader(HTMLParser):
    """Collects what a browser would act on, and the words it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_holds_everything_and_loads_nothing() -> None:
    read = Reader(render_page(full_page()))
    for words in ("good", "52.36", "~41", "100.5", "As printed.", "Recall at k", "10/288 partial"):
        assert words in read.words
    for tag, attributes in read.tags:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name) or "#"
            link = (tag, name) == ("a", "href") and value.startswith(ADDRESS)
            assert value.startswith(("#", "data:")) or link, (tag, value)
    policy = next(a["content"] for t, a in read.tags if t == "meta" and "content" in a)
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy


def test_foreign_words_are_words() -> None:
    text = render_page(full_page())
    read = Reader(text)
    assert not [a for _, a in read.tags if any(name.startswith("on") for name in a)]
    assert [tag for tag, _ in read.tags].count("script") == 2  # provenance, and our own
    assert "img" not in [tag for tag, _ in read.tags]
    for words in HOSTILE[:3]:
        assert words in read.words
    assert "49" not in read.words.split() and "{{ 7 * 7 }}" in read.words


def test_footnotes_are_numbered_once_and_marks_are_words_too() -> None:
    text = render_page(full_page())
    assert text.count(">As printed.</li>") == 1 and text.count('aria-label="Footnote 1"') == 3
    assert "<strong>100.5</strong>" in text and '<span class="hidden"> best</span>' in text
    assert "R@1 +0.4, MdR -1.0" in text


@pytest.mark.parametrize("value", [*HOSTILE, {"a": ["<!--", "]]>", "\u2029&"]}])
def test_embedded_json_cannot_end_its_element(value: object) -> None:
    text = embedded(value)
    assert not re.search(r"[<>&\u2028\u2029]", text) and json.loads(text) == value


def test_charts_of_any_number_of_points() -> None:
    for count in (0, 1, 2, 50):
        points = [Point(k + 1, float(k)) for k in range(count)]
        for kind in ("line", "scatter", "dots"):
            for log in (False, True):
                drawn = svg(Chart("t", "x", "y", kind, [Series("s", points)], log=log))
                assert ("<svg" in drawn) == (count > 0) and "nan" not in drawn.lower()
    odd = [Point(1, math.nan), Point(2, math.inf), Point(3, 1.0), Point(0, 2.0, math.nan, 3.0)]
    drawn = svg(Chart("t", "x", "y", "line", [Series("s", odd)], log=True))
    assert drawn.count('class="mark') == 1 and "inf" not in drawn


@pytest.mark.parametrize("huge", [1e308, 10**400])
def test_what_has_no_difference_is_not_drawn(huge: float) -> None:
    """A range of both would be infinite."""
    points = [Point("a", huge), Point("b", -huge), Point("c", 1.0)]
    assert "nan" not in svg(Chart("t", "x", "y", "dots", [Series("s", points)]))


def test_ticks_are_round_and_inside() -> None:
    drawn = svg(Chart("t", "x", "y", "line", [Series("s", [Point(0, 0.0), Point(10, 100.0)])]))
    labels = re.findall(r'text-anchor="end">([^<]*)<', drawn)
    assert labels == ["0", "50", "100"] or labels == ["0", "20", "40", "60", "80", "100"]


def test_an_empty_page() -> None:
    read = Reader(render_page(Page("t", "", [], [], [], {})))
    assert "section" not in [tag for tag, _ in read.tags]


@pytest.mark.parametrize(
    "values",
    [(89.0, 94.7), (98.3, 115.4), (89.0, 89.001), (5.0, 5.0), (3.1, 4.9), (0.2, 4000.0), (1, 2)],
)
def test_every_axis_has_ticks_that_read_differently(values: tuple[float, float]) -> None:
    for kind in ("line", "scatter"):
        for log in (False, True):
            points = [Point(value, value) for value in values]
            drawn = svg(Chart("t", "x", "y", kind, [Series("s", points)], log=log))
            across = re.findall(r'<text x="[^"]*" y="[^"]*" text-anchor="middle">([^<]*)<', drawn)
            up = re.findall(r'text-anchor="end">([^<]*)<', drawn)
            for labels in (across, up):
                assert 2 <= len(labels) <= 14 and len(set(labels)) == len(labels), (
                    labels,
                    kind,
                    log,
                )
                assert [float(label) for label in labels] == sorted(map(float, labels))


def test_a_cost_is_drawn_from_nothing_up() -> None:
    points = [Point(89.0, 17.0), Point(94.7, 20.0)]
    drawn = svg(Chart("t", "ms", "R@1", "scatter", [Series("s", points)]))
    assert re.search(r'text-anchor="middle">0<', drawn)


def test_one_notice_says_that_it_is_the_toy_world() -> None:
    """Not every title and note; what is marked is so only where something else is not."""
    page = full_page()
    read = Reader(render_page(page))
    assert read.words.lower().count("toy world") == 1
    assert ">toy</span>" not in render_page(page)
    real = replace(measured(), title="msrvtt/1k-A", toy="")
    mixed = render_page(replace(page, boards=[*page.boards, real]))
    assert Reader(mixed).words.lower().count("toy world") == 1
    # The notice names the mark; two boards, three charts and a gallery have it.
    assert mixed.count(">toy</span>") == 1 + 2 + 3 + 1
    assert "toy world" not in Reader(render_page(Page("t", "", [real], [], [], {}))).words.lower()


def test_the_answer_stands_first_then_boards_then_what_is_behind_them() -> None:
    text = render_page(full_page())
    order = ["answer", "boards", "examples", "charts", "ablations", "statistics",
             "provenance-cards"]  # fmt: skip
    assert re.findall('<section id="([^"]*)"', text) == order
    answer = Reader(text.partition('<section id="boards"')[0]).words
    assert "good is best: R@1 100.5" in " ".join(answer.split())
    assert 'href="#board-1"' in text and 'id="board-1"' in text
    folded = text[text.index('<section id="ablations"') : text.index('<section id="statistics"')]
    assert folded.count('<details class="part">') == 2 and "open" not in folded
    assert "qkvo" in folded and "qkvo" not in text.replace(folded, "")


def test_without_a_complete_result_nobody_is_called_the_best() -> None:
    text = render_page(Page("t", "", [published()], [], [], {}))
    assert "No complete result was measured" in text and 'id="answer"' not in text
    assert "No complete result" not in render_page(full_page())
    assert "No complete result" not in render_page(Page("t", "", [], [], [], {}))


def test_intervals_have_one_notation() -> None:
    words = " ".join(Reader(render_page(full_page())).words.split())
    assert "[98.5, 102.5]" in words and "[8.00, 12.00]" in words  # of a board, and of a plot
    assert not re.search(r"\d to \d", words) and ".." not in words.replace("...", "")


def test_published_rows_lead_to_their_source() -> None:
    text = render_page(Page("t", "", [published()], [], [], {}))
    assert f'<a href="{ADDRESS}" rel="noreferrer">the paper, Table 1</a>; 23k videos' in text
    # Where the remark begins with something else, the link stands behind it.
    assert f'; <a href="{ADDRESS}?&lt;&amp;" rel="noreferrer">elsewhere</a>' in text
    assert text.count(">the paper</span>") == 2  # the legend's and the paper's own row


def test_the_same_results_give_the_same_bytes() -> None:
    assert render_page(full_page()) == render_page(full_page())


def test_every_result_of_a_row_has_its_card_in_the_page() -> None:
    text = render_page(full_page())
    weak = re.search('<tr [^>]*data-rank="2"[^>]*>', text)
    assert weak and 'data-provenance="two one"' in weak[0] and 'data-size="151000000"' in weak[0]
    for place in ("one", "two", "h0"):
        assert text.count(f'id="from-{place}"') == 1
    assert "bench run --model good" in text and text.count('data-frames="') == 3


def test_two_footnotes_of_a_row_are_told_apart() -> None:
    row = Row("a", "published", {"R@1": 1.0}, notes=("One.", "Two."))
    text = render_page(Page("t", "", [Board("b", "t", "p", ["R@1"], [row])], [], [], {}))
    assert Reader(text).words.split("a1, 2")[1:]


def places(drawn: str, shape: str) -> list[tuple[float, float]]:
    """Centres of the circles, or of the squares, of a chart."""
    if shape == "circle":
        return [(float(x), float(y)) for x, y in re.findall('cx="([^"]*)" cy="([^"]*)"', drawn)]
    found = re.findall('<rect x="([^"]*)" y="([^"]*)" width="7.2"', drawn)
    return [(float(x) + 3.6, float(y) + 3.6) for x, y in found]


def test_what_is_more_stands_higher_and_intervals_are_drawn() -> None:
    points = [Point("a", 10.0, 5.0, 20.0), Point("b", 20.0, 18.0, 22.0)]
    drawn = svg(Chart("t", "x", "y", "dots", [Series("s", points)]))
    (_, low), (_, high) = places(drawn, "circle")
    assert high < low  # SVG counts downwards
    whiskers = re.findall(r'whisker[^"]*" d="M[\d.]+ ([\d.]+)V([\d.]+)', drawn)
    (bottom, top), (bottom2, top2) = [(float(b), float(t)) for b, t in whiskers]
    assert bottom > low > top and bottom2 > high > top2
    # To scale: ten units are as long on both.
    assert (bottom - top) / 15 == pytest.approx((low - high) / 10, abs=0.02)
    assert "a: 10.00 [5.00, 20.00]" in drawn


def test_decades_are_equally_long() -> None:
    points = [Point(1, 1.0), Point(10, 1.0), Point(100, 1.0)]
    drawn = svg(Chart("t", "x", "y", "line", [Series("s", points)], log=True))
    one, ten, hundred = (x for x, _ in places(drawn, "circle"))
    assert ten - one == pytest.approx(hundred - ten, abs=0.2)


def test_colour_is_not_the_only_difference_between_series() -> None:
    both = [Series("a", [Point(1, 1.0)]), Series("b", [Point(1, 2.0)])]
    drawn = svg(Chart("t", "x", "y", "line", both))
    assert len(places(drawn, "circle")) == 1 and len(places(drawn, "rect")) == 1


def test_the_browser_is_told_the_hashes_of_what_stands_in_the_page() -> None:
    text = render_page(full_page())
    policy = re.search('content="(default-src[^"]*)"', text)
    assert policy
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        bodies = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
                  for one in bodies]  # fmt: skip
        told = unescape(policy[1]).split(f"{name} ")[1].split(";")[0]
        assert hashes and [f"'sha256-{one}'" for one in hashes] == told.split()
