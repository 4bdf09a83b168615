"""Situations side by side: right and wrong are marked, foreign text is escaped."""

from __future__ import annotations

import base64
import io
import math
import re
from typing import Any

import numpy as np
from PIL import Image

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


def pictures(page: str) -> list[np.ndarray]:
    """The images of a page, uint8 [H, W, 3]."""
    found = re.findall('data:image/webp;base64,([^"]+)', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_every_event_has_its_own_frames_and_every_model_its_column() -> None:
    """Frame k is as bright as k says."""
    frames = np.repeat(np.arange(20, dtype=np.uint8) * 12, 16 * 16 * 3).reshape(20, 16, 16, 3)
    one, two = line("run.01", "the dog"), line("eat.01", "a cat")
    page = as_html(["first", "second"], [{CLIP: one}, {CLIP: two}], [CLIP], {CLIP: frames})
    for event, strip in enumerate(pictures(page)):
        shown = [round(float(part.mean()) / 12) for part in np.split(strip, 4, axis=1)]
        assert shown == list(range(4 * event, 4 * event + 4))
    head = re.findall('<th scope="col">([^<]*)</th>', page)[:4]
    assert head == ["role", "annotators", "first", "second"]
    row = page[page.index('<th scope="row">verb</th>') :].partition("</tr>")[0]
    assert re.findall("<td[^>]*>([^<]*)</td>", row) == [
        "run.01 / walk.01", "✓ run.01", "✗ eat.01"
    ]  # fmt: skip


def test_only_clips_that_every_model_answered_are_shown() -> None:
    one = line("run.01", "the dog")
    answers = [{"a": one, "b": one, "c": one}, {"b": one, "c": one}]
    assert choose(answers, 5) == ["b", "c"] and choose(answers, 1) == ["b"]


def test_clips_on_which_models_differ_come_first() -> None:
    right, wrong = line("run.01", "the dog"), line("eat.01", "a cat")
    half = line("run.01", "a cat")  # right in its verbs alone
    clips = [dict(zip("abcd", found, strict=True))
             for found in ((right, right, wrong, wrong), (right, half, right, wrong))]  # fmt: skip
    assert choose(clips, 4) == ["c", "b", "a", "d"]
    assert choose(clips[:1], 4) == ["a", "b", "c", "d"]  # one model differs from nobody


def test_what_models_differ_on_stands_open_and_is_counted() -> None:
    right, half = line("run.01", "the dog"), line("run.01", "a cat")
    half["verbs"][4] = right["verbs"][4] = ["eat.01", "x.01"]
    half["roles"] = {**right["roles"], "Ev2": {"Arg0": "a cat"}}
    page = as_html(["one", "two"], [{CLIP: right}, {CLIP: half}], [CLIP], {})
    folds = re.findall('<details class="situation"( open)?>', page)
    assert folds == ["", " open", "", "", ""]  # on the second event alone do they differ
    assert "one: 4 of 5 verbs, 5 of 5 roles; two: 4 of 5 verbs, 4 of 5 roles" in page
    assert page.count('<tr class="differs">') == 1 and 'data-label="two">✗ a cat' in page
    assert as_html(["one"], [{CLIP: right}], [CLIP], {}).count(" open>") == 5


def test_a_verb_has_its_probability_where_the_line_keeps_it() -> None:
    found = {**line("run.01", "a cat"), "scores": [[math.log(0.25), -9.0]] * 5}
    assert "✓ run.01 (0.25)" in as_html(["m"], [{CLIP: found}], [CLIP], {})
    assert "(0." not in as_html(["m"], [{CLIP: line("run.01", "a cat")}], [CLIP], {})


def test_a_word_is_right_where_an_annotator_said_it() -> None:
    """Of one's own, not of another role; and nothing said is not right."""
    said = line("run.01", "")
    _, role = situation(
        CLIP, [said, line("run.01", "nobody"), line("run.01", HOSTILE)], None
    ).events[0]
    assert [cell.right for cell in role.models] == [False, False, True]
