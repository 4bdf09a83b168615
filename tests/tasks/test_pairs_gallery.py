"""The gallery of pairs: cases of every test, what differs marked, foreign text escaped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from tasks.pairs_gallery import as_html, as_markdown, choose, clips_of

HOSTILE = '<script>alert("x")</script>|'


def answers(*models: dict[str, list[int]], **others: Any) -> list[dict[str, dict[str, Any]]]:
    """Of each model by test whether it is right about each pair."""
    return [
        {
            f"{test} {place}": {
                "item": f"{test} {place}", "test": test, "clip": HOSTILE, "event": "Ev2",
                "true": f"a {HOSTILE} sees a dog", "false": f"a dog sees a {HOSTILE}",
                "scores": [0.5, 0.25 if right else 0.75], **others,
            }
            for test, found in model.items() for place, right in enumerate(found)
        }
        for model in models
    ]  # fmt: skip


def test_tests_take_turns_and_models_that_differ_come_first() -> None:
    both = answers(
        {"verb": [1, 1, 0, 0, 1], "agent": [0, 1]}, {"verb": [1, 0, 1, 0, 1], "agent": [0, 1]}
    )
    # verb: only the last right, only the first right, both wrong, both right; agent: wrong, right
    assert choose(both, 4) == ["verb 2", "agent 0", "verb 1", "agent 1"]
    assert choose(both, 99)[4:] == ["verb 3", "verb 0", "verb 4"]
    del both[1]["verb 2"]  # not answered by all
    assert choose(both, 1) == ["verb 1"]


def test_both_captions_and_every_score_escaped() -> None:
    both = answers({"verb": [0]}, {"verb": [1]}, part=[1, 5])
    assert clips_of(both, ["verb 0"]) == {HOSTILE}
    frames = {HOSTILE: np.zeros((20, 8, 8, 3), np.uint8)}
    page = as_html(["first", HOSTILE], both, ["verb 0"], frames)
    assert "<script" not in page and page.count("data:image/webp") == 1
    assert page.count("<mark>") == 4 and "<mark>dog</mark> sees a <mark>&lt;script&gt;" in page
    assert page.count('class="wrong">✗ 0.5000</td><td>0.7500') == 1
    assert page.count('class="right">✓ 0.5000</td><td>0.2500') == 1
    kept: dict[str, bytes] = {}

    def keep(name: str, image: bytes) -> str:
        kept[name] = image
        return name

    text = as_markdown(["first", "second"], both, ["verb 0"], frames, keep)
    assert "<script" not in text and list(kept) == ["verb 0.webp"]
    assert "False: a **dog** sees a **&lt;script" in text
    assert "| first | ✗ 0.5000 | 0.7500 |" in text and "| second | ✓ 0.5000 | 0.2500 |" in text
    assert "webp" not in as_html(["first"], both[:1], ["verb 0"], {})


def test_the_frames_shown_are_the_events_or_spread_over_the_clip() -> None:
    """Frame k is as bright as k says."""
    frames = np.repeat(np.arange(20, dtype=np.uint8) * 12, 8 * 8 * 3).reshape(20, 8, 8, 3)

    def shown(**others: Any) -> list[int]:
        kept: list[bytes] = []
        as_markdown(["m"], answers({"verb": [1]}, **others), ["verb 0"], {HOSTILE: frames},
                    lambda name, image: kept.append(image) or name)  # fmt: skip
        strip = np.asarray(Image.open(io.BytesIO(kept[0])))
        return [round(float(part.mean()) / 12) for part in np.split(strip, 4, axis=1)]

    assert shown(part=[2, 5]) == [8, 9, 10, 11]
    assert shown() == [0, 6, 13, 19]
