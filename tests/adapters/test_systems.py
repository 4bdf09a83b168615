"""Adapters of rival systems, small: features, pixels, texts and frames as in their own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bench
from adapters import bt_adapter, clip4clip, tvtsv2, vifi_clip
from adapters.checkpoint import read_tensors
from adapters.open_clip import OpenCLIPAdapter
from adapters.torch_adapter import TorchAdapter
from bench.config import RunConfig
from bench.contracts import Adapter, normalise
from bench.engine import evaluate
from bench.errors import BenchError, MissingWeights, UsageError
from bench.features.doctor import examine

GOLDEN = Path(__file__).parents[1] / "golden" / "systems"
SIDE = 16
TEXTS = ["a dog runs", "two people play ping-pong", "word " * 100, "an end <end_of_text> within"]


def clips(frames: int, count: int = 3) -> np.ndarray:
    shape = (count, frames, SIDE, SIDE, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("system", ["tvts", "bt", "vifi", "sequence"])
def test_the_doctor_finds_nothing(system: str, request: pytest.FixtureRequest) -> None:
    adapter = request.getfixturevalue(system)
    assert adapter.is_video_model == (system != "vifi")
    frames = clips(5)
    found = list(examine(adapter, frames, TEXTS))
    assert [one for one in found if one.ok is False and one.check != "cut texts"] == []
    assert adapter.embed_dim == adapter.encode_texts(TEXTS).shape[1]
    assert type(adapter).problem(adapter._run, "x", variant="tiny", head="seqTransf", arch="tiny",
                                 checkpoint=str(adapter.base.files["weights"])) is None  # fmt: skip
    facts = adapter.describe()
    assert {"arch", "weights_sha256", "precision"} <= facts.keys()
    assert facts["pooling"] != Adapter.pooling


@pytest.mark.parametrize("system", ["tvts", "bt", "sequence"])
def test_the_order_of_frames_matters(system: str, request: pytest.FixtureRequest) -> None:
    adapter = request.getfixturevalue(system)
    forth, back = (adapter.encode_clips(one) for one in (clips(5), clips(5)[:, ::-1]))
    assert np.abs(forth - back).max() > 1e-4


# --- TVTSv2 --------------------------------------------------------------------------------------


def test_tvtsv2_pads_short_clips_where_it_is_published(tvts: TorchAdapter) -> None:
    """With zeros after normalisation, not with black frames."""
    plain, kept = tvts.encode_clips(clips(2)), tvts.fingerprint
    tvts.setup = tvts.published["lsmdc"]
    padded = tvts.encode_clips(clips(2))
    assert np.abs(padded - plain).max() > 1e-4 and tvts.fingerprint != kept
    pixels = torch.from_numpy(tvts.pixels(clips(2).reshape(-1, SIDE, SIDE, 3)))
    video = pixels.unflatten(0, (3, 2))
    video = torch.cat([video, torch.zeros(3, 3, *video.shape[2:])], dim=1)
    expected = tvts._load().encode_video(video).numpy()
    np.testing.assert_allclose(padded, expected, atol=1e-5)
    with pytest.raises(BenchError, match="6 frames a clip, and it reads at most 5"):
        tvts.encode_clips(clips(6))


def test_tvtsv2_names_its_variants_and_its_source(run: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"no variant 'B-16' \(did you mean 'B_16'\?\)"):
        tvtsv2.TVTSv2Adapter("x", run, variant="B-16")
    with pytest.raises(MissingWeights, match=r"TVTSv2_ViT_H_14\.pth: no weights of TVTSv2 H/14; "
                       r"fetch its checkpoint from the links in v2/README"):  # fmt: skip
        tvtsv2.TVTSv2Adapter("x", run, variant="H_14")
    assert "no weights" in str(tvtsv2.TVTSv2Adapter.problem(run, "x", variant="B_32"))


# --- BT-Adapter ----------------------------------------------------------------------------------


def test_bt_adapter_uses_the_balance_terms_that_are_there(bt: Any, run: RunConfig) -> None:
    path = str(bt.base.files["weights"])
    make = bt_adapter.BTAdapterAdapter
    assert bt.describe()["balance"] == "on"
    on, off = make("x", run, path, balance="on"), make("x", run, path, balance=False)
    assert on.fingerprint == bt.fingerprint != off.fingerprint
    assert off.describe()["balance"] == "off"
    assert np.abs(on.encode_clips(clips(4)) - off.encode_clips(clips(4))).max() > 1e-4
    assert any("balance" in remark for remark in bt.published["lsmdc"].remarks)
    assert off.published["lsmdc"].remarks == []
    state = read_tensors(Path(path))
    torch.save({name: state[name] for name in state if "balance" not in name}, path)
    without = make("x", run, path)
    assert without.describe()["balance"] == "off"
    np.testing.assert_array_equal(without.encode_clips(clips(4)), off.encode_clips(clips(4)))
    with pytest.raises(UsageError, match=r"balance: on, but .* has no backbone\.balance1"):
        make("x", run, path, balance="on")
    with pytest.raises(UsageError, match="balance must be one of auto, on, off, not 'yes'"):
        make("x", run, path, balance="yes")


def test_bt_adapters_branch_alone_needs_openais_weights(bt: Any, run: RunConfig) -> None:
    path = bt.base.files["weights"]
    state = read_tensors(path)
    torch.save({name: value for name, value in state.items() if "btadapter" in name}, path)
    with pytest.raises(MissingWeights, match="no weights 'openai' for ViT-L-14-quickgelu"):
        bt_adapter.BTAdapterAdapter("x", run, str(path))


def test_bt_adapter_refuses_what_its_code_misreads(bt: TorchAdapter) -> None:
    with pytest.raises(BenchError, match=r"3 frames a clip, .* takes for the three colours"):
        bt.encode_clips(clips(3))
    with pytest.raises(BenchError, match="7 frames a clip, and it reads at most 6"):
        bt.encode_clips(clips(7))


def test_bt_adapter_cuts_off_end_tokens_where_it_is_published(bt: TorchAdapter) -> None:
    long = [f"{first} " * 40 for first in ("dog", "cat")]
    whole = bt.encode_texts(long)
    assert np.abs(whole[0] - whole[1]).max() > 1e-4
    bt.setup = bt.published["msrvtt"]
    cut = bt.encode_texts([*long, "short"])
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)  # the start token's, of all such texts
    assert np.abs(cut[2] - cut[0]).max() > 1e-4
    assert bt.count_truncated([*long, "short"]) == 2
    bt.setup, bt.context = None, 32  # a run of the task's own protocol that asks for as many
    tokens = bt._tokens(long)
    assert tokens.shape == (2, 77) and (tokens[:, 31] == 49407).all() and not tokens[:, 32:].any()
    kept = bt.encode_texts(long)
    assert np.abs(kept[0] - kept[1]).max() > 1e-4


# --- ViFi-CLIP and CLIP4Clip ---------------------------------------------------------------------


def test_vifi_clip_pools_features_as_they_are(vifi: TorchAdapter) -> None:
    frames = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)
    np.testing.assert_allclose(vifi.pool(frames), normalise(np.array([1.5, 0.5])))
    both = vifi.base.files
    assert list(both) == ["weights", "openai_sha256"] and "openai_sha256" in vifi.describe()


def test_vifi_clip_without_openais_weights_says_so(vifi: Any, run: RunConfig) -> None:
    vifi.base.files["openai_sha256"].unlink()
    with pytest.raises(MissingWeights, match="no weights 'openai' for ViT-B-16-quickgelu"):
        vifi_clip.ViFiCLIPAdapter("x", run)
    assert "ViT-B-16-quickgelu" in str(vifi_clip.ViFiCLIPAdapter.problem(run, "x"))


def test_clip4clip_starts_as_clip(run: RunConfig) -> None:
    """Zero-shot meanP is CLIP with its frames normalised, which is how CLIP is pooled here."""
    ours = clip4clip.CLIP4ClipAdapter("c4c", run, arch="clip-tiny", pretrained="shipped")
    plain = OpenCLIPAdapter("clip", run, spec="clip-tiny/shipped")
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert not ours.is_video_model and ours.describe()["start"] == "zero-shot"
    # The tiny CLIP's heads are 32 wide, its activation QuickGELU, as its configuration says.
    np.testing.assert_allclose(ours.encode_frames(frames), plain.encode_frames(frames), atol=1e-6)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), plain.encode_texts(TEXTS), atol=1e-6)
    assert ours.preprocessing == plain.preprocessing and ours.pooling == plain.pooling
    assert ours.fingerprint != plain.fingerprint


def test_clip4clips_head_is_the_checkpoints(
    sequence: Any, c4c: Callable[..., TorchAdapter]
) -> None:
    path = str(sequence.base.files["weights"])
    assert sequence.is_video_model and sequence.pooling == "seqTransf"
    with pytest.raises(UsageError, match="trained with the head seqTransf; set head: seqTransf"):
        c4c(checkpoint=path)
    with pytest.raises(UsageError, match=r"head must be one of meanP, seqTransf, not 'meanp'"):
        c4c(head="meanp", checkpoint=path)
    with pytest.raises(BenchError, match="8 frames a clip, and it reads at most 7"):
        sequence.encode_clips(clips(8))
    with pytest.raises(UsageError, match="needs a `checkpoint`, or `pretrained`"):
        c4c()
    assert sequence.encode_clips(clips(4)).shape == (3, 64)


def test_clip4clips_head_has_an_epsilon_of_its_own(sequence: TorchAdapter) -> None:
    """1e-12, CLIP's is 1e-5: features that hardly vary are scaled up all the same."""
    model, small = sequence._load(), 1e-3 * torch.randn(2, 64)
    for norm, same in (
        (model.transformerClip.resblocks[1].ln_2, True),
        (model.clip.ln_final, False),
    ):
        assert torch.allclose(norm(small), norm(1000 * small), atol=1e-3) == same


def test_clip4clip_keeps_the_end_token_of_cut_texts(sequence: TorchAdapter) -> None:
    sequence.setup = sequence.published["msrvtt"]
    tokens = sequence._tokens(["dog " * 40])
    assert tokens.shape == (1, 77) and tokens[0, 31] == 49407 and not tokens[0, 32:].any()
    assert sequence.count_truncated(["dog " * 40, "dog " * 30]) == 1


# --- texts, pixels and frames of their own code ---------------------------------------------------


@pytest.mark.parametrize(("system", "name"), [("tvts", "TVTSv2"), ("bt", "BT-Adapter"),
                                               ("sequence", "CLIP4Clip")])  # fmt: skip
def test_tokens_are_the_official_ones(
    system: str, name: str, request: pytest.FixtureRequest
) -> None:
    adapter = request.getfixturevalue(system)
    known = json.loads((GOLDEN / "tokens.json").read_text())[name]
    captions = known.pop("captions")
    assert len(captions) >= 5
    for length, official in known.items():
        adapter.setup = replace(adapter.published["msrvtt"], text_length=int(length))
        found = adapter._tokens(captions).tolist()
        trimmed = [ids[: len(right)] for ids, right in zip(found, official, strict=True)]
        assert trimmed == official
        assert not any(any(ids[len(right) :]) for ids, right in zip(found, official, strict=True))


@pytest.mark.parametrize(("system", "name"), [
    ("tvts", "tvtsv2"), ("bt", "bt-adapter"), ("vifi", "vifi-clip"), ("sequence", "clip4clip"),
])  # fmt: skip
def test_mean_and_std_are_the_official_ones(
    system: str, name: str, request: pytest.FixtureRequest
) -> None:
    """Some pixels of the official bytes, and what the official code makes of them."""
    arrays = load_file(GOLDEN / "normalised.safetensors")
    found = request.getfixturevalue(system).pixels(arrays[f"{name}.bytes"].numpy()[:, None, None])
    np.testing.assert_allclose(found[:, :, 0, 0], arrays[f"{name}.normalised"], atol=2e-6)


def test_published_setups(run: RunConfig, tmp_path: Path) -> None:
    """Frames, resizing and text length of the official configurations, at full size."""
    (tmp_path / "weights" / vifi_clip.OPENAI).mkdir(parents=True)
    for file in (
        "TVTSv2_ViT_H_14.pth",
        "vifi-clip-b16.pth",
        "ViT-B-16-quickgelu/openai.safetensors",
    ):
        (tmp_path / "weights" / file).touch()
    names = ("backbone.class_embedding", "text_backbone.x", "backbone.balance1")
    torch.save(dict.fromkeys(names, torch.ones(1)), tmp_path / "weights/bt-adapter-l14.pth")
    tiny = {"arch": "clip-tiny", "pretrained": "shipped"}
    adapters: list[TorchAdapter] = [
        tvtsv2.TVTSv2Adapter("x", run, variant="H_14"), bt_adapter.BTAdapterAdapter("x", run),
        vifi_clip.ViFiCLIPAdapter("x", run), clip4clip.CLIP4ClipAdapter("x", run, **tiny),
    ]  # fmt: skip
    found = {
        (type(adapter).__name__.removesuffix("Adapter"), task):
            (setup.plan.key, str(setup.preprocessing).replace(", centre crop", ";"),
             setup.text_length)
        for adapter in adapters for task, setup in adapter.published.items()
    }  # fmt: skip
    opencv = "bilinear not antialiased (opencv); 224"
    tvts = ("middles-12", "shortest side 268 nearest; 224", None)
    vifi = ("centres-32", f"shortest side 256 {opencv}", None)
    clip4 = ("seconds-12", "shortest side 64 bicubic antialiased; 64", 32)
    assert found == {
        ("TVTSv2", "msrvtt"): tvts, ("TVTSv2", "lsmdc"): tvts,
        ("BTAdapter", "msrvtt"): ("steps-12", f"shortest side 224 {opencv}", 32),
        ("BTAdapter", "lsmdc"): ("steps-64", f"shortest side 256 {opencv}", None),
        ("ViFiCLIP", "msrvtt"): vifi, ("ViFiCLIP", "lsmdc"): vifi,
        **{("ViFiCLIP", task): vifi for task in ("hmdb51", "ucf101", "kinetics400", "ssv2")},
        ("CLIP4Clip", "msrvtt"): clip4, ("CLIP4Clip", "lsmdc"): clip4,
    }  # fmt: skip
    remarks = [" ".join(setup.remarks) for adapter in adapters
               for setup in adapter.published.values()]  # fmt: skip
    words = ("zero frames", "float16", "one feature", "balance terms", "action", "cut", "",
             "as one word", "", "", "float16", "float16")  # fmt: skip
    assert all(word in remark for word, remark in zip(words, remarks, strict=True))


def test_a_published_run_of_the_toy_world(tvts: TorchAdapter, toy: Path, run: RunConfig) -> None:
    task = bench.load_task("msrvtt", str(toy), limit=6)
    result = evaluate(tvts, task, replace(run, resamples=20, workers=1), protocol="published")
    document = result.document
    assert document.protocol.endswith(", published") and document.settings.plan == "middles-5"
    assert document.coverage.answered == 6 and document.model["arch"] == "TVTSv2 tiny"
