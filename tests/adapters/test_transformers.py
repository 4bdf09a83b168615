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
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from adapters.transformers_clip import TransformersAdapter
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


def write(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1,
            "bos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision,
                                          projection_dim=16))  # fmt: skip
        pixels: Any = ClipPixels(size={"shortest_edge": 36}, crop_size=32)
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        pixels = SiglipPixels(size={"height": 32, "width": 32}, image_mean=[0.5] * 3,
                              image_std=[0.5] * 3, resample=2)  # fmt: skip
    model.save_pretrained(folder)
    pixels.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>",
                            unk_token="<unk>").save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module", params=["clip", "siglip"])
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
    model = (CLIPModel if folder.name == "clip" else SiglipModel).from_pretrained(folder).eval()
    pixels = (ClipPixels if folder.name == "clip" else SiglipPixels).from_pretrained(folder)
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
    assert adapter.embed_dim == image.shape[1]
    rule = (Preprocessing(32, "shortest", "bicubic", 36, "floor") if folder.name == "clip"
            else Preprocessing(32, "squash", "bilinear"))  # fmt: skip
    assert adapter.preprocessing == rule
    assert "preprocessor_config.json" in adapter.describe()["preprocessing"]
    assert adapter.count_truncated(["a man walks " * 3, "a man", "dog " * 7, "dog " * 8]) == 2


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

    kind = CLIPModel if folder.name == "clip" else SiglipModel
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
    save_file({n: v for n, v in state.items() if "text" not in n},
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
                         ({"resample": 4}, "interpolation 'unknown'")):  # fmt: skip
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
