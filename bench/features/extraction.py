"""Features of a task's clips and texts: decoded once, encoded once, kept.

Features are encoded in groups of whole clips, fixed by the task's order, and kept a clip at a time.
A resumed run encodes an unfinished group again as a whole, so that its bits are those of an
uninterrupted run: a matrix product may round differently in a batch of another size.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench import distributed
from bench.config import RunConfig
from bench.contracts import Clip, Failure
from bench.features.validation import StoredFeatures, is_valid
from bench.features.work import Work
from bench.files import locks
from bench.files.tensor_store import TensorStore, digest
from bench.video import DecodedFrames, FrameStore
from bench.video.sampling import planned_times
from bench.video.store import CHANGED, Outcome

TEXTS_AT_ONCE = 256


def frame_store(work: Work) -> FrameStore:
    """The store of a run's frames, shared by all models of one plan and preprocessing."""
    run, folder = work.run, work.run.cache_folder / "frames"
    sound = "audio" in work.adapter.inputs
    return FrameStore(folder, work.preprocessing, work.plan, run.decoder, run.frames, sound)


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


def clip_features(work: Work) -> StoredFeatures:
    """Clip id -> frame features float32 [T, D]; what is in the store is neither read nor made.

    Of several processes each first encodes its share of the groups into the store that all see;
    then every one reads them all, and comes to the same result.
    """
    encoder = _Encoder(work)
    encoder.read()
    if distributed.world() > 1:
        work.progress.start(f"{work.task.name}: frames", len(work.clips))
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
        self.frames = frame_store(work)
        self.store = TensorStore(work.run.cache_folder / "features")
        self.features = StoredFeatures(self.store, work.run.memory << 20)
        with work.stage("keys"):
            self.keys = {clip.id: _expected_key(work, self.frames, clip) for clip in work.clips}

    def read(self, clips: Iterable[str] | None = None) -> None:
        """Take from the store what it has, of `clips` by their ids or of all."""
        with self.work.stage("store"):
            wanted = {
                clip: key
                for clip in (self.keys if clips is None else clips)
                if clip not in self.features and (key := self.keys[clip])
            }
            entries, plan = self.store.get_each([*wanted.values()]), self.work.plan
            for (clip, key), found in zip(wanted.items(), entries, strict=True):
                if found is None:
                    continue
                arrays, record = found
                times, decoder = planned_times(record.get("times"), plan), record.get("decoder")
                if times is None or not isinstance(decoder, str):
                    continue
                rows = self.work.rows or len(times)
                if is_valid(arrays, rows, self.work.adapter.embed_dim):
                    self.features.add(clip, key, arrays["features"])
                    self.work.read[clip] = decoder, times
                    if "sound" in record:
                        self.work.sounds[clip] = str(record["sound"])

    def missing(self) -> list[list[Clip]]:
        """The groups of which a clip has no features yet."""
        groups = _groups(self.work)
        return [group for group in groups if any(clip.id not in self.features for clip in group)]

    def encode(self, groups: list[list[Clip]]) -> None:
        """Decode and encode whole groups; the next one is read while one is encoded."""
        if not groups:
            return
        wanted = [clip for group in groups for clip in group]
        # Closed first, whatever happens: the reader may be waiting for a video.
        with (
            ThreadPoolExecutor(1) as reader,
            self.frames.fill(wanted, *decoding_limits(self.work.run)) as decoded,
        ):
            upcoming = deque(reader.submit(_take, decoded, len(group)) for group in groups[:1])
            for following in [*groups[1:], None]:
                with self.work.stage("decode (waiting)"):
                    outcomes = upcoming.popleft().result()
                if following is not None:
                    upcoming.append(reader.submit(_take, decoded, len(following)))
                self._encode_once(outcomes)
                self.work.progress.advance(len(outcomes))

    def _encode_once(self, outcomes: list[Outcome]) -> None:
        """Encode what was decoded of a group; clips that fail are noted.

        If another run is at it, wait and take what it has made.
        """
        outcomes = [(clip, self._of_this_run(clip, found)) for clip, found in outcomes]
        self.work.failures += [found for _, found in outcomes if isinstance(found, Failure)]
        batch = [(clip, found) for clip, found in outcomes if not isinstance(found, Failure)]
        names = [clip.id for clip, _ in batch]
        # A group that lacks only clips that fail again has been encoded before.
        if all(name in self.features for name in names):
            return
        with locks.locked(self.store.root / digest("group", [self.keys[name] for name in names])):
            self.read(names)
            if any(name not in self.features for name in names):
                self._encode_group(batch)

    def _of_this_run(self, clip: Clip, found: DecodedFrames | Failure) -> DecodedFrames | Failure:
        """A failure where the frames are of another file than the clip had when the run began.

        One that had none then is taken.
        """
        if isinstance(found, Failure) or self.keys[clip.id] is None:
            return found
        same = self.keys[clip.id] == _feature_key(self.work, clip, found.key)
        return found if same else Failure(clip.id, "broken", CHANGED)

    def _encode_group(self, batch: list[tuple[Clip, DecodedFrames]]) -> None:
        work = self.work
        encoded = work.encode_frames(batch)
        for (clip, decoded), part in zip(batch, encoded, strict=True):
            times, key = decoded.times.round(6), _feature_key(work, clip, decoded.key)
            with work.stage("store"):
                record: dict[str, Any] = {"decoder": decoded.decoder, "times": times.tolist()}
                if decoded.sound:
                    record["sound"] = work.sounds[clip.id] = decoded.sound.state
                self.store.put(key, {"features": part}, record)
            self.features.add(clip.id, key, part)
            work.read[clip.id] = decoded.decoder, times


def _take(decoded: Iterator[Outcome], count: int) -> list[Outcome]:
    return [next(decoded) for _ in range(count)]


def _feature_key(work: Work, clip: Clip, frames: str) -> str:
    """What features of the clip, its frames under the key `frames`, are kept under."""
    if work.rows is not None:
        made = [work.task.parts, *["whole"] * work.task.whole, *work.identity_of_inputs(clip)]
        return digest("video clips", work.adapter.fingerprint, *made, frames)
    return digest("clip", work.adapter.fingerprint, frames)


def _expected_key(work: Work, frames: FrameStore, clip: Clip) -> str | None:
    """The clip's key among features as its file is now; None for a clip without a file."""
    try:
        return _feature_key(work, clip, frames.key(clip))
    except OSError:
        return None  # decoding will say why


def _groups(work: Work) -> Iterator[list[Clip]]:
    """Whole clips in task order, about `batch_frames` frames a group whatever is in the store.

    Clips to learn from are grouped by themselves: their features, and so what is learnt, must not
    depend on which clips are asked about.
    """
    longest = max(1, len(work.plan.times(10.0)))
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

    def make(chunk: list[str]) -> None:
        _encode_texts(work, store, chunk)
        work.progress.advance(len(chunk))

    distributed.divide(chunks, make)
    parts = [_encode_texts(work, store, chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros((0, work.adapter.embed_dim), np.float32)


def _encode_texts(work: Work, store: TensorStore, chunk: Sequence[str]) -> np.ndarray:
    length = work.adapter.text_length
    cut = [] if length is None else [length]
    key = digest("texts", work.adapter.fingerprint, *cut, list(chunk))
    return store.kept(
        key,
        lambda: {"features": work.encode_texts(chunk)},
        lambda arrays: is_valid(arrays, len(chunk), work.adapter.embed_dim),
    )["features"]
