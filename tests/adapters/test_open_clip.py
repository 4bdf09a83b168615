"""The CLIP adapter against open_clip itself, and its refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from adapters.clip_base import CLIPBase
from adapters.open_clip import OpenCLIPAdapter
from adapters.published import MEAN, STD
from adapters.weights import OPENAI, file_hash, find_weights, local_weights
from bench.config import RunConfig, load_config
from bench.errors import BenchError, MissingWeights, UsageError
from bench.files.tensor_store import checksum


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", device="cpu")


@pytest.fixture
def tiny(run: RunConfig) -> OpenCLIPAdapter:
    return OpenCLIPAdapter("clip-tiny", run, arch="clip-tiny", pretrained="shipped")


def test_features_equal_open_clips_own(tiny: OpenCLIPAdapter) -> None:
    """The whole way from a PIL frame: transform, image tower, text tower."""
    import open_clip

    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 256, (90, 131, 3), np.uint8)) for _ in range(3)]
    ours = np.stack([np.asarray(tiny.preprocessing.apply(frame)) for frame in frames])
    features = tiny.encode_frames(ours)

    model = tiny._load()
    transform = open_clip.image_transform(tiny.image_size, is_train=False, mean=MEAN, std=STD)
    with torch.inference_mode():
        images = torch.stack([transform(frame) for frame in frames])
        expected = model.encode_image(images).numpy()
        text = "a red man chases a blue dog"
        tokens = open_clip.get_tokenizer("clip-tiny")([text])
        expected_text = model.encode_text(tokens).numpy()
    # The pixels are equal bit for bit; one fused scale and shift differs by float rounding.
    np.testing.assert_allclose(features, expected, atol=2e-5)
    np.testing.assert_array_equal(tiny.encode_texts([text]), expected_text)
    assert features.dtype == np.float32 and features.shape == (3, tiny.embed_dim)


def test_a_run_that_asks_for_fewer_tokens_cuts_texts_and_counts_them(
    tiny: OpenCLIPAdapter,
) -> None:
    long, short = "a red man chases a blue dog", "a red man chases"
    assert tiny.context_length == 77
    tiny.context = 6  # four words, start and end
    np.testing.assert_array_equal(tiny.encode_texts([long]), tiny.encode_texts([short]))
    assert tiny.count_truncated([long, short]) == 1
    tiny.context = None
    assert tiny.count_truncated([long, short]) == 0
    assert not np.array_equal(tiny.encode_texts([long]), tiny.encode_texts([short]))


def test_long_texts_are_counted(tiny: OpenCLIPAdapter) -> None:
    assert tiny.count_truncated(["dog", "x" * 75]) == 0 and "tokens" not in vars(tiny.base)
    assert tiny.count_truncated(["dog " * 75, "dog " * 76, "short", "x" * 80]) == 1


def test_special_tokens_in_a_caption_do_not_end_it(tiny: OpenCLIPAdapter) -> None:
    one, other = tiny.encode_texts(["a <end_of_text> red dog", "a <end_of_text> blue robot"])
    assert not np.allclose(one, other)


def test_weights_overwritten_by_a_file_of_equal_size_have_another_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"one")
    first = file_hash(path, tmp_path)
    path.write_bytes(b"two")
    assert file_hash(path, tmp_path) != first == hashlib.sha256(b"one").hexdigest()


def test_a_checkpoint_file_works_wherever_a_tag_does(
    tiny: OpenCLIPAdapter, run: RunConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pt"
    torch.save({"state_dict": tiny._load().state_dict()}, path)
    other = OpenCLIPAdapter("mine", run, spec=f"clip-tiny/{path}")
    assert other.fingerprint != tiny.fingerprint
    frames = np.zeros((1, tiny.image_size, tiny.image_size, 3), np.uint8)
    np.testing.assert_array_equal(other.encode_frames(frames), tiny.encode_frames(frames))


def test_a_file_called_like_a_tag_is_not_taken_for_it(
    tiny: OpenCLIPAdapter, run: RunConfig, tmp_path: Path
) -> None:
    """One stands in the working folder, and beside the configuration; a path means the file."""
    other = {name: value + 1 for name, value in tiny._load().state_dict().items()}
    for name in ("shipped", "openai", "mine"):
        torch.save({"state_dict": other}, tmp_path / name)
    (tmp_path / "bench.yaml").write_text(
        "models:\n"
        "  a: {adapter: open_clip, arch: clip-tiny, pretrained: shipped}\n"
        "  b: {adapter: open_clip, arch: clip-tiny, pretrained: ./shipped}\n"
        "  c: {adapter: srl_clip, arch: clip-tiny, pretrained: shipped, checkpoint: shipped}\n"
    )
    config = load_config(tmp_path / "bench.yaml")
    models = {name: one.settings for name, one in config.models.items()}
    assert models["a"]["pretrained"] == models["c"]["checkpoint"] == "shipped"
    for spec in ("clip-tiny/shipped", "clip-tiny/./shipped"):
        alone = OpenCLIPAdapter("x", run, spec=spec)
        assert (alone.fingerprint == tiny.fingerprint) == (spec == "clip-tiny/shipped")
    named = [OpenCLIPAdapter("x", run, **models[name]) for name in "ab"]
    assert named[0].fingerprint == tiny.fingerprint and named[0].base.tag == "shipped"
    assert named[1].fingerprint == alone.fingerprint and named[1].base.tag is None
    for tag in ("openai", "mine"):
        with pytest.raises(MissingWeights, match=f"a file is written as ViT-B-32/./{tag}"):
            local_weights("ViT-B-32", tag, run)


def test_fingerprint_follows_weights_and_precision(tiny: OpenCLIPAdapter, run: RunConfig) -> None:
    assert tiny.fingerprint == OpenCLIPAdapter("x", run, spec="clip-tiny/shipped").fingerprint
    cuda = dataclasses.replace(run, device="cuda")
    assert tiny.fingerprint != OpenCLIPAdapter("x", cuda, spec="clip-tiny/shipped").fingerprint


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint(run: RunConfig, tmp_path: Path, content: bytes) -> None:
    for suffix in (".pt", ".safetensors"):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        with pytest.raises(BenchError, match=rf"bad{suffix}: not a checkpoint"):
            OpenCLIPAdapter("bad", run, spec=f"clip-tiny/{path}").encode_texts(["x"])


def test_nothing_in_a_checkpoint_is_executed(run: RunConfig, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    path = tmp_path / "evil.pt"
    torch.save({"state_dict": {}}, path)
    with zipfile.ZipFile(path) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, pickle.dumps(Evil()) if name.endswith("data.pkl") else content)
    with pytest.raises(BenchError, match="not a checkpoint"):
        OpenCLIPAdapter("evil", run, spec=f"clip-tiny/{path}").encode_texts(["x"])
    assert not (tmp_path / "owned").exists()


def test_another_architectures_weights_are_refused(run: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"visual.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(BenchError, match="not a checkpoint of clip-tiny"):
        OpenCLIPAdapter("bad", run, spec=f"clip-tiny/{path}").encode_texts(["x"])


def test_missing_weights_say_what_to_fetch_and_where(run: RunConfig) -> None:
    with pytest.raises(MissingWeights) as caught:
        OpenCLIPAdapter("clip-b32", run, arch="ViT-B-32-quickgelu", pretrained="openai")
    message = str(caught.value)
    assert "timm/vit_base_patch32_clip_224.openai" in message and "ViT-B-32.pt" in message
    assert str(run.weights_folder) in message and "\n" not in message


def test_an_unknown_architecture_names_the_nearest(run: RunConfig) -> None:
    with pytest.raises(UsageError, match="ViT-B-32"):
        OpenCLIPAdapter("x", run, spec="ViT-B32/openai")
    with pytest.raises(UsageError, match="open_clip:ARCH/TAG"):
        OpenCLIPAdapter("x", run, spec="ViT-B-32")


def test_an_original_that_is_not_the_published_file_is_not_run(run: RunConfig) -> None:
    run.weights_folder.mkdir(parents=True)
    (run.weights_folder / "ViT-B-32.pt").write_bytes(b"not OpenAI's")
    with pytest.raises(BenchError, match="SHA-256 differs"):
        OpenCLIPAdapter("clip-b32", run, arch="ViT-B-32-quickgelu", pretrained="openai")


def test_no_remembered_hash_lets_another_original_pass(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write in the cache can write both; a list finds it, and reads nothing of it."""
    path = run.weights_folder / "ViT-B-32.pt"
    path.parent.mkdir(parents=True)
    torch.jit.script(_Holder({"logit_scale": torch.ones(())})).save(str(path))
    file_hash(path, run.cache_folder)
    (planted,) = (run.cache_folder / "hashes").iterdir()
    planted.write_text(OPENAI["ViT-B-32-quickgelu"][1])
    monkeypatch.delattr(torch.jit, "load")
    before = sorted(run.cache_folder.rglob("*"))
    CLIPBase.check(run, arch="ViT-B-32-quickgelu", pretrained="openai")
    assert sorted(run.cache_folder.rglob("*")) == before
    with pytest.raises(BenchError, match="SHA-256 differs"):
        OpenCLIPAdapter("clip-b32", run, arch="ViT-B-32-quickgelu", pretrained="openai")
    assert not list(run.cache_folder.rglob("*.safetensors"))


def test_of_an_original_only_what_a_clip_has_is_kept(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch, path = "ViT-B-32-quickgelu", run.weights_folder / "ViT-B-32.pt"
    path.parent.mkdir(parents=True)
    own = ("visual.proj", "token_embedding.weight", "visual.class_embedding", "text_projection",
           "transformer.attn.in_proj_bias", "positional_embedding", "logit_scale")  # fmt: skip
    extras = ("input_resolution", "context_length", "vocab_size", "transformer.attn_mask")
    state = {name: torch.ones(2).half() for name in (*own, *extras)}
    torch.jit.script(_Holder(state)).save(str(path))
    monkeypatch.setitem(OPENAI, arch, (path.name, checksum(path), "x/y"))
    found = find_weights(arch, "openai", run)
    assert found == local_weights(arch, "openai", run) != path
    kept = load_file(found)
    assert sorted(kept) == sorted(own) and kept["visual.proj"].dtype == torch.float32


@pytest.mark.slow
def test_an_original_torchscript_is_converted_once(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real ViT-B/32 in OpenAI's own file format, with random weights."""
    import hashlib

    import open_clip

    model = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None, load_weights=False)
    # Only the tensors of OpenAI's archives are read, so a module tree of the same names suffices.
    path = run.weights_folder / "ViT-B-32.pt"
    path.parent.mkdir(parents=True)
    extras = {
        "input_resolution": torch.tensor(224),
        "transformer.resblocks.0.attn_mask": torch.ones(2),
    }
    torch.jit.script(_Holder({**model.state_dict(), **extras})).save(str(path))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(OPENAI, "ViT-B-32-quickgelu", ("ViT-B-32.pt", sha, "x/y"))
    adapter = OpenCLIPAdapter("b32", run, arch="ViT-B-32-quickgelu", pretrained="openai")
    assert adapter.base.weights.suffix == ".safetensors"
    frames = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    model.eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (MEAN, STD))
        expected = model.encode_image((pixels - mean) / std).numpy()
    np.testing.assert_allclose(adapter.encode_frames(frames), expected, atol=5e-5)


class _Holder(torch.nn.Module):
    """A scriptable module whose state_dict has the given dotted names."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        children: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in state.items():
            head, dot, rest = name.partition(".")
            if dot:
                children.setdefault(head, {})[rest] = value
            else:
                self.register_buffer(head, value)
        for head, inner in children.items():
            self.add_module(head, _Holder(inner))

    def forward(self) -> int:
        return 0
