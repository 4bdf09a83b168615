"""The models that ship: each part of them does what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.clip4clip import CLIP4ClipAdapter
from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_clip import SRLCLIPAdapter
from adapters.weights import SHIPPED
from bench.config import RunConfig
from bench.contracts import Source, normalise
from bench.errors import UsageError
from bench.video import DecodedFrames, FrameStore
from tasks.vidsitu.task import VidSitu


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SRLCLIPAdapter:
    run = RunConfig(cache=tmp_path_factory.mktemp("cache"), device="cpu")
    return SRLCLIPAdapter("srlclip-tiny", run, arch="clip-tiny", pretrained="shipped",
                          checkpoint="shipped")  # fmt: skip


@pytest.fixture(scope="module")
def seen(tiny: SRLCLIPAdapter, toy_vidsitu: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Frames uint8 [V, 20, S, S, 3] of all videos of the small drawn set."""
    task = VidSitu.load(Source("toy", toy_vidsitu))
    store = FrameStore(tmp_path_factory.mktemp("frames"), tiny.image_size, task.plan)
    found: Iterator = (one for _, one in store.fill([*task.support, *task.clips], 1, 30.0, 4096))  # type: ignore[type-arg]
    return np.stack([one.frames for one in found if isinstance(one, DecodedFrames)])


@pytest.fixture(scope="module")
def frames(tiny: SRLCLIPAdapter, seen: np.ndarray) -> np.ndarray:
    """Features [V, P, T, D] of them."""
    return tiny.encode_frames(seen.reshape(-1, *seen.shape[2:])).reshape(len(seen), 5, 4, -1)


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


def test_the_small_video_model_is_a_trained_head_on_clip_tiny(
    tmp_path: Path, seen: np.ndarray
) -> None:
    """By a file of the head alone: CLIP's part is clip-tiny's, and the head reads the order."""
    run = RunConfig(cache=tmp_path, device="cpu")
    made = {"arch": "clip-tiny", "pretrained": "shipped", "head": "seqTransf"}
    model = CLIP4ClipAdapter("clip4clip-tiny", run, checkpoint="shipped", **made)
    clip = OpenCLIPAdapter("clip-tiny", run, spec="clip-tiny/shipped")
    assert model.is_video_model and model.preprocessing == clip.preprocessing
    np.testing.assert_allclose(model.encode_texts(["a red man jumps"]),
                               clip.encode_texts(["a red man jumps"]), atol=1e-5)  # fmt: skip
    videos = seen[:4]
    frames = clip.encode_frames(videos.reshape(-1, 64, 64, 3)).reshape(*videos.shape[:2], -1)
    forth, back = (model.encode_clips(one) for one in (videos, videos[:, ::-1]))
    assert np.abs(normalise(forth) - normalise(back)).max() > 5e-4
    assert np.abs(normalise(forth) - normalise(normalise(frames).mean(axis=1))).max() > 1e-2
    facts = model.describe()
    assert facts["start"] == "trained"
    assert facts["clip_sha256"] == clip.describe()["weights_sha256"] != facts["weights_sha256"]
    assert not any("nobody published" in remark for remark in model.published["msrvtt"].remarks)
    with pytest.raises(UsageError, match="is of its head alone; name the CLIP's `pretrained`"):
        CLIP4ClipAdapter("x", run, "clip-tiny", checkpoint="shipped", head="seqTransf")
    with pytest.raises(UsageError, match="clip-tiny: seqTransf starts from a text tower as wide"):
        CLIP4ClipAdapter("x", run, **made)
    with pytest.raises(UsageError, match="trained with the head seqTransf"):
        CLIP4ClipAdapter("x", run, "clip-tiny", "shipped", checkpoint="shipped")
    assert (SHIPPED / "clip4clip-tiny.safetensors").stat().st_size < 1 << 20
