"""The guides to the sets in docs/data.md, from tasks/guides.yaml: `python -m tests.guides`."""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.cli.guide import as_markdown, guide_of
from bench.registry import task_class
from tasks.sources import GUIDES

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
MARK = "<!-- made by `make guides` from tasks/guides.yaml -->\n"


def page() -> str:
    """The page, with a section a set below its mark."""
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{PAGE}: no mark"
    tasks = yaml.safe_load(GUIDES.read_text(encoding="utf-8"))
    sections = [as_markdown(task, guide_of(task, task_class(task))) for task in tasks]
    return head + mark + "\n" + "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
