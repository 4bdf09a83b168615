"""Frozen CLIP over open_clip: the baseline every other row is read against.

Weights are found without the network where they already are, and never unpickled: safetensors, or
.pt through `weights_only=True`. OpenAI's original files are TorchScript programs; they are run only
when their SHA-256 is the published one, and kept as safetensors from then on.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from bench.compute import autocast, use_threads
from bench.config import RunConfig
from bench.contracts import Adapter
from bench.errors import BenchError, MissingWeights, UsageError, nearest, plain
from bench.files import locks
from bench.files.atomic import atomic_path, write_text
from bench.files.tensor_store import checksum, digest

if TYPE_CHECKING:
    import torch

SHIPPED = Path(__file__).with_name("tiny")
CPU_FRAMES = 16  # a pass on the CPU: 96 at once took a fifth longer, for its caches hold fewer
VERSION = 2  # raise it when a change here could change a feature

# Published names of OpenAI's files, and the SHA-256 that stands in their addresses (OpenAI's CLIP
# repository, clip.py); the same weights as safetensors are on the Hugging Face hub.
OPENAI = {
    "ViT-B-32-quickgelu": (
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "timm/vit_base_patch32_clip_224.openai",
    ),
    "ViT-B-16-quickgelu": (
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "timm/vit_base_patch16_clip_224.openai",
    ),
    "ViT-L-14-quickgelu": (
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "timm/vit_large_patch14_clip_224.openai",
    ),
}
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_SPECIAL = re.compile(r"<(start|end)_of_text>")


class OpenCLIPAdapter(Adapter):
    """Any open_clip image-text model: `arch` is open_clip's name, `pretrained` a tag or a file.

    `spec` is both in one, as in `open_clip:ViT-B-16/laion2b_s34b_b88k` or
    `open_clip:ViT-B-16/./my.safetensors`. Raises UsageError for an unknown architecture,
    MissingWeights when the weights are nowhere to be had.
    """

    def __init__(
        self,
        name: str,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
    ) -> None:
        self.name = name
        self.arch, self.pretrained = _parse(arch, pretrained, spec)
        self.config = _architecture(self.arch)
        self.embed_dim = int(self.config["embed_dim"])
        self.image_size = int(self.config["vision_cfg"]["image_size"])
        self.weights = find_weights(self.arch, self.pretrained, run)
        self._weights_hash = file_hash(self.weights, run.cache_folder)
        self._run = run
        self._model: Any = None
        self._tokenizer: Any = None

    @classmethod
    def problem(cls, run: RunConfig, name: str, **settings: Any) -> str | None:
        """Why the model cannot run now without the network, with the remedy; None if it can."""
        try:
            arch, pretrained = _parse(*map(settings.get, ("arch", "pretrained", "spec")))
            _architecture(arch)
            _local_weights(arch, pretrained, run)
        except BenchError as error:
            return str(error)
        return None

    @property
    def fingerprint(self) -> str:
        """Hash of weights file, architecture, preprocessing and precision."""
        return digest(
            "open_clip", VERSION, self.config, self.pretrained if self._tagged else "file",
            self._weights_hash, self.precision,
        )  # fmt: skip

    @property
    def _tagged(self) -> bool:
        return not Path(self.pretrained).is_file()

    @property
    def precision(self) -> str:
        """What encoding is done in: `float32`, or half a precision `autocast`."""
        chosen = self._run.torch_precision
        return chosen if chosen == "float32" else f"{chosen} autocast"

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._run.torch_device

    def describe(self) -> dict[str, Any]:
        """Provenance of every feature of this model."""
        return {
            "arch": self.arch,
            "pretrained": self.pretrained if self._tagged else Path(self.pretrained).name,
            "weights_sha256": self._weights_hash,
            "precision": self.precision,
            "preprocessing": f"shortest side {self.image_size} bicubic antialiased, centre crop",
            "pooling": self.pooling,
        }

    def prepare(self) -> None:
        """Import torch and put the model on its device."""
        self._load()

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 [N, D]; equal to open_clip's transform and encode_image."""
        import torch

        model = self._load()
        pixels = torch.from_numpy(np.ascontiguousarray(frames))
        features = []
        for part in pixels.split(CPU_FRAMES if self.device == "cpu" else len(pixels)):
            # One fused multiply-add instead of /255, -mean, /std: the same up to float rounding.
            images = part.to(self.device).permute(0, 3, 1, 2).float()
            images.mul_(self._scale).add_(self._shift)
            with torch.inference_mode(), self._autocast():
                features.append(model.encode_image(images).float())
        return torch.cat(features).cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """M texts -> float32 [M, D]; longer texts are cut to the model's context length."""
        return self.encode_texts_with(self._load(), texts)

    def encode_texts_with(self, model: Any, texts: Sequence[str]) -> np.ndarray:
        """`encode_texts` by another model of this architecture: training's path is evaluation's."""
        import torch

        # A caption that spells out CLIP's special tokens must not end the text early.
        tokens = self._load_tokenizer()([_SPECIAL.sub(" ", text) for text in texts])
        with torch.inference_mode(), self._autocast():
            features = model.encode_text(tokens.to(self.device))
        found: np.ndarray = features.float().cpu().numpy()
        return found

    def count_truncated(self, texts: Sequence[str]) -> int:
        """Texts of more tokens than the context length holds beside its start and end tokens."""
        room = int(self.config["text_cfg"].get("context_length", 77)) - 2
        # Every word is at least one token and a token at least one character of the text.
        doubtful = [text for text in texts if len(text) > room]
        if not doubtful:
            return 0
        encode = self._load_tokenizer().encode
        return sum(len(encode(text)) > room for text in doubtful)

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            import open_clip

            _register(self.arch)
            self._tokenizer = open_clip.get_tokenizer(self.arch)
        return self._tokenizer

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self._run.torch_precision)

    def _load(self) -> Any:
        if self._model is None:
            use_threads(self._run)
            self._model = self._build().eval().requires_grad_(False).to(self.device)
            mean, std = self._normalisation()
            self._scale = (1 / (255 * std)).view(1, 3, 1, 1).to(self.device)
            self._shift = (-mean / std).view(1, 3, 1, 1).to(self.device)
        return self._model

    def _build(self) -> Any:
        """The model on the CPU with its weights."""
        return load_clip(self.arch, self.pretrained, self.weights)

    def _normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch
        from open_clip.pretrained import get_pretrained_cfg

        known = get_pretrained_cfg(self.arch, self.pretrained) if self._tagged else {}
        mean, std = (known or {}).get("mean", MEAN), (known or {}).get("std", STD)
        return torch.tensor(mean), torch.tensor(std)


def load_clip(arch: str, pretrained: str, weights: Path) -> Any:
    """An open_clip model on the CPU with a file's weights; BenchError where they do not fit."""
    import open_clip

    _register(arch)
    logging.disable(logging.WARNING)  # open_clip warns of weights that are loaded below
    model = open_clip.create_model(arch, pretrained=None, load_weights=False)
    logging.disable(logging.NOTSET)
    try:
        # strict: a checkpoint of another architecture must not half-load.
        open_clip.load_checkpoint(model, str(weights), strict=True, weights_only=True)
    except Exception as error:  # torch, safetensors and pickle each raise their own kinds
        raise BenchError(
            f"{weights}: not a checkpoint of {arch} ({plain(error)}); give a safetensors file, or "
            "a .pt that holds tensors only"
        ) from error
    if pretrained == "openai" and "QuickGELU" not in str(model.visual):
        raise BenchError(f"{arch} was not trained with 'openai' weights; use -quickgelu")
    return model


# --- architectures and weights -------------------------------------------------------------------


def _parse(arch: str | None, pretrained: str | None, spec: str | None) -> tuple[str, str]:
    if spec is not None:
        arch, _, pretrained = spec.partition("/")
    if not arch or not pretrained:
        raise UsageError(
            "open_clip needs an architecture and a tag or file: open_clip:ARCH/TAG, such as "
            "open_clip:ViT-B-16/laion2b_s34b_b88k or open_clip:ViT-B-32/./weights.safetensors"
        )
    return arch, pretrained


def _architecture(arch: str) -> dict[str, Any]:
    """The architecture's configuration, read without importing open_clip (and with it torch)."""
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise BenchError("open_clip is not installed; pip install open_clip_torch")
    folders = [SHIPPED, Path(package.origin).parent / "model_configs"]
    files = {file.stem: file for folder in folders for file in folder.glob("*.json")}
    if arch not in files:
        raise UsageError(f"open_clip has no architecture '{arch}'{nearest(arch, sorted(files))}")
    config: dict[str, Any] = json.loads(files[arch].read_text(encoding="utf-8"))
    return config


def _register(arch: str) -> None:
    import open_clip

    if arch not in open_clip.list_models():
        open_clip.add_model_config(SHIPPED / f"{arch}.json")


def find_weights(arch: str, pretrained: str, run: RunConfig) -> Path:
    """The weights file, from this machine or, where the network is allowed, from the hub."""
    try:
        return _local_weights(arch, pretrained, run)
    except MissingWeights as missing:
        if not _hub_in_reach():
            raise
        from open_clip.pretrained import download_pretrained, get_pretrained_cfg

        known = get_pretrained_cfg(arch, pretrained)
        if not known:
            raise
        try:
            return Path(download_pretrained(known))
        except Exception as error:  # hub, http and disk errors have no common base
            raise missing from error


def _hub_in_reach() -> bool:
    """Whether a download can be tried: else the hub's client retries for a minute, noisily."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY")):
        return True  # the proxy knows; a direct connection would prove nothing
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


def _local_weights(arch: str, pretrained: str, run: RunConfig) -> Path:
    if pretrained == "shipped" and (SHIPPED / f"{arch}.safetensors").is_file():
        return SHIPPED / f"{arch}.safetensors"
    if Path(pretrained).is_file():
        return Path(pretrained)
    if re.search(r"[/\\]|\.(pt|safetensors|bin)$", pretrained):
        raise MissingWeights(f"{pretrained}: no such file; check the path after '{arch}/'")
    folder = run.weights_folder / arch
    for suffix in (".safetensors", ".pt"):
        if (folder / f"{pretrained}{suffix}").is_file():
            return folder / f"{pretrained}{suffix}"
    original, sha256, hub = OPENAI.get(arch, ("", "", "")) if pretrained == "openai" else ("",) * 3
    if original and (run.weights_folder / original).is_file():
        return _convert_original(
            run.weights_folder / original, sha256, folder / "openai.safetensors", run
        )
    if hub and (cached := _hub_cached(hub)):
        return cached
    fetch = (
        f"fetch open_clip_model.safetensors from huggingface.co/{hub} "
        f"(or OpenAI's {original}, put in {run.weights_folder})"
        if hub
        else f"fetch open_clip's '{pretrained}' weights of {arch}"
    )
    target = folder / f"{pretrained}.safetensors"
    raise MissingWeights(f"no weights '{pretrained}' for {arch}: {fetch} and save it as {target}")


def _hub_cached(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "open_clip_model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _convert_original(path: Path, sha256: str, target: Path, run: RunConfig) -> Path:
    """OpenAI's TorchScript archive as safetensors; refused unless it is the published file."""
    if file_hash(path, run.cache_folder) != sha256:
        raise BenchError(
            f"{path}: not OpenAI's published file (SHA-256 differs); TorchScript of unknown origin "
            "is never run. Fetch it again, or save the weights as safetensors"
        )
    import torch
    from safetensors.torch import save_file

    with locks.held(target):
        if target.is_file():  # another run has just made it
            return target
        state = torch.jit.load(path, map_location="cpu").state_dict()
        for key in ("input_resolution", "context_length", "vocab_size"):
            state.pop(key, None)
        with atomic_path(target) as temporary:
            save_file({key: value.float().contiguous() for key, value in state.items()}, temporary)
    return target


def file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a weights file; remembered, since L/14 takes seconds.

    By path, size and times, and by inode and change time too: a copy that keeps size and date is
    another file all the same.
    """
    path = path.resolve()
    status = path.stat()
    identity = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    memo = cache / "hashes" / f"{digest(str(path), *identity)}.txt"
    if memo.is_file() and re.fullmatch("[0-9a-f]{64}", text := memo.read_text(errors="replace")):
        return text
    value = checksum(path)
    write_text(memo, value)
    return value
