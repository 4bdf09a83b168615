"""Our models inside MTEB: `mteb.evaluate(encoder("clip-tiny"), tasks)` (docs/mteb.md).

MTEB (`pip install srl-bench[mteb]`) asks for the embeddings and ranks them itself. Videos are read
by our decoder at the moments of our frame plan, encoded and kept as in `bench run`. Only functions
import mteb.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bench import load_adapter
from bench.capabilities import ReadsFeatures
from bench.config import RunConfig, load_config
from bench.contracts import Adapter, Clip, Metric, Scores, Source, Task, normalise
from bench.errors import BenchError, DataError, UsageError
from bench.features.extraction import clip_features, text_features
from bench.features.protocol import OWN
from bench.features.turning import Turned, admit
from bench.features.work import Silent, Work
from bench.files.atomic import atomic_path
from bench.results.mteb import model_meta
from bench.video.sampling import Uniform

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta
    from torch import Tensor

FRAMES = 12  # of a video, as in our retrieval tasks


def encoder(
    model: str | Adapter, turned: Turned | None = None, config: str | Path | None = None
) -> Encoder:
    """A model by name, or an adapter, as MTEB's `EncoderProtocol`: of texts and of videos.

    Frames are those of our retrieval tasks, 12 centres of equal parts, unless `turned`, such as
    `bench.features.turning.Turned(frames=8)`. UsageError for a model that reads more of a video
    than its pictures, or no texts; MissingWeights. `config` is a bench.yaml.
    """
    path = Path(config) if config else None
    adapter = model if isinstance(model, Adapter) else load_adapter(model, path)
    return Encoder(adapter, turned or Turned(), load_config(path).run)


class Encoder:
    """An adapter that MTEB can evaluate. Embeddings are float32 [N, D] of length 1."""

    def __init__(self, adapter: Adapter, turned: Turned, run: RunConfig) -> None:
        beside = sorted(adapter.inputs - {"frames"})
        if beside or isinstance(adapter, ReadsFeatures):
            raise UsageError(
                f"model '{adapter.name}' reads {' and '.join(beside) or 'features from disk'}, and "
                "MTEB's video tasks give pictures; take another model, or this one without"
            )
        admit(adapter, _Inputs.of([], []), OWN, False, turned)
        self._adapter, self._turned, self._run = adapter, turned, run

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What is known of the model; its revision is the adapter's fingerprint."""
        from mteb.models.model_meta import ModelMeta

        adapter = self._adapter
        return ModelMeta(**model_meta(
            adapter.name, adapter.fingerprint, adapter.embed_dim,
            self._turned.context or adapter.context_length,
            self._turned.names(_Inputs.of([], [])),
        ))  # fmt: skip

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        """The items of a DataLoader -> [N, D]; each is a text or a video.

        Of MTEB's other arguments, task, split, prompt and batch size, none makes a difference.
        BenchError names a video that cannot be read: MTEB ranks whole sets only.
        """
        dataset = inputs.dataset
        columns = [name for name in ("text", "video", "image", "audio")
                   if name in dataset.column_names]  # fmt: skip
        if columns == ["text"]:
            return self._texts([str(text) for text in dataset["text"]])
        if columns == ["video"]:
            return self._videos(list(_files(dataset, self._run.cache_folder / "mteb")))
        raise BenchError(
            f"{self._adapter.name}: items of {' and '.join(columns) or 'none of these'}; a text or "
            "a video each is read, so take tasks such as MSRVTTT2V"
        )

    def _texts(self, texts: list[str]) -> np.ndarray:
        work = self._work([], texts)
        with work.as_set_up():
            return normalise(text_features(work))

    def _videos(self, files: list[Path]) -> np.ndarray:
        clips = [Clip(str(place), path) for place, path in enumerate(files)]
        work = self._work(clips, [])
        with work.as_set_up():
            features = clip_features(work)
            if work.failures:
                first = work.failures[0]
                raise DataError(
                    f"{len(work.failures)} of {len(files)} videos cannot be read, and MTEB has no "
                    f"result without them; the first, {files[int(first.clip)]}: {first.kind}: "
                    f"{first.reason}"
                )
            return np.stack([self._adapter.pool(features[clip.id]) for clip in clips])

    def _work(self, clips: list[Clip], texts: list[str]) -> Work:
        task = _Inputs.of(clips, texts)
        return Work(self._adapter, task, self._run, Silent(), turned=self._turned)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines [N, M] of embeddings [N, D] and [M, D]."""
        first, second = _unit(embeddings1), _unit(embeddings2)
        return first @ second.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines [N] of the pairs of embeddings [N, D] and [N, D]."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(dim=-1)


def _unit(embeddings: Any) -> Tensor:
    import torch

    return torch.nn.functional.normalize(torch.as_tensor(embeddings).float(), dim=-1)


def _files(dataset: Any, folder: Path) -> Iterator[Path]:
    """The file of each video of a data set; what it holds as bytes is written to `folder`, once."""
    from datasets import Video

    kind = dataset.features["video"]
    if not isinstance(kind, Video):
        raise DataError(f"the column 'video' holds {kind}; the Video feature of datasets is read")
    # Undecoded: a decoder would give frames by its own rules, and needs ffmpeg's libraries.
    for place, row in enumerate(dataset.cast_column("video", Video(decode=False))):
        found = row["video"] or {}
        if content := found.get("bytes"):
            yield _written(content, folder)
        elif path := found.get("path"):
            yield Path(path)
        else:
            raise DataError(f"item {place} of the data set has no video; fix the data set")


def _written(content: bytes, folder: Path) -> Path:
    path = folder / hashlib.sha256(content).hexdigest()
    if not path.is_file() or path.stat().st_size != len(content):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path


@dataclass
class _Inputs(Task):
    """The texts or videos of one call. MTEB ranks and scores: it is neither loaded nor answered."""

    name: ClassVar[str] = "mteb"
    version: ClassVar[int] = 1
    metrics: ClassVar[dict[str, Metric]] = {}
    primary: ClassVar[str] = ""

    @classmethod
    def of(cls, clips: list[Clip], texts: list[str]) -> _Inputs:
        source, plan = Source("mteb", Path()), Uniform(FRAMES)
        return cls("mteb", source, "", clips, texts, plan, len(clips))

    @classmethod
    def load(cls, source: Source, limit: int | None = None) -> Task:
        raise NotImplementedError("MTEB loads its data")

    def answer(self, features: Any, adapter: Adapter) -> Iterator[dict[str, Any]]:
        raise NotImplementedError("MTEB ranks")

    @classmethod
    def score(cls, predictions: Any, *, resamples: int, seed: int) -> Scores:
        raise NotImplementedError("MTEB scores")
