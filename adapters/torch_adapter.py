"""A model of torch as an adapter: devices, precision, pixels, texts; frames or clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.compute import autocast, use_threads
from bench.config import RunConfig
from bench.contracts import Adapter
from bench.errors import BenchError
from bench.video.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

CPU_FRAMES = 16  # a pass on the CPU: 96 at once took a fifth longer, for its caches hold fewer


class TorchAdapter(Adapter):
    """What adapters of frames and of clips share.

    A subclass sets `base`, the model before it is loaded: its sizes, preprocessing, tokens and
    facts, and `load`, which gives a module with `encode_text` and `encode_image` or `encode_video`
    (`adapters.clip_base.CLIPBase` is one).
    """

    base: Any

    def __init__(self, name: str, run: RunConfig, base: Any) -> None:
        self.name, self.base, self._run = name, base, run
        self.embed_dim, self.image_size = base.embed_dim, base.image_size
        self._model: Any = None

    @classmethod
    def problem(cls, run: RunConfig, name: str, **settings: Any) -> str | None:
        """Why the model cannot run now, with the remedy; None if it can."""
        try:
            cls.check(run, name, **settings)
        except BenchError as error:
            return str(error)
        return None

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""

    @property
    def preprocessing(self) -> Preprocessing:
        """The weights' published one."""
        found: Preprocessing = self.base.preprocessing
        return found

    @property
    def context_length(self) -> int:  # type: ignore[override]
        """The most tokens of a text that it reads, start and end included."""
        found: int = self.base.context_length
        return found

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

    def pixels(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 [N, 3, S, S]: what the model reads."""
        import torch

        self._load()
        found: np.ndarray = self._scaled(torch.from_numpy(frames)).cpu().numpy()
        return found

    def _scaled(self, frames: torch.Tensor) -> torch.Tensor:
        images = frames.to(self.device).permute(0, 3, 1, 2).float()
        return images.mul_(self._scale).add_(self._shift)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """M texts -> float32 [M, D]; longer texts are cut to the model's context length."""
        return self.encode_texts_with(self._load(), texts)

    def encode_texts_with(self, model: Any, texts: Sequence[str]) -> np.ndarray:
        """`encode_texts` by another model of this architecture: training's path is evaluation's."""
        import torch

        tokens = self._tokens(texts)
        with torch.inference_mode(), self._autocast():
            features = model.encode_text(tokens.to(self.device))
        found: np.ndarray = features.float().cpu().numpy()
        return found

    def _tokens(self, texts: Sequence[str]) -> Any:
        """What `encode_text` reads of texts, cut to `text_length` with the end token kept."""
        return self.base.tokens(texts, self.text_length)

    def count_truncated(self, texts: Sequence[str]) -> int:
        """Texts of more tokens than the model reads beside its start and end tokens."""
        # A token is at least one byte of the text: for short ones, all that a run from the cache
        # has as a rule, no tokenizer and with it no torch is loaded.
        length = self.text_length or self.base.context_length
        room = length - 2
        doubtful = [text for text in texts if len(text.encode()) > room]
        return self.base.tokens.truncated(doubtful, length) if doubtful else 0

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


class FrameAdapter(TorchAdapter):
    """A model of frames, by its `encode_image`."""

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, 3] -> float32 [N, D]; as they are normalised by `base`."""
        import torch

        model = self._load()
        pixels = torch.from_numpy(np.ascontiguousarray(frames))
        features = []
        for part in pixels.split(CPU_FRAMES if self.device == "cpu" else len(pixels)):
            with torch.inference_mode(), self._autocast():
                features.append(model.encode_image(self._scaled(part)).float())
        return torch.cat(features).cpu().numpy()


class ClipAdapter(TorchAdapter):
    """A model of clips of up to `most_frames`, by its `encode_video`."""

    most_frames: int

    def odd_frames(self, count: int) -> str:
        """Why clips of `count` frames cannot be encoded; empty if they can."""
        if count > self.most_frames:
            return f"{count} frames a clip, and it reads at most {self.most_frames}"
        return ""

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, D]; on the CPU clip by clip.

        BenchError for a number of frames that the model cannot read.
        """
        import torch

        model = self._load()
        if odd := self.odd_frames(clips.shape[1]):
            raise BenchError(f"{self.name}: {odd}; choose another frame plan")
        pixels = torch.from_numpy(np.ascontiguousarray(clips))
        features = []
        for part in pixels.split(1 if self.device == "cpu" else len(pixels)):
            video = self._scaled(part.flatten(0, 1)).unflatten(0, part.shape[:2])
            with torch.inference_mode(), self._autocast():
                features.append(model.encode_video(self._padded(video)).float())
        return torch.cat(features).cpu().numpy()

    def _padded(self, video: torch.Tensor) -> torch.Tensor:
        """Normalised pixels [V, T, 3, S, S] with as many frames as the model is to read."""
        return video
