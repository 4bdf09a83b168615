"""`bench doctor` finds every planted fault, and none in a model that is well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from adapters.open_clip import OpenCLIPAdapter
from adapters.transformers_clip import TransformersAdapter
from bench import registry
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Adapter
from bench.features.doctor import examine
from bench.video import Preprocessing
from tests.adapters.test_transformers import write

TEXTS = ["a dog chases a robot", "a robot lifts a dog", "someone sings", "two children play"]
RANDOM = np.random.default_rng(0)
FRAMES = RANDOM.integers(0, 256, (4, 2, 64, 64, 3), np.uint8)


class Tiny(OpenCLIPAdapter):
    def __init__(self, folder: Path) -> None:
        run = RunConfig(cache=folder, device="cpu")
        super().__init__("tiny", run, spec="clip-tiny/shipped")


class Squashed(Tiny):
    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(64, "squash")


class Swapped(Tiny):
    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return super().encode_frames(frames[..., ::-1])


class Grey(Tiny):
    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        grey = frames.mean(axis=-1, keepdims=True).astype(np.uint8)
        return super().encode_frames(np.repeat(grey, 3, axis=-1))


class Centred(Tiny):
    """What a batch normalisation left in training mode comes to."""

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        found = super().encode_frames(frames)
        return found - found.mean(axis=0) / 2


class CentredTexts(Tiny):
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        found = super().encode_texts(texts)
        return found - found.mean(axis=0) / 2


class Noisy(Tiny):
    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        found = super().encode_frames(frames)
        return found + RANDOM.normal(0, 1e-3, found.shape).astype(np.float32)


class Constant(Tiny):
    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return np.ones((len(frames), self.embed_dim), np.float32)


class Wordless(Tiny):
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), self.embed_dim), np.float32)


class Cutting(Tiny):
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return super().encode_texts([" ".join(text.split()[:20]) for text in texts])


class Alarmed(Tiny):
    def count_truncated(self, texts: Sequence[str]) -> int:
        return len(texts)


class Coarse(Tiny):
    precision = "float8"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return np.sign(super().encode_frames(frames)).astype(np.float32)


def wrong(adapter: Adapter, exact: Adapter | None = None) -> set[str]:
    return {one.check for one in examine(adapter, FRAMES, TEXTS, exact) if one.ok is False}


def test_a_model_that_is_well_has_no_finding(tmp_path: Path) -> None:
    found = list(examine(Tiny(tmp_path), FRAMES, TEXTS))
    assert [one.check for one in found if one.ok] == [
        "pixels", "channel order", "colours", "batches", "repeatability", "spread of videos",
        "spread of texts", "text cut", "precision",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "checks"),
    [
        (Squashed, {"pixels", "channel order"}),
        (Swapped, {"channel order"}),
        (Grey, {"colours", "channel order"}),
        (Centred, {"batches", "channel order"}),
        (CentredTexts, {"batches"}),
        (Noisy, {"repeatability"}),
        (Constant, {"spread of videos"}),
        (Wordless, {"spread of texts", "text cut"}),
        (Cutting, {"text cut"}),
        (Alarmed, {"text cut"}),
    ],
)
def test_every_planted_fault_is_found(kind: type[Tiny], checks: set[str], tmp_path: Path) -> None:
    assert checks <= wrong(kind(tmp_path))


@pytest.mark.parametrize(
    ("every", "steps", "ok"), [(100, 1, True), (20, 1, False), (100, 3, False)]
)
def test_a_step_of_255_in_a_few_pixels_is_said_and_passes(
    every: int, steps: int, ok: bool, tmp_path: Path
) -> None:
    """Resizing on tensors rounds otherwise than Pillow; anything more is another transform."""

    class Stepped(Tiny):
        def reference(self, pictures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
            images, features = super().reference(pictures)
            images.reshape(-1)[::every] += np.float32(steps / 255 / 0.2758)
            return images, features

    (found,) = [one for one in examine(Stepped(tmp_path), FRAMES, TEXTS) if one.check == "pixels"]
    assert found.ok is ok and f"{100 / every:.1f} %" in found.says
    assert ("a step of 255" in found.says) == ok


def test_swapped_channels_are_called_so(tmp_path: Path) -> None:
    (found,) = [one for one in examine(Swapped(tmp_path), FRAMES, TEXTS)
                if one.check == "channel order"]  # fmt: skip
    assert "red is read as blue" in found.says


def test_less_precision_is_held_to_float32(tmp_path: Path) -> None:
    assert wrong(Coarse(tmp_path), Tiny(tmp_path)) >= {"precision"}
    assert "precision" not in wrong(Tiny(tmp_path), Tiny(tmp_path))


def test_an_adapter_without_a_library_is_checked_as_far_as_can_be(tmp_path: Path) -> None:
    class Own(Adapter):
        name, embed_dim, image_size, fingerprint = "own", 8, 64, "own"  # type: ignore[assignment]

        def encode_frames(self, frames: np.ndarray) -> np.ndarray:
            weights = np.random.default_rng(1).normal(size=(3, 64, 8)).astype(np.float32)
            return np.einsum("nhwc,cwd->nd", frames.astype(np.float32) - 127, weights)

        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            return np.stack([np.random.default_rng(abs(hash(text))).normal(size=8)
                             for text in texts]).astype(np.float32)  # fmt: skip

    found = {one.check: one for one in examine(Own(), FRAMES, TEXTS)}
    assert found["pixels"].ok is None and "channel order" not in found
    assert found["precision"].says == "unknown"
    assert not [name for name, one in found.items() if one.ok is False]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_models_of_transformers_are_compared_with_its_processor(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / kind, kind)
    adapter = TransformersAdapter("x", RunConfig(cache=tmp_path / "c", device="cpu"), str(folder))
    found = {one.check: one for one in examine(adapter, FRAMES[:, :, :32, :32].copy(), TEXTS)}
    assert found["pixels"].ok and found["channel order"].ok and found["batches"].ok
    assert found["text cut"].ok, found["text cut"].says


@pytest.mark.slow
def test_the_command_looks_at_toy_clips_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("clip-tiny", "srlclip-tiny"):  # all shipped names that have weights
        done = CliRunner().invoke(cli, ["doctor", name, "--json"])
        assert done.exit_code == 0, done.output
        assert {one["ok"] for one in json.loads(done.output)} == {True}
    real = registry.load_adapter

    def swapped(name: str, config: Any) -> Adapter:
        real(name, config)
        return Swapped(tmp_path)

    monkeypatch.setattr(registry, "load_adapter", swapped)
    done = CliRunner().invoke(cli, ["doctor", "clip-tiny"])
    assert done.exit_code == 1 and "clip-tiny: channel order: see above" in done.output
    assert "WRONG" in done.output and max(map(len, done.output.splitlines())) <= 80
