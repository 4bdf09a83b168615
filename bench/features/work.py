"""One run's parts, what it has noted so far, and its calls of the model: checked and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bench.capabilities import EncodesOnce, Reranks
from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Failure, Plan, Progress, Setup, Task
from bench.errors import BenchError
from bench.features.turning import Turned
from bench.features.validation import checked
from bench.progress import waiting
from bench.video import DecodedFrames
from bench.video.preprocessing import Preprocessing

Decoded = tuple[Clip, DecodedFrames]
# What a terminal says of the stages that may last.
WAITS = {
    "keys": "looking up what is kept",
    "store": "reading what is kept",
    "decode (waiting)": "decoding videos",
    "load model": "loading {model}",
    "encode frames": "encoding frames with {model}",
    "encode texts": "encoding texts with {model}",
    "encode pairs": "matching pairs with {model}",
    "learn": "learning from the training clips",
    "answer": "answering with the features of {model}",
    "score": "computing metrics and their intervals",
}


class Silent:
    """No progress, for notebooks and tests."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, by: int = 1) -> None: ...
    def warn(self, line: str) -> None: ...


@dataclass
class Work:
    """One run's parts and what it has noted so far."""

    adapter: Adapter
    task: Task
    run: RunConfig
    progress: Progress
    setup: Setup | None = None  # of the protocol `published`
    reranks: Reranks | None = None  # the adapter, in a run that ranks the best again
    turned: Turned = field(default_factory=Turned)
    seconds: dict[str, float] = field(default_factory=dict)
    encoded: dict[str, int] = field(default_factory=lambda: {"frames": 0, "texts": 0})
    failures: list[Failure] = field(default_factory=list)
    read: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    """Clip id -> which decoder read it, and the seconds of its frames, float64 [T]."""
    sounds: dict[str, str] = field(default_factory=dict)
    """Clip id -> its sound track: missing, silent or heard. Of a model that reads it."""
    conditions: dict[str, np.ndarray] = field(default_factory=dict)
    """Clip id -> what the matching head reads of it, of `run.memory` in all."""
    _within: float = 0.0  # seconds of the stages that ended within the one under way

    @property
    def plan(self) -> Plan:
        """Which frames are taken."""
        return self.setup.plan if self.setup else self.turned.plan_of(self.task)

    @property
    def preprocessing(self) -> Preprocessing:
        """How they are prepared."""
        return self.setup.preprocessing if self.setup else self.adapter.preprocessing

    @contextmanager
    def as_set_up(self) -> Iterator[None]:
        """While it lasts, the adapter knows the setup of the run, and what is turned."""
        adapter, context = self.adapter, self.turned.context
        before = adapter.setup, adapter.context, adapter.raw_mean
        adapter.setup, adapter.raw_mean = self.setup, self.turned.raw_mean
        # All that it reads is no cut: the features are those of any run.
        adapter.context = None if context == adapter.context_length else context
        try:
            yield
        finally:
            adapter.setup, adapter.context, adapter.raw_mean = before

    @property
    def clips(self) -> list[Clip]:
        """The clips to learn from, then those that are asked about."""
        return [*self.task.support, *self.task.clips]

    @property
    def rows(self) -> int | None:
        """Features of a clip: as many as the task makes clips of it; None for one a frame."""
        return self.task.parts + self.task.whole if self.adapter.is_video_model else None

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features [M, D], checked and counted. BenchError for an adapter that breaks its word."""
        return self._encode("texts", len(texts), self.adapter.encode_texts, texts)

    def encode_frames(self, batch: Sequence[Decoded]) -> list[np.ndarray]:
        """Features of each clip's frames [T, S, S, 3]: [T, D], of a video model [rows, D].

        Checked and counted as of `encode_texts`. All frames are encoded at once, and at once those
        clips that have equally many.
        """
        videos = [found.frames for _, found in batch]
        if self.rows is None:
            frames = np.concatenate(videos)
            encoded = self._encode("frames", len(frames), self.adapter.encode_frames, frames)
            return np.split(encoded, np.cumsum([len(video) for video in videos])[:-1])
        features: list[np.ndarray] = [np.empty(0)] * len(videos)
        for places in _alike([len(video) for video in videos]):
            alike = [batch[place] for place in places]
            encoded = self._encode_clips(alike, self.task.parts)
            if self.task.whole:
                encoded = np.concatenate([encoded, self._encode_clips(alike, 1)], axis=1)
            for place, one in zip(places, encoded, strict=True):
                features[place] = one
        return features

    def _encode_clips(self, batch: Sequence[Decoded], parts: int) -> np.ndarray:
        """Features [V, parts, D] of V clips of equally many frames, each divided into `parts`."""
        frames = np.stack([self._parted(found.frames, parts) for _, found in batch])
        encoded = self._encode("frames", frames[..., 0, 0, 0].size, self._encoder(batch, parts),
                               frames.reshape(-1, *frames.shape[2:]))  # fmt: skip
        return encoded.reshape(len(batch), parts, -1)

    def _encoder(self, batch: Sequence[Decoded], parts: int) -> Callable[[np.ndarray], np.ndarray]:
        """What encodes the clips of a batch; if it can, it keeps their conditions too."""
        beside = self._inputs(batch, parts)
        encode: Callable[..., np.ndarray] = self.adapter.encode_clips
        if not isinstance(self.reranks, EncodesOnce):
            return partial(encode, **beside)
        both: Callable[..., tuple[np.ndarray, np.ndarray]] = self.reranks.encode_and_condition

        def keeping(clips: np.ndarray) -> np.ndarray:
            features, conditions = both(clips, **beside)
            for place, (clip, _) in enumerate(batch):
                self._keep(clip, conditions[place : place + 1])
            return features

        return keeping

    def _keep(self, clip: Clip, condition: np.ndarray) -> None:
        room = (self.run.memory << 20) - sum(one.nbytes for one in self.conditions.values())
        if condition.nbytes <= room:
            self.conditions[clip.id] = condition.copy()

    def _parted(self, video: np.ndarray, parts: int) -> np.ndarray:
        """Frames [T, S, S, 3] as those of equally long clips [parts, T / parts, S, S, 3]."""
        if len(video) % parts:
            raise BenchError(
                f"{self.task.name}: {len(video)} frames are not those of {parts} clips "
                f"(plan {self.plan.key}); fix the task's plan or its parts"
            )
        return video.reshape(parts, -1, *video.shape[1:])

    def condition(self, adapter: Reranks, clip: Decoded) -> np.ndarray:
        """What the matching head reads of a clip: [1, ...]."""
        self._load()
        frames = clip[1].frames[None]
        with self.stage("encode frames"):
            found = np.asarray(adapter.condition(frames, **self._inputs([clip])))
        self.encoded["frames"] += frames.shape[1]
        return self._checked(found)

    def kept_condition(self, clip: Clip) -> np.ndarray:
        """That of a clip in `conditions`, which has it no longer."""
        return self._checked(self.conditions.pop(clip.id))

    def _checked(self, found: np.ndarray) -> np.ndarray:
        if len(found) != 1 or not np.isfinite(found).all():
            raise BenchError(
                f"{self.adapter.name}: a condition of shape {list(found.shape)}, or not finite; "
                "[1, ...] was promised"
            )
        return found

    def match(
        self, adapter: Reranks, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray
    ) -> np.ndarray:
        """Scores float32 [N] of pairs, checked and counted; see `bench.capabilities.Reranks`."""
        self._load()
        with self.stage("encode pairs"):
            found = np.asarray(adapter.rerank(texts, conditions, pairs))
        self.encoded["pairs"] = self.encoded.get("pairs", 0) + len(pairs)
        if found.shape != (len(pairs),) or not ((found >= 0) & (found <= 1)).all():
            raise BenchError(
                f"{self.adapter.name}: scores of shape {list(found.shape)}, or some beyond 0 and "
                f"1; [{len(pairs)}] was promised"
            )
        return found.astype(np.float32)

    def _encode(
        self, what: str, count: int, call: Callable[[Any], np.ndarray], inputs: Any
    ) -> np.ndarray:
        """What `call` makes of inputs, a row each; the model is loaded by the first."""
        self._load()
        with self.stage(f"encode {what}"):
            features = checked(self.adapter, call(inputs), len(inputs))
        self.encoded[what] += count
        return features

    def _load(self) -> None:
        if not any(self.encoded.values()):
            with self.stage("load model"):
                self.adapter.prepare()

    def identity_of_inputs(self, clip: Clip) -> list[Any]:
        """What a clip's features depend on beside its file and frames; its sound is of its file."""
        beside = sorted(self.adapter.inputs - {"frames"})
        return [beside, self._subtitle(clip)] if beside else []

    def _subtitle(self, clip: Clip) -> str:
        wanted = "subtitles" in self.adapter.inputs and self.task.subtitles
        return wanted.get(clip.id, "") if wanted else ""

    def _inputs(self, batch: Sequence[Decoded], parts: int = 1) -> dict[str, list[Any]]:
        """What the adapter reads beside frames, by its name: one for each of a clip's parts."""
        found: dict[str, list[Any]] = {}
        if "subtitles" in self.adapter.inputs:
            found["subtitles"] = [self._subtitle(clip) for clip, _ in batch for _ in range(parts)]
        if "audio" in self.adapter.inputs:
            found["audio"] = [got.sound for _, got in batch for _ in range(parts)]
        return found

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done as `name`, without the stages within it, and say what is waited for."""
        began, outside, self._within = time.perf_counter(), self._within, 0.0
        try:
            with waiting(WAITS[name].format(model=self.adapter.name)):
                yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0) + spent - self._within
            self._within = outside + spent


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """The places of each length, lengths in the order of their first."""
    places: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        places.setdefault(length, []).append(place)
    return list(places.values())
