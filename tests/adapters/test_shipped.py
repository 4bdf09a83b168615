"""srlclip-tiny as it ships, on drawn videos: its contextualizer does what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.srl_clip import SRLCLIPAdapter
from bench.config import RunConfig
from bench.contracts import Source
from bench.video import DecodedFrames, FrameStore
from tasks.vidsitu.task import VidSitu


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SRLCLIPAdapter:
    run = RunConfig(cache=tmp_path_factory.mktemp("cache"), device="cpu")
    return SRLCLIPAdapter("srlclip-tiny", run, arch="clip-tiny", pretrained="shipped",
                          checkpoint="shipped")  # fmt: skip


@pytest.fixture(scope="module")
def frames(tiny: SRLCLIPAdapter, toy_vidsitu: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Features [V, P, T, D] of all videos of the small drawn set."""
    task = VidSitu.load(Source("toy", toy_vidsitu))
    store = FrameStore(tmp_path_factory.mktemp("frames"), tiny.image_size, task.plan)
    found: Iterator = (one for _, one in store.fill([*task.support, *task.clips], 1, 30.0, 4096))  # type: ignore[type-arg]
    decoded = [one.frames for one in found if isinstance(one, DecodedFrames)]
    return tiny.encode_frames(np.concatenate(decoded)).reshape(len(decoded), 5, 4, -1)


def events(tiny: SRLCLIPAdapter, frames: np.ndarray) -> np.ndarray:
    found = tiny.contextualize(frames)
    assert found is not None
    return found[0]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return float(np.mean((one * other).sum(axis=-1) / lengths))


def test_reversed_events_give_reversed_outputs(tiny: SRLCLIPAdapter, frames: np.ndarray) -> None:
    plain, reverse = events(tiny, frames), events(tiny, frames[:, ::-1].copy())
    assert np.linalg.norm(reverse - plain) > 0.2 * np.linalg.norm(plain)
    assert cosine(reverse[:, ::-1], plain) > cosine(reverse, plain) + 0.05


def test_an_event_moves_with_its_own_frames(tiny: SRLCLIPAdapter, frames: np.ndarray) -> None:
    """More than with its neighbour's, and with these too: the whole video is seen."""
    plain = events(tiny, frames)
    own, neighbour = [], []
    for place in range(5):
        changed = frames.copy()
        changed[:, place] = np.roll(frames, 1, axis=0)[:, place]
        moved = np.linalg.norm(events(tiny, changed) - plain, axis=-1)
        own.append(moved[:, place])
        neighbour.append(moved[:, (place + 1) % 5])
    assert np.mean(own) > 2 * np.mean(neighbour)
    assert np.mean(neighbour) > 1e-3 * np.linalg.norm(plain, axis=-1).mean()


def test_it_ships_with_the_recipe_that_made_it(tiny: SRLCLIPAdapter) -> None:
    from bench.config import load_config

    recipe = load_config().models["srlclip-tiny"].settings
    training = tiny.card["training"]
    assert recipe["training"].items() <= training["settings"].items()
    assert recipe["settings"].items() <= tiny.card["settings"].items()
    assert training["epochs"] == recipe["training"]["epochs"] and not training["stopped"]
    assert replace(tiny.settings, vc_layers=6) == type(tiny.settings)()
