"""The published prompts and negatives, and the annotation files behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.contracts import Source
from bench.errors import DataError
from tasks.vidsitu.annotations import (
    Annotation,
    Event,
    annotation_root,
    load_annotations,
    load_split,
)
from tasks.vidsitu.prompts import (
    RoleNames,
    dense_prompt,
    hard_negatives,
    negative_prompts,
    role_name,
)

BOW = Event(
    "bow.01",
    "bow",
    (
        ("Arg0 (bower)", "the woman in glasses"),
        ("Arg1 (bowed to)", "man wearing black"),
        ("ArgM (manner)", "on her knees"),
        ("Scene of the Event", "in a well lit room"),
    ),
)
SMASH = Event("smash.01", "smash", (("Arg0 (smasher)", "x"), ("Arg1 (smashed)", "y")))


def test_the_published_positives() -> None:
    """docs/method.md 2 and 4: the examples of the paper and of its Supplementary Table 4."""
    speaking = Event(
        "speaking.01",
        "speaking",
        (
            ("Arg0 (talker)", "man standing in yellow sweatshirt"),
            ("Arg2 (hearer)", "woman with scarf"),
            ("ArgM (manner)", "standing in the middle of a full airplane"),
            ("Scene of the Event", "an airplane"),
        ),
    )
    assert dense_prompt(speaking) == (
        "In this photo, the action is speaking where, the talker is man standing in yellow "
        "sweatshirt , the hearer is woman with scarf , the manner is standing in the middle of a "
        "full airplane , the scene of the event is an airplane ."
    )
    assert dense_prompt(BOW) == (
        "In this photo, the action is bow where, the bower is the woman in glasses , the bowed to "
        "is man wearing black , the manner is on her knees , the scene of the event is in a well "
        "lit room ."
    )


def test_the_published_negative() -> None:
    event = Event("bow.01", "bow", (*BOW.arguments[:2], ("ArgM (direction)", "on patients face")))
    names = RoleNames.of([Annotation("s", (event, SMASH))])
    (negative,) = hard_negatives(event, names, 1, "seed")
    assert dense_prompt(negative).startswith(
        "In this photo, the action is smash where, the smasher is the woman in glasses , the "
        "smashed is man wearing black , the direction is on patients face"
    )


def test_order_blanks_and_missing_values() -> None:
    event = Event(
        "turn_on.02", "x", (("Arg1 (thing  turning)", " a \n lamp "), ("ArgM (goal)", " "))
    )
    assert dense_prompt(event) == (
        "In this photo, the action is turn on where, the thing turning is a lamp ."
    )
    assert dense_prompt(Event("jump.03", "jump", ())) == "In this photo, the action is jump ."
    assert role_name("Scene of the Event") == "scene of the event"


def verbs(*given: tuple[str, str]) -> RoleNames:
    events = tuple(
        Event(verb, verb, tuple((f"{slot} ({verb} {slot})", "x") for slot in slots.split()))
        for verb, slots in given
    )
    return RoleNames.of([Annotation("s", events)])


def test_negatives_take_only_verbs_that_name_every_role() -> None:
    names = verbs(
        ("a.01", "Arg0 Arg1 Arg2"), ("b.01", "Arg0"), ("c.01", "Arg0 Arg1"), ("bow.02", "Arg0 Arg1")
    )
    for seed in range(20):
        found = {negative.verb_id for negative in hard_negatives(BOW, names, 2, str(seed))}
        assert found == {"a.01", "c.01"}  # b names too few roles, bow.02 is the same verb
    # Fewer verbs than asked for: taken again. None: none.
    assert len(hard_negatives(BOW, names, 5, "s")) == 5
    assert hard_negatives(BOW, verbs(("bow.02", "Arg0")), 4, "s") == []


def test_values_and_unnumbered_names_stay() -> None:
    names = verbs(("a.01", "Arg0 Arg1"))
    (negative,) = hard_negatives(BOW, names, 1, "s")
    assert [value for _, value in negative.arguments] == [value for _, value in BOW.arguments]
    assert [key for key, _ in negative.arguments][2:] == ["ArgM (manner)", "Scene of the Event"]


def test_negatives_repeat_for_a_seed_and_differ_between_seeds() -> None:
    names = verbs(*((f"v{i}.01", "Arg0 Arg1") for i in range(30)))
    annotation = Annotation("v_x_seg_0_10", (BOW,) * 5)
    first = negative_prompts(annotation, names, 4, seed=0)
    assert first == negative_prompts(annotation, names, 4, seed=0)
    assert first != negative_prompts(annotation, names, 4, seed=1)
    assert len({tuple(event) for event in first}) > 1  # each event draws for itself
    # So does each clip, though it says the same.
    other = Annotation("v_y_seg_0_10", annotation.events)
    assert negative_prompts(other, names, 4, seed=0) != first
    assert all(len(set(event)) == 4 for event in first)


def test_the_most_frequent_name_wins() -> None:
    events = [Event("a.01", "a", ((f"Arg0 ({name})", "x"),)) for name in ("q", "p", "p")]
    names = RoleNames.of([Annotation("s", tuple(events))])
    assert names.keys == {"a.01": {"Arg0": "Arg0 (p)"}}


# --- the files -----------------------------------------------------------------------------------

ID = "v_abc-DEF_123_seg_0_10"


def entry(**changes: Any) -> dict[str, Any]:
    event = {
        "vid_seg_int": ID,
        "VerbID": "drive.01",
        "Verb": "drive",
        "Args": {"Scene of the Event": "road", "Arg0 (driver)": "man"},
        "Arg_List": {"Arg0 (driver)": 0, "Scene of the Event": 1},
    }
    return {f"Ev{n}": {**event, **changes} for n in range(1, 6)}


def tree(root: Path, entries: Any, ids: Any = (ID,)) -> Path:
    for folder in ("split_files", "vseg_ann_files"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "split_files" / "vseg_split_train_lb.json").write_text(json.dumps(ids))
    (root / "vseg_ann_files" / "vsann_train_lb.json").write_text(json.dumps(entries))
    return root


def test_arguments_come_in_arg_list_order(tmp_path: Path) -> None:
    root = tree(tmp_path / "a" / "vidsitu_data", [entry(), entry(VerbID="steer.01")])
    assert annotation_root(Source("s", tmp_path)) == root
    assert load_split(root, "train") == [ID]
    first, second = load_annotations(root, "train")[ID]
    assert first.events[0].arguments == (("Arg0 (driver)", "man"), ("Scene of the Event", "road"))
    assert second.events[4].verb_id == "steer.01"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (dict, "a list of annotations"),
        (lambda: [{}], "entry 0: needs Ev1"),
        (lambda: [entry(VerbID=None)], "entry 0, Ev1: no VerbID"),
        (lambda: [entry(Args=[1])], "Args must map"),
        (lambda: [entry(Args={"Arg0 (x)": 3})], "Args must map"),
        (lambda: [entry(vid_seg_int="../../x")], "no usable vid_seg_int"),
    ],
)
def test_faults_are_named(tmp_path: Path, make: Callable[[], Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_annotations(tree(tmp_path, make()), "train")


def test_faulty_splits_and_files(tmp_path: Path) -> None:
    for ids, says in (({}, "a list"), (["../x"], "no segment name"), ([ID, ID], "twice")):
        with pytest.raises(DataError, match=says):
            load_split(tree(tmp_path, [], ids), "train")
    with pytest.raises(DataError, match="no such file"):
        load_split(tmp_path, "valid")
    (tmp_path / "split_files" / "vseg_split_train_lb.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not readable as JSON"):
        load_split(tmp_path, "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="split_files"):
        annotation_root(Source("s", tmp_path / "empty"))
