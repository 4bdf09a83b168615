"""SRL-CLIP: equal to CLIP before training, whole on disk, mergeable, and careful when read."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.clip_base import load_clip
from adapters.lora import split_attention
from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_clip import SRLCLIPAdapter
from adapters.srl_settings import CARD, CONTEXT, LORA
from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights, UsageError
from bench.files import atomic

BASE = {"arch": "clip-tiny", "pretrained": "shipped"}
SMALL = {"rank": 4, "vc_layers": 1, "vc_heads": 4}


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu")


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)


def untrained(run: RunConfig, seed: int = 0, **settings: Any) -> Any:
    run = dataclasses.replace(run, seed=seed)
    return SRLCLIPAdapter.untrained("srl", run, {**SMALL, **settings}, **BASE)[0]


def trained(run: RunConfig, **settings: Any) -> Any:
    """A model with some training behind it, so to speak."""
    model = untrained(run, **settings)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval()


@pytest.fixture
def saved(run: RunConfig) -> Path:
    folder = run.weights_folder / "srl"
    trained(run).save(folder, {"training": {"steps": 3}})
    return folder


def features(model: Any, frames: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.frame_features(torch.from_numpy(frames))
    return found


def test_an_untrained_model_is_plain_clip(run: RunConfig, frames: np.ndarray) -> None:
    model = untrained(run).eval()
    clip = OpenCLIPAdapter("clip", run, **BASE)
    np.testing.assert_allclose(features(model, frames), clip.encode_frames(frames), atol=1e-5)
    np.testing.assert_array_equal(
        model.encode_texts(["a red man"]), clip.encode_texts(["a red man"])
    )


def test_only_lora_and_contextualizer_are_trained(run: RunConfig) -> None:
    model = untrained(run).train()
    names = set(model.trainable_state())
    assert all("lora_" in name or name.startswith("contextualizer.") for name in names)
    assert not model.clip.transformer.training and model.clip.visual.training
    learnt = untrained(run, learn_temperature=True)
    assert set(learnt.trainable_state()) - names == {"clip.logit_scale"}
    full = untrained(run, weights="full")
    count = sum(p.numel() for p in full.clip.visual.parameters())
    assert sum(p.numel() for p in full.clip.visual.parameters() if p.requires_grad) == count


@pytest.mark.parametrize("weights", ["qkv", "qkvo+fc+proj", "full"])
def test_a_saved_model_evaluates_as_the_trained_one(
    run: RunConfig, frames: np.ndarray, weights: str
) -> None:
    model = trained(run, weights=weights)
    model.save(run.weights_folder / "srl", {})
    adapter = SRLCLIPAdapter("srl", run, **BASE)
    np.testing.assert_allclose(adapter.encode_frames(frames), features(model, frames), atol=1e-5)
    clip = OpenCLIPAdapter("clip", run, **BASE)
    assert np.abs(adapter.encode_frames(frames) - clip.encode_frames(frames)).max() > 1e-3
    assert adapter.fingerprint != clip.fingerprint

    given = np.random.default_rng(1).normal(size=(2, 5, 4, 128)).astype(np.float32)
    events, videos = adapter.contextualize(given)
    with torch.no_grad():
        expected_events, expected_videos = model.contextualize(torch.from_numpy(given))
    np.testing.assert_allclose(events, expected_events, atol=1e-6)
    np.testing.assert_allclose(videos, expected_videos, atol=1e-6)
    assert clip.contextualize(given) is None

    # Frames as encoded, of the same pass: each is a token's last layer behind the norm.
    tokens: list[torch.Tensor] = []
    model.contextualizer.encoder.register_forward_hook(lambda *args: tokens.append(args[2]))
    with torch.no_grad():
        model.contextualize(torch.from_numpy(given))
    found = adapter.contextualize_frames(given)
    np.testing.assert_array_equal(found[0], events)
    np.testing.assert_array_equal(found[1], videos)
    for event in range(5):  # one video token, then of each event its own and four frames
        expected = tokens[0][:, 2 + 5 * event : 6 + 5 * event]
        np.testing.assert_allclose(found[2][:, event], expected, atol=1e-6)


def test_peft_alone_reads_the_folder(run: RunConfig, saved: Path, frames: np.ndarray) -> None:
    from peft import PeftModel

    clip = OpenCLIPAdapter("clip", run, **BASE)
    visual = split_attention(load_clip(clip.base).visual)
    loaded = PeftModel.from_pretrained(visual, str(saved)).eval()
    model = trained(run)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() * model.scale + model.shift
    with torch.no_grad():
        assert torch.equal(loaded(images), features(model, frames))


@pytest.mark.parametrize("weights", ["qkv", "full"])
def test_an_export_is_a_plain_open_clip_checkpoint(
    run: RunConfig, frames: np.ndarray, tmp_path: Path, weights: str
) -> None:
    model = trained(run, weights=weights)
    model.save(run.weights_folder / "srl", {})
    path = tmp_path / "merged.safetensors"
    assert SRLCLIPAdapter("srl", run, **BASE).export(path) == "open_clip:clip-tiny"
    plain = OpenCLIPAdapter("merged", run, spec=f"clip-tiny/{path}")
    np.testing.assert_allclose(plain.encode_frames(frames), features(model, frames), atol=1e-5)
    clip = OpenCLIPAdapter("clip", run, **BASE)
    np.testing.assert_array_equal(plain.encode_texts(["a dog"]), clip.encode_texts(["a dog"]))


def test_training_state_goes_round(run: RunConfig, frames: np.ndarray) -> None:
    model = trained(run)
    other = untrained(run, seed=5).eval()
    state = {name: value.clone() for name, value in model.trainable_state().items()}
    other.load_trainable_state(state)
    assert torch.equal(features(other, frames), features(model, frames))
    with pytest.raises(BenchError, match="lacks"):
        other.load_trainable_state(dict(list(state.items())[1:]))
    wrong = {name: value[..., :1] for name, value in state.items()}
    with pytest.raises(BenchError, match="has shape"):
        other.load_trainable_state(wrong)


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(
    run: RunConfig, saved: Path
) -> None:
    trained(run).save(saved, {"training": {"steps": 9}})
    assert json.loads((saved / CARD).read_text())["training"] == {"steps": 9}
    assert [path.name for path in saved.parent.iterdir()] == ["srl"]
    assert {path.name for path in saved.iterdir()} == {*LORA, CONTEXT, CARD}
    assert all(path.stat().st_mode & 0o044 for path in saved.iterdir())  # others may read it


def test_the_same_seed_builds_the_same_model(run: RunConfig) -> None:
    one, two, other = (untrained(run, seed=seed).trainable_state() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_settings_of_the_lora_and_the_contextualizer_are_obeyed(
    run: RunConfig, frames: np.ndarray
) -> None:
    model = untrained(run, alpha=8)
    scalings = {
        module.scaling["default"]
        for module in model.modules() if getattr(module, "scaling", None)
    }  # fmt: skip
    assert scalings == {8 / 4}
    dropping = trained(run, dropout=0.5).train()
    assert not torch.equal(features(dropping, frames), features(dropping, frames))
    blind = untrained(run, event_places=False)
    assert not blind.contextualizer.event_places.any()
    assert "contextualizer.event_places" not in blind.trainable_parameters()
    assert untrained(run).contextualizer.event_places.any()


def test_models_without_a_part_are_saved_and_read(
    run: RunConfig, frames: np.ndarray, tmp_path: Path
) -> None:
    """No contextualizer, no LoRA, no event places: each comes back as it was."""
    given = np.random.default_rng(1).normal(size=(2, 5, 4, 128)).astype(np.float32)
    clip = OpenCLIPAdapter("clip", run, **BASE)
    for number, settings in enumerate(({"vc_layers": 0}, {"weights": "none"},
                                       {"event_places": False})):  # fmt: skip
        folder = tmp_path / str(number)
        model = trained(run, **settings)
        model.save(folder, {})
        adapter = SRLCLIPAdapter("srl", run, **BASE, checkpoint=str(folder))
        found = adapter.encode_frames(frames)
        np.testing.assert_allclose(found, features(model, frames), atol=1e-5)
        plain = np.abs(found - clip.encode_frames(frames)).max() < 1e-5
        assert plain == (settings.get("weights") == "none")
        contextual = adapter.contextualize(given)
        if "vc_layers" in settings:
            assert contextual is None
            continue
        assert contextual is not None
        with torch.no_grad():
            expected, _ = model.contextualize(torch.from_numpy(given))
        np.testing.assert_allclose(contextual[0], expected, atol=1e-6)


def test_the_fingerprint_is_of_all_that_was_trained(run: RunConfig, saved: Path) -> None:
    """Other weights in the same folder, or another contextualizer alone, are another model."""

    def fingerprint() -> str:
        return SRLCLIPAdapter("srl", run, **BASE).fingerprint

    first, context = fingerprint(), (saved / CONTEXT).read_bytes()
    state = load_file(saved / CONTEXT)
    save_file({name: value + 0.01 for name, value in state.items()}, saved / CONTEXT)
    second = fingerprint()
    (saved / CONTEXT).write_bytes(context)
    lora = load_file(saved / LORA[1])
    save_file({name: value + 0.01 for name, value in lora.items()}, saved / LORA[1])
    assert len({first, second, fingerprint()}) == 3


def test_without_a_checkpoint_it_says_how_to_get_one(run: RunConfig) -> None:
    with pytest.raises(MissingWeights, match="bench train --model srl") as caught:
        SRLCLIPAdapter("srl", run, **BASE)
    assert str(run.weights_folder / "srl") in str(caught.value)
    assert "bench train" in str(SRLCLIPAdapter.problem(run, "srl", **BASE))


def test_damaged_and_foreign_folders_are_refused(
    run: RunConfig, saved: Path, tmp_path: Path
) -> None:
    def broken(name: str, content: bytes) -> str:
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(saved, folder)
        (folder / name).write_bytes(content)
        with pytest.raises((BenchError, UsageError)) as caught:
            SRLCLIPAdapter("srl", run, **BASE, checkpoint=str(folder)).encode_texts(["x"])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    card = json.loads((saved / CARD).read_text())
    state = load_file(saved / LORA[1])
    fewer = tmp_path / "fewer.safetensors"
    save_file(dict(list(state.items())[1:]), fewer)
    assert "damaged" in broken(CARD, b"{")
    old = broken(CARD, json.dumps({**card, "version": 1}).encode())
    assert "version 1, this srl-bench reads 2; train again" in old
    other = {**card, "base": {**card["base"], "weights_sha256": "0"}}
    assert "trained on other weights" in broken(CARD, json.dumps(other).encode())
    odd = {**card, "settings": {**card["settings"], "rnak": 3}}
    assert "did you mean 'rank'" in broken(CARD, json.dumps(odd).encode())
    assert "cannot be read" in broken(LORA[1], b"")
    assert "cannot be read" in broken(CONTEXT, b"not safetensors")
    assert "lacks" in broken(LORA[1], fewer.read_bytes())
    more = {**card, "settings": {**card["settings"], "rank": 8}}
    assert "differ from card.json" in broken(CARD, json.dumps(more).encode())
    none = {**card, "settings": {**card["settings"], "rank": 0}}
    assert "rank must be at least 1" in broken(CARD, json.dumps(none).encode())
    config = json.loads((saved / LORA[0]).read_text())
    assert "differ from card.json" in broken(
        LORA[0], json.dumps({**config, "lora_alpha": 9}).encode()
    )
    nan = tmp_path / "nan.safetensors"
    save_file({name: value * float("nan") for name, value in state.items()}, nan)
    assert "NaN or infinity" in broken(LORA[1], nan.read_bytes())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_rslora", True),
        ("use_dora", True),
        ("lora_bias", True),
        ("fan_in_fan_out", True),
        ("alpha_pattern", {"q_proj": 8}),
        ("rank_pattern", {"q_proj": 2}),
        ("layers_to_transform", [0]),
        ("layers_pattern", "resblocks"),
        ("exclude_modules", "attn"),
        ("modules_to_save", ["ln_post"]),
        ("bias", "all"),
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "loftq"),
        ("of_a_later_peft", 0.5),
    ],
)
def test_a_lora_of_another_kind_is_refused_by_its_key(
    saved: Path, run: RunConfig, key: str, value: Any
) -> None:
    config = json.loads((saved / LORA[0]).read_text())
    (saved / LORA[0]).write_text(json.dumps({**config, key: value}))
    with pytest.raises(BenchError, match=rf"adapter_config.json: {key} .*not supported; save it"):
        SRLCLIPAdapter("srl", run, **BASE)


def test_what_changes_no_feature_may_be_anything(
    saved: Path, run: RunConfig, frames: np.ndarray
) -> None:
    """Such as what another version of peft writes, older or newer."""
    first = SRLCLIPAdapter("srl", run, **BASE).encode_frames(frames)
    config = json.loads((saved / LORA[0]).read_text())
    old = ("peft_type", "bias", "r", "lora_alpha", "target_modules", "init_lora_weights")
    for other in ({name: config[name] for name in old},
                  {**config, "base_model_name_or_path": "else/where", "auto_mapping": [3],
                   "task_type": "FEATURE_EXTRACTION", "inference_mode": False,
                   "lora_dropout": 0.1, "init_lora_weights": "gaussian", "qalora_group_size": 3,
                   "peft_version": "9.0", "of_a_later_peft": None, "another": False}):  # fmt: skip
        (saved / LORA[0]).write_text(json.dumps(other))
        found = SRLCLIPAdapter("srl", run, **BASE).encode_frames(frames)
        np.testing.assert_array_equal(found, first)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vc_layers": 4096}, "contextualizer.safetensors: vc_layers is 1, but 4096"),
        ({"events": 4096}, "contextualizer.safetensors: events is 5, but 4096"),
        ({"frames": 4096}, "contextualizer.safetensors: frames is 4, but 4096"),
        ({"rank": 4096}, "adapter_model.safetensors: rank is 4, but 4096"),
        ({"alpha": 10**400}, "card.json: alpha must be at most"),
    ],
)
def test_what_a_card_alone_claims_is_not_built(
    saved: Path, run: RunConfig, monkeypatch: pytest.MonkeyPatch, change: Any, says: str
) -> None:
    card = json.loads((saved / CARD).read_text())
    card["settings"].update(change)
    (saved / CARD).write_text(json.dumps(card))
    config = json.loads((saved / LORA[0]).read_text())
    rank = card["settings"]["rank"]
    (saved / LORA[0]).write_text(json.dumps({**config, "r": rank, "lora_alpha": rank}))
    monkeypatch.setattr("adapters.srl_model.SRLModel.__init__", lambda *_: pytest.fail("built"))
    with pytest.raises(BenchError, match=says):
        SRLCLIPAdapter("srl", run, **BASE).prepare()


def test_a_base_of_another_architecture_is_refused(saved: Path, run: RunConfig) -> None:
    card = json.loads((saved / CARD).read_text())
    for arch, says in (("ViT-H-14", "trained on 'ViT-H-14', not on clip-tiny"), (3, "trained on 3"),
                       (None, "trained on None")):  # fmt: skip
        changed = {**card, "base": {**card["base"], "arch": arch}}
        (saved / CARD).write_text(json.dumps(changed))
        with pytest.raises(BenchError, match=says):
            SRLCLIPAdapter("srl", run, **BASE)


def test_a_save_that_fails_leaves_the_old_model(
    run: RunConfig, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == saved and not self.name.endswith("-old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchanged", lambda *_: False)  # as on a disk that cannot
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BenchError, match=r"cannot write .*No space left"):
        trained(run).save(saved, {})
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["srl"]


def test_impossible_settings_are_named(run: RunConfig) -> None:
    for settings, says in (({"vc_heads": 3}, "does not divide"), ({"dropout": 1.0}, "below 1"),
                           ({"events": 0}, "at least 1"),
                           ({"vc_layers": 5000}, "at least 0")):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            untrained(run, **settings)
