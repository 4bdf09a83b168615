"""VAST: frames, and if wanted sound and subtitles, with a matching head that re-ranks the best.

`variant` names what a clip is read by, as the official tasks do: `tv` frames alone, `tva` with
sound, `tvs` with subtitles, `tvas` with both (of the published MSRVTT row). Each has a contrastive
head of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from adapters.clip_base import pixel_scaling
from adapters.published import MEAN, STD
from adapters.torch_adapter import TorchAdapter
from adapters.vast_audio import WINDOW, segments
from adapters.vast_settings import RELEASED, TASKS, VASTSettings
from adapters.weights import file_hash
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import BenchError, MissingWeights, UsageError, nearest
from bench.files.tensor_store import digest
from bench.settings import settings_from
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Parts

if TYPE_CHECKING:
    import torch

    from adapters.tokens import Tokens
    from adapters.vast_model import VAST

VERSION = 1  # raise it when a change here could change a feature
CAPTION, SUBTITLE = 40, 70  # tokens, start and end included
BATCH = 64  # captions that are matched with a clip at once
INPUTS = {"v": "frames", "a": "audio", "s": "subtitles"}
VARIANTS = tuple(variant for variant in TASKS if "v" in TASKS[variant])
VOCABULARIES = ("vocab.txt", "tokenizer.json")


class VASTAdapter(TorchAdapter):
    """`checkpoint` is the file or its folder, by default `vast` in the weights folder.

    `tokenizer` is a folder of bert-base-uncased's, by default the checkpoint's, else Hugging Face's
    cache. `sizes` are `VASTSettings` of another model than the released one. UsageError for an
    unknown variant or size, MissingWeights without a checkpoint.
    """

    rerank_top: ClassVar[int] = 50  # itm_rerank_num
    matching: ClassVar[str] = "itm"
    pooling: ClassVar[str] = "the model's own: mean of class tokens, and its contrastive head"

    def __init__(
        self,
        name: str,
        run: RunConfig,
        checkpoint: str | None = None,
        variant: str = "tv",
        tokenizer: str | None = None,
        sizes: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(name, run, VASTBase(name, run, checkpoint, variant, tokenizer, sizes))
        self.variant = variant
        self.inputs = frozenset(INPUTS[kind] for kind in TASKS[variant])
        self.published = _published(self.image_size, variant)

    @classmethod
    def problem(cls, run: RunConfig, name: str, **settings: Any) -> str | None:
        """Why the model cannot run now, with the remedy; None if it can."""
        try:
            cls(name, run, **settings)
        except BenchError as error:
            return str(error)
        return None

    @property
    def fingerprint(self) -> str:
        """Hash of checkpoint, tokenizer, variant, sizes and precision."""
        return digest("vast", VERSION, *self.base.key(), self.precision)

    def encode_clips(
        self,
        clips: np.ndarray,
        audio: Sequence[np.ndarray] = (),
        subtitles: Sequence[str] = (),
    ) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, D], of what the variant reads; clip by clip."""
        return self._of_clips(clips, audio, subtitles, "video_features")

    def condition(
        self,
        clips: np.ndarray,
        audio: Sequence[np.ndarray] = (),
        subtitles: Sequence[str] = (),
    ) -> np.ndarray:
        """The tokens float32 [V, S, W] of clips, that the matching head reads."""
        return self._of_clips(clips, audio, subtitles, "condition")

    def _of_clips(
        self, clips: np.ndarray, audio: Sequence[np.ndarray], subtitles: Sequence[str], what: str
    ) -> np.ndarray:
        import torch

        model, found = self._load(), []
        for place, clip in enumerate(clips):
            with torch.inference_mode(), self._autocast():
                tokens = self._tokens(
                    model, clip, audio[place : place + 1], subtitles[place : place + 1]
                )
                found.append(getattr(model, what)(self.variant, tokens).float().cpu().numpy())
        return np.concatenate(found)

    def _tokens(
        self, model: VAST, clip: np.ndarray, audio: Sequence[np.ndarray], subtitles: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """The tokens of one clip, by modality."""
        import torch

        found, kinds = {}, TASKS[self.variant]
        pixels = self._scaled(torch.from_numpy(np.ascontiguousarray(clip)))
        found["v"] = model.vision_tokens(pixels[None])
        if "a" in kinds:
            # Less than a window of 25 ms is no sound; the official code fails on it.
            tracks = [track if len(track) >= WINDOW else track[:0] for track in audio]
            spectrograms = np.stack([segments(track) for track in tracks])
            found["a"] = model.audio_tokens(torch.from_numpy(spectrograms).to(self.device))
        if "s" in kinds:
            read = self.base.subtitle_tokens(subtitles).to(self.device)
            found["s"] = model.text_tokens(read["input_ids"], read["attention_mask"])
        return found

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """The probability float32 [N] that the pairs [N, 2] of texts and conditions match.

        Keys and values of a clip are made once for the pairs of it that follow one another.
        """
        import torch

        from adapters.vast_model import matched

        model, found = self._load(), [np.empty(0, np.float32)]
        read = self.base.tokens(texts).to(self.device)
        for clip, of_clip in groupby(pairs.tolist(), lambda pair: pair[1]):
            rows = [text for text, _ in of_clip]
            with torch.inference_mode(), self._autocast():
                condition = torch.from_numpy(conditions[clip]).to(self.device)
                probabilities = matched(
                    model, read["input_ids"][rows], read["attention_mask"][rows], condition, BATCH
                )
            found.append(probabilities.float().cpu().numpy())
        return np.concatenate(found)

    def encode_texts_with(self, model: Any, texts: Sequence[str]) -> np.ndarray:
        """M texts -> float32 [M, D], of at most 40 tokens."""
        import torch

        if not texts:
            return np.empty((0, self.embed_dim), np.float32)
        read = self.base.tokens(texts).to(self.device)
        with torch.inference_mode(), self._autocast():
            tokens = model.text_tokens(read["input_ids"], read["attention_mask"])
            found: np.ndarray = model.text_features(tokens).float().cpu().numpy()
        return found


class VASTBase:
    """A VAST before it is loaded; see `VASTAdapter`."""

    context_length = CAPTION

    def __init__(
        self,
        name: str,
        run: RunConfig,
        checkpoint: str | None,
        variant: str,
        tokenizer: str | None,
        sizes: dict[str, Any] | None,
    ) -> None:
        if variant not in VARIANTS:
            raise UsageError(
                f"model '{name}': unknown variant '{variant}'{nearest(variant, list(VARIANTS))}; "
                f"known: {', '.join(VARIANTS)}"
            )
        self.settings = settings_from(VASTSettings, sizes or {}, f"sizes of model '{name}'")
        self.embed_dim, self.image_size = self.settings.embed_dim, self.settings.image_size
        self.weights, self.variant = _checkpoint(name, run, checkpoint), variant
        self._folder = Path(tokenizer).expanduser() if tokenizer else self.weights.parent
        self._cache = run.cache_folder

    @property
    def preprocessing(self) -> Preprocessing:
        """Of its own evaluation on MSRVTT."""
        return _preprocessing(self.image_size, "shortest")

    def key(self) -> list[Any]:
        """What a fingerprint hashes of it."""
        files = [self._folder / name for name in VOCABULARIES if (self._folder / name).is_file()]
        vocabulary = [file_hash(file, self._cache) for file in files]
        return [file_hash(self.weights, self._cache), vocabulary, self.variant,
                asdict(self.settings)]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Provenance: what a result says of it."""
        return {"arch": f"VAST {self.variant}", "pretrained": self.weights.name,
                "weights_sha256": file_hash(self.weights, self._cache)}  # fmt: skip

    def describe_pixels(self) -> str:
        """Preprocessing in words."""
        return f"{self.preprocessing}, CLIP's mean and std (VAST's evaluation on MSRVTT)"

    def pixel_scaling(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [1, 3, 1, 1] that take a byte to what the model reads."""
        return pixel_scaling(MEAN, STD)

    @cached_property
    def tokens(self) -> Tokens:
        """BERT's tokenizer for captions. BenchError where its files are not on this machine."""
        return self._tokens(CAPTION)

    @cached_property
    def subtitle_tokens(self) -> Tokens:
        """For subtitles, which are longer; an empty one is its start and end."""
        return self._tokens(SUBTITLE)

    def _tokens(self, length: int) -> Tokens:
        from adapters.bert_tokens import bert_tokens

        return bert_tokens(self._folder, VOCABULARIES, length)

    def load(self) -> VAST:
        """The model on the CPU. BenchError for another checkpoint than `sizes` say."""
        from adapters.vast_checkpoint import load

        model = load(self.weights, self.settings, [self.variant])
        found, said = model.sizes, self.settings
        if (found.image_size, found.embed_dim) != (said.image_size, said.embed_dim):
            raise BenchError(
                f"{self.weights}: image_size {found.image_size} and embed_dim {found.embed_dim}, "
                f"not {said.image_size} and {said.embed_dim}; give them as the model's sizes"
            )
        return model


def _preprocessing(size: int, resize: str) -> Preprocessing:
    return Preprocessing(size, resize, "bilinear", library="torch", antialias=False)


def _published(size: int, variant: str) -> Mapping[str, Setup]:
    """The official evaluations: MSRVTT's of `tvas`, LSMDC's of `tva`."""
    found = {}
    for task, frames, resize, own in (("msrvtt", 16, "shortest", "tvas"),
                                      ("lsmdc", 32, "squash", "tva")):  # fmt: skip
        remarks = ["VAST resizes to floats; here pixels are rounded to bytes"]
        if variant != own:
            remarks.append(f"VAST's own evaluation of it is {own}, this is {variant}")
        found[task] = Setup(Parts(frames), _preprocessing(size, resize), CAPTION, remarks)
    return found


def _checkpoint(name: str, run: RunConfig, given: str | None) -> Path:
    """The checkpoint's file. MissingWeights where there is none."""
    path = Path(given).expanduser() if given else run.weights_folder / "vast"
    if path.is_file():
        return path
    for pattern in ("model_step_*.pt", "model.safetensors"):
        if files := sorted(path.glob(pattern)):
            return files[-1]
    raise MissingWeights(
        f"no weights of {name}: {RELEASED}; put it into {path}, with vocab.txt of "
        "huggingface.co/google-bert/bert-base-uncased"
    )
