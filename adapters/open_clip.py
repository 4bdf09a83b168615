"""Frozen CLIP over open_clip: the baseline every other row is read against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.cards import card, found
from adapters.clip_base import CLIPBase, architecture, parse
from adapters.published import published
from adapters.torch_adapter import FrameAdapter
from adapters.weights import local_path, local_weights
from bench.capabilities import Card
from bench.config import RunConfig
from bench.files.tensor_store import digest

VERSION = 2  # raise it when a change here could change a feature


class OpenCLIPAdapter(FrameAdapter):
    """Any open_clip image-text model: `arch` is open_clip's name, `pretrained` a tag or a file.

    `spec` is both in one, as in `open_clip:ViT-B-16/laion2b_s34b_b88k` or
    `open_clip:ViT-B-16/./my.safetensors`. `preprocess` (mean, std, resize_mode, interpolation) and
    `quick_gelu` win over what the weights' published configuration says. Raises
    UsageError for an unknown architecture or setting, MissingWeights when the weights are nowhere
    to be had.
    """

    def __init__(
        self,
        name: str,
        run: RunConfig,
        arch: str | None = None,
        pretrained: str | None = None,
        spec: str | None = None,
        preprocess: dict[str, Any] | None = None,
        quick_gelu: bool | None = None,
        resize_positions: bool = False,
    ) -> None:
        own = dict(preprocess or {}) | ({} if quick_gelu is None else {"quick_gelu": quick_gelu})
        base = CLIPBase.find(
            run, arch, pretrained, spec, own=own, resize_positions=resize_positions
        )
        super().__init__(name, run, base)

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        CLIPBase.check(run, *map(settings.get, ("arch", "pretrained", "spec")))

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of the weights and their architecture; see `bench.capabilities`."""
        arch, pretrained = parse(*map(settings.get, ("arch", "pretrained", "spec")))
        config = architecture(arch)
        weights = found(lambda: local_weights(arch, pretrained, run))
        own = dict(settings.get("preprocess") or {})

        def pixels() -> str:
            tag = pretrained if local_path(pretrained) is None else None
            facts = published(arch, tag, weights or Path(), own)
            return CLIPBase(arch, pretrained, config, Path(), "", facts).describe_pixels()

        base = CLIPBase(arch, pretrained, config, Path(), "")
        return card(
            f"{arch}/{pretrained}", "open_clip", architecture=arch, pixels=pixels, weights=weights,
            embed_dim=base.embed_dim, context_length=base.context_length,
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """Hash of weights file, architecture, preprocessing and precision."""
        return digest("open_clip", VERSION, *self.base.key(self.precision))

    def reference(self, pictures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """PIL pictures -> pixels by the library's own transform, and the features of those."""
        import torch

        model = self._load()
        images = self.base.library_pixels(pictures).to(self.device)
        with torch.inference_mode(), self._autocast():
            features = model.encode_image(images).float()
        return images.cpu().numpy(), features.cpu().numpy()
