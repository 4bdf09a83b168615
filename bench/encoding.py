"""Features of a task's clips and texts: decoded once, encoded once, kept.

Features are encoded in groups of whole clips, fixed by the task's order, and kept a clip at a time.
A resumed run encodes an unfinished group again as a whole, so that its bits are those of an
uninterrupted run: a matrix product may round differently in a batch of another size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import distributed
from bench.cache import TensorStore, digest
from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Failure, Progress, Task, normalise
from bench.errors import BenchError
from bench.video import DecodedFrames, FrameStore

TEXTS_AT_ONCE = 256
LEAST_SPREAD = 1e-4  # see `collapsed`


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
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)  # clip id -> how it was read

    @property
    def clips(self) -> list[Clip]:
        """The clips to learn from, then those that are asked about."""
        return [*self.task.support, *self.task.clips]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - began


def frame_store(adapter: Adapter, task: Task, run: RunConfig) -> FrameStore:
    """The store of a task's frames at the adapter's image size, shared by all such adapters."""
    return FrameStore(run.cache_folder / "frames", adapter.image_size, task.plan, run.decoder)


def decoding_workers(run: RunConfig) -> int:
    """Decoding processes: one a core that this process may use, unless set.

    Processes that torchrun started on one machine share its cores.
    """
    if run.workers != "auto":
        return int(run.workers)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def decoding_limits(run: RunConfig) -> tuple[int, float, int]:
    """Processes, seconds a clip and MiB a process: how `FrameStore.fill` is to decode."""
    return decoding_workers(run), run.decode_timeout, run.decode_memory


def clip_features(work: Work) -> dict[str, np.ndarray]:
    """Clip id -> frame features float32 [T, D]; what is in the store is neither read nor made.

    Of several processes each first encodes its share of the groups into the store that all see;
    then every one reads them all, and comes to the same result.
    """
    encoder = _Encoder(work)
    encoder.read()
    work.progress.start(f"{work.task.name}: frames", len(work.clips))
    if distributed.world() > 1:
        encoder.encode(encoder.missing()[distributed.rank() :: distributed.world()])
        distributed.barrier()
        work.failures.clear()  # another process's failures are found again below
        encoder.read()
    missing = encoder.missing()
    work.progress.start(f"{work.task.name}: frames", len(work.clips))
    work.progress.advance(len(work.clips) - sum(map(len, missing)))
    encoder.encode(missing)
    return encoder.features


class _Encoder:
    """Turns groups of clips into features, kept in the store a clip at a time."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.frames = frame_store(work.adapter, work.task, work.run)
        self.store = TensorStore(work.run.cache_folder / "features")
        self.keys = {clip.id: _feature_key(work, self.frames, clip) for clip in work.clips}
        self.features: dict[str, np.ndarray] = {}

    def read(self) -> None:
        """Take from the store what it has."""
        with self.work.stage("store"):
            for clip, key in self.keys.items():
                if clip in self.features or not key or not (found := self.store.get(key)):
                    continue
                if _sound(self.work.adapter, found[0], None) and "times" in found[1]:
                    self.features[clip] = found[0]["features"]
                    self.work.records[clip] = found[1]

    def missing(self) -> list[list[Clip]]:
        """The groups of which a clip has no features yet."""
        groups = _groups(self.work)
        return [group for group in groups if any(clip.id not in self.features for clip in group)]

    def encode(self, groups: list[list[Clip]]) -> None:
        """Decode and encode whole groups; clips that fail are noted."""
        work = self.work
        wanted = [clip for group in groups for clip in group]
        decoded = self.frames.fill(wanted, *decoding_limits(work.run))
        for group in groups:
            batch: list[tuple[Clip, DecodedFrames]] = []
            for _ in group:
                with work.stage("decode (waiting)"):
                    clip, outcome = next(decoded)
                if isinstance(outcome, Failure):
                    work.failures.append(outcome)
                else:
                    batch.append((clip, outcome))
            # A group that lacks only clips that fail again has been encoded before.
            if any(clip.id not in self.features for clip, _ in batch):
                self._encode_group(batch)
            work.progress.advance(len(group))
        decoded.close()

    def _encode_group(self, batch: list[tuple[Clip, DecodedFrames]]) -> None:
        work = self.work
        lengths = [len(decoded.frames) for _, decoded in batch]
        with work.stage("encode"):
            joined = np.concatenate([decoded.frames for _, decoded in batch])
            encoded = _checked(work.adapter, work.adapter.encode_frames(joined), len(joined))
        parts = np.split(encoded, np.cumsum(lengths)[:-1])
        for (clip, decoded), part in zip(batch, parts, strict=True):
            record = {"decoder": decoded.decoder, "times": decoded.times.round(6).tolist()}
            self.features[clip.id], work.records[clip.id] = part, record
            if key := self.keys[clip.id]:
                with work.stage("store"):
                    self.store.put(key, {"features": part}, record)


def _feature_key(work: Work, frames: FrameStore, clip: Clip) -> str | None:
    """The clip's key among features; None for a clip without a file."""
    if clip.path is None or not clip.path.exists():
        return None
    return digest("clip", work.adapter.fingerprint, frames.key(clip))


def _groups(work: Work) -> Iterator[list[Clip]]:
    """Whole clips in task order, about `batch_frames` frames a group whatever is in the store.

    Clips to learn from are grouped by themselves: their features, and so what is learnt, must not
    depend on which clips are asked about.
    """
    longest = max(1, len(work.task.plan.times(10.0)))
    size = max(1, work.run.batch_frames // longest)
    for clips in (work.task.support, work.task.clips):
        for at in range(0, len(clips), size):
            yield clips[at : at + size]


def text_features(work: Work) -> np.ndarray:
    """float32 [M, D] of all texts, kept in fixed chunks."""
    store = TensorStore(work.run.cache_folder / "features")
    texts = work.task.texts
    chunks = [texts[at : at + TEXTS_AT_ONCE] for at in range(0, len(texts), TEXTS_AT_ONCE)]
    work.progress.start(f"{work.task.name}: texts", len(texts))
    for chunk in chunks[distributed.rank() :: distributed.world()]:
        _encode_texts(work, store, chunk)
        work.progress.advance(len(chunk))
    distributed.barrier()
    parts = [_encode_texts(work, store, chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros((0, work.adapter.embed_dim), np.float32)


def _encode_texts(work: Work, store: TensorStore, chunk: Sequence[str]) -> np.ndarray:
    key = digest("texts", work.adapter.fingerprint, list(chunk))
    if (found := store.get(key)) and _sound(work.adapter, found[0], len(chunk)):
        return found[0]["features"]
    with work.stage("encode texts"):
        encoded = work.adapter.encode_texts(chunk)
    features = _checked(work.adapter, encoded, len(chunk))
    store.put(key, {"features": features}, {})
    return features


def collapsed(features: np.ndarray) -> str:
    """What is wrong with vectors [N, D] that cannot tell N things apart; empty where nothing is.

    The spread is the mean squared distance of normalised vectors from their mean: 0 for equal ones,
    1 for unrelated ones. CLIP's images come to 0.3 or more.
    """
    if not features.any(axis=-1).all():
        return f"{int((~features.any(axis=-1)).sum())} of {len(features)} features are zero"
    unit = normalise(features)
    spread = float(np.mean(np.square(unit - unit.mean(axis=0)).sum(axis=-1)))
    if len(features) > 1 and spread < LEAST_SPREAD:
        return f"all {len(features)} features are nearly the same (spread {spread:.1e})"
    return ""


def _sound(adapter: Adapter, arrays: dict[str, np.ndarray], count: int | None) -> bool:
    """Whether kept features are what the adapter promises; else they are made again."""
    found = arrays.get("features")
    if found is None or found.dtype != np.float32 or found.ndim != 2:
        return False
    fits = found.shape[1] == adapter.embed_dim and count in (None, len(found))
    return bool(fits and np.isfinite(found).all())


def _checked(adapter: Adapter, features: np.ndarray, count: int) -> np.ndarray:
    """The features as float32, or BenchError where the adapter broke its contract."""
    features = np.asarray(features)
    if features.shape != (count, adapter.embed_dim):
        raise BenchError(
            f"{adapter.name}: features of shape {list(features.shape)} where "
            f"[{count}, {adapter.embed_dim}] was promised; mend the adapter or its embed_dim"
        )
    if not np.isfinite(features).all():
        raise BenchError(
            f"{adapter.name}: NaN or infinite features; check its weights, or run in float32"
        )
    return features.astype(np.float32, copy=False)
