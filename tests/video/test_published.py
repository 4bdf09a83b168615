"""Frames of published systems: their official pixels, and the numbers of the frames they take."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch.nn import functional

from bench.contracts import Clip
from bench.video import (
    Centres,
    FrameStore,
    Middles,
    Parts,
    Preprocessing,
    Seconds,
    Steps,
    Uniform,
    decode,
    parse_plan,
)
from bench.video.resizing import opencv_bilinear, torch_bilinear
from bench.video.sampling import ByIndex, chosen_frames
from tests.video.clips import read, write_video

GOLDEN = Path(__file__).parents[1] / "golden" / "systems" / "preprocess"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
OPENCV: dict[str, Any] = {
    "interpolation": "bilinear", "library": "opencv", "antialias": False, "sides": "nearest",
    "crop": "floor",
}  # fmt: skip
TORCH: dict[str, Any] = {"interpolation": "bilinear", "library": "torch", "antialias": False}


def golden(system: str, case: str) -> tuple[Image.Image, dict[str, np.ndarray]]:
    """The first frame of a case, and its official outputs by their form, [H, W, 3]."""
    arrays = load_file(GOLDEN / f"{system}.safetensors")
    source = case if f"{case}.input" in arrays else case.partition(".")[0]
    outputs = {form: arrays[f"{case}.{form}"][0].transpose(1, 2, 0)
               for form in ("uint8", "float") if f"{case}.{form}" in arrays}  # fmt: skip
    return Image.fromarray(arrays[f"{source}.input"][0]), outputs


EQUAL = [
    ("tvtsv2", "up112", Preprocessing(112, scaled=134, interpolation="nearest")),
    ("bt-adapter", "landscape.down48", Preprocessing(48, **OPENCV)),
    ("bt-adapter", "portrait.down56_crop48", Preprocessing(48, scaled=56, **OPENCV)),
    ("bt-adapter", "landscape.lsmdc_up256_crop224", Preprocessing(224, scaled=256, **OPENCV)),
    ("vifi-clip", "landscape.crop48", Preprocessing(48, scaled=54, **OPENCV)),
    ("vifi-clip", "portrait.crop48", Preprocessing(48, scaled=54, **OPENCV)),
    ("clip4clip", "landscape.crop48", Preprocessing(48)),
    ("clip4clip", "portrait.crop48", Preprocessing(48)),
]


@pytest.mark.parametrize(("system", "case", "rule"), EQUAL)
def test_pixels_are_the_official_ones(system: str, case: str, rule: Preprocessing) -> None:
    picture, official = golden(system, case)
    np.testing.assert_array_equal(np.asarray(rule.apply(picture)), official["uint8"])


@pytest.mark.parametrize("case", ["landscape", "portrait"])
def test_tvtsv2s_floats(case: str) -> None:
    picture, official = golden("tvtsv2", case)
    ours = np.asarray(Preprocessing(56, scaled=67, interpolation="nearest").apply(picture))
    mean, std = IMAGENET
    np.testing.assert_allclose((ours / 255 - mean) / std, official["float"], atol=1e-6)


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ("msrvtt_crop_flip", Preprocessing(56, **TORCH)),
        ("portrait_crop_flip", Preprocessing(56, **TORCH)),
        ("upscale_crop_flip", Preprocessing(64, **TORCH)),
        ("lsmdc_none", Preprocessing(56, "squash", **TORCH)),
    ],
)
def test_vasts_floats_are_kept_to_the_rounding_to_bytes(case: str, rule: Preprocessing) -> None:
    picture, official = golden("vast", case)
    mean, std = CLIP
    ours = np.asarray(rule.apply(picture))
    steps = (official["float"] * std + mean) * 255  # before mean and deviation, in bytes
    assert np.abs(ours - steps).max() <= 0.5 + 1e-3
    assert np.abs((ours / 255 - mean) / std - official["float"]).max() <= 0.0077


SHAPES = [(90, 120, 48, 64), (121, 77, 64, 30), (50, 70, 64, 90), (40, 60, 40, 30), (3, 5, 9, 2)]


@pytest.mark.parametrize(("tall", "wide", "height", "width"), SHAPES)
def test_torchs_bilinear(tall: int, wide: int, height: int, width: int) -> None:
    image = np.random.default_rng(tall).integers(0, 256, (tall, wide, 3), np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    theirs = functional.interpolate(planes, (height, width), mode="bilinear", antialias=False)
    expected = theirs[0].permute(1, 2, 0).numpy()
    ours = torch_bilinear(image, width, height)
    assert ours.shape == (height, width, 3) and np.abs(ours - expected).max() <= 0.5 + 1e-9


def test_opencvs_bilinear() -> None:
    """Shapes in which its rule differs from the plain one; hashes of what OpenCV 4.14 gives."""
    known = json.loads((GOLDEN / "opencv.json").read_text())
    for name, expected in known.items():
        tall, wide, height, width = map(int, name.split("x"))
        image = np.random.default_rng(tall * wide).integers(0, 256, (tall, wide, 3), np.uint8)
        made = opencv_bilinear(image, width, height)
        assert hashlib.sha256(made.tobytes()).hexdigest() == expected, name


def test_opencv_itself_where_it_is_installed() -> None:
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    for _ in range(30):
        tall, wide, height, width = random.integers(2, 300, 4).tolist()
        image = random.integers(0, 256, (tall, wide, 3), np.uint8)
        expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(opencv_bilinear(image, width, height), expected)


def test_what_no_library_does_is_refused() -> None:
    for odd in (
        {"library": "magick"}, {"antialias": False}, {"library": "opencv"}, {"sides": "up"},
        {"library": "torch", "antialias": False},  # bicubic
        {"library": "torch", "interpolation": "bilinear"},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            Preprocessing(8, **odd)  # type: ignore[arg-type]


def test_every_rule_has_a_key_and_a_name_of_its_own() -> None:
    rules = [
        Preprocessing(8), Preprocessing(8, interpolation="bilinear"), Preprocessing(8, **TORCH),
        Preprocessing(8, interpolation="bilinear", library="opencv", antialias=False),
        Preprocessing(8, interpolation="bilinear", library="opencv", antialias=False,
                      sides="nearest"),
        Preprocessing(8, interpolation="nearest"), Preprocessing(8, sides="nearest"),
    ]  # fmt: skip
    assert len({rule.key for rule in rules}) == len(rules)
    # As stores of before have them.
    assert Preprocessing(8, "squash", "bilinear", 9, "floor").key == "8 squash bilinear 9 floor"
    assert str(Preprocessing(8, **TORCH)).startswith("shortest side 8 bilinear not antialiased (t")
    assert str(rules[5]) == "shortest side 8 nearest, centre crop 8"


RULES: dict[str, type[ByIndex]] = {
    "tvtsv2": Middles, "bt-adapter": Steps, "vifi-clip": Centres, "vast": Parts,
}  # fmt: skip


@pytest.mark.parametrize("system", RULES)
def test_frames_are_the_official_ones(system: str) -> None:
    tables = json.loads((GOLDEN / "indices.json").read_text())[system]
    for frames, table in tables.items():
        plan = RULES[system](int(frames))
        assert parse_plan(plan.key) == plan
        for count, expected in table.items():
            assert plan.indices(int(count), 25.0) == expected, (system, frames, count)


def test_clip4clips_frames_are_the_official_ones() -> None:
    tables = json.loads((GOLDEN / "indices.json").read_text())["clip4clip"]
    plan = Seconds(12)
    assert parse_plan("seconds-12") == plan and len(tables) == 10
    for case, expected in tables.items():
        count, rate = case.split("@")
        assert plan.indices(int(count), float(rate)) == expected, case
        assert plan.indices(int(count), float(rate) - 1e-4) == expected, case  # as it is measured


@pytest.mark.parametrize("rule", [Middles, Steps, Centres, Parts, Seconds])
def test_every_plan_stays_in_its_clip(rule: type[ByIndex]) -> None:
    for frames in (1, 2, 7, 12, 64):
        for count in (1, 2, 3, 11, 12, 13, 64, 129, 500):
            found = rule(frames).indices(count, 29.97)
            assert found == sorted(found) and found[0] >= 0 and found[-1] < count
            assert len(found) == frames or (len(found) < frames and rule in (Middles, Seconds))
            assert all(type(index) is int for index in found)
    assert 0 < len(rule(12).times(10.0)) <= 12  # how large a group of clips may be


def test_numbers_are_of_the_clip_not_of_its_file() -> None:
    moments = [number / 10 for number in range(100)]  # ten a second
    plan = Centres(2)
    assert chosen_frames(plan, moments, 10.0, 0.0, 10.0) == [25, 75]
    assert chosen_frames(plan, moments, 10.0, 2.0, 4.0) == [25, 35]
    assert chosen_frames(plan, moments, 10.0, 2.05, 4.0) == [25, 35]  # 21 to 39
    assert chosen_frames(plan, moments, 10.0, 2.01, 2.02) == [20, 20]  # none begins: it is shown
    assert chosen_frames(Seconds(12), moments, 10.0, 2.0, 4.0) == [20, 30]
    assert chosen_frames(Uniform(2), moments, 10.0, 2.0, 4.0) == [25, 35]


def test_a_file_and_a_folder_are_read_by_numbers(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=90)
    plan = Parts(7)
    whole = decode(Clip("a", path), plan, 64)
    assert [read(frame) for frame in whole.frames] == plan.indices(90, 30.0)
    part = decode(Clip("a", path, 1.0, 2.0), plan, 64)
    assert [read(frame) for frame in part.frames] == [30 + n for n in plan.indices(30, 30.0)]
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(np.full((20, 20, 3), number, np.uint8)).save(folder / f"{number:03d}.png")
    clip = Clip("b", folder, 1.0, 3.0, frames_fps=10.0)
    found = decode(clip, plan, 16)
    assert found.frames[:, 0, 0, 0].tolist() == [10 + n for n in plan.indices(20, 10.0)]
    assert found.times.tolist() == [n / 10 for n in found.frames[:, 0, 0, 0].tolist()]


def test_the_store_keeps_them_by_plan_and_rule(tmp_path: Path) -> None:
    """Decoding processes are sent the rule, and make what `decode` makes."""
    clip = Clip("a", write_video(tmp_path / "a.mp4", frames=40))
    kept = []
    for rule in (Preprocessing(16), Preprocessing(16, **OPENCV), Preprocessing(16, **TORCH)):
        for plan in (Steps(4), Parts(4)):
            store = FrameStore(tmp_path / "frames", rule, plan)
            ((_, found),) = list(store.fill([clip], workers=1))
            np.testing.assert_array_equal(found.frames, decode(clip, plan, rule).frames)
            kept.append(store.key(clip))
    assert len(set(kept)) == 6
