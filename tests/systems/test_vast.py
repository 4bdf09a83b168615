"""VAST equals its own code: every output of the vectors, and all that no shape gives away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch.nn.functional import normalize

from adapters.beats import relative_buckets
from adapters.vast_audio import RATE, WINDOW, resampled, segments
from adapters.vast_checkpoint import build, load, spelling
from adapters.vast_model import VAST, matched
from adapters.vast_settings import TASKS, VASTSettings
from adapters.vast_sizes import VASTSizes
from bench.errors import BenchError, DataError
from tests.systems.__main__ import compare
from tests.systems.case import Case, read_case
from tests.systems.full_size import shapes
from tests.systems.vast import model_of, tokens_of

GOLDEN = Path(__file__).parents[1] / "golden" / "systems" / "vast"


@pytest.fixture(scope="module")
def case() -> Case:
    return read_case(GOLDEN / "video")


@pytest.fixture(scope="module")
def audio_case() -> Case:
    return read_case(GOLDEN / "audio")


@pytest.mark.parametrize(
    ("system", "name", "count"), [("vast", "video", 14), ("vast_audio", "audio", 34)]
)
def test_every_output_of_the_vectors(system: str, name: str, count: int) -> None:
    lines = compare(system, GOLDEN / name)
    assert len(lines) == count
    assert [line for line in lines if not line.passed] == []


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_both_attention_kernels_read_texts_in_both_directions(case: Case, kernel: str) -> None:
    model = model_of(case)
    model.multimodal_encoder.bert.config._attn_implementation = kernel
    for padded, prefix, suffix in ((True, "", ""), (False, "unpadded_", "_unpadded")):
        ids, mask = case.inputs[f"{prefix}input_ids"], case.inputs[f"{prefix}attention_mask"]
        assert bool((mask == 0).any()) == padded
        with torch.inference_mode():
            found = normalize(model.text_features(model.text_tokens(ids, mask)), dim=-1)
        torch.testing.assert_close(found, case.outputs[f"text_feats{suffix}"], atol=2e-6, rtol=0)


# --- re-ranking ----------------------------------------------------------------------------------


def test_a_batch_of_pairs_is_the_loop_over_pairs(case: Case) -> None:
    model, inputs = model_of(case), case.inputs
    with torch.inference_mode():
        condition = model.condition("tvs", tokens_of(model, inputs))
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        for batch in (2, 64):
            together = matched(model, ids, mask, condition[1], batch)
            one_by_one = [
                model.match(ids[[text]], mask[[text]], model.memory(condition[1]))
                for text in range(len(ids))
            ]
            torch.testing.assert_close(together, torch.cat(one_by_one), atol=1e-6, rtol=0)


def test_keys_and_values_are_made_once_for_a_video(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = model_of(case), []
    memory = model.memory
    monkeypatch.setattr(model, "memory", lambda one: calls.append(one) or memory(one))
    with torch.inference_mode():
        condition = model.condition("tv", tokens_of(model, case.inputs))
        matched(model, case.inputs["input_ids"], case.inputs["attention_mask"], condition[0], 2)
    assert len(calls) == 1


# --- checkpoints ---------------------------------------------------------------------------------


def on_meta(tasks: list[str], keys: Mapping[str, list[int]]) -> VAST:
    settings = VASTSettings()
    with torch.device("meta"):
        return VAST(VASTSizes.of(keys, tasks, settings), settings, tasks)


@pytest.mark.parametrize("task", TASKS)
def test_the_model_at_full_size_has_the_released_names_and_shapes(task: str) -> None:
    keys = shapes("VAST")
    assert len(keys) == 1287
    model = on_meta([task], keys)
    own = {name: list(value.shape) for name, value in model.state_dict().items()}
    assert own == {name: keys[name] for name in own}
    needed = json.loads((GOLDEN / "keys.json").read_text())["needed_for_video_only"]
    if task == "tv":
        groups = [one.split(" ")[0] for one in needed]
        wanted = {name for name in keys if name.startswith(tuple(groups))}
        # The head of the image tower and BERT's counted positions, which nothing reads.
        rest = {"vision_encoder.visual.head.weight", "vision_encoder.visual.head.bias",
                "multimodal_encoder.bert.embeddings.position_ids"}  # fmt: skip
        assert wanted - rest == own.keys()
    assert sum(name.startswith("audio_encoder.") for name in own) == (250 if "a" in task else 0)


def test_what_no_shape_gives_away_is_the_released_model_s() -> None:
    model: Any = on_meta(["tvas"], shapes("VAST"))
    visual, bert = model.vision_encoder.visual, model.multimodal_encoder.bert
    assert visual.blocks[0].attn.num_heads == 16 and len(visual.blocks) == 40
    assert visual.patch_embed.img_size == (224, 224)
    assert bert.config.num_attention_heads == 12 and len(bert.encoder.layer) == 12
    layer = model.audio_encoder.encoder.layers[0]
    assert layer._scale == pytest.approx(2.2134, abs=1e-4)
    assert layer.self_attn._heads == 12
    assert (VASTSettings().vision_frames, VASTSettings().audio_segments) == (8, 1)


def test_positions_of_sound_share_the_official_buckets() -> None:
    official = json.loads((GOLDEN / "position_buckets.json").read_text())
    first = official["first_distance"]
    distance = torch.arange(first, first + len(official["buckets"]))
    found = relative_buckets(distance, 320, VASTSettings().audio_distance)
    assert found.tolist() == official["buckets"]


@pytest.mark.parametrize("old", ["module.", "video", "evaclip_model", "clip_model"])
def test_every_spelling_of_the_official_loader_is_read(case: Case, old: str) -> None:
    def misspelt(name: str) -> str:
        if old == "module.":
            return old + name
        if old == "video":
            return name.replace("vision", old)
        return name.replace("vision_encoder", old)

    state = {misspelt(name): value for name, value in case.state.items()}
    assert state.keys() != case.state.keys()
    expected, found = model_of(case), model_of(Case(case.config, state, case.inputs, case.outputs))
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)


def test_only_the_first_spelling_of_a_name_is_replaced() -> None:
    assert spelling("module.video_encoder.clip_model.x") == "vision_encoder.clip_model.x"
    assert spelling("module.a.module.evaclip_model.x") == "a.vision_encoder.x"


def without(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    "name",
    [
        "vision_encoder.visual.patch_embed.proj.weight",
        "vision_encoder.visual.blocks.1.attn.q_bias",
        "multimodal_encoder.bert.encoder.layer.0.crossattention.self.value.bias",
        "contra_head_v.linear.weight",
        "itm_head.linear2.bias",
        "vision_type_embeddings",
    ],
)
def test_a_missing_name_is_refused(case: Case, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model_step_1.pt"
    torch.save(without(case.state, name), path)
    with pytest.raises(BenchError) as error:
        load(path, VASTSettings(vision_heads=4, text_heads=4), ["tv"])
    assert str(error.value).startswith(f"{path}: it lacks {name}")
    assert "is linked in the README of github.com/TXH-mercury/VAST" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_task_does_not_read_may_be_missing(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    kept = {name: value for name, value in case.state.items()
            if not name.startswith(("audio", "contra_head_a", "contra_head_vs", "contra_temp",
                                    "hidden_trans_subtitle", "vision_encoder.text"))}  # fmt: skip
    save_file(kept, path)
    settings = VASTSettings(vision_heads=4, text_heads=4)
    assert load(path, settings, ["tv"])
    with pytest.raises(BenchError, match=r"it lacks contra_head_vs\.bias"):
        load(path, settings, ["tvs"])
    with pytest.raises(BenchError, match=r"it lacks audio_encoder\.patch_embedding\.weight"):
        load(path, settings, ["tva"])


def test_another_shape_or_two_spellings_or_no_file_are_refused(case: Case, tmp_path: Path) -> None:
    settings = VASTSettings(vision_heads=4, text_heads=4)
    odd = case.state | {"itm_head.linear2.bias": torch.zeros(3)}
    with pytest.raises(BenchError, match=r"itm_head.linear2.bias has shape \[3\]"):
        build(odd, settings, ["tv"])
    odd = case.state | {"vision_encoder.visual.pos_embed": torch.zeros(1, 11, 48)}
    with pytest.raises(BenchError, match="10 patches, which are no square"):
        build(odd, settings, ["tv"])
    odd = case.state | {"vision_frame_embedding": torch.zeros(2, 32)}
    with pytest.raises(BenchError, match=r"vision_frame_embedding has shape \[2, 32\]"):
        build(odd, settings, ["tv"])
    with pytest.raises(BenchError, match="in two spellings"):
        build(case.state | {"module.contra_temp": torch.zeros(())}, settings, ["tv"])
    (tmp_path / "other.pt").write_bytes(b"no archive")
    with pytest.raises(BenchError, match=r"other\.pt: not a checkpoint .*TXH-mercury/VAST"):
        load(tmp_path / "other.pt", settings, ["tv"])


# --- sound ---------------------------------------------------------------------------------------

AUDIO = json.loads((GOLDEN / "audio_preprocess.json").read_text())
TRACKS = load_file(GOLDEN / "audio_preprocess.safetensors")


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, count) for name, facts in AUDIO["cases"].items() if name != "too_short_16000"
     for count in map(int, facts["segments"])],
)  # fmt: skip
def test_spectrograms_are_the_official_ones(name: str, count: int) -> None:
    facts, waveform = AUDIO["cases"][name], TRACKS.get(f"inputs.{name}.waveform")
    track = np.empty(0) if waveform is None else waveform[0] / 2**15
    found = segments(track, facts["sample_rate"] or RATE, count, facts["audio_melbins"],
                     facts["audio_target_length"])  # fmt: skip
    official = TRACKS[f"outputs.{name}.fbank_{count}"]
    assert found.dtype == np.float32 and found.shape == official.shape
    assert np.abs(found - official).max() < 5e-4  # a tenth of the official tolerance
    assert np.abs(found - official).mean() < 1e-5


@pytest.mark.parametrize("name", ["stereo_44100_3s", "stereo_48000_short"])
def test_resampling_is_torchaudio_s(name: str) -> None:
    track = TRACKS[f"inputs.{name}.waveform"][0] / 2**15
    found = resampled(track, AUDIO["cases"][name]["sample_rate"])
    official = TRACKS[f"outputs.{name}.resampled_channel_0"]
    np.testing.assert_allclose(found, official, atol=1e-5, rtol=0)


def test_a_track_shorter_than_a_window_or_of_an_odd_rate_is_refused() -> None:
    with pytest.raises(DataError, match="399 samples"):
        segments(TRACKS["inputs.too_short_16000.waveform"][0], RATE)
    assert segments(np.zeros(WINDOW), RATE).shape == (1, 1024, 64)
    for rate in (0, 16016):  # 16016 in steps of 1001 samples
        with pytest.raises(DataError, match=f"{rate} Hz"):
            segments(np.zeros(9000), rate)


def test_the_middle_of_a_long_track_is_heard() -> None:
    for row in AUDIO["official_segment_choice_one_segment"]:
        slices = -(-(row["frames"] + 1) // 1024)
        assert slices == row["slices"]
        if slices < 2:
            continue
        track = np.zeros(WINDOW + 160 * (row["frames"] - 1))
        first = (1024 * row["used_slice"] + 8) * 160
        track[first : first + 8000] = 0.1 * np.sin(np.arange(8000))
        assert segments(track)[0, 20].max() > 0  # the tone, and elsewhere silence
