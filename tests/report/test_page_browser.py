"""The HTML report in a headless Chromium: no errors, sorting, filters, provenance, accessibility.

Needs a Chromium: the system's, the one that $CHROMIUM names, or `playwright install chromium`.
Without one the tests are skipped, but where $CHROMIUM is set, as in CI, they fail.
"""

from __future__ import annotations

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
    return [name.strip() for name in found]


def test_a_board_sorts_by_press_and_by_key(page: Any) -> None:
    before = names(page)
    head = page.locator(".board").first.locator("thead th", has_text="R@1")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[:4] == ["good", "part", "old", "weak"]  # 100.5 stands before 90
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending" and names(page)[0] == "(chance)"
    head.locator("button").press("Space")
    assert head.get_attribute("aria-sort") is None and names(page) == before
    rank = page.locator(".board").first.locator("thead th", has_text="MdR").locator("button")
    for _ in range(2):
        rank.click()
        assert names(page)[-1] == "old"  # it has no MdR: last, whichever way


def test_filters_hide_rows_and_say_how_many(page: Any) -> None:
    page.fill("#words", "paper")
    assert page.locator(".board tbody tr:visible").count() == 1
    assert page.inner_text("#count") == "1 of 11 rows"
    page.fill("#words", "")
    page.uncheck("input[value=published]")
    page.uncheck("input[value=measured]")
    assert page.locator(".board tbody tr:visible").count() == 3


def test_provenance_opens_shows_and_gives_the_focus_back(page: Any) -> None:
    button = page.locator("button.source", has_text="good")
    button.press("Enter")
    assert page.locator("#panel").is_visible() and "good" in page.inner_text("#facts")
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "good"
    page.locator("td[data-provenance=two]").first.click()  # a number, not only the name
    assert "weak" in page.inner_text("#facts")
    page.click("#close")
    assert not page.locator("#panel").is_visible()


def test_hostile_words_are_shown_and_never_run(page: Any) -> None:
    shown = page.inner_text("body")
    for words in HOSTILE[:3]:
        assert words in shown
    for place in range(len(HOSTILE)):
        page.locator(f"button[data-provenance=h{place}]").click()
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


@pytest.mark.parametrize("width", [380, 1280])
def test_only_tables_scroll_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


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
            page.locator("button.source").first.click()
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
    assert violations(report) == []
    pictures = report.locator(".gallery img")
    assert pictures.count() >= 20 and report.locator("figure svg").count() >= 10
    broken = "images => images.filter(image => !image.naturalWidth).length"
    assert pictures.evaluate_all(broken) == 0
    report.set_viewport_size({"width": 380, "height": 800})
    assert report.evaluate("document.documentElement.scrollWidth") <= 380
    report.fill("#words", "srl-clip published")
    rows = report.locator(".board tbody tr:visible").all_inner_texts()
    assert rows and all("srl-clip" in row.lower() and "published" in row for row in rows)
    assert report.locator(".board:visible").count() < report.locator(".board").count()
    report.fill("#words", "")
    report.locator("button.source", has_text="srlclip-tiny").first.press("Enter")
    assert "sha256" in report.inner_text("#facts")


def test_without_script_it_is_still_readable(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address)
    assert "52.36" in opened.inner_text("body") and not opened.locator("#filter").is_visible()
    context.close()
