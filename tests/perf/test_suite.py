"""The benchmark suite still goes through; what it measures here means nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.perf import scaling
from tests.perf.table import Figure, interleaved, page

pytestmark = pytest.mark.slow


def test_every_module_measures_and_both_pages_are_written(tmp_path: Path) -> None:
    figures: list[Figure] = []
    for name in ("metrics", "retrieval", "stores", "encoding", "scale"):
        figures += import_module(f"tests.perf.{name}").figures(tmp_path, True)
    text = page(figures, "# Head")
    assert "pycocoevalcap" in text and "| clip-tiny, end to end" in text
    figures.append(
        Figure("Encoding", "x", "", "", extra={"ViT-B/32 frames": 20.0, "ViT-B/32 decoding": 0.04})
    )
    assert "10 million clips" in scaling.page(figures)


def test_rounds_change_their_order_and_goals_are_held_to_the_median() -> None:
    order: list[str] = []

    def one(name: str, value: float) -> float:
        order.append(name)
        return value

    times = interleaved(lambda: one("a", 1.0), lambda: one("b", 2.0), 2)
    assert order == ["a", "b", "b", "a"] and times == ([1.0, 1.0], [2.0, 2.0])
    assert Figure("", "", "", "", [1.0, 3.0, 9.0], 2.0).kept
    assert not Figure("", "", "", "", [1.0, 1.5, 9.0], 2.0).kept
