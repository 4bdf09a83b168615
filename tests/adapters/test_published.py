"""Pixels and activation are those that the weights were published with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.pretrained import _PRETRAINED, get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from adapters.clip_base import CLIPBase, load_clip
from adapters.open_clip import OpenCLIPAdapter
from adapters.published import CONFIG, Published, published
from adapters.weights import SHIPPED
from bench.config import RunConfig, load_config
from bench.errors import BenchError, DataError, UsageError
from bench.video import Preprocessing, Uniform
from bench.video.store import FrameStore

TINY = SHIPPED / "clip-tiny.safetensors"
# One tag of each kind in open_clip's table.
TAGS = [
    ("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-16-SigLIP", "webli"),
    ("PE-Core-B-16", "meta"), ("MobileCLIP-S1", "datacompdr"),
]  # fmt: skip
NAMED = {
    name: (one.settings["arch"], one.settings["pretrained"])
    for name, one in load_config().models.items()
    if one.adapter == "open_clip" and one.settings["pretrained"] not in ("openai", "shipped")
}
KNOWN = [pair for pair in NAMED.values() if pair in open_clip.list_pretrained()]


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu")


def test_models_by_name_are_of_open_clips_table() -> None:
    """With the activation that their weights were trained with."""
    assert len(KNOWN) == len(NAMED) >= 13 or open_clip.__version__ < "3.2"  # has not the newest
    for arch, tag in KNOWN:
        quick = bool(open_clip.get_model_config(arch).get("quick_gelu", False))
        assert quick == bool(get_pretrained_cfg(arch, tag).get("quick_gelu", False)), arch


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def bits(image: Image.Image, facts: dict[str, object], size: int) -> np.ndarray:
    """The bytes that open_clip's own transform makes, before mean and std."""
    own = {"size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    found = image_transform_v2(PreprocessCfg(**{**facts, **own}), is_train=False)(image)
    return (found.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize(("arch", "tag"), [*TAGS, *KNOWN])
def test_frames_are_bit_equal_to_open_clips_transform(arch: str, tag: str) -> None:
    known = get_pretrained_cfg(arch, tag)
    config = open_clip.get_model_config(arch)
    base = CLIPBase(arch, tag, config, Path("nowhere"), "", published(arch, tag, Path("x"), {}))
    facts = {key: known[key] for key in ("resize_mode", "interpolation")}
    for width, height in ((320, 240), (101, 333), (base.image_size, base.image_size)):
        image = noise(width, height)
        ours = np.asarray(base.preprocessing.apply(image))
        np.testing.assert_array_equal(ours, bits(image, facts, base.image_size))
    assert base.published.mean == tuple(known["mean"])
    assert base.published.std == tuple(known["std"])


def test_the_kinds_above_are_all_that_the_table_has() -> None:
    kinds = {
        (one["resize_mode"], one["interpolation"])
        for tags in _PRETRAINED.values() for one in tags.values()
    }  # fmt: skip
    tried = {tuple(get_pretrained_cfg(*pair)[key] for key in ("resize_mode", "interpolation"))
             for pair in TAGS}  # fmt: skip
    assert kinds == tried


@pytest.mark.parametrize(("width", "height"), [(320, 240), (101, 333), (64, 64), (1000, 3)])
def test_the_longest_side_is_padded_as_open_clip_pads(width: int, height: int) -> None:
    image = noise(width, height)
    ours = np.asarray(Preprocessing(64, "longest").apply(image))
    if min(image.size) * 64 >= max(image.size):  # theirs has no picture of less than a pixel
        np.testing.assert_array_equal(ours, bits(image, {"resize_mode": "longest"}, 64))
    assert ours.shape == (64, 64, 3)


def test_a_larger_side_may_be_cropped_and_half_a_pixel_rounded_down() -> None:
    image = noise(331, 256)
    up, down = (np.asarray(Preprocessing(224, scaled=256, crop=crop).apply(image))
                for crop in ("round", "floor"))  # fmt: skip
    whole = np.asarray(image)
    np.testing.assert_array_equal(up, whole[16:240, 54:278])
    np.testing.assert_array_equal(down, whole[16:240, 53:277])


def test_rules_that_cannot_be_are_refused() -> None:
    for odd in ({"resize": "none"}, {"interpolation": "best"}, {"crop": "up"}, {"scaled": 3}):
        with pytest.raises(ValueError):
            Preprocessing(8, **odd)  # type: ignore[arg-type]


def test_every_preprocessing_has_frames_of_its_own(tmp_path: Path) -> None:
    rules = [
        Preprocessing(8), Preprocessing(8, "squash"), Preprocessing(8, "longest"),
        Preprocessing(8, interpolation="bilinear"), Preprocessing(8, scaled=9),
        Preprocessing(8, crop="floor"), Preprocessing(9),
    ]  # fmt: skip
    assert len({rule.key for rule in rules}) == len(rules)
    assert FrameStore(tmp_path, 8, Uniform(1))._square.key == 8  # as in stores of before


def test_the_activation_is_that_of_the_weights() -> None:
    """Of all pairs in the table; what differs from the architecture's own is in the key."""
    odd = 0
    for arch, tags in _PRETRAINED.items():
        own = bool((open_clip.get_model_config(arch) or {}).get("quick_gelu", False))
        for tag, facts in tags.items():
            found = published(arch, tag, Path("x"), {})
            assert bool(found.quick_gelu) == bool(facts.get("quick_gelu", False)), (arch, tag)
            odd += bool(found.quick_gelu) != own
            assert (found.quick_gelu == own) or found.key(own)
    assert odd >= 20  # 28 in open_clip 3.3


@pytest.mark.parametrize("quick", [True, False])
def test_the_activation_is_built(run: RunConfig, quick: bool) -> None:
    adapter = OpenCLIPAdapter("x", run, spec=f"clip-tiny/{TINY}", quick_gelu=quick)
    model = str(load_clip(adapter.base))
    assert ("QuickGELU" in model) == quick and ("GELU(approximate" in model) != quick


def test_a_files_own_configuration_is_read_and_settings_win(run: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "open_clip_model.safetensors"
    path.parent.mkdir()
    save_file(load_file(TINY), path)
    plain = OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}")
    assert "assumed: nothing beside the weights" in plain.describe()["preprocessing"]
    pixels = {"mean": 0.5, "std": [0.5, 0.5, 0.25], "resize_mode": "squash"}
    config = {"model_cfg": {"quick_gelu": True}, "preprocess_cfg": pixels}
    (path.parent / CONFIG).write_text(json.dumps(config))
    for spec in (f"clip-tiny/{path}", f"clip-tiny/{path.parent}"):
        found = OpenCLIPAdapter("x", run, spec=spec)
        assert found.preprocessing == Preprocessing(64, "squash")
        assert found.base.published.std == (0.5, 0.5, 0.25)
        assert f"mean 0.5/0.5/0.5, std 0.5/0.5/0.25 ({CONFIG})" in found.describe()["preprocessing"]
        assert found.fingerprint != plain.fingerprint
        picture = noise(320, 240)
        ours = found.pixels(np.asarray(found.preprocessing.apply(picture))[None])
        np.testing.assert_allclose(found.reference([picture])[0], ours, atol=2e-6)
    (path.parent / CONFIG).write_text(json.dumps({"model_cfg": {}}))  # OpenAI's pixels
    silent = OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}")
    ours = silent.pixels(np.asarray(silent.preprocessing.apply(picture))[None])
    np.testing.assert_allclose(silent.reference([picture])[0], ours, atol=2e-6)
    (path.parent / CONFIG).write_text(json.dumps(config))
    own = OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}", preprocess={"mean": [0, 0.1, 0.2]})
    assert own.base.published.mean == (0, 0.1, 0.2) and own.preprocessing.resize == "squash"
    assert "(settings)" in own.describe()["preprocessing"]
    frames = np.full((1, 64, 64, 3), 128, np.uint8)
    assert not np.allclose(own.encode_frames(frames), found.encode_frames(frames))


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"resize_mode": "crop"}, "resize_mode must be one of shortest, squash, longest"),
        ({"interpolation": "area"}, "interpolation must be one of"),
        ({"mean": [1, 2]}, "mean must be three numbers"),
        ({"std": 0}, "std must be three numbers"),
        ({"mean": "x"}, "mean must be three numbers"),
        ({"sdt": 1}, r"unknown 'sdt' \(did you mean 'std'"),
    ],
)
def test_odd_facts_are_refused_by_name(
    run: RunConfig, tmp_path: Path, own: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        OpenCLIPAdapter("x", run, spec="clip-tiny/shipped", preprocess=own)
    if "sdt" not in own:
        (tmp_path / CONFIG).write_text(json.dumps({"model_cfg": {}, "preprocess_cfg": own}))
        with pytest.raises(DataError, match=f"{CONFIG}: {says}"):
            published("clip-tiny", None, tmp_path / "x.safetensors", {})


def test_the_shipped_models_fingerprint_is_the_one_of_before(run: RunConfig) -> None:
    """OpenAI's rule adds nothing to a fingerprint: kept features stay of use."""
    assert Published(source="the tag 'openai'").key(False) == []
    assert Published(quick_gelu=True).key(True) == [] != Published(quick_gelu=True).key(False)
    adapter = OpenCLIPAdapter("clip-tiny", run, spec="clip-tiny/shipped")
    kept = Path(__file__).parents[2] / "leaderboards/results/msrvtt/toy/clip-tiny.json"
    assert adapter.fingerprint == json.loads(kept.read_text())["model"]["fingerprint"]


def test_positions_of_another_size_are_not_resized_unasked(run: RunConfig, tmp_path: Path) -> None:
    state = load_file(TINY)
    grid = state["visual.positional_embedding"]
    path = tmp_path / "larger.safetensors"
    larger = torch.cat([grid[:1], torch.randn(100, grid.shape[1])])  # 10 x 10 patches
    save_file({**state, "visual.positional_embedding": larger}, path)
    with pytest.raises(BenchError, match=r"visual.positional_embedding is \[101, .* resize_pos"):
        OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}").prepare()
    resized = OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}", resize_positions=True)
    resized.prepare()
    assert resized.describe()["resize_positions"] is True
    assert resized.fingerprint != OpenCLIPAdapter("x", run, spec=f"clip-tiny/{path}").fingerprint
    assert "resize_positions" not in OpenCLIPAdapter("y", run, spec="clip-tiny/shipped").describe()
