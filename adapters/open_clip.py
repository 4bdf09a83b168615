"""Frozen CLIP over open_clip: the baseline every other row is read against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.clip_base import CLIPBase
from bench.compute import autocast, use_threads
from bench.config import RunConfig
from bench.contracts import Adapter
from bench.errors import BenchError
from bench.files.tensor_store import digest
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

CPU_FRAMES = 16  # a pass on the CPU: 96 at once took a fifth longer, for its caches hold fewer
VERSION = 2  # raise it when a change here could change a feature


class OpenCLIPAdapter(Adapter):
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
        self.name = name
        own = dict(preprocess or {}) | ({} if quick_gelu is None else {"quick_gelu": quick_gelu})
        self.base = CLIPBase.find(
            run, arch, pretrained, spec, own=own, resize_positions=resize_positions
        )
        self.embed_dim, self.image_size = self.base.embed_dim, self.base.image_size
        self._run = run
        self._model: Any = None

    @classmethod
    def problem(cls, run: RunConfig, name: str, **settings: Any) -> str | None:
        """Why the model cannot run now without the network, with the remedy; None if it can."""
        try:
            CLIPBase.check(run, *map(settings.get, ("arch", "pretrained", "spec")))
        except BenchError as error:
            return str(error)
        return None

    @property
    def preprocessing(self) -> Preprocessing:
        """The weights' published one."""
        return self.base.preprocessing

    @property
    def fingerprint(self) -> str:
        """Hash of weights file, architecture, preprocessing and precision."""
        return digest("open_clip", VERSION, *self.base.key(self.precision))

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
            **self.base.facts(),
            "precision": self.precision,
            "preprocessing": self.base.describe_pixels(),
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
            with torch.inference_mode(), self._autocast():
                features.append(model.encode_image(self._scaled(part)).float())
        return torch.cat(features).cpu().numpy()

    def pixels(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 [N, 3, S, S]: what the model reads."""
        import torch

        self._load()
        found: np.ndarray = self._scaled(torch.from_numpy(frames)).cpu().numpy()
        return found

    def reference(self, pictures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """PIL pictures -> pixels by the library's own transform, and the features of those."""
        import torch

        model = self._load()
        images = self.base.library_pixels(pictures).to(self.device)
        with torch.inference_mode(), self._autocast():
            features = model.encode_image(images).float()
        return images.cpu().numpy(), features.cpu().numpy()

    def _scaled(self, frames: torch.Tensor) -> torch.Tensor:
        images = frames.to(self.device).permute(0, 3, 1, 2).float()
        return images.mul_(self._scale).add_(self._shift)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """M texts -> float32 [M, D]; longer texts are cut to the model's context length."""
        return self.encode_texts_with(self._load(), texts)

    def encode_texts_with(self, model: Any, texts: Sequence[str]) -> np.ndarray:
        """`encode_texts` by another model of this architecture: training's path is evaluation's."""
        import torch

        tokens = self.base.tokens(texts)
        with torch.inference_mode(), self._autocast():
            features = model.encode_text(tokens.to(self.device))
        found: np.ndarray = features.float().cpu().numpy()
        return found

    def count_truncated(self, texts: Sequence[str]) -> int:
        """Texts of more tokens than the context length holds beside its start and end tokens."""
        # A token is at least one byte of the text: for short ones, all that a run from the cache
        # has as a rule, no tokenizer and with it no torch is loaded.
        room = self.base.context_length - 2
        doubtful = [text for text in texts if len(text.encode()) > room]
        return self.base.tokens.truncated(doubtful) if doubtful else 0

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self._run.torch_precision)

    def _load(self) -> Any:
        if self._model is None:
            use_threads(self._run)
            _ = self.base.tokens  # what is missing is said before anything is encoded
            self._model = self._build().eval().requires_grad_(False).to(self.device)
            self._scale, self._shift = (part.to(self.device) for part in self.base.pixel_scaling())
        return self._model

    def _build(self) -> Any:
        """The model on the CPU with its weights."""
        return self.base.load()
