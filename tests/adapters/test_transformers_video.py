"""Models of clips in transformers: X-CLIP, VideoPrism and PE-AV give what the library gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast

import bench
from adapters.transformers_clip import TransformersAdapter, wave
from bench.capabilities import Reranks
from bench.config import RunConfig
from bench.engine import evaluate
from bench.errors import BenchError, MissingWeights, UsageError
from bench.features.doctor import examine
from bench.features.protocol import setup_of
from bench.video.sound import NONE, Sound
from tests.adapters.test_transformers import TEXTS, TOWER, WORDS, pictures, write_tokenizer

FRAMES, SIDE = 4, 36
KINDS = {"xclip": "XCLIPModel", "videoprism": "VideoPrismClipModel", "pe_video": "PeVideoModel",
         "pe_audio_video": "PeAudioVideoModel"}  # fmt: skip
TEXT = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1,
        "bos_token_id": 2, "pad_token_id": 0}  # fmt: skip
MIDDLE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
          "num_attention_heads": 2, "head_dim": 16}  # fmt: skip
TIMM = {"architecture": "vit_pe_core_tiny_patch16_384", "do_pooling": True, "num_classes": 24,
        "global_pool": "map",
        "model_args": {"img_size": SIDE, "patch_size": 12, "embed_dim": 32, "depth": 1,
                       "num_heads": 2, "ref_feat_shape": (3, 3)}}  # fmt: skip


def config_of(kind: str) -> Any:
    if kind == "xclip":
        vision = {**TOWER, "image_size": SIDE, "patch_size": 12, "num_frames": FRAMES,
                  "mit_hidden_size": 16, "mit_intermediate_size": 24, "mit_num_hidden_layers": 1,
                  "mit_num_attention_heads": 2}  # fmt: skip
        return transformers.XCLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=16,
                                        prompt_num_attention_heads=2)  # fmt: skip
    if kind == "videoprism":
        vision = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2,
                  "image_size": SIDE, "tubelet_size": [1, 18, 18], "num_frames": FRAMES,
                  "num_spatial_layers": 2, "num_temporal_layers": 1,
                  "num_auxiliary_layers": 1}  # fmt: skip
        text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 8}
        return transformers.VideoPrismConfig(text_config=text, vision_config=vision)
    text = {**TEXT, "hidden_size": 24, "max_position_embeddings": 16, "cls_token_id": 2,
            "sep_token_id": 1}  # fmt: skip
    video = {**MIDDLE, "vision_config": TIMM}
    if kind == "pe_video":
        return transformers.PeVideoConfig(text_config=text, video_config=video)
    sound = {"encoder_hidden_size": 8, "downsampling_ratios": [2, 4], "decoder_hidden_size": 16,
             "codebook_dim": 4, "hidden_size": 16}  # fmt: skip
    both = {**MIDDLE,
            "audio_config": {**MIDDLE, "model_type": "pe_audio_encoder", "dac_config": sound},
            "video_config": {**video, "model_type": "pe_video_encoder"}}  # fmt: skip
    return transformers.PeAudioVideoConfig(text_config=text, audio_video_config=both)


def write(folder: Path, kind: str) -> Path:
    """A small model of random weights, in which no two layers are alike."""
    model_class = getattr(transformers, KINDS[kind], None)
    if model_class is None:
        pytest.skip(f"transformers {transformers.__version__} has no {KINDS[kind]}")
    model = model_class(config_of(kind))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=random) * 0.1)
    model.save_pretrained(folder)
    if kind == "xclip":
        processor_class = getattr(transformers, "VideoMAEImageProcessorPil", None) or (
            transformers.VideoMAEImageProcessor)  # fmt: skip
        pixels = processor_class(size={"shortest_edge": SIDE + 4},
                                 crop_size={"height": SIDE, "width": SIDE})  # fmt: skip
    elif kind == "videoprism":
        pixels = transformers.LlavaOnevisionVideoProcessor(
            size={"height": SIDE, "width": SIDE}, do_normalize=False
        )
    else:
        pixels = transformers.PeVideoVideoProcessor(
            size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3,
            do_resize=True, do_rescale=True, do_normalize=True, num_frames=16,
        )  # fmt: skip
    pixels.save_pretrained(folder)
    if kind == "pe_audio_video":
        transformers.PeAudioFeatureExtractor(hop_length=8).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module", params=sorted(KINDS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def xclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "xclip", "xclip")


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu")


def clips(count: int = 3, frames: int = FRAMES) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, frames, SIDE, SIDE, 3), np.uint8)


def library(folder: Path, seen: np.ndarray) -> dict[str, np.ndarray]:
    """The library's own forward of clips that need no resizing, and of as many TEXTS."""
    model = getattr(transformers, KINDS[folder.name]).from_pretrained(folder).eval()
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    said = words([text.replace("</s>", "") for text in TEXTS], padding="max_length",
                 truncation=True, max_length=8, return_tensors="pt")  # fmt: skip
    said.pop("token_type_ids", None)
    if folder.name == "videoprism":
        mean, std = 0.0, 1.0
    else:
        mean, std = 0.5, 0.5
    pixels = torch.from_numpy(seen).permute(0, 1, 4, 2, 3).float() / 255
    pixels = (pixels - mean) / std
    with torch.inference_mode():
        if folder.name == "xclip":
            found = model(**said, pixel_values=pixels)
            apart = {
                "video": model.get_video_features(pixel_values=pixels),
                "text": model.get_text_features(**said),
            }
            apart = {name: getattr(one, "pooler_output", one) for name, one in apart.items()}
            apart["logits"] = found.logits_per_video / model.logit_scale.exp()
        elif folder.name == "pe_audio_video":
            found = model(**said, pixel_values_videos=pixels, input_values=torch.zeros(2, 1, 3840))
            apart = {"video": found.video_embeds, "text": found.text_video_embeds}
        else:
            found = model(**said, pixel_values_videos=pixels)
            text = found.text_embeds if folder.name == "videoprism" else found.text_video_embeds
            apart = {"video": found.video_embeds, "text": text}
    return {name: value.numpy() for name, value in apart.items()}


def test_features_are_the_librarys_own(made: Path, run: RunConfig) -> None:
    ours, seen = TransformersAdapter("x", run, spec=str(made)), clips(2)
    theirs = library(made, seen)
    np.testing.assert_allclose(ours.encode_clips(seen), theirs["video"], atol=2e-5)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), theirs["text"], atol=2e-5)
    assert ours.is_video_model and ours.embed_dim == theirs["video"].shape[1]
    assert ours.pooling == "the model's own" and ours.inputs == {"frames"}
    # None of these is a constant of the random weights.
    assert np.ptp(theirs["video"], axis=0).max() > 1e-3 < np.ptp(theirs["text"], axis=0).max()


def test_pixels_are_the_processors_own(made: Path, run: RunConfig) -> None:
    """On Pillow bit for bit; a processor on tensors differs by a step of 255 in a few pixels."""
    ours = TransformersAdapter("x", run, spec=str(made))
    seen = np.stack([np.asarray(ours.preprocessing.apply(one)) for one in pictures()])
    theirs, nothing = ours.reference(pictures())
    found = ours.pixels(seen)
    assert theirs.shape == (4, 3, SIDE, SIDE) and nothing.shape == (0, ours.embed_dim)
    if made.name == "xclip":
        np.testing.assert_allclose(found, theirs, atol=1e-6)
        assert ours.preprocessing.scaled == SIDE + 4
    else:
        step = ours.pixels(np.full_like(seen, 1)) - ours.pixels(np.zeros_like(seen))
        assert (np.abs(found - theirs) <= 1.01 * step).all()
        assert (np.abs(found - theirs) > 0.01 * step).mean() < 0.02
        assert ours.preprocessing.resize == "squash"
    assert ours.preprocessing.interpolation == ("bicubic" if made.name == "videoprism"
                                                else "bilinear")  # fmt: skip


def test_the_doctor_finds_nothing_wrong(made: Path, run: RunConfig) -> None:
    ours = TransformersAdapter("x", run, spec=str(made))
    texts = ["a man walks a dog", "two children play", "a woman sings on stage"]
    wrong = {one.check for one in examine(ours, clips(4), texts) if one.ok is False}
    assert wrong <= {"spread of videos", "spread of texts", "text cut"}  # of random weights


def test_another_number_of_frames_is_refused_or_read(made: Path, run: RunConfig) -> None:
    ours = TransformersAdapter("x", run, spec=str(made))
    if ours.clip_frames is None:
        assert made.name.startswith("pe_") and ours.encode_clips(clips(1, 7)).shape[0] == 1
        return
    assert ours.clip_frames == FRAMES
    for other in (FRAMES - 1, FRAMES + 1, 2 * FRAMES):
        with pytest.raises(BenchError, match=rf"{other} frames a clip, and it reads"):
            ours.encode_clips(clips(1, other))


def test_a_run_with_other_frames_is_refused_before_any_is_decoded(
    xclip: Path, run: RunConfig, toy: Path, toy_vidsitu: Path
) -> None:
    ours = TransformersAdapter("x", run, spec=str(xclip))
    task = bench.load_task("msrvtt", str(toy), limit=3)
    with pytest.raises(UsageError, match=r"exactly 4 frames.*uniform-12; --protocol published"):
        evaluate(ours, task, run)
    events = bench.load_task("vidsitu", str(toy_vidsitu), limit=2)
    ours.clip_frames = 5
    with pytest.raises(UsageError, match=r"in each of the 5 clips.*take another model"):
        evaluate(ours, events, run, protocol="published")
    assert not (run.cache_folder / "frames").exists()


@pytest.mark.parametrize(
    ("kind", "plan", "indices"),
    [
        ("xclip", "centres-4", [1, 3, 6, 8]),
        ("videoprism", "starts-4", [0, 2, 5, 7]),
        ("pe_video", "spread-16", [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9]),
    ],
)
def test_plans_are_those_of_the_processors(
    kind: str, plan: str, indices: list[int], run: RunConfig, tmp_path: Path
) -> None:
    ours = TransformersAdapter("x", run, spec=str(write(tmp_path / kind, kind)))
    setup: Any = setup_of(ours, "whatever task", "published")
    assert setup.plan.key == plan and setup.preprocessing == ours.preprocessing
    assert setup.plan.indices(10, 25.0) == indices
    if kind == "pe_video":
        processor = transformers.AutoVideoProcessor.from_pretrained(tmp_path / kind)
        for count in (5, 10, 16, 17, 333):
            of = transformers.video_utils.VideoMetadata(total_num_frames=count, fps=25)
            assert setup.plan.indices(count, 25.0) == processor.sample_frames(of, num_frames=16)


def test_a_published_run_of_x_clip_and_its_own_similarity(
    xclip: Path, run: RunConfig, toy: Path
) -> None:
    """Re-ranked, every pair of a small gallery has the similarity of the library's forward."""
    ours = TransformersAdapter("x", run, spec=str(xclip))
    assert isinstance(ours, Reranks)
    seen = clips(2)
    logits = library(xclip, seen)["logits"]
    conditions = ours.condition(seen)
    pairs = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    found = ours.rerank(TEXTS, conditions, pairs)
    np.testing.assert_allclose(2 * found - 1, logits[pairs[:, 1], pairs[:, 0]], atol=2e-5)
    apart = ours.encode_clips(seen) @ ours.encode_texts(TEXTS).T
    norms = np.outer(*(np.linalg.norm(one, axis=1) for one in
                       (ours.encode_clips(seen), ours.encode_texts(TEXTS))))  # fmt: skip
    assert np.abs(apart / norms - logits).max() > 1e-3  # the prompts do something
    task = bench.load_task("msrvtt", str(toy), limit=5)
    document = evaluate(ours, task, run, protocol="published", rerank=True).document
    assert document.protocol.endswith("published, re-ranked-prompts-1000")
    assert document.encoded["pairs"] == len(task.texts) * len(task.clips)
    published: Any = document.settings.published
    assert "no retrieval" in published.remarks[0] and "prompts" in published.remarks[1]


def test_only_x_clip_ranks_again(made: Path, run: RunConfig) -> None:
    assert isinstance(TransformersAdapter("x", run, spec=str(made)), Reranks) == (
        made.name == "xclip"
    )


def test_a_processor_that_does_not_fit_is_refused(
    made: Path, run: RunConfig, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made, tmp_path / made.name))
    name = "preprocessor_config.json" if made.name == "xclip" else "video_preprocessor_config.json"
    written = json.loads((folder / name).read_text())
    size = {"crop_size": 24} if made.name == "xclip" else {"size": {"height": 24, "width": 24}}
    (folder / name).write_text(json.dumps({**written, **size}))
    with pytest.raises(BenchError, match=r"makes .*24.*, and the model reads 36"):
        TransformersAdapter("x", run, spec=str(folder)).prepare()
    if made.name in ("xclip", "videoprism"):
        (folder / name).write_text(json.dumps({**written, "num_frames": 7}))
        with pytest.raises(UsageError, match=r"7 frames of a video, and the model reads 4"):
            TransformersAdapter("x", run, spec=str(folder))
    if made.name != "xclip":
        (folder / name).unlink()
        with pytest.raises(MissingWeights, match=r"no video_preprocessor_config\.json"):
            TransformersAdapter("x", run, spec=str(folder))


def test_a_folder_of_the_hub_is_found_by_its_name(
    xclip: Path, run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the weights folder, or in Hugging Face's cache; neither is asked of the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    name = "microsoft/xclip-base-patch32"
    with pytest.raises(MissingWeights, match=rf"hf download {name} --local-dir .*{name}"):
        TransformersAdapter("x", run, folder=name)
    shutil.copytree(xclip, run.weights_folder / name)
    found = TransformersAdapter("x", run, spec=name)
    assert found.base.folder == run.weights_folder / name
    shutil.rmtree(run.weights_folder / name)
    cached = tmp_path / "hub" / "models--microsoft--xclip-base-patch32"
    shutil.copytree(xclip, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"),
                        raising=False)  # fmt: skip
    again = TransformersAdapter("x", run, folder=name)
    assert again.base.folder == cached / "snapshots" / "abc"
    assert again.fingerprint == found.fingerprint


def test_a_pe_av_hears(run: RunConfig, tmp_path: Path) -> None:
    """Frames and sound together are the library's; another rate is that at the model's own."""
    folder = write(tmp_path / "pe_audio_video", "pe_audio_video")
    ours = TransformersAdapter("x", run, folder=str(folder), audio=True)
    model = transformers.PeAudioVideoModel.from_pretrained(folder).eval()
    extractor = transformers.PeAudioFeatureExtractor.from_pretrained(folder)
    random = np.random.default_rng(0)
    stereo = random.uniform(-1, 1, (2, 333)).astype(np.float32)
    slow = np.sin(np.arange(80) / 9)[None].astype(np.float32)
    sounds = [Sound(stereo, 48000), NONE, Sound(slow, 24000)]
    seen = clips(3)
    found = ours.encode_clips(seen, audio=sounds)
    pixels = (torch.from_numpy(seen).permute(0, 1, 4, 2, 3).float() / 255 - 0.5) / 0.5
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    said = words([text.replace("</s>", "") for text in TEXTS[:1]], return_tensors="pt")
    said.pop("token_type_ids", None)
    for place, mono in ((0, stereo.mean(axis=0)), (1, np.zeros(8 * FRAMES, np.float32))):
        heard = extractor([mono], sampling_rate=48000, return_tensors="pt")
        with torch.inference_mode():
            theirs = model(**said, **heard, pixel_values_videos=pixels[place : place + 1])
        expected = theirs.audio_video_embeds.numpy()
        np.testing.assert_allclose(found[place : place + 1], expected, atol=2e-5)
    texts = ours.encode_texts(TEXTS[:1])
    np.testing.assert_allclose(texts, theirs.text_audio_video_embeds.numpy(), atol=2e-5)
    assert wave(sounds[2], ours.base.sound, 4).shape == (160,)
    rising = wave(Sound(slow, 24000), ours.base.sound, 4)[40:120:2]
    np.testing.assert_allclose(rising, slow[0, 20:60], atol=0.01)
    assert ours.inputs == {"frames", "audio"} and ours.image_size == SIDE
    plain = TransformersAdapter("x", run, folder=str(folder))
    assert plain.fingerprint != ours.fingerprint and plain.inputs == {"frames"}
    with pytest.raises(UsageError, match="'xclip' reads no sound"):
        TransformersAdapter("x", run, folder=str(write(tmp_path / "xclip", "xclip")), audio=True)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(MissingWeights, match="which says how sound is read"):
        TransformersAdapter("x", run, folder=str(folder), audio=True)
