"""CLIP and SigLIP folders of transformers give the features that transformers gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from adapters import transformers_kinds
from adapters.transformers_clip import TransformersAdapter
from adapters.transformers_kinds import KINDS, Sizes, sizes
from bench.config import RunConfig
from bench.errors import BenchError, DataError, MissingWeights, UsageError
from bench.video import Preprocessing

try:  # transformers 5; before, the plain name is Pillow's
    from transformers import CLIPImageProcessorPil as ClipPixels
    from transformers import SiglipImageProcessorPil as SiglipPixels
except ImportError:
    from transformers import CLIPImageProcessor as ClipPixels
    from transformers import SiglipImageProcessor as SiglipPixels

WORDS = [
    "<pad>",
    "</s>",
    "<unk>",
    "a",
    "man",
    "walks",
    "dog",
    "woman",
    "sings",
    "on",
    "stage",
    "two",
    "children",
    "play",
]
TEXTS = ["a man walks a dog", "two children play </s> on stage"]
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2}  # fmt: skip


MODELS: dict[str, tuple[Any, Any]] = {
    "clip": (CLIPConfig, CLIPModel), "siglip": (SiglipConfig, SiglipModel),
    "altclip": (AltCLIPConfig, AltCLIPModel),
}  # fmt: skip
try:
    from transformers import MetaClip2Config, MetaClip2Model

    MODELS["metaclip_2"] = (MetaClip2Config, MetaClip2Model)
except ImportError:
    pass


def write(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1,
            "bos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    config, model = MODELS[kind]
    if kind == "siglip":
        made = model(config(text_config=text, vision_config=vision))
        pixels: Any = SiglipPixels(size={"height": 32, "width": 32}, image_mean=[0.5] * 3,
                                   image_std=[0.5] * 3, resample=2)  # fmt: skip
    else:
        if kind == "altclip":  # one position is that of pads
            text |= {"max_position_embeddings": 9, "project_dim": 24}
        made = model(config(text_config=text, vision_config=vision, projection_dim=16))
        pixels = ClipPixels(size={"shortest_edge": 36}, crop_size=32)
    made.save_pretrained(folder)
    pixels.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, **settings: Any) -> None:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>",
                            unk_token="<unk>", **settings).save_pretrained(folder)  # fmt: skip


@pytest.fixture(scope="module", params=sorted(MODELS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu")


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (h, w, 3), np.uint8))
            for h, w in ((90, 131), (131, 90), (40, 40), (37, 64))]  # fmt: skip


def reference(folder: Path, images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """The library's own features of pictures, and of TEXTS without their special tokens."""
    model = MODELS[folder.name][1].from_pretrained(folder).eval()
    pixels = (SiglipPixels if folder.name == "siglip" else ClipPixels).from_pretrained(folder)
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    tokens = words([text.replace("</s>", "") for text in TEXTS], padding="max_length",
                   truncation=True, max_length=8, return_tensors="pt")  # fmt: skip
    tokens.pop("token_type_ids", None)
    with torch.inference_mode():
        found = [model.get_image_features(**pixels(images, return_tensors="pt")),
                 model.get_text_features(**tokens)]  # fmt: skip
    image, text = (getattr(one, "pooler_output", one).numpy() for one in found)
    return image, text


def test_features_are_the_librarys_own(folder: Path, run: RunConfig) -> None:
    adapter = TransformersAdapter("x", run, spec=str(folder))
    frames = np.stack([np.asarray(adapter.preprocessing.apply(one)) for one in pictures()])
    image, text = reference(folder, pictures())
    np.testing.assert_allclose(adapter.encode_frames(frames), image, atol=2e-5)
    np.testing.assert_allclose(adapter.encode_texts(TEXTS), text, atol=1e-6)
    assert adapter.embed_dim == image.shape[1] and not adapter.is_video_model
    assert adapter.reference(pictures())[0].shape == (4, 3, 32, 32)
    rule = (Preprocessing(32, "squash", "bilinear") if folder.name == "siglip"
            else Preprocessing(32, "shortest", "bicubic", 36, "floor"))  # fmt: skip
    assert adapter.preprocessing == rule
    assert "preprocessor_config.json" in adapter.describe()["preprocessing"]
    assert adapter.count_truncated(["a man walks " * 3, "a man", "dog " * 7, "dog " * 8]) == 2


def test_texts_are_as_the_tokenizers_own_configuration_says(made: Path, run: RunConfig,
                                                            tmp_path: Path) -> None:  # fmt: skip
    """SigLIP 2's says do_lower_case, which its Gemma tokenizer does not do."""
    folder = Path(shutil.copytree(made, tmp_path / made.name))
    said = ["A Man walks", "a man walks", "a man </S> walks", "a man walks a dog on stage"]
    as_said = TransformersAdapter("x", run, spec=str(folder)).encode_texts(said)
    assert not np.allclose(as_said[0], as_said[1], atol=1e-4)
    write_tokenizer(folder, do_lower_case=True, model_max_length=6)
    lower = TransformersAdapter("x", run, spec=str(folder))
    found = lower.encode_texts(said)
    np.testing.assert_allclose(found[[0, 2]], found[[1, 1]], atol=1e-5)
    assert lower.base.context_length == 6 and lower.count_truncated(said) == 1
    cut = lower.encode_texts(["a man walks a dog"])[0]
    np.testing.assert_allclose(found[3], cut, atol=1e-5)


def test_what_a_configuration_leaves_out_is_its_classs_default() -> None:
    empty: dict[str, Any] = {"text_config": {}, "vision_config": {}}
    for kind, (config, _) in MODELS.items():
        whole = json.loads(json.dumps(config().to_dict()))
        assert sizes({"model_type": kind, **empty}) == sizes({**whole, "model_type": kind})
    assert sizes({"model_type": "siglip", **empty}) == Sizes(768, 64, 224)
    assert sizes({"model_type": "altclip", **empty}).positions == 512


def test_kinds_that_are_not_read_say_why(
    folder: Path, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "siglip2"}))
    with pytest.raises(UsageError, match=r"NaFlex.*fixed resolution, such as siglip2-b16"):
        TransformersAdapter("x", run, spec=str(folder))
    for kind, since in (("metaclip_2", "4.56"), ("videoprism", "5.13"), ("pe_video", "5.0")):
        (folder / "config.json").write_text(json.dumps({**config, "model_type": kind}))
        monkeypatch.setattr(transformers_kinds, "version", lambda name: "4.48.3")
        with pytest.raises(BenchError, match=rf"4\.48\.3 has no '{kind}'; .*>={since}"):
            TransformersAdapter("x", run, spec=str(folder))
    assert KINDS["clip"].since == (4, 48)


def test_every_file_of_the_folder_is_in_the_fingerprint(folder: Path, run: RunConfig) -> None:
    first = TransformersAdapter("x", run, folder=str(folder)).fingerprint
    (folder / "notes.md").write_text("of no account")
    assert TransformersAdapter("x", run, folder=str(folder)).fingerprint == first
    state = load_file(folder / "model.safetensors")
    save_file({name: value + 1e-3 for name, value in state.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    assert TransformersAdapter("x", run, folder=str(folder)).fingerprint != first


def test_weights_that_do_not_fit_exactly_are_refused(folder: Path, run: RunConfig) -> None:
    """transformers itself only warns, and runs on random weights."""
    path = folder / "model.safetensors"
    state = load_file(path)
    lacking = {name: value for name, value in state.items() if name != "logit_scale"}
    save_file(lacking, path, metadata={"format": "pt"})
    with pytest.raises(BenchError, match="lacks logit_scale"):
        TransformersAdapter("x", run, spec=str(folder)).prepare()
    save_file({**state, "more": torch.ones(1)}, path, metadata={"format": "pt"})
    with pytest.raises(BenchError, match="has an unknown more"):
        TransformersAdapter("x", run, spec=str(folder)).prepare()


def lora(folder: Path, into: Path, **config: Any) -> tuple[Path, Any]:
    """A LoRA that does something, as peft saves it, and the merged model."""
    from peft import LoraConfig, get_peft_model

    kind = MODELS[folder.name][1]
    made = get_peft_model(
        kind.from_pretrained(folder), LoraConfig(r=2, target_modules=["q_proj", "v_proj"], **config)
    )
    torch.manual_seed(1)
    for name, value in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    made.save_pretrained(into)
    return into, made.merge_and_unload().eval()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True, "lora_alpha": 8},
        {"init_lora_weights": "pissa"},
        {"use_dora": True, "bias": "all", "rank_pattern": {"v_proj": 1}},
    ],
)
def test_a_lora_on_top_is_merged(
    folder: Path, run: RunConfig, tmp_path: Path, config: dict[str, Any]
) -> None:
    place, merged = lora(folder, tmp_path / "lora", **config)
    plain = TransformersAdapter("x", run, spec=str(folder))
    adapted = TransformersAdapter("x", run, spec=f"{folder}+{place}")
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    scale, shift = plain.base.pixel_scaling()
    with torch.inference_mode():
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() * scale + shift
        found = merged.get_image_features(pixel_values=pixels)
    expected = getattr(found, "pooler_output", found).numpy()
    np.testing.assert_allclose(adapted.encode_frames(frames), expected, atol=1e-5)
    assert not np.allclose(plain.encode_frames(frames), expected, atol=1e-3)
    assert adapted.fingerprint != plain.fingerprint and adapted.describe()["lora"] == "lora"


def test_a_lora_of_another_model_or_kind_is_refused(
    folder: Path, run: RunConfig, tmp_path: Path
) -> None:
    place, _ = lora(folder, tmp_path / "lora")
    state = load_file(place / "adapter_model.safetensors")
    save_file({n: v for n, v in state.items() if "layers.1" not in n},
              place / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(BenchError, match="no LoRA of this model: it lacks"):
        TransformersAdapter("x", run, spec=f"{folder}+{place}").prepare()
    config = json.loads((place / "adapter_config.json").read_text())
    for key, value in (("init_lora_weights", "pissa_niter_4"), ("use_new_lora", True),
                       ("alora_invocation_tokens", [1])):  # fmt: skip
        (place / "adapter_config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(BenchError, match=rf"adapter_config.json: {key} .*; save it as a plain"):
            TransformersAdapter("x", run, spec=f"{folder}+{place}").prepare()
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(UsageError, match="no LoRA cannot be merged"):
        TransformersAdapter("x", run, spec=f"{folder}+{place}").prepare()
    (place / "adapter_config.json").unlink()
    with pytest.raises(MissingWeights, match="no LoRA of peft"):
        TransformersAdapter("x", run, spec=f"{folder}+{place}")


def test_what_is_no_such_folder_is_said(folder: Path, run: RunConfig, tmp_path: Path) -> None:
    for spec, kind, says in (
        (str(tmp_path / "absent"), MissingWeights, "no such folder"),
        (str(tmp_path), MissingWeights, "a folder without config.json"),
        ("", UsageError, "transformers:DIR"),
    ):
        with pytest.raises(kind, match=says):
            TransformersAdapter("x", run, spec=spec)
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    for change, says in (({"do_resize": False}, "not resized"),
                         ({"size": 48, "crop_size": 48}, "reads 32 pixels"),
                         ({"resample": 4}, "interpolation 'unknown'"),
                         ({"rescale_factor": 1 / 127.5}, "instead of 1/255"),
                         ({"size": {"height": 32, "width": 40}}, "pictures of"),
                         ({"size": {"shortest_edge": 36}, "do_center_crop": False}, "not cropped"),
                         ({"size": {"height": 32, "width": 32}, "crop_size": 24,
                           "do_center_crop": True}, "cropped to 24")):  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps({**processor, **change}))
        with pytest.raises(UsageError, match=says):
            TransformersAdapter("x", run, spec=str(folder))
    (folder / "preprocessor_config.json").unlink()
    found = TransformersAdapter("x", run, spec=str(folder)).describe()["preprocessing"]
    assert "assumed: no preprocessor_config.json" in found
    config = json.loads((folder / "config.json").read_text())
    for key in ("text_config", "vision_config"):
        less = {name: value for name, value in config.items() if name != key}
        (folder / "config.json").write_text(json.dumps(less))
        with pytest.raises(DataError, match=rf"config.json: not what it should hold .*{key}"):
            TransformersAdapter("x", run, spec=str(folder))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "blip"}))
    with pytest.raises(UsageError, match="a model of type 'blip'; known: clip, siglip"):
        TransformersAdapter("x", run, spec=str(folder))


def test_pixels_that_are_not_normalised_are_left_so(folder: Path, run: RunConfig) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": False}))
    adapter = TransformersAdapter("x", run, spec=str(folder))
    frames = np.stack([np.asarray(adapter.preprocessing.apply(one)) for one in pictures()])
    np.testing.assert_allclose(adapter.pixels(frames), adapter.reference(pictures())[0], atol=1e-6)
    assert adapter.pixels(frames).max() <= 1 and adapter.pixels(frames).min() >= 0
