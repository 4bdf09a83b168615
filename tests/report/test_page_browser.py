"""The HTML report in a headless Chromium: no errors, sorting, filters, provenance, accessibility.

Needs a Chromium: the system's, the one that $CHROMIUM names, or `playwright install chromium`.
Without one the tests are skipped, but where $CHROMIUM is set, as in CI, they fail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import HOSTILE, full_page
from pictures import REPORT, start_chromium

from bench.report.page import render_page
from bench.report.tables import Figure, Page
from tasks import retrieval_gallery
from tasks.vidsitu import gallery

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests here."""
    if os.environ.get("CHROMIUM"):
        from playwright import sync_api
    else:
        sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        try:
            started = start_chromium(playwright)
        except sync_api.Error as error:
            if os.environ.get("CHROMIUM"):
                raise
            pytest.skip(f"no Chromium to start ({str(error).splitlines()[0]})")
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render_page(full_page()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, loaded."""
    yield from loaded(browser, address)


@pytest.fixture
def report(browser: Any) -> Iterator[Any]:
    """The kept page in docs/, loaded."""
    yield from loaded(browser, REPORT.as_uri())


def loaded(browser: Any, address: str) -> Iterator[Any]:
    """A page on which whatever it complains of, asks the network for or pops up fails the test."""
    opened = browser.new_page()
    faults: list[str] = []
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:"))
              else faults.append(asked.url))  # fmt: skip
    opened.goto(address)
    yield opened
    opened.wait_for_timeout(50)
    opened.close()
    assert faults == []


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".board").first.locator("tbody th").all_inner_texts()
    return [name.removesuffix("partial").removesuffix("stale").strip() for name in found]


def test_a_board_sorts_by_press_and_by_key(page: Any) -> None:
    before = names(page)
    head = page.locator(".board").first.locator("thead th", has_text="R@1")
    # What is better is an arrow of the name; what is sorted is a picture of its own.
    assert "↑" in head.inner_text() and head.locator("button svg.sort").count() == 1
    assert head.locator("button").get_attribute("aria-label") == "Sort by R@1"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[:4] == ["good", "part", "old", "weak"]  # 100.5 stands before 90
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending" and names(page)[0] == "(chance)"
    head.locator("button").press("Space")
    assert head.get_attribute("aria-sort") is None and names(page) == before
    median = page.locator(".board").first.locator("thead th", has_text="MdR")
    for direction in ("ascending", "descending"):  # of ranks the lowest is the best
        median.locator("button").click()
        assert median.get_attribute("aria-sort") == direction
        assert names(page)[-1] == "old"  # it has no MdR: last, whichever way


def test_filters_hide_rows_and_say_how_many(page: Any) -> None:
    shown = page.locator("#boards tbody tr:visible")
    page.fill("#words", "23k")
    assert shown.count() == 1 and page.inner_text("#count") == "1 of 21 rows"
    page.fill("#words", "")
    page.uncheck("input[value=published]")
    page.uncheck("input[value=measured]")
    assert shown.count() == 3
    page.click("button[type=reset]")
    page.wait_for_function("document.querySelector('#count').textContent === '21 rows'")
    for box, limit, left in (
        ("#rank", "1", ["good"]), ("#frames", "8", ["weak", "SRL-CLIP1"]),
        ("#size", "4.2", ["good"]), ("#size", "200", ["good", "weak"]),
    ):  # fmt: skip
        page.fill(box, limit)
        assert [one.split()[0] for one in shown.locator("th").all_inner_texts()] == left
        page.fill(box, "")


def test_published_rows_are_folded_where_they_are_many(page: Any) -> None:
    """The best stand open, and the paper's own wherever it stands; a search sees them all."""
    board = page.locator(".board").nth(1)
    shown, more = board.locator("tbody tr:visible"), board.locator("button.more")

    def models() -> list[str]:
        return [
            text.replace("published", "").strip() for text in shown.locator("th").all_inner_texts()
        ]

    assert models()[:2] == ["SRL-CLIP1", "BT-Adapter1"] and shown.count() == 7
    assert models()[-2:] == ["other 3", "ours the paper"]
    assert more.inner_text() == "Show 5 more published rows"
    assert more.get_attribute("aria-expanded") == "false"
    more.click()
    assert shown.count() == 12 and more.inner_text() == "Show fewer published rows"
    more.click()
    for _ in range(2):
        board.locator("thead th", has_text="R@1").locator("button").click()
    # The worst stand first now: these are open, and what is the paper's own is among them.
    assert models() == ["ours the paper", *(f"other {n}" for n in range(8, 3, -1))]
    page.fill("#words", "other")
    assert shown.count() == 9 and not more.is_visible()
    assert not page.locator(".board").first.locator("button.more").is_visible()


def test_provenance_opens_shows_and_gives_the_focus_back(page: Any) -> None:
    page.locator("a.source", has_text="good").press("Enter")
    assert page.locator("#panel").is_visible() and "good on msrvtt" in page.inner_text("#facts")
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "good"
    page.locator("tr[data-rank='2'] td.value").first.click()  # a number, not only the name
    assert page.locator("#facts h3").all_inner_texts() == ["weak on msrvtt", "good on msrvtt"]
    page.click("#close")
    assert not page.locator("#panel").is_visible()


def test_the_command_and_the_result_are_copied(browser: Any, address: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    opened.goto(address)
    opened.locator("a.source", has_text="good").click()
    opened.locator("#facts button", has_text="Copy the command").click()
    opened.wait_for_selector("#facts .status:has-text('Copied')")
    read = "navigator.clipboard.readText()"
    assert opened.evaluate(read) == "bench run --model good"
    opened.click("#copy")
    opened.wait_for_selector("#copied:has-text('Copied')")
    assert json.loads(opened.evaluate(read))["model"]["name"] == "good"
    context.close()


def test_hostile_words_are_shown_and_never_run(page: Any) -> None:
    shown = page.inner_text("body")
    for words in HOSTILE[:3]:
        assert words in shown
    for place in range(len(HOSTILE)):
        page.locator(f"tr[data-provenance=h{place}] a.source").click()
        assert HOSTILE[0] in page.inner_text("#facts")
        page.keyboard.press("Escape")
    assert page.locator("img").count() == 0


def galleries() -> list[Figure]:
    """`bench show`'s own bodies, in which every word that comes from data is hostile."""
    words = HOSTILE[1]
    line = {"item": "t2v 0", "text": words, "target": HOSTILE[0], "rank": 2,
            "top": [[HOSTILE[2], 1.0]], "direction": "t2v"}  # fmt: skip
    found = retrieval_gallery.as_html([HOSTILE[3]], [{"t2v 0": line}], ["t2v 0"], {
        HOSTILE[2]: np.zeros((2, 8, 8, 3), np.uint8)
    })  # fmt: skip
    events = [[words, [["Arg0 (x)", HOSTILE[0]]]]] * 5
    situation = {
        "item": words, "verbs": [[HOSTILE[2]] * 5] * 5,
        "roles": {f"Ev{n}": {"Arg0": HOSTILE[1]} for n in range(1, 6)},
        "truth": {"votes": [[HOSTILE[0]] * 10] * 5, "references": [events]},
    }  # fmt: skip
    frames = {words: np.zeros((20, 8, 8, 3), np.uint8)}
    told = gallery.as_html([HOSTILE[0]], [{words: situation}], [words], frames)
    return [Figure("Retrieval", HOSTILE[0], found), Figure("VidSitu", "", told)]


def test_galleries_show_hostile_words_and_never_run_them(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "show.html"
    path.write_text(render_page(Page("t", "", [], [], galleries(), {})), encoding="utf-8")
    opened = browser.new_page()
    faults: list[str] = []
    opened.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(path.as_uri())
    opened.wait_for_timeout(50)
    shown = opened.inner_text("body")
    assert faults == [] and all(words in shown for words in HOSTILE[:3])
    assert opened.locator("img").count() == opened.locator("img[src^='data:image/webp']").count()
    assert opened.locator("svg[onload], [onerror]").count() == 0
    opened.close()


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_only_tables_scroll_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


HIDDEN = """boxes => boxes.filter(box => {
  const right = box.getBoundingClientRect().right;
  return box.offsetParent && (right > innerWidth || box.scrollWidth > box.clientWidth + 1);
}).length"""


def test_nothing_of_a_gallery_is_off_a_narrow_screen(report: Any) -> None:
    """And on a wide one its cases stand side by side."""
    inside = report.locator("#examples .wide, #examples table, #examples img, #examples .card")
    for width in (390, 1280):
        report.set_viewport_size({"width": width, "height": 800})
        assert inside.count() > 60 and inside.evaluate_all(HIDDEN) == 0
    report.set_viewport_size({"width": 1920, "height": 800})
    for cases in ("#examples .case", ".situation", ".cards:first-of-type .card"):
        first, second = (report.locator(cases).nth(n).bounding_box() for n in (0, 1))
        assert first["y"] == second["y"] and first["x"] < second["x"], cases


def test_the_answer_is_on_the_first_screen(report: Any) -> None:
    for width, height in ((390, 844), (1280, 900), (1920, 1000)):
        report.set_viewport_size({"width": width, "height": height})
        first = report.locator(".answer").nth(1).bounding_box()
        assert first["y"] + first["height"] <= height, width
        assert report.locator(".answer").nth(1).locator("svg").bounding_box()["width"] > 250


def test_colours_follow_the_system_and_the_button(page: Any) -> None:
    def paper() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = paper()
    page.emulate_media(color_scheme="dark")
    dark = paper()
    assert light != dark
    page.click("#scheme")
    assert paper() == light
    page.click("#scheme")
    page.emulate_media(color_scheme="light")
    assert paper() == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_against_accessibility(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    for opened in (False, True):
        if opened:
            page.locator("a.source").first.click()
        assert violations(page) == []


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe finds, however slight: its rule and the first element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_kept_page_is_whole(report: Any, scheme: str) -> None:
    """On the real boards and galleries: no violation, phone width, a filter, provenance."""
    report.emulate_media(color_scheme=scheme)
    report.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert violations(report) == []
    pictures = report.locator(".gallery img")
    assert pictures.count() >= 20 and report.locator("figure svg").count() >= 10
    broken = "images => images.filter(image => !image.naturalWidth).length"
    assert pictures.evaluate_all(broken) == 0
    report.set_viewport_size({"width": 390, "height": 800})
    assert report.evaluate("document.documentElement.scrollWidth") <= 390
    report.fill("#words", "srl-clip published")
    rows = report.locator("#boards tbody tr:visible").all_inner_texts()
    assert rows and all("srl-clip" in row.lower() and "published" in row for row in rows)
    assert 0 < report.locator("#boards .board:visible").count() < 8
    report.fill("#words", "")
    report.locator("a.source", has_text="srlclip-tiny").first.press("Enter")
    assert "SHA-256" in report.inner_text("#facts")
    assert "bench run --task probes --model srlclip-tiny" in report.inner_text("#facts")


def test_without_script_it_is_still_readable(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address)
    assert "52.36" in opened.inner_text("body") and not opened.locator("#filter").is_visible()
    assert opened.locator("#boards tbody tr:visible").count() == 21  # nothing is folded away
    opened.locator("a.source", has_text="good").click()  # leads to the card in the page
    opened.locator("details:has(#from-one)").evaluate("one => { one.open = true; }")
    assert "bench run --model good" in opened.inner_text("#from-one")
    context.close()
