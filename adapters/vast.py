"""VAST: frames, and if wanted sound and subtitles, with a matching head that re-ranks the best.

`variant` names what a clip is read by, as the official tasks do: `tv` frames alone, `tva` with
sound, `tvs` with subtitles, `tvas` with both (of the published MSRVTT row). Each has a contrastive
head of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from adapters.published import MEAN, STD
from adapters.system import SystemBase, system_card
from adapters.torch_adapter import TorchAdapter
from adapters.vast_audio import spectrograms
from adapters.vast_settings import RELEASED, TASKS, VASTSettings
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import BenchError, MissingWeights, UsageError, nearest
from bench.files.tensor_store import digest
from bench.settings import settings_from
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import Parts
from bench.video.sound import Sound

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
        super().__init__(name, run, _base(name, run, checkpoint, variant, tokenizer, sizes))
        self.variant = variant
        self.inputs = frozenset(INPUTS[kind] for kind in TASKS[variant])
        self.published = _published(self.image_size, variant)

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        cls(name, run, **settings)

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What is known of the variant; see `bench.capabilities`."""
        variant = _variant(name, settings.get("variant", "tv"))
        sizes = settings_from(VASTSettings, settings.get("sizes") or {}, f"sizes of model '{name}'")
        other: dict[str, Any] = {"parameters": None} if settings.get("sizes") else {}
        return system_card(
            "VAST", "vast", lambda: _checkpoint(name, run, settings.get("checkpoint")),
            (_preprocessing(sizes.image_size, "shortest"), MEAN, STD),
            _published(sizes.image_size, variant), embed_dim=sizes.embed_dim,
            context_length=CAPTION, clips=True,
            inputs=frozenset(INPUTS[kind] for kind in TASKS[variant]),
            **other,
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """Hash of checkpoint, tokenizer, variant, sizes and precision."""
        return digest("vast", VERSION, *self.base.key(self.precision))

    def encode_clips(
        self,
        clips: np.ndarray,
        audio: Sequence[Sound] = (),
        subtitles: Sequence[str] = (),
    ) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, D], of what the variant reads; clip by clip."""
        return self._of_clips(clips, audio, subtitles, "video_features")[0]

    def condition(
        self,
        clips: np.ndarray,
        audio: Sequence[Sound] = (),
        subtitles: Sequence[str] = (),
    ) -> np.ndarray:
        """The tokens float32 [V, S, W] of clips, that the matching head reads."""
        return self._of_clips(clips, audio, subtitles, "condition")[0]

    def encode_and_condition(
        self,
        clips: np.ndarray,
        audio: Sequence[Sound] = (),
        subtitles: Sequence[str] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both of these; the towers, which take nearly all of the time, are run once."""
        features, conditions = self._of_clips(clips, audio, subtitles, "video_features",
                                              "condition")  # fmt: skip
        return features, conditions

    def _of_clips(
        self, clips: np.ndarray, audio: Sequence[Sound], subtitles: Sequence[str], *what: str
    ) -> list[np.ndarray]:
        """What the model's methods of these names make of each clip's tokens; clip by clip."""
        import torch

        model, found = self._load(), list[list[np.ndarray]]()
        for place, clip in enumerate(clips):
            with torch.inference_mode(), self._autocast():
                tokens = self._seen(
                    model, clip, audio[place : place + 1], subtitles[place : place + 1]
                )
                made = [getattr(model, name)(self.variant, tokens) for name in what]
                found.append([one.float().cpu().numpy() for one in made])
        return [np.concatenate(one) for one in zip(*found, strict=True)]

    def _seen(
        self, model: VAST, clip: np.ndarray, audio: Sequence[Sound], subtitles: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """The tokens of one clip, by modality."""
        import torch

        found, kinds = {}, TASKS[self.variant]
        pixels = self._scaled(torch.from_numpy(np.ascontiguousarray(clip)))
        found["v"] = model.vision_tokens(pixels[None])
        if "a" in kinds:
            heard = torch.from_numpy(spectrograms(audio))
            found["a"] = model.audio_tokens(heard.to(self.device))
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
        read = self._tokens(texts).to(self.device)
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
        read = self._tokens(texts).to(self.device)
        with torch.inference_mode(), self._autocast():
            tokens = model.text_tokens(read["input_ids"], read["attention_mask"])
            found: np.ndarray = model.text_features(tokens).float().cpu().numpy()
        return found


@dataclass(frozen=True)
class VASTBase(SystemBase):
    """A VAST before it is loaded. `folder` is where BERT's vocabulary may lie."""

    folder: Path = Path()

    @property
    def context_length(self) -> int:
        """Tokens of a caption, its start and end included."""
        return CAPTION

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

        return bert_tokens(self.folder, VOCABULARIES, length)


def _base(
    name: str,
    run: RunConfig,
    checkpoint: str | None,
    variant: str,
    tokenizer: str | None,
    sizes: dict[str, Any] | None,
) -> VASTBase:
    """What the settings of a model name; see `VASTAdapter`."""
    _variant(name, variant)
    settings = settings_from(VASTSettings, sizes or {}, f"sizes of model '{name}'")
    weights = _checkpoint(name, run, checkpoint)
    folder = Path(tokenizer).expanduser() if tokenizer else weights.parent
    words = {file: folder / file for file in VOCABULARIES if (folder / file).is_file()}
    return VASTBase(
        "VAST", {"weights": weights, **words}, settings.embed_dim,
        _preprocessing(settings.image_size, "shortest"), MEAN, STD, run.cache_folder,
        lambda: _loaded(weights, settings, variant), {"variant": variant, **(sizes or {})}, folder,
    )  # fmt: skip


def _variant(name: str, variant: str) -> str:
    if variant in VARIANTS:
        return variant
    raise UsageError(
        f"model '{name}': unknown variant '{variant}'{nearest(variant, list(VARIANTS))}; "
        f"known: {', '.join(VARIANTS)}"
    )


def _loaded(weights: Path, settings: VASTSettings, variant: str) -> VAST:
    """The model on the CPU. BenchError for another checkpoint than the sizes say."""
    from adapters.vast_checkpoint import load

    model = load(weights, settings, [variant])
    found = model.sizes
    if (found.image_size, found.embed_dim) != (settings.image_size, settings.embed_dim):
        raise BenchError(
            f"{weights}: image_size {found.image_size} and embed_dim {found.embed_dim}, not "
            f"{settings.image_size} and {settings.embed_dim}; give them as the model's sizes"
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
        if "a" in TASKS[variant]:
            remarks.append("VAST's sound was extracted to mono of 22,050 Hz; here it is the film's")
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
