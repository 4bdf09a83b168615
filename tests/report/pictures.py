"""The pictures in docs/, made again: `python tests/report/pictures.py`, after `make boards`.

The report page and a situation as a headless Chromium shows them, and the toy world's verbs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
REPORT = DOCS / "report.html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def start_chromium(playwright: Any) -> Any:
    """The system's Chromium, the one that $CHROMIUM names, or playwright's own."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


def main() -> None:
    """Write docs/report.png, docs/situations.png and docs/toyworld.png."""
    from playwright.sync_api import sync_playwright

    from tasks.toyworld.draw import contact_sheet

    with sync_playwright() as playwright:
        browser = start_chromium(playwright)
        page = browser.new_page(viewport={"width": 1200, "height": 1000}, color_scheme="light")
        page.goto(REPORT.as_uri())
        page.screenshot(path=DOCS / "report.png")
        page.set_viewport_size({"width": 900, "height": 620})
        page.locator(".situation").first.evaluate("element => element.scrollIntoView()")
        page.screenshot(path=DOCS / "situations.png")
        browser.close()
    contact_sheet(DOCS / "toyworld.png")


if __name__ == "__main__":
    main()
