"""The retrieval gallery: cases of every pattern, foreign text escaped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from tasks.retrieval_gallery import as_html, as_markdown, choose, clips_of

HOSTILE = '<script>alert("x")</script>|'


def answers(*ranks: list[int]) -> list[dict[str, dict[str, Any]]]:
    """A model a list: the rank of the right video of each query."""
    return [
        {
            f"t2v {query}": {
                "item": f"t2v {query}", "direction": "t2v", "text": f"{HOSTILE} {query}",
                "target": f"video{query}", "rank": rank,
                "top": [[f"video{query}" if rank == 1 else HOSTILE, 0.3], ["other", 0.1]],
            }
            for query, rank in enumerate(model)
        }
        for model in ranks
    ]  # fmt: skip


def test_items_are_taken_in_turn_from_every_pattern() -> None:
    both = answers([1, 1, 1, 3, 1, 2], [1, 1, 1, 1, 4, 7])
    # only the last right, only the first right, all right, none right; then all right again
    assert choose(both, 5) == ["t2v 3", "t2v 4", "t2v 0", "t2v 5", "t2v 1"]
    assert choose(both, 100)[:4] == choose(both, 4) and len(choose(both, 100)) == 6


def test_the_first_video_of_each_model_beside_the_right_one() -> None:
    both = answers([3], [1])
    assert clips_of(both, ["t2v 0"]) == {"video0", HOSTILE}
    frames = {"video0": np.zeros((12, 8, 8, 3), np.uint8)}
    page = as_html(["first", "second"], both, ["t2v 0"], frames)
    assert "<script" not in page and page.count("&lt;script&gt;") == 2
    assert page.count("data:image/webp") == 1  # the ground truth and the second's first are one
    cards = page.split('<div class="card">')[1:]
    assert [card.count("<li") for card in cards] == [2, 1]
    assert "ground truth" in cards[0] and "✓ <strong>second</strong> score 0.300" in cards[0]
    assert page.count('class="wrong"') == 1 and "✗ <strong>first</strong> score 0.300" in cards[1]
    assert "(the ground-truth video has rank 3)" in cards[1]
    both[0]["t2v 0"]["score"] = 0.125
    assert "has rank 3, score 0.125)" in as_html(["first", "second"], both, ["t2v 0"], frames)
    kept: dict[str, bytes] = {}

    def keep(name: str, image: bytes) -> str:
        kept[name] = image
        return name

    text = as_markdown(["first", "second"], both, ["t2v 0"], frames, keep)
    assert "<script" not in text and "✗ &lt;script&gt;" in text and list(kept) == ["video0.webp"]


def test_the_other_direction_is_not_shown() -> None:
    both = answers([1, 2], [2, 1])
    for lines in both:
        lines["v2t 0"] = {**lines["t2v 0"], "item": "v2t 0", "direction": "v2t"}
    assert set(choose(both, 10)) == {"t2v 0", "t2v 1"}


def test_the_frames_shown_are_spread_over_the_video() -> None:
    """Frame k is as bright as k says; the first and the last are among them."""
    frames = np.repeat(np.arange(12, dtype=np.uint8) * 20, 8 * 8 * 3).reshape(12, 8, 8, 3)
    kept: dict[str, bytes] = {}

    def keep(name: str, image: bytes) -> str:
        kept[name] = image
        return name

    as_markdown(["m"], answers([1]), ["t2v 0"], {"video0": frames}, keep)
    strip = np.asarray(Image.open(io.BytesIO(kept["video0.webp"])))
    shown = [round(float(part.mean()) / 20) for part in np.split(strip, 4, axis=1)]
    assert shown == [0, 4, 7, 11]
