"""What happens in the toy world and how it looks: pure functions of a seed."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.toyworld.draw import contact_sheet, draw
from tasks.toyworld.photos import caption, take_photos
from tasks.toyworld.world import (
    KINDS,
    MANNERS,
    SCENES,
    VERBS,
    Entity,
    Event,
    deal,
    make_clip,
    make_event,
    make_groups,
    prompt,
    sentence,
)

CHASE = Event("chase", Entity("red", "man"), Entity("blue", "dog"), -1, "quickly", "forest")


def pixels(event: Event, u: float = 0.4) -> np.ndarray:
    return np.asarray(draw(event, u))


def test_drawing_is_deterministic_and_has_the_asked_size() -> None:
    first = pixels(CHASE)
    assert first.shape == (224, 224, 3)
    assert np.array_equal(first, pixels(CHASE))
    assert draw(CHASE, 0.4, 112).size == (112, 112)


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_is_drawn_for_every_kind_and_moves(verb: str, kind: str) -> None:
    cast = replace(deal("train", 1, 0)[0], actors=(Entity("red", kind), Entity("blue", "robot")))
    event = make_event(random.Random(3), cast, verb)
    assert not np.array_equal(pixels(event, 0.1), pixels(event, 0.6))


@pytest.mark.parametrize(
    "change",
    [
        {"direction": 1},
        {"manner": "sadly"},
        {"verb": "push"},
        {"scene": "beach"},
        {"actor": CHASE.patient, "patient": CHASE.actor},
        {"bystander": Entity("white", "bird")},
    ],
)
def test_whatever_a_sentence_tells_apart_shows(change: dict[str, object]) -> None:
    # A hundredth of the picture at least: it can be seen at 64 pixels too.
    other = pixels(replace(CHASE, **change))  # type: ignore[arg-type]
    changed = np.abs(pixels(CHASE).astype(int) - other).max(axis=-1) > 16
    assert changed.mean() > 0.01


def test_sentences_and_prompt_have_the_documented_form() -> None:
    assert sentence(CHASE, 0) == "a red man quickly chases a blue dog to the left in the forest"
    assert sentence(CHASE, 3, "SOMEONE").startswith("SOMEONE is quickly chasing")
    assert prompt(CHASE) == (
        "In this photo, the action is chasing where, the chaser is red man , the thing chased is "
        "blue dog , the direction is left , the manner is quickly , the scene of the event is "
        "forest ."
    )


@pytest.mark.parametrize("task", ["msrvtt", "lsmdc"])
def test_groups_share_cast_and_scene_and_differ_in_meaning(task: str) -> None:
    groups = make_groups(task, 24, 0)
    for group in groups:
        assert len(group) == 12
        assert len({event.scene for event in group}) == 1
        assert len({frozenset({e.actor, e.bystander or e.patient}) for e in group}) == 1
    said = [sentence(event, 0) for group in groups for event in group]
    assert len(set(said)) == len(said)


def test_a_clip_keeps_its_cast_and_changes_its_verb() -> None:
    cast = deal("valid", 1, 0)[0]
    events = make_clip(random.Random(0), cast)
    assert len(events) == 5
    assert all(event.actor in cast.actors and event.scene == cast.scene for event in events)
    assert all(a.verb != b.verb for a, b in pairwise(events))


def test_splits_share_no_cast_in_a_scene_and_grow_at_the_end() -> None:
    sizes = {
        "msrvtt": 150, "lsmdc": 150, "valid": 400, "testvb": 100, "testsrl": 100,
        "testevrel": 100, "train": 1610,
    }  # fmt: skip
    found = [
        (cast.actors, cast.scene) for split, size in sizes.items() for cast in deal(split, size, 5)
    ]
    assert len(set(found)) == len(found) == 435 * len(SCENES)
    assert deal("train", 9, 5) == deal("train", 30, 5)[:9]


def test_photos_repeat_and_captions_seldom_name_the_verb() -> None:
    first, events = take_photos(6, 64, 1)
    again, same = take_photos(6, 64, 1)
    assert first.shape == (6, 64, 64, 3)
    assert np.array_equal(first, again)
    assert events == same
    rng = random.Random(0)
    said = [caption(rng, CHASE) for _ in range(2000)]
    prompts = sum(text.startswith("In this photo, the action is") for text in said) / len(said)
    manners = sum(any(manner in text for manner in MANNERS) for text in said) / len(said)
    assert 0.09 < prompts < 0.15
    assert 0.26 < manners < 0.34


def test_contact_sheet_is_a_small_image(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size < 400_000
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
