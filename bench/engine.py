"""The run: load, decode, encode, answer, score, save. Each step keeps what it made.

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
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np

from bench import distributed
from bench.cache import TensorStore, digest
from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Failure, Features, Task
from bench.errors import BenchError
from bench.results import SCHEMA, Result, environment
from bench.video import DecodedFrames, FrameStore

TEXTS_AT_ONCE = 256


class Progress(Protocol):
    """What shows a run's progress; see `bench.progress`."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, by: int = 1) -> None: ...
    def warn(self, line: str) -> None: ...


class Silent:
    """No progress, for notebooks and tests."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, by: int = 1) -> None: ...
    def warn(self, line: str) -> None: ...


@dataclass
class _Run:
    """One run's parts and what it has noted so far."""

    adapter: Adapter
    task: Task
    run: RunConfig
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)  # clip id -> how it was read

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - began


def evaluate(
    adapter: Adapter,
    task: Task,
    run: RunConfig | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run `adapter` on `task` and return the Result; nothing but the stores is written.

    A video that cannot be read becomes a named Failure and the run goes on; BenchError is raised
    when no video can be read or an adapter breaks its contract.
    """
    state = _Run(adapter, task, run or RunConfig(), progress or Silent())
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    clips = _clip_features(state)
    if not clips:
        first = state.failures[0] if state.failures else Failure("-", "missing", "no clips")
        raise BenchError(
            f"{task.name}: none of {len(task.clips)} videos could be read; "
            f"the first, {first.clip}: {first.kind}: {first.reason}"
        )
    texts = _text_features(state)
    with state.stage("answer"):
        lines = list(task.answer(Features(clips, texts), adapter))
    warnings = [line["warning"] for line in lines if "warning" in line]
    for warning in warnings:
        state.progress.warn(warning)
    predictions = [line for line in lines if "warning" not in line]
    with state.stage("score"):
        scores = task.score(predictions, resamples=state.run.resamples, seed=state.run.seed)
    missing = sum(failure.kind == "missing" for failure in state.failures)
    data = {
        "schema": SCHEMA,
        "task": task.name,
        "task_version": task.version,
        "protocol": task.protocol,
        "source": {"name": task.source.name, "fingerprint": task.fingerprint},
        "model": {
            "name": adapter.name, "fingerprint": adapter.fingerprint, **adapter.describe()
        },
        "metrics": {
            name: {"value": value, "low": low, "high": high}
            for name, value in scores.metrics.items()
            for low, high in [scores.intervals.get(name, (None, None))]
        },
        "metric_info": {
            name: {"unit": metric.unit, "higher_is_better": metric.higher_is_better}
            for name, metric in task.metrics.items()
        },
        "primary": task.primary,
        "coverage": {
            "expected": task.expected,
            "answered": scores.answered,
            "clips": len(task.clips),
            "missing": missing,
            "broken": len(state.failures) - missing,
            "limit": task.limit,
        },
        "chance": task.chance,
        "warnings": warnings,
        "texts": {"count": len(task.texts), "truncated": adapter.count_truncated(task.texts)},
        "settings": {
            "plan": task.plan.key,
            "decoder": state.run.decoder,
            "decoders": sorted({record["decoder"] for record in state.records.values()}),
            "timestamps": digest({clip: record["times"] for clip, record in state.records.items()}),
            "resamples": state.run.resamples,
            "seed": state.run.seed,
            "batch_frames": state.run.batch_frames,
        },
        "environment": environment(),
        "started": started,
        "seconds": {name: round(value, 3) for name, value in state.seconds.items()},
    }  # fmt: skip
    return Result(data, predictions, state.failures)


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


def _clip_features(state: _Run) -> dict[str, np.ndarray]:
    """Clip id -> frame features float32 [T, D]; what is in the store is neither read nor made.

    Of several processes each first encodes its share of the groups into the store that all see;
    then every one reads them all, and comes to the same result.
    """
    encoder = _Encoder(state)
    encoder.read()
    state.progress.start(f"{state.task.name}: frames", len(state.task.clips))
    if distributed.world() > 1:
        encoder.encode(encoder.missing()[distributed.rank() :: distributed.world()])
        distributed.barrier()
        state.failures.clear()  # another process's failures are found again below
        encoder.read()
    missing = encoder.missing()
    state.progress.start(f"{state.task.name}: frames", len(state.task.clips))
    state.progress.advance(len(state.task.clips) - sum(map(len, missing)))
    encoder.encode(missing)
    return encoder.features


class _Encoder:
    """Turns groups of clips into features, kept in the store a clip at a time."""

    def __init__(self, state: _Run) -> None:
        self.state = state
        self.frames = frame_store(state.adapter, state.task, state.run)
        self.store = TensorStore(state.run.cache_folder / "features")
        self.keys = {clip.id: _feature_key(state, self.frames, clip) for clip in state.task.clips}
        self.features: dict[str, np.ndarray] = {}

    def read(self) -> None:
        """Take from the store what it has."""
        with self.state.stage("store"):
            for clip, key in self.keys.items():
                if clip not in self.features and key and (found := self.store.get(key)):
                    self.features[clip] = found[0]["features"]
                    self.state.records[clip] = found[1]

    def missing(self) -> list[list[Clip]]:
        """The groups of which a clip has no features yet."""
        groups = _groups(self.state)
        return [group for group in groups if any(clip.id not in self.features for clip in group)]

    def encode(self, groups: list[list[Clip]]) -> None:
        """Decode and encode whole groups; clips that fail are noted."""
        state = self.state
        wanted = [clip for group in groups for clip in group]
        decoded = self.frames.fill(wanted, decoding_workers(state.run), state.run.decode_timeout)
        for group in groups:
            batch: list[tuple[Clip, DecodedFrames]] = []
            for _ in group:
                with state.stage("decode (waiting)"):
                    clip, outcome = next(decoded)
                if isinstance(outcome, Failure):
                    state.failures.append(outcome)
                else:
                    batch.append((clip, outcome))
            # A group that lacks only clips that fail again has been encoded before.
            if any(clip.id not in self.features for clip, _ in batch):
                self._encode_group(batch)
            state.progress.advance(len(group))
        decoded.close()

    def _encode_group(self, batch: list[tuple[Clip, DecodedFrames]]) -> None:
        state = self.state
        lengths = [len(decoded.frames) for _, decoded in batch]
        with state.stage("encode"):
            joined = np.concatenate([decoded.frames for _, decoded in batch])
            encoded = _checked(state.adapter, state.adapter.encode_frames(joined), len(joined))
        parts = np.split(encoded, np.cumsum(lengths)[:-1])
        for (clip, decoded), part in zip(batch, parts, strict=True):
            record = {"decoder": decoded.decoder, "times": decoded.times.round(6).tolist()}
            self.features[clip.id], state.records[clip.id] = part, record
            if key := self.keys[clip.id]:
                with state.stage("store"):
                    self.store.put(key, {"features": part}, record)


def _feature_key(state: _Run, frames: FrameStore, clip: Clip) -> str | None:
    """The clip's key among features; None for a clip without a file."""
    if clip.path is None or not clip.path.exists():
        return None
    return digest("clip", state.adapter.fingerprint, frames.key(clip))


def _groups(state: _Run) -> Iterator[list[Clip]]:
    """Whole clips in task order, about `batch_frames` frames a group whatever is in the store."""
    longest = max(1, len(state.task.plan.times(10.0)))
    size = max(1, state.run.batch_frames // longest)
    for at in range(0, len(state.task.clips), size):
        yield state.task.clips[at : at + size]


def _text_features(state: _Run) -> np.ndarray:
    """float32 [M, D] of all texts, kept in fixed chunks."""
    store = TensorStore(state.run.cache_folder / "features")
    texts = state.task.texts
    chunks = [texts[at : at + TEXTS_AT_ONCE] for at in range(0, len(texts), TEXTS_AT_ONCE)]
    state.progress.start(f"{state.task.name}: texts", len(texts))
    for chunk in chunks[distributed.rank() :: distributed.world()]:
        _encode_texts(state, store, chunk)
        state.progress.advance(len(chunk))
    distributed.barrier()
    parts = [_encode_texts(state, store, chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros((0, state.adapter.embed_dim), np.float32)


def _encode_texts(state: _Run, store: TensorStore, chunk: Sequence[str]) -> np.ndarray:
    key = digest("texts", state.adapter.fingerprint, list(chunk))
    if found := store.get(key):
        return found[0]["features"]
    with state.stage("encode texts"):
        encoded = state.adapter.encode_texts(chunk)
    features = _checked(state.adapter, encoded, len(chunk))
    store.put(key, {"features": features}, {})
    return features


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
