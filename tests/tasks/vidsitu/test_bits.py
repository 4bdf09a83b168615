"""A training of some size gives the same bits every time, whatever the threads do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from bench.contracts import Features, Source, Workplace
from tasks.vidsitu.head.training import kept_head
from tasks.vidsitu.task import VidSitu

from .conftest import SMALL, Seeing


def test_two_trainings_have_the_same_bits(
    source: Source, features: Features, place: Workplace, tmp_path: Path
) -> None:
    size = {"width": 256, "heads": 4, "feed_forward": 256, "batch_videos": 15, "epochs": 2}
    task = VidSitu.load(replace(source, settings={**SMALL, **size, "learning_rate": 1e-3}))
    states = []
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        task.learn(features, Seeing(), replace(place, folder=folder))
        head = kept_head(next(folder.rglob("head.safetensors")))
        assert head
        states.append(head[0].state_dict())
    for other in states[1:]:
        assert all(torch.equal(value, other[name]) for name, value in states[0].items())
    assert not torch.are_deterministic_algorithms_enabled()  # put back as it was
