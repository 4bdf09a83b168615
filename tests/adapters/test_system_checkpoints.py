"""Checkpoints of rival systems as released: full-size names, spellings, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters import (
    bt_adapter_model,
    checkpoint,
    clip4clip,
    clip4clip_model,
    tvtsv2_model,
    vifi_clip_model,
)
from adapters.bt_adapter import SIZES
from adapters.bt_adapter_names import absent_towers, of_openai, official_state
from adapters.checkpoint import State, misfit, tensor_names, unprefixed
from adapters.clip_base import architecture
from adapters.openai_clip import clip
from adapters.tvtsv2 import VARIANTS
from bench.config import RunConfig
from bench.errors import BenchError, DataError
from tests.systems.full_size import shapes

GOLDEN = Path(__file__).parents[1] / "golden" / "systems"


def full_size(*lists: str) -> State:
    """The checkpoint of keys.json's lists on the meta device: names and shapes only."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes(*lists).items()}


def fault(make: Callable[[], torch.nn.Module], state: State, official: Any = str) -> str:
    """How a full-size model misfits a checkpoint; empty where it fits."""
    with torch.device("meta"):
        own = {official(name): value for name, value in make().state_dict().items()}
    return misfit(own, state)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_tvtsv2_is_of_the_released_size(variant: str) -> None:
    sizes = tvtsv2_model.Sizes.of(VARIANTS[variant])
    state = full_size(f"TVTSv2 {variant}")
    assert fault(lambda: tvtsv2_model.TVTSv2(sizes), state, tvtsv2_model.official_name) == ""


@pytest.mark.parametrize("balance", [False, True])
def test_bt_adapter_is_of_the_released_size(balance: bool) -> None:
    sizes = bt_adapter_model.Sizes(**SIZES)
    lists = ["BT-Adapter", *(["BT-Adapter, of pretraining"] if balance else [])]
    state = official_state(full_size(*lists))
    assert absent_towers(state) == []
    state = {name: value for name, value in state.items() if not name.startswith("extra_proj.")}
    assert fault(lambda: bt_adapter_model.BTAdapter(sizes, balance), state) == ""


def test_bt_adapters_branch_and_openais_clip_are_the_whole() -> None:
    whole = official_state(full_size("BT-Adapter"))
    branch = {name: value for name, value in whole.items() if ".btadapter_" in name}
    assert absent_towers(branch) == ["backbone.", "text_backbone."]
    with torch.device("meta"):
        openai = clip(architecture("ViT-L-14-quickgelu")).state_dict()
    assert misfit(whole, branch | of_openai(openai)) == ""


def test_vifi_clip_is_of_the_released_size() -> None:
    state = unprefixed(full_size("ViFi-CLIP"))
    del state["prompt_learner.complete_text_embeddings"]
    state["token_embedding.weight"] = torch.empty(49408, 512, device="meta")
    config = architecture("ViT-B-16-quickgelu")
    assert fault(lambda: clip(config), state, vifi_clip_model.official_name) == ""


def test_clip4clip_is_of_the_released_size() -> None:
    config = architecture("ViT-B-32-quickgelu")
    state = full_size("CLIP4Clip")
    assert fault(lambda: clip4clip_model.CLIP4Clip(config, 0, 0), state) == ""
    head = full_size("CLIP4Clip", "CLIP4Clip, seqTransf")
    assert fault(lambda: clip4clip_model.CLIP4Clip(config, 4, 77), head) == ""
    assert misfit(clip4clip_model.started(state, 4), head) == ""  # the zero-shot start


# --- the small models of the vectors, spelt as files in the wild are ------------------------------


def golden(system: str) -> State:
    return unprefixed(load_file(GOLDEN / system / "a/state_dict.safetensors"))


def small_bt(state: State, balance: bool = False) -> torch.nn.Module:
    config = json.loads((GOLDEN / "bt-adapter/a/config.json").read_text())["config"]
    sizes = bt_adapter_model.Sizes(
        config["vision"], config["text"], config["proj"], config["depth"]
    )
    return bt_adapter_model.load(sizes, official_state(state), balance, "x.pth", "fetch it")


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: "module." + name,
        lambda name: name.replace("btadapter", "timesFPN"),
        lambda name: name.removeprefix("backbone."),
        lambda name: re.sub("^backbone\\.", "model.vision_tower.", name),
    ],
)
def test_bt_adapters_spellings_are_one_model(spell: Callable[[str], str]) -> None:
    state = golden("bt-adapter")
    respelt = {spell(name): value for name, value in state.items()}
    respelt["text_backbone.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    assert respelt.keys() != state.keys()
    assert same(small_bt(respelt), small_bt(state))


def test_openais_names_are_turned_into_transformers() -> None:
    """The same tower from OpenAI's packed names, with its projections turned."""
    state = official_state(golden("bt-adapter"))
    openai: State = {
        "visual.proj": state["backbone.visual_projection.weight"].T,
        "visual.conv1.weight": state["backbone.patch_embedding.weight"],
        "transformer.resblocks.1.attn.in_proj_bias": torch.cat(
            [state[f"text_backbone.text_model.encoder.layers.1.self_attn.{one}_proj.bias"]
             for one in "qkv"]
        ),
        "visual.transformer.resblocks.0.mlp.c_proj.weight":
            state["backbone.layers.0.mlp.fc2.weight"],
    }  # fmt: skip
    found = of_openai(openai)
    assert len(found) == 6
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_what_is_missing_or_unknown_is_named() -> None:
    state = golden("bt-adapter")
    del state["backbone.btadapter_cls_token"]
    with pytest.raises(
        BenchError, match=r"x\.pth: it lacks backbone\.btadapter_cls_token \(1 such"
    ):
        small_bt(state)
    state = golden("bt-adapter") | {"backbone.more": torch.ones(1)}
    with pytest.raises(BenchError, match=r"has an unknown backbone\.more .*; fetch it"):
        small_bt(state)
    state = {n: value for n, value in golden("bt-adapter").items() if "balance" not in n}
    with pytest.raises(BenchError, match=r"lacks backbone\.balance1"):
        small_bt(state, balance=True)


def test_tvtsv2_names_official_names_in_its_errors() -> None:
    config = json.loads((GOLDEN / "tvtsv2/a_b.json").read_text())
    arrays = load_file(GOLDEN / "tvtsv2/a_b.safetensors")
    state = {name.removeprefix("state_dict."): value for name, value in arrays.items()
             if name.startswith("state_dict.")}  # fmt: skip
    del state["text_model.resblocks.1.ln_1.bias"]
    with pytest.raises(BenchError, match=r"lacks text_model\.resblocks\.1\.ln_1\.bias"):
        tvtsv2_model.load(tvtsv2_model.Sizes.of(config), state, "x.pth", "fetch it")


def test_vifi_clip_without_its_token_embedding_is_refused() -> None:
    with pytest.raises(DataError, match=r"KeyError: 'token_embedding\.weight'"):
        vifi_clip_model.load(golden("vifi-clip"), {}, "x.pth", "fetch it")
    tokens = {"token_embedding.weight": torch.ones(400, 32)}  # of another width
    with pytest.raises(BenchError, match=r"token_embedding\.weight has shape \[400, 32\]"):
        vifi_clip_model.load(golden("vifi-clip"), tokens, "x.pth", "fetch it")


def test_clip4clips_old_spellings_and_plain_clip_are_read() -> None:
    state = load_file(GOLDEN / "clip4clip/a/state_dict.safetensors")
    old = {re.sub(r"(ln_\w+)\.weight", r"\1.gamma", re.sub(r"(ln_\w+)\.bias", r"\1.beta", name)):
           value for name, value in state.items()}  # fmt: skip
    assert any(name.endswith(".gamma") for name in old)
    load = clip4clip_model.load

    def loaded(state: State, head: str) -> torch.nn.Module:
        return load(clip4clip_model.official_state(state), head, "x", "fetch it", 1)

    assert same(loaded(old, "seqTransf"), loaded(state, "seqTransf"))
    plain = {name.removeprefix("clip."): value for name, value in state.items()
             if name.startswith("clip.")}  # fmt: skip
    assert same(loaded(plain, "meanP"), loaded(state, "meanP"))
    started, own = loaded(plain, "seqTransf"), loaded(state, "seqTransf")
    assert started.state_dict().keys() == own.state_dict().keys() and not same(started, own)
    assert {value.dtype for value in own.state_dict().values()} == {torch.float32}


def test_names_are_known_without_the_numbers(tmp_path: Path, monkeypatch: Any) -> None:
    state = {"module.a": torch.ones(2), "module.b": torch.ones(3)}
    torch.save({"state_dict": state}, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "load", None)
    assert tensor_names(tmp_path / "x.pth") == {"module.a", "module.b"}


def test_names_are_read_without_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"clip.a": torch.ones(2), "clip.b": torch.ones(1)}, path)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(path.read_bytes()[:9])
    with pytest.raises(BenchError, match=r"broken\.safetensors: not a checkpoint"):
        tensor_names(broken)
    monkeypatch.setattr(checkpoint, "load_file", None)  # which would read all of them
    assert tensor_names(path) == {"clip.a", "clip.b"}


def test_whether_clip4clip_can_run_is_said_without_reading_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of models asks, and is to take no longer for a file of a gigabyte."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"clip.a": torch.ones(1)}, path)
    monkeypatch.setattr(checkpoint, "tensor_names", None)
    made = {"arch": "ViT-B-32-quickgelu", "head": "seqTransf", "checkpoint": str(path)}
    run = RunConfig(cache=tmp_path, device="cpu")
    assert clip4clip.CLIP4ClipAdapter.problem(run, "x", **made) is None
    card = clip4clip.CLIP4ClipAdapter.about(run, "x", **made)
    assert card.weights == path
