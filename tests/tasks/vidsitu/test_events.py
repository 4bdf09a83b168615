"""Whether events are distinguished, in VidSitu's results: by frames and by a model's own events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.contracts import Features, Source, Workplace
from bench.metrics.bootstrap import Sample
from tasks.vidsitu.annotations import Annotation, Event, load_annotations, load_split
from tasks.vidsitu.events import NAMES, EventTexts, metrics_of, statistics_of
from tasks.vidsitu.prompts import RoleNames, dense_prompt
from tasks.vidsitu.task import VidSitu

from .conftest import DIM, Seeing


def test_texts_are_of_the_annotation_that_the_file_has_first(task: VidSitu, source: Source) -> None:
    root = source.root / "vidsitu_annotations"
    found = load_annotations(root, "valid")
    texts = task.events.texts
    assert task.texts[len(task.verbs) :] == texts and len(set(texts)) == len(texts)
    for segment in load_split(root, "valid"):
        prompts = [texts[place] for place in task.events.prompts[segment]]
        assert prompts == [dense_prompt(event) for event in found[segment][0].events]
        hard = task.events.negatives[segment]
        assert hard.shape == (5, 4)
        for prompt, places in zip(prompts, hard, strict=True):
            assert len({prompt, *(texts[place] for place in places)}) == 5


class Telling(Seeing):
    """Its events are what their prompts' features are, if `right`; else another event's."""

    def __init__(self, task: VidSitu, features: Features, right: bool) -> None:
        super().__init__()
        texts = features.texts[len(task.verbs) :]
        self.known = {
            features.clips[clip.id].tobytes(): texts[task.events.prompts[clip.id]]
            for clip in task.clips
        }
        self.right = right

    def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        blank = np.zeros((5, DIM), np.float32)
        found = [self.known.get(video.reshape(20, -1).tobytes(), blank) for video in frame_features]
        events = np.stack(found) if self.right else np.roll(found, 1, axis=1)
        return events, events.mean(axis=1)


@pytest.fixture
def unlike(task: VidSitu, features: Features) -> Features:
    """Every text has a feature of its own."""
    texts = np.random.default_rng(3).normal(size=(len(task.texts), DIM)).astype(np.float32)
    return replace(features, texts=texts)


@pytest.mark.parametrize("right", [True, False])
def test_a_models_own_events_are_judged_beside_its_frames(
    task: VidSitu, unlike: Features, place: Workplace, right: bool
) -> None:
    adapter = Telling(task, unlike, right)
    learnt = task.learn(unlike, adapter, place)
    lines = list(task.answer(replace(unlike, learnt=learnt), adapter))
    scores = task.score(lines, resamples=50, seed=0)
    assert set(NAMES) <= scores.metrics.keys() and set(NAMES) <= scores.intervals.keys()
    for name in ("vc/R@1", "vc/own-five"):
        assert (scores.metrics[name] == 100) is right
    assert scores.metrics["zero-shot/own-five"] < 60  # frames know nothing of these texts
    assert scores.metrics["vc/verb-role"] == pytest.approx(100 if right else 20, abs=30)
    plain = list(task.answer(replace(unlike, learnt=learnt), Seeing()))
    assert not any(
        name.startswith("vc/") for name in task.score(plain, resamples=5, seed=0).metrics
    )


def test_a_video_module_of_another_width_is_not_held_against_texts(
    task: VidSitu, unlike: Features, place: Workplace
) -> None:
    class Wide(Seeing):
        def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            wide = np.repeat(frame_features.mean(axis=2), 2, axis=-1)
            return wide, wide.mean(axis=1)

    learnt = task.learn(unlike, Wide(), place)
    lines = list(task.answer(replace(unlike, learnt=learnt), Wide()))
    assert all("events" in line and "vc_events" not in line for line in lines)


def test_an_interval_is_of_whole_videos() -> None:
    """A video whose five events agree counts as one draw, not as five."""
    ranks = np.repeat([[1], [9]], 5, axis=1)
    agreeing = {"zero-shot/": {"all": ranks.repeat(10, 0), "own": ranks.repeat(10, 0)}}
    mixed = np.where(np.arange(5) % 2, 9, 1)
    split = {"zero-shot/": {"all": np.tile(mixed, (20, 1)), "own": np.tile(mixed, (20, 1))}}
    assert metrics_of(agreeing)["zero-shot/R@1"] == 50
    wide, none = (
        Sample(20, statistics_of(found)).replicates(400, 0) for found in (agreeing, split)
    )
    for name in ("zero-shot/R@1", "zero-shot/own-five"):
        assert wide[name].values.std() == pytest.approx(50 / 20**0.5, rel=0.15)
        assert none[name].values.std() == 0


def test_negatives_are_drawn_as_a_plain_search_would(tmp_path: Path) -> None:
    """The index by sets of roles finds the candidates that looking through all verbs finds."""
    random = np.random.default_rng(0)
    events = [
        Event(
            f"{verb}.0{sense}", verb, tuple((f"Arg{slot} ({verb} {slot})", "x") for slot in slots)
        )
        for verb in map("v{}".format, range(40))
        for sense in (1, 2)
        for slots in [sorted(random.choice(6, random.integers(0, 5), replace=False))]
    ]
    events += [events[0]] * (-len(events) % 5)
    names = RoleNames.of(
        Annotation("s", tuple(events[at : at + 5])) for at in range(0, len(events), 5)
    )
    for event in events:
        slots = frozenset(key[:4] for key, _ in event.arguments)
        lemma = event.verb_id.partition(".")[0]
        others = [verb for verb in names.keys if verb.partition(".")[0] != lemma]
        most = max(len(slots & names.keys[verb].keys()) for verb in others)
        expected = [verb for verb in others if len(slots & names.keys[verb].keys()) == most]
        assert names.candidates(slots, lemma) == expected


def test_texts_without_any_segment() -> None:
    assert EventTexts.of({}, RoleNames({})) == EventTexts()
