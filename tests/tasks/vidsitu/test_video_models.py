"""A model of clips on VidSitu: each event is a clip, and its feature is what all else works on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import bench
from bench.config import RunConfig
from bench.contracts import Adapter, Features, Source, Workplace
from bench.engine import evaluate
from bench.features.extraction import clip_features
from bench.features.work import Silent, Work
from bench.video import decode
from tasks.vidsitu.head.inputs import frames_of, video_features
from tasks.vidsitu.task import VidSitu

from .conftest import DIM, SMALL, Seeing


class Clips(Adapter):
    """Knows the last frame of a clip, and nothing else."""

    name, embed_dim, image_size, fingerprint = "clips", DIM, 16, "clips-1"

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        self.calls.append(clips.shape[:2])
        return clips[:, -1].reshape(len(clips), -1)[:, :DIM].astype(np.float32)

    encode_texts = Seeing.encode_texts


def test_every_event_is_a_clip(toy_vidsitu: Path, tmp_path: Path) -> None:
    task = bench.load_task("vidsitu", str(toy_vidsitu))
    run = RunConfig(cache=tmp_path / "cache", workers=2)
    adapter = Clips()
    found = clip_features(Work(adapter, task, run, Silent()))
    assert {shape[1] for shape in adapter.calls} == {4}
    assert sum(shape[0] for shape in adapter.calls) == 5 * len([*task.clips, *task.support])
    clip = task.support[2]
    frames = decode(clip, task.plan, 16).frames
    for event in range(5):
        last = frames[4 * event + 3].reshape(-1)[:DIM].astype(np.float32)
        np.testing.assert_array_equal(found[clip.id][event], last)


def test_a_run_from_pixels_to_metrics(toy_vidsitu: Path, tmp_path: Path) -> None:
    source = Source("lab", toy_vidsitu, settings={**SMALL, "epochs": 1})
    task = bench.registry.load_task("vidsitu", source)  # type: ignore[attr-defined]
    run = RunConfig(cache=tmp_path / "cache", workers=2, resamples=20, device="cpu")
    first = Clips()
    result = evaluate(first, task, run)
    assert result.complete and {"Vb@1", "CIDEr", "zero-shot/Vb@1", "zero-shot/own-five"} <= set(
        result.metrics
    )
    assert not any(name.startswith("vc/") for name in result.metrics)
    again = Clips()
    assert evaluate(again, task, run).predictions == result.predictions and again.calls == []


def as_clips(features: Features) -> Features:
    """One feature an event, as a video model gives them."""
    clips = {name: value.reshape(5, 4, -1).mean(axis=1) for name, value in features.clips.items()}
    return Features(clips, features.texts)


def test_the_head_learns_from_clips(source: Source, features: Features, place: Workplace) -> None:
    task = VidSitu.load(replace(source, settings={**SMALL, "epochs": 40}))
    given = as_clips(features)
    learnt = task.learn(given, Clips(), place)
    lines = list(task.answer(replace(given, learnt=learnt), Clips()))
    scores = task.score(lines, resamples=20, seed=0)
    chance = task.chance_of([{"item": one} for one in task.truth])["Vb@1"]
    assert scores.metrics["Vb@1"] > chance + 30 and scores.metrics["zero-shot/Vb@1"] > 80


def test_a_clips_feature_stands_for_each_of_its_frames(task: VidSitu, features: Features) -> None:
    """The head has the same size for every model."""
    names, given = [task.clips[0].id, task.clips[1].id], as_clips(features)
    frames = frames_of(names, given)
    assert frames.shape == (2, 5, 4, DIM) == frames_of(names, features).shape
    for place in range(4):
        np.testing.assert_array_equal(frames[1, :, place], given.clips[names[1]])
    seen = video_features(names, given, Clips())
    unit = given.clips[names[0]] / np.linalg.norm(given.clips[names[0]], axis=1, keepdims=True)
    np.testing.assert_allclose(seen.events[0].numpy(), unit, atol=1e-6)
    np.testing.assert_allclose(seen.videos[0].numpy(), unit.mean(axis=0), atol=1e-6)
