"""A CLIP before it is loaded: architecture, weights, and all that its checkpoint says of inputs."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.weights import SHIPPED, file_hash, find_weights, local_weights
from bench.config import RunConfig
from bench.errors import BenchError, UsageError, nearest, plain

if TYPE_CHECKING:
    import torch

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class CLIPBase:
    """An open_clip architecture with a weights file on this machine.

    `config` is open_clip's configuration of `arch`, `pretrained` a tag or a file, `sha256` the hash
    of `weights`.
    """

    arch: str
    pretrained: str
    config: dict[str, Any]
    weights: Path
    sha256: str

    @classmethod
    def find(
        cls,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
    ) -> CLIPBase:
        """The base of `arch` and `pretrained`, or of both in one (`spec`, as `ViT-B-16/openai`).

        UsageError for an unknown architecture, MissingWeights where weights are nowhere to be had.
        """
        arch, pretrained = _parse(arch, pretrained, spec)
        config = _architecture(arch)
        weights = find_weights(arch, pretrained, run)
        return cls(arch, pretrained, config, weights, file_hash(weights, run.cache_folder))

    @staticmethod
    def check(
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
    ) -> None:
        """Raise as `find`, without the network and without reading the weights."""
        arch, pretrained = _parse(arch, pretrained, spec)
        _architecture(arch)
        local_weights(arch, pretrained, run)

    @property
    def embed_dim(self) -> int:
        """Dimensions of a feature."""
        return int(self.config["embed_dim"])

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        return int(self.config["vision_cfg"]["image_size"])

    @property
    def context_length(self) -> int:
        """Tokens of a text, its start and end included."""
        return int(self.config["text_cfg"].get("context_length", 77))

    @property
    def tag(self) -> str | None:
        """The tag of `pretrained`; None for a file."""
        return None if Path(self.pretrained).is_file() else self.pretrained

    def facts(self) -> dict[str, str]:
        """Provenance: what a result and a trained model's card say of it."""
        name = self.tag or Path(self.pretrained).name
        return {"arch": self.arch, "pretrained": name, "weights_sha256": self.sha256}

    def load(self) -> Any:
        """The open_clip model with its weights, on the CPU. BenchError where they do not fit."""
        return load_clip(self.arch, self.pretrained, self.weights)

    @cached_property
    def tokenizer(self) -> Any:
        """open_clip's tokenizer of the architecture."""
        import open_clip

        _register(self.arch)
        return open_clip.get_tokenizer(self.arch)

    def normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation [3] of pixels: the tag's own, or OpenAI's."""
        import torch
        from open_clip.pretrained import get_pretrained_cfg

        known = get_pretrained_cfg(self.arch, self.pretrained) if self.tag else {}
        mean, std = (known or {}).get("mean", MEAN), (known or {}).get("std", STD)
        return torch.tensor(mean), torch.tensor(std)

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads.

        One fused multiply-add instead of /255, -mean, /std: the same up to float rounding.
        """
        mean, std = self.normalisation()
        return (1 / (255 * std)).view(1, 3, 1, 1), (-mean / std).view(1, 3, 1, 1)


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
