"""Models of Hugging Face's transformers by their folder, with or without a LoRA of peft.

Of frames: CLIP, MetaCLIP 2, SigLIP (SigLIP 2 of a fixed resolution too) and AltCLIP. Of clips:
X-CLIP, VideoPrism and PE-AV, the last with its sound or without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from adapters.cards import card
from adapters.open_clip import OpenCLIPAdapter
from adapters.torch_adapter import ClipAdapter
from adapters.transformers_folder import SoundRule, TransformersBase, folder_of, read_config
from adapters.vast_audio import resampled
from bench.capabilities import Card
from bench.config import RunConfig
from bench.contracts import Setup
from bench.errors import BenchError, MissingWeights, UsageError
from bench.video.sampling import Centres, Spread, Starts
from bench.video.sound import Sound

if TYPE_CHECKING:
    import torch

NAMED = ("spec", "folder", "lora")  # the settings
TEXTS = 64  # of a re-ranking, encoded at once
MOST_FRAMES = 1024  # of a clip, for a model without positions of frames
OF_LIBRARY = "frames as its processor in transformers takes them: its authors' own were not read"
SILENT = "a clip without sound gets silence of a token a frame, for which its library has no rule"
OF_ACTIONS = (
    "an action recogniser: its authors published no retrieval; captions stand for class names",
    "features are without the prompts that it makes of each video; re-ranking has them",
)


class TransformersAdapter(OpenCLIPAdapter, ClipAdapter):
    """A model by its folder: `transformers:DIR`, or `transformers:DIR+LORA_DIR`.

    `DIR` may be a name of the hub, `ORG/NAME`, of a folder that was fetched. `spec` is that;
    `folder` and `lora` are both apart. Pixels and texts are prepared as its own configuration says.
    UsageError for another kind of model, MissingWeights where a folder is not there, BenchError
    where the installed transformers is older than the model. `audio` reads a PE-AV's sound too.
    """

    def __new__(
        cls,
        name: str,
        run: RunConfig,
        spec: str | None = None,
        folder: str | None = None,
        lora: str | None = None,
        audio: bool = False,
    ) -> TransformersAdapter:
        """An X-CLIP can re-rank, and so is of a class of its own."""
        config = read_config(_parse(run, spec, folder, lora)[0])
        return object.__new__(XCLIPAdapter if config.get("model_type") == "xclip" else cls)

    def __init__(
        self,
        name: str,
        run: RunConfig,
        spec: str | None = None,
        folder: str | None = None,
        lora: str | None = None,
        audio: bool = False,
    ) -> None:
        base = TransformersBase.find(run, *_parse(run, spec, folder, lora), audio)
        ClipAdapter.__init__(self, name, run, base)
        self.clip_frames = base.sizes.frames
        self.most_frames = base.sizes.frames or MOST_FRAMES
        self.published = _published(base)
        self.inputs = _inputs(base)

    @classmethod
    def check(cls, run: RunConfig, name: str, **settings: Any) -> None:
        """BenchError where the model of these settings cannot run now, without the network."""
        given = _parse(run, *map(settings.get, NAMED))
        TransformersBase.find(run, *given, settings.get("audio", False))

    @classmethod
    def about(cls, run: RunConfig, name: str, **settings: Any) -> Card:
        """What the folder says of itself; little of one of the hub that is not here."""
        named = settings.get("folder") or settings.get("spec") or ""
        try:
            given = _parse(run, *map(settings.get, NAMED))
            base = TransformersBase.find(run, *given, settings.get("audio", False))
        except MissingWeights:
            if "/" not in named or Path(named).is_absolute():
                raise
            heard = frozenset({"frames", "audio"} if settings.get("audio") else {"frames"})
            return card(named, "transformers", architecture=named, pixels=str, inputs=heard)
        return card(
            "", "transformers", architecture=base.facts()["arch"], pixels=base.describe_pixels,
            weights=base.folder, embed_dim=base.embed_dim, context_length=base.context_length,
            parameters=base.parameters, clips=base.kind.clips, clip_frames=base.sizes.frames,
            published=_published(base), inputs=_inputs(base),
        )  # fmt: skip

    @property
    def is_video_model(self) -> bool:
        """Whether its kind reads clips."""
        found: bool = self.base.kind.clips
        return found

    @property
    def pooling(self) -> str:  # type: ignore[override]
        """What makes a video feature of frames."""
        return "the model's own" if self.is_video_model else super().pooling

    def reference(self, pictures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """PIL pictures -> pixels by the library's own transform, and, of frames, their features."""
        if not self.is_video_model:
            return super().reference(pictures)
        return self.base.library_pixels(pictures).numpy(), np.empty((0, self.embed_dim), np.float32)

    def encode_clips(self, clips: np.ndarray, audio: Sequence[Sound] = ()) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, D], of frames or of frames and sound.

        With sound clip by clip: tracks are of several lengths. A clip without one gets silence of a
        token a frame, for which the library has no rule.
        """
        if self.base.sound is None:
            return super().encode_clips(clips)
        import torch

        model, found = self._load(), []
        for clip, track in zip(clips, audio, strict=True):
            pixels = self._scaled(torch.from_numpy(np.ascontiguousarray(clip)))
            heard = torch.from_numpy(wave(track, self.base.sound, len(clip)))
            with torch.inference_mode(), self._autocast():
                both = model.encode_heard(pixels[None], heard[None, None].to(self.device))
            found.append(both.float().cpu().numpy())
        return np.concatenate(found)

    def _padded(self, video: torch.Tensor) -> torch.Tensor:
        """As they are. BenchError for fewer frames than the model must have."""
        if self.clip_frames not in (None, video.shape[1]):
            raise BenchError(
                f"{self.name}: {video.shape[1]} frames a clip, and it reads exactly "
                f"{self.clip_frames}; choose another frame plan"
            )
        return video


class XCLIPAdapter(TransformersAdapter):
    """X-CLIP, whose own similarity is of a text that is changed by what is seen of the video.

    Its features are those of text and video apart, as the library gives them; `rerank` is its
    similarity, mapped from -1..1 to 0..1, of so many pairs that a gallery of 1,000 has all of them.
    """

    rerank_top: ClassVar[int] = 1000
    matching: ClassVar[str] = "prompts"

    def __init__(self, name: str, run: RunConfig, **settings: Any) -> None:
        super().__init__(name, run, **settings)
        self._known: dict[str, np.ndarray] = {}

    def condition(self, clips: np.ndarray) -> np.ndarray:
        """uint8 [V, T, S, S, 3] -> float32 [V, 1 + P, D]: a clip's feature and its P patches."""
        import torch

        model, found = self._load(), []
        for clip in clips:
            pixels = self._scaled(torch.from_numpy(np.ascontiguousarray(clip)))
            with torch.inference_mode(), self._autocast():
                found.append(model.condition(self._padded(pixels[None])).float().cpu().numpy())
        return np.concatenate(found)

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """(1 + cosine) / 2 of clips and texts with the clip's prompts: float32 [N] of [N, 2]."""
        import torch

        model, found = self._load(), np.empty(len(pairs), np.float32)
        said = self._said(texts)
        for clip in np.unique(pairs[:, 1]):
            of_clip = np.flatnonzero(pairs[:, 1] == clip)
            chosen = torch.from_numpy(said[pairs[of_clip, 0]]).to(self.device)
            with torch.inference_mode(), self._autocast():
                seen = torch.from_numpy(conditions[clip]).to(self.device)
                cosines = model.match(chosen, seen).float().cpu().numpy()
            found[of_clip] = ((1 + cosines) / 2).clip(0, 1)
        return found

    def _said(self, texts: Sequence[str]) -> np.ndarray:
        """Features [M, D] of texts, kept: those of one clip are those of the next."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for at in range(0, len(new), TEXTS):
            part = new[at : at + TEXTS]
            self._known.update(zip(part, self.encode_texts(part), strict=True))
        return np.stack([self._known[text] for text in texts])


def _parse(
    run: RunConfig, spec: str | None, folder: str | None, lora: str | None
) -> tuple[Path, Path | None]:
    if spec:
        folder, plus, rest = (spec, "", "") if Path(spec).is_dir() else spec.partition("+")
        lora = rest if plus else lora
    if not folder:
        raise UsageError("transformers needs a folder: transformers:DIR or transformers:DIR+LORA")
    return folder_of(folder, run), Path(lora) if lora else None


def _inputs(base: TransformersBase) -> frozenset[str]:
    return frozenset({"frames", "audio"} if base.sound else {"frames"})


def wave(track: Sound, rule: SoundRule, frames: int) -> np.ndarray:
    """float32 [samples]: the mean of a track's channels at the model's rate, in whole tokens.

    What is missing of the last one is mirrored. One without a sample is silence of `frames` tokens.
    """
    if not track.samples.size:
        return np.zeros(frames * rule.hop, np.float32)
    mono = resampled(track.samples.mean(axis=0, dtype=np.float64), track.rate, rule.rate)
    return np.pad(mono, (0, -len(mono) % rule.hop), "reflect").astype(np.float32)


def _published(base: TransformersBase) -> Mapping[str, Setup]:
    """How a model of clips takes its frames, on any task, as far as its library or authors say."""
    kind, frames = base.config["model_type"], base.sizes.frames or base.pixels.frames
    if not base.kind.clips or not frames:
        return {}
    # X-CLIP's own test pipeline (datasets/build.py): one frame of each of equal parts.
    plan = {"xclip": Centres, "videoprism": Starts}.get(kind, Spread)(frames)
    remarks = OF_ACTIONS if kind == "xclip" else (OF_LIBRARY, *[SILENT] * bool(base.sound))
    return {"*": Setup(plan, base.preprocessing, remarks=remarks)}
