"""Checkpoints as training code and hubs write them are read, or called what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.checkpoint import misfit, read_state
from adapters.open_clip import OpenCLIPAdapter
from adapters.weights import SHIPPED, weights_file, weights_hash
from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights

STATE = {"a.weight": torch.arange(3.0), "b": torch.ones(2), "logit_scale": torch.tensor(4.0)}


def under(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    "kept",
    [
        STATE,
        under("module."),
        under("_orig_mod."),
        under("module._orig_mod."),
        {"state_dict": under("model."), "epoch": 3, "optimizer": {"lr": 1.0}},
        {"model": under("module."), "args": {"lr": 1}},
        {"model_state_dict": under("clip.")},
        {"model": {"state_dict": under("module.model.")}},
        {**STATE, "input_resolution": torch.tensor(64), "context_length": torch.tensor(77),
         "vocab_size": torch.tensor(10)},
    ],
)  # fmt: skip
def test_wrappings_are_undone(tmp_path: Path, kept: dict[str, Any]) -> None:
    torch.save(kept, tmp_path / "x.pt")
    found = read_state(tmp_path / "x.pt")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({"epoch": 3, "lr": 1.0}, "no weights under state_dict, .*, only epoch, lr"),
        ({}, "only nothing"),
        ([torch.ones(1)], "holds a list"),
        ({"vision_model.x": torch.ones(1), "text_model.y": torch.ones(1)}, "as transformers:DIR"),
    ],
)
def test_what_it_is_instead_is_said(tmp_path: Path, kept: Any, says: str) -> None:
    torch.save(kept, tmp_path / "x.pt")
    with pytest.raises(BenchError, match=says):
        read_state(tmp_path / "x.pt")


def test_a_prefix_of_some_names_only_is_named(tmp_path: Path) -> None:
    state = {"clip.a.weight": STATE["a.weight"], "head.w": torch.ones(1)}
    torch.save(state, tmp_path / "x.pt")
    assert read_state(tmp_path / "x.pt").keys() == state.keys()
    assert "begin with clip." in misfit(STATE, state) and "lacks a.weight (3 such" in misfit(
        STATE, state
    )
    assert misfit(STATE, STATE) == "" == misfit(under("clip."), under("clip."))
    assert misfit(STATE, {**STATE, "more": STATE["b"]}) == "has an unknown more (1 such names)"
    assert "shape [1] where [2]" in misfit(STATE, {**STATE, "b": torch.ones(1)})


def shards(folder: Path) -> Path:
    names = list(STATE)
    files = {"one.safetensors": names[:1], "two.safetensors": names[1:]}
    for file, part in files.items():
        save_file({name: STATE[name] for name in part}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps(
        {"weight_map": {name: file for file, part in files.items() for name in part}}
    ))  # fmt: skip
    return index


def test_shards_are_one_checkpoint_and_every_one_is_in_the_hash(tmp_path: Path) -> None:
    index = shards(tmp_path)
    assert read_state(tmp_path).keys() == read_state(index).keys() == STATE.keys()
    before = weights_hash(index, tmp_path / "cache")
    save_file({name: STATE[name] + 1 for name in list(STATE)[1:]}, tmp_path / "two.safetensors")
    assert weights_hash(index, tmp_path / "cache") != before
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(BenchError, match=r"names the shard two\.safetensors, which is not beside"):
        read_state(tmp_path)


def test_a_shard_is_looked_for_beside_its_index_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save_file(STATE, tmp_path / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../outside.safetensors"}})
    )
    with pytest.raises(BenchError, match=r"names the shard outside\.safetensors"):
        read_state(folder)


def test_a_folder_without_weights_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="a folder without open_clip_model"):
        weights_file(tmp_path)


def test_a_folder_called_like_a_tag_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shipped").mkdir()
    run = RunConfig(cache=tmp_path / "cache", device="cpu")
    assert OpenCLIPAdapter("x", run, spec="clip-tiny/shipped").base.tag == "shipped"
    save_file(load_file(SHIPPED / "clip-tiny.safetensors"), tmp_path / "shipped/model.safetensors")
    assert OpenCLIPAdapter("x", run, spec="clip-tiny/./shipped").base.tag is None
