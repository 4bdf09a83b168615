"""Situations side by side: right and wrong are marked, foreign text is escaped."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.vidsitu.gallery import as_html, as_markdown, choose, clips_of, situation

CLIP = "v_a_seg_0_10"
HOSTILE = '<script>alert("x")</script> | `b` *c*'


def line(verb: str, value: str) -> dict[str, Any]:
    told = [["run.01", [["Arg0 (runner)", "the dog"]]]] * 5
    said = [["run.01", [["Arg0 (runner)", HOSTILE]]]] * 5
    return {
        "item": "v_a_seg_0_10",
        "verbs": [[verb, "x.01"]] * 5,
        "roles": {f"Ev{k}": {"Arg0": value} for k in range(1, 6)},
        "truth": {"votes": [["walk.01", "run.01", "run.01"]] * 5, "references": [told, said]},
    }


def test_rows_hold_truth_and_every_model() -> None:
    shown = situation("v_a_seg_0_10", [line("run.01", "a cat"), line("eat.01", "the dog")], None)
    verb, role = shown.events[2]
    assert verb.truth == ["run.01", "walk.01"] and role.truth == ["the dog", HOSTILE]
    assert [cell.right for cell in verb.models] == [True, False]
    assert [cell.right for cell in role.models] == [False, True]


def test_pages_escape_and_carry_their_images() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3), dtype=np.uint8)
    answers = [{CLIP: line(HOSTILE, HOSTILE)}]
    assert choose(answers, 3) == [CLIP] and clips_of(answers, [CLIP]) == {CLIP}
    page = as_html([HOSTILE], answers, [CLIP], {CLIP: frames})
    assert "<script" not in page and page.count("data:image/webp;base64,") == 5
    assert "http" not in page and page.count("&lt;script&gt;") > 10
    assert "data:image" not in as_html([HOSTILE], answers, [CLIP], {})  # videos not at hand
    kept: dict[str, bytes] = {}

    def keep(name: str, image: bytes) -> str:
        kept[name] = image
        return name

    text = as_markdown([HOSTILE], answers, [CLIP], {CLIP: frames}, keep)
    assert "<script" not in text and "\\|" in text and "`b`" not in text.replace("\\`", "")
    assert len(kept) == 5 and all(image[8:12] == b"WEBP" for image in kept.values())
    assert "![Frames of event 1](v_a_seg_0_10-1.webp)" in text
