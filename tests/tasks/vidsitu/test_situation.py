"""Training the head and asking it: deterministic, resumable, kept, and of some use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import Features, Source, Workplace
from bench.errors import BenchError, UsageError
from bench.training import checkpoints
from tasks.vidsitu.head import prediction, training
from tasks.vidsitu.head.inputs import video_features
from tasks.vidsitu.scoring.rules import ROLES, short_role
from tasks.vidsitu.task import VidSitu

from .conftest import DIM, SMALL, Seeing


def with_settings(source: Source, **changes: Any) -> VidSitu:
    return VidSitu.load(replace(source, settings={**SMALL, **changes}))


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError(f"{name} again")

    monkeypatch.setattr(prediction, name, fail)


@pytest.mark.parametrize("contextual", [False, True])
def test_it_learns_what_the_features_show(
    source: Source, features: Features, place: Workplace, contextual: bool
) -> None:
    task = with_settings(source, epochs=40)
    learnt = task.learn(features, Seeing(contextual), place)
    lines = list(task.answer(replace(features, learnt=learnt), Seeing()))
    scores = task.score(lines, resamples=20, seed=0)
    assert scores.answered == len(task.clips) == 5
    assert (
        scores.metrics["Vb@1"] > task.chance_of([{"item": one} for one in task.truth])["Vb@1"] + 30
    )
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
    forbid(monkeypatch, "predict")
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
    epoch = training._epoch

    def stopping(*arguments: Any) -> float:
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return epoch(*arguments)

    monkeypatch.setattr(training, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        task.learn(features, Seeing(), again)
    monkeypatch.setattr(training, "_epoch", epoch)
    torch.manual_seed(99)  # as another process would
    assert task.learn(features, Seeing(), again) == whole
    kept = [next(folder.rglob("head.safetensors")) for folder in (place.folder, again.folder)]
    one, two = (training.kept_head(path) for path in kept)
    assert one and two
    for name, value in one[0].state_dict().items():
        assert torch.equal(value, two[0].state_dict()[name]), name
    assert not list(again.folder.rglob("last.safetensors"))


def _without_a_clip(kept: dict[str, Any]) -> None:
    kept.popitem()


def _renamed_clip(kept: dict[str, Any]) -> None:
    kept["other"] = kept.popitem()[1]


def _first(kept: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = next(iter(kept.values()))
    return answer


POISONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a clip is gone": _without_a_clip,
    "another clip": _renamed_clip,
    "no answer": lambda kept: kept.update({min(kept): None}),
    "verbs are numbers": lambda kept: _first(kept).update(verbs=[[1] * 5] * 5),
    "an event is gone": lambda kept: _first(kept)["verbs"].pop(),
    "no verb": lambda kept: _first(kept)["verbs"].__setitem__(0, []),
    "a score is gone": lambda kept: _first(kept)["scores"][0].pop(),
    "an infinite score": lambda kept: _first(kept)["scores"][0].__setitem__(0, float("inf")),
    "a score beyond floats": lambda kept: _first(kept)["scores"][0].__setitem__(0, 10**400),
    "roles of no event": lambda kept: _first(kept)["roles"].popitem(),
    "a role is a list": lambda kept: _first(kept)["roles"]["Ev1"].update(Arg0=["a"]),
}


@pytest.mark.parametrize("poison", POISONS)
def test_answers_not_written_by_us_are_made_again(
    task: VidSitu, features: Features, place: Workplace, poison: str
) -> None:
    first = task.learn(features, Seeing(), place)
    path = next(place.folder.rglob("answers-*.json"))
    whole = path.read_text()
    for damaged in (whole[:50], "[]", "[" * 100_000):
        path.write_text(damaged)
        assert task.learn(features, Seeing(), place) == first
    kept = json.loads(whole)
    POISONS[poison](kept)
    path.write_text(json.dumps(kept))
    assert task.learn(features, Seeing(), place) == first
    assert path.read_text() == whole
    path.unlink()
    os.mkfifo(path)  # must not be waited for
    assert task.learn(features, Seeing(), place) == first


def test_selection_by_the_reported_split_is_only_on_request_and_said(
    source: Source, features: Features, place: Workplace
) -> None:
    with_settings(source).learn(features, Seeing(), place)
    record = training.kept_head(next(place.folder.rglob("head.safetensors")))
    assert record and record[1]["judged"] == []
    task = with_settings(source, select="best")
    assert task.settings["select"] == "best"
    other = replace(place, folder=place.folder / "best")
    task.learn(features, Seeing(), other)
    record = training.kept_head(next(other.folder.rglob("head.safetensors")))
    assert record and len(record[1]["judged"]) == 3


@pytest.mark.parametrize("kind", ["support", "clips"])
def test_other_features_are_another_head_and_other_answers(
    source: Source, features: Features, place: Workplace, kind: str
) -> None:
    """A video exchanged under its name: what was kept of the old one answers nothing."""
    task = with_settings(source)
    first = task.learn(features, Seeing(), place)
    one, two = (clip.id for clip in getattr(task, kind)[:2])
    swapped = {one: features.clips[two], two: features.clips[one]}
    changed = Features({**features.clips, **swapped}, features.texts)
    again = task.learn(changed, Seeing(), place)
    fresh = task.learn(changed, Seeing(), replace(place, folder=place.folder / "fresh"))
    assert again == fresh != first
    assert task.learn(features, Seeing(), place) == first


@pytest.mark.slow
def test_predicted_roles_are_the_heads_own(
    source: Source, features: Features, place: Workplace
) -> None:
    task = with_settings(source, roles="predicted", epochs=30)
    assert task.protocol.endswith(", roles predicted")
    answers = task.learn(features, Seeing(), place)
    given = with_settings(source, epochs=30).learn(features, Seeing(), place)
    logits = torch.tensor([[0.1, -0.1, *[-1.0] * 10], [-0.1, 0.1, *[-1.0] * 10]])
    assert prediction._likely(logits, ROLES) == [["Arg0"], ["Arg1"]]
    for name, answer in answers.items():
        assert answer.verbs == given[name].verbs
        assert {"Arg0", "AScn"} <= set(answer.roles["Ev1"])  # every toy event has both


def test_all_of_the_head_is_trained(task: VidSitu, features: Features) -> None:
    """Verbs, presence of roles, and captions: a loss reaches every parameter."""
    from tasks.vidsitu.head.models import SituationHead
    from tasks.vidsitu.head.vocabulary import Vocabulary

    names = [clip.id for clip in task.support][:4]
    annotations = [task.training[name] for name in names]
    vocabulary = Vocabulary.of(v for a in annotations for e in a.events for _, v in e.arguments)
    seen = video_features(names, features, Seeing())
    data = training.training_examples(annotations, seen, task.verbs, vocabulary, 15)
    rows = [
        (video, event, ROLES.index(short_role(key)), value)
        for video, annotation in enumerate(annotations)
        for event, one in enumerate(annotation.events)
        for key, value in one.arguments
    ]
    asked = data.queries
    assert list(zip(asked.video.tolist(), asked.event.tolist(), asked.role.tolist(),
                    map(vocabulary.decode, data.captions), strict=True)) == rows  # fmt: skip
    head = SituationHead(task.head, DIM, DIM, len(task.verbs), len(vocabulary)).train()
    training.loss_of(head, data, torch.arange(4), "cpu").backward()
    # Of the contextualizer's places all are used; a captioner's start token is a query's vector.
    silent = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_best_epoch_answers_if_asked_for(
    task: VidSitu, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, values = [], iter((3.0, 9.0, 1.0))
    train = training.train_head

    def judged(head: Any, *others: Any) -> Any:
        def judge() -> float:
            states.append({n: v.clone() for n, v in head.state_dict().items()})
            return next(values)

        return train(head, *others[:-1], judge)

    monkeypatch.setattr(prediction, "train_head", judged)
    task.learn(features, Seeing(), place)
    kept = training.kept_head(next(place.folder.rglob("head.safetensors")))
    assert kept is not None
    for name, value in kept[0].state_dict().items():
        assert torch.equal(value, states[1][name]), name


def test_orders_of_two_seeds_differ(
    task: VidSitu, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: dict[int, list[list[int]]] = {}
    loss_of = training.loss_of

    def noting(head: Any, data: Any, videos: torch.Tensor, device: str) -> torch.Tensor:
        orders.setdefault(seed, []).append(videos.tolist())
        return loss_of(head, data, videos, device)

    monkeypatch.setattr(training, "loss_of", noting)
    for seed in (0, 1):
        task.learn(features, Seeing(), replace(place, seed=seed))
    per_epoch = len(orders[0]) // 3
    assert orders[0] != orders[1] and orders[0][:per_epoch] != orders[0][per_epoch : 2 * per_epoch]


def test_answers_draw_no_dropout(source: Source, features: Features, place: Workplace) -> None:
    task = with_settings(source, dropout=0.5)
    first = task.learn(features, Seeing(), place)
    next(place.folder.rglob("answers-*.json")).unlink()  # the kept head is asked again
    assert task.learn(features, Seeing(), place) == first


def test_another_model_has_a_head_of_its_own(
    task: VidSitu, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task.learn(features, Seeing(), place)
    forbid(monkeypatch, "train_head")
    task.learn(features, Seeing(), place)
    other = Seeing()
    other.fingerprint = "seeing-2"
    with pytest.raises(AssertionError, match="train_head again"):
        task.learn(features, other, place)


def test_unreadable_clips(task: VidSitu, features: Features, place: Workplace) -> None:
    lost = task.clips[0].id
    clips = {name: value for name, value in features.clips.items() if name != lost}
    learnt = task.learn(Features(clips, features.texts), Seeing(), place)
    lines = list(task.answer(Features(clips, features.texts, learnt), Seeing()))
    assert lost not in learnt and len(lines) == 4
    none = {clip.id: clips[clip.id] for clip in task.clips[1:]}
    with pytest.raises(BenchError, match="0 of 30 training clips could be read"):
        task.learn(Features(none, features.texts), Seeing(), place)


@pytest.mark.slow
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
    assert (
        scores.metrics["Vb@1"] > task.chance_of([{"item": one} for one in task.truth])["Vb@1"] + 30
    )


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


@pytest.mark.parametrize("poison", ["cut", "NaN", "verbs", "tokens", "shape"])
def test_a_head_not_written_by_us_is_trained_again(
    task: VidSitu, features: Features, place: Workplace, poison: str
) -> None:
    first = task.learn(features, Seeing(), place)
    next(place.folder.rglob("answers-*.json")).unlink()
    path = next(place.folder.rglob("head.safetensors"))
    whole = path.read_bytes()
    found = checkpoints.read(path)
    assert found
    tensors, facts = found
    name = min(tensors)
    if poison == "cut":
        path.write_bytes(b"x")
    elif poison == "NaN":
        checkpoints.write(path, tensors | {name: tensors[name] * float("nan")}, facts)
    elif poison == "shape":
        checkpoints.write(path, tensors | {name: torch.ones(1)}, facts)
    else:
        checkpoints.write(path, tensors, facts | {poison: [None] * len(facts[poison])})
    assert task.learn(features, Seeing(), place) == first
    assert len(path.read_bytes()) == len(whole)
