"""The retrieval gallery: cases of every pattern, foreign text escaped."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.retrieval_gallery import as_html, as_markdown, choose, clips_of

HOSTILE = '<script>alert("x")</script>|'


def answers(*ranks: list[int]) -> list[dict[str, dict[str, Any]]]:
    """A model a list: the rank of the right video of each query."""
    return [
        {
            f"t2v {query}": {
                "item": f"t2v {query}", "direction": "t2v", "text": f"{HOSTILE} {query}",
                "target": f"video{query}", "rank": rank,
                "top": [[f"video{query}" if rank == 1 else HOSTILE, 0.3]],
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
    assert page.count("data:image/webp") == 2  # the right video, and the second's first
    assert page.count('class="wrong"') == 1 and "(the right video has rank 3)" in page
    kept: dict[str, bytes] = {}

    def keep(name: str, image: bytes) -> str:
        kept[name] = image
        return name

    text = as_markdown(["first", "second"], both, ["t2v 0"], frames, keep)
    assert "<script" not in text and "✗ &lt;script&gt;" in text and list(kept) == ["video0.webp"]
