"""The task: what is asked, what is scored, what lines hold; the floor; hidden splits."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.contracts import Features, Source, Workplace
from bench.errors import DataError
from tasks.vidsitu.annotations import EVENTS, Annotation, Event, load_annotations, load_split
from tasks.vidsitu.baseline import ceiling, most_frequent
from tasks.vidsitu.export import write
from tasks.vidsitu.head.prediction import Answer
from tasks.vidsitu.lines import Truth, scored, truth_line, truth_of
from tasks.vidsitu.roles import given_roles
from tasks.vidsitu.scoring.files import score_file
from tasks.vidsitu.scoring.rules import permuted, reference_metrics, short_role
from tasks.vidsitu.task import VidSitu

from .conftest import SMALL, Seeing


def lines_of(task: VidSitu, features: Features, place: Workplace) -> list[dict[str, object]]:
    learnt = task.learn(features, Seeing(), place)
    lines = list(task.answer(replace(features, learnt=learnt), Seeing()))
    return [json.loads(json.dumps(line)) for line in lines]  # as a file gives them back


def majority(task: VidSitu) -> dict[str, float]:
    return task.chance_of([{"item": name} for name in task.truth])


def test_what_is_asked(task: VidSitu, source: Source) -> None:
    assert task.protocol == "vidsitu/toy" or task.protocol == "vidsitu/5 items"
    assert task.expected == len(task.clips) == 5 and len(task.support) == 30
    assert task.texts[0] == f"In this photo, the action is {task.verbs[0].split('.')[0]} ."
    root = source.root / "vidsitu_annotations"
    first = load_split(root, "valid")[0]
    named = {key.split(" ")[0] for one in load_annotations(root, "valid")[first]
             for key, _ in one.events[0].arguments}  # fmt: skip
    asked = task.roles[first]
    assert asked is not None and len(asked[0]) == len(named)
    assert VidSitu.load(source, limit=2).fingerprint != task.fingerprint
    short = VidSitu.load(source, limit=2)
    assert (short.expected, len(short.clips), len(short.support)) == (5, 2, 2)


def test_references_are_permuted_over_the_whole_split_whatever_is_asked(source: Source) -> None:
    root = source.root / "vidsitu_annotations"
    segments, found = load_split(root, "valid"), load_annotations(root, "valid")
    expected = permuted([found[name] for name in segments])
    task = VidSitu.load(source, limit=2)
    assert [task.truth[name].references for name in segments[:2]] == expected[:2]


def test_lines_score_as_the_exported_predictions_do(
    task: VidSitu, source: Source, features: Features, place: Workplace, tmp_path: Path
) -> None:
    lines = lines_of(task, features, place)
    scores = task.score(lines, resamples=30, seed=0)
    for kind in ("verbs", "roles"):
        for suffix in (".json", ".pkl"):
            path = tmp_path / f"{kind}{suffix}"
            assert write(task, lines, kind, path) == []
            document = score_file(source, path, None, 30, 0)
            assert document.kind == kind
            for name, entry in document.metrics.items():
                assert scores.metrics[name] == pytest.approx(entry.value, abs=1e-9), name
                low, high = scores.intervals[name]
                assert (low, high) == pytest.approx((entry.low, entry.high)), name


def test_order_of_lines_counts_for_nothing_and_truth_survives_json(
    task: VidSitu, features: Features, place: Workplace
) -> None:
    lines = lines_of(task, features, place)
    for line in lines:
        truth = task.truth[str(line["item"])]
        back = truth_of(line)
        assert truth_line(back) == truth_line(truth)
    one, two = (
        VidSitu.draws(lines, resamples=9, seed=1),
        VidSitu.draws(lines[::-1], resamples=9, seed=1),
    )
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])
    assert one.keys() == task.score(lines, resamples=9, seed=1).metrics.keys()


def test_the_floor_answers_the_most_frequent(task: VidSitu) -> None:
    counts = Counter(event.verb_id for a in task.training.values() for event in a.events)
    top = min(counts, key=lambda verb: (-counts[verb], verb))
    hits = [top in votes for truth in task.truth.values() for votes in truth.votes]
    chance = majority(task)
    assert chance["Vb@1"] == pytest.approx(100 * np.mean(hits))
    assert 0 < chance["CIDEr"] < 150 and task.floor == "(most frequent)"


def test_the_baseline_is_of_the_answered_videos(task: VidSitu) -> None:
    first = next(iter(task.truth))
    chance = task.chance_of([{"item": first}])
    alone = most_frequent(task.training.values(), {first: task.truth[first]})
    assert chance == alone != majority(task)


def test_the_floors_roles_are_the_most_frequent_values(task: VidSitu) -> None:
    values: dict[str, Counter[str]] = {}
    for annotation in task.training.values():
        for event in annotation.events:
            for key, value in event.arguments:
                values.setdefault(short_role(key), Counter())[value] += 1
    common = {role: min(c, key=lambda value: (-c[value], value)) for role, c in values.items()}
    references = [truth.references for truth in task.truth.values()]
    answers = [dict.fromkeys(EVENTS, common) for _ in references]
    expected = reference_metrics(references, answers).metrics
    chance = majority(task)
    assert chance["CIDEr"] == pytest.approx(100 * expected["cider"])
    assert chance["LEA"] == pytest.approx(100 * expected["lea"])


def test_a_line_holds_what_the_head_said_and_no_truth(task: VidSitu, features: Features) -> None:
    verbs = [[task.verbs[0]] * 5] * 5
    roles = {name: {"Arg0": "zzz"} for name in EVENTS}
    learnt = {clip.id: Answer(verbs, [[0.0] * 5] * 5, roles) for clip in task.clips}
    for line in task.answer(replace(features, learnt=learnt), Seeing()):
        assert line["roles"] == roles and line["verbs"] == verbs


def test_roles_are_those_of_any_reference(source: Source) -> None:
    one, two = (
        Annotation("s", tuple(Event("v.01", "v", pairs) for _ in EVENTS))
        for pairs in ((("Arg0 (a)", "x"),), (("Arg2 (c)", "z"), ("Arg0 (a)", "y")))
    )
    found = given_roles(Path(), "valid", ["s"], {"s": Truth([], [one, two])})
    assert found == {"s": [["Arg0", "Arg2"]] * 5}


def test_zero_shot_verbs_are_those_of_the_nearest_prompt(
    task: VidSitu, features: Features, place: Workplace
) -> None:
    line = lines_of(task, features, place)[0]
    frames = features.clips[str(line["item"])].reshape(5, 4, -1)
    event = Seeing().pool(frames[2])
    texts = features.texts[: len(task.verbs)]
    similarity = texts @ event / np.linalg.norm(texts, axis=1)
    expected = [task.verbs[place] for place in np.argsort(-similarity)[:5]]
    assert line["zero_shot"][2] == expected  # type: ignore[index]


def test_a_hidden_split_is_answered_and_not_scored(
    source: Source, features: Features, place: Workplace
) -> None:
    task = VidSitu.load_split(source, "testsrl")
    assert not task.truth and not majority(task)
    assert all(roles and "Arg0" in roles[0] for roles in task.roles.values())
    assert all(roles is None for roles in VidSitu.load_split(source, "testvb").roles.values())
    seen = {clip.id: next(iter(features.clips.values())) for clip in task.clips}
    clips = Features({**features.clips, **seen}, features.texts)
    for line in lines_of(task, clips, place):
        assert "truth" not in line and line["roles"]["Ev1"]["Arg0"]  # type: ignore[index]


def test_verbs_without_labels_are_named(source: Source, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(source.root, tmp_path / "tree"))
    path = root / "vidsitu_annotations" / "vinfo_files" / "vinfo_valid_lb.json"
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    with pytest.raises(DataError, match="1 segments of valid lack verb labels"):
        VidSitu.load(Source("lab", root, settings=dict(SMALL)))


def test_scoring_ignores_what_is_no_line() -> None:
    with pytest.raises(DataError, match="no scored role"):
        scored([{"warning": "nothing"}])


@pytest.mark.parametrize(
    ("segment", "video"),
    [("v_0a-_9bcdEFG_seg_5_15", "0a-_9bcdEFG"), ("v_a_seg_1_2_seg_0_10", "a_seg_1_2"),
     ("clip7", "clip7")],
)  # fmt: skip
def test_segments_of_one_youtube_video_are_drawn_together(segment: str, video: str) -> None:
    assert VidSitu.cluster({"item": segment}) == video


def test_the_ceiling_is_what_known_verbs_can_reach(
    task: VidSitu, features: Features, place: Workplace
) -> None:
    names = list(task.truth)
    assert task.ceiling_of([{"item": name} for name in names])["Vb@1"] == 100
    # Of 25 events one has no verb of a training clip, and another's rarest label is one.
    truth = {name: Truth([list(event) for event in one.votes], one.references)
             for name, one in task.truth.items()}  # fmt: skip
    truth[names[0]].votes[1] = ["unheard.01"] * 10
    truth[names[1]].votes[4][1:] = ["unheard.01"] * 9
    found = ceiling(task.training.values(), truth)
    assert found["Vb@1"] == found["Vb@5"] == pytest.approx(96)
    assert found["video/Vb@1"] == pytest.approx(80)
    assert not any(name.startswith(("CIDEr", "zero-shot")) for name in found)
    # No answer in verbs of the training split is better, in any of the metrics.
    task.truth = truth
    for line in lines_of(task, features, place):
        metrics = scored([line]).metrics()
        best = task.ceiling_of([line])
        assert all(metrics[name] <= value for name, value in best.items())
    assert task.ceiling_of([]) == {}
