"""Training the head and asking it: deterministic, resumable, kept, and of some use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import Features, Source, Workplace
from bench.errors import BenchError, DataError, UsageError
from tasks.vidsitu import learning, situation
from tasks.vidsitu.task import VidSitu

from .conftest import SMALL, Seeing


def with_settings(source: Source, **changes: Any) -> VidSitu:
    return VidSitu.load(replace(source, settings={**SMALL, **changes}))


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError(f"{name} again")

    monkeypatch.setattr(situation, name, fail)


@pytest.mark.parametrize("contextual", [False, True])
def test_it_learns_what_the_features_show(
    source: Source, features: Features, place: Workplace, contextual: bool
) -> None:
    task = with_settings(source, epochs=40)
    learnt = task.learn(features, Seeing(contextual), place)
    lines = list(task.answer(replace(features, learnt=learnt), Seeing()))
    scores = task.score(lines, resamples=20, seed=0)
    assert scores.answered == len(task.clips) == 5
    assert scores.metrics["Vb@1"] > task.chance["Vb@1"] + 30
    assert scores.metrics["zero-shot/Vb@1"] > 80  # the texts are the verbs' own vectors
    assert set(scores.metrics) <= set(task.metrics)
    low, high = scores.intervals["CIDEr"]
    assert low <= scores.metrics["CIDEr"] <= high


def test_the_second_time_nothing_is_trained_and_another_beam_only_decodes(
    source: Source, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = with_settings(source).learn(features, Seeing(), place)
    forbid(monkeypatch, "train_head")
    wide = with_settings(source, beam=2).learn(features, Seeing(), place)
    assert {name: one.verbs for name, one in wide.items()} == {
        name: one.verbs for name, one in first.items()
    }
    hidden = VidSitu.load_split(source, "testvb")
    clips = {clip.id: features.clips[task_clip.id] for clip, task_clip in
             zip(hidden.clips, VidSitu.load(source).clips, strict=False)}  # fmt: skip
    assert hidden.learn(Features({**features.clips, **clips}, features.texts), Seeing(), place)
    forbid(monkeypatch, "ask")
    assert with_settings(source).learn(features, Seeing(), place) == first
    with pytest.raises(AssertionError, match="train_head again"):
        with_settings(source, epochs=4).learn(features, Seeing(), place)
    with pytest.raises(AssertionError, match="train_head again"):
        with_settings(source).learn(features, Seeing(), replace(place, seed=1))


def test_a_stopped_training_goes_on_to_the_same_bits(
    source: Source, features: Features, place: Workplace, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    task = with_settings(source, dropout=0.2)
    whole = task.learn(features, Seeing(), place)
    again = replace(place, folder=tmp_path / "again")
    epoch = learning._epoch

    def stopping(*arguments: Any) -> float:
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return epoch(*arguments)

    monkeypatch.setattr(learning, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        task.learn(features, Seeing(), again)
    monkeypatch.setattr(learning, "_epoch", epoch)
    torch.manual_seed(99)  # as another process would
    assert task.learn(features, Seeing(), again) == whole
    kept = [next(folder.rglob("head.safetensors")) for folder in (place.folder, again.folder)]
    one, two = (learning.kept_head(path) for path in kept)
    assert one and two
    for name, value in one[0].state_dict().items():
        assert torch.equal(value, two[0].state_dict()[name]), name
    assert not list(again.folder.rglob("last.safetensors"))


def test_damaged_answers_are_made_again(
    task: VidSitu, features: Features, place: Workplace
) -> None:
    first = task.learn(features, Seeing(), place)
    path = next(place.folder.rglob("answers-*.json"))
    path.write_text(path.read_text()[:50])
    assert task.learn(features, Seeing(), place) == first
    json.loads(path.read_text())


def test_selection_by_the_reported_split_is_only_on_request_and_said(
    source: Source, features: Features, place: Workplace
) -> None:
    with_settings(source).learn(features, Seeing(), place)
    record = learning.kept_head(next(place.folder.rglob("head.safetensors")))
    assert record and record[1]["judged"] == []
    task = with_settings(source, select="best")
    assert task.settings["select"] == "best"
    other = replace(place, folder=place.folder / "best")
    task.learn(features, Seeing(), other)
    record = learning.kept_head(next(other.folder.rglob("head.safetensors")))
    assert record and len(record[1]["judged"]) == 3


def test_predicted_roles_are_the_heads_own(
    source: Source, features: Features, place: Workplace
) -> None:
    task = with_settings(source, roles="predicted", epochs=30)
    assert task.protocol.endswith(", roles predicted")
    answers = task.learn(features, Seeing(), place)
    given = with_settings(source, epochs=30).learn(features, Seeing(), place)
    logits = torch.tensor([[0.1, -0.1, *[-1.0] * 10], [-0.1, 0.1, *[-1.0] * 10]])
    assert situation._predicted(logits) == [["Arg0"], ["Arg1"]]
    for name, answer in answers.items():
        assert answer.verbs == given[name].verbs
        assert {"Arg0", "AScn"} <= set(answer.roles["Ev1"])  # every toy event has both


def test_unreadable_clips(task: VidSitu, features: Features, place: Workplace) -> None:
    lost = task.clips[0].id
    clips = {name: value for name, value in features.clips.items() if name != lost}
    learnt = task.learn(Features(clips, features.texts), Seeing(), place)
    lines = list(task.answer(Features(clips, features.texts, learnt), Seeing()))
    assert lost not in learnt and len(lines) == 4
    none = {clip.id: clips[clip.id] for clip in task.clips[1:]}
    with pytest.raises(BenchError, match="0 of 30 training clips could be read"):
        task.learn(Features(none, features.texts), Seeing(), place)


def test_a_verb_that_only_the_models_own_events_show_is_learnt(
    source: Source, features: Features, place: Workplace
) -> None:
    """All frames alike: what is right comes through `contextualize`."""

    class Own(Seeing):
        def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            own = np.stack([by_mark[round(float(video[0, 0, 0]), 3)] for video in frame_features])
            return own.mean(axis=2), own.mean(axis=(1, 2))

    by_mark, clips = {}, {}
    for number, (name, clip) in enumerate(features.clips.items()):
        mark = round(1 + number / 1000, 3)
        by_mark[mark] = clip.reshape(5, 4, -1)
        clips[name] = np.full_like(clip, mark)
    blank = Features(clips, features.texts)
    task = with_settings(source, epochs=40)
    learnt = task.learn(blank, Own(), place)
    scores = task.score(task.answer(replace(blank, learnt=learnt), Own()), resamples=20, seed=0)
    assert scores.metrics["Vb@1"] > task.chance["Vb@1"] + 30


def test_infinite_features_are_refused(task: VidSitu, features: Features, place: Workplace) -> None:
    broken = {name: np.where(value > 1, np.inf, value) for name, value in features.clips.items()}
    with pytest.raises(BenchError, match="NaN or infinite contextualised"):
        task.learn(Features(broken, features.texts), Seeing(contextual=True), place)
    with pytest.raises(BenchError, match="the situation head's loss is nan"):
        task.learn(Features(broken, features.texts), Seeing(), place)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widht": 3}, "did you mean 'width'"),
        ({"heads": 3}, "heads 3 does not divide width 32"),
        ({"roles": "guessed"}, "roles cannot be 'guessed'"),
        ({"epochs": 0}, "epochs cannot be 0"),
    ],
)
def test_impossible_settings(source: Source, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_settings(source, **changes)


def test_a_damaged_head_is_named(task: VidSitu, features: Features, place: Workplace) -> None:
    task.learn(features, Seeing(), place)
    next(place.folder.rglob("answers-*.json")).unlink()
    next(place.folder.rglob("head.safetensors")).write_bytes(b"x")
    with pytest.raises((BenchError, DataError), match=r"head\.safetensors: damaged"):
        task.learn(features, Seeing(), place)
