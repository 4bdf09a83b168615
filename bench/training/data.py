"""A training's data in the form the loop wants: frames in the store, every text encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from bench import distributed
from bench.config import RunConfig
from bench.contracts import Clip, Failure, Progress
from bench.errors import BenchError
from bench.features.extraction import TEXTS_AT_ONCE, decoding_limits
from bench.features.validation import is_valid
from bench.files.tensor_store import TensorStore, digest
from bench.training.protocols import Trainable, TrainingSet
from bench.video import DecodedFrames, FrameStore
from bench.video.tolerant import odd_clips

NO_TEXT = -1  # the row of `Prepared.features` that is zero


@dataclass(frozen=True)
class Batch:
    """Videos of one step: frames uint8 [B, P * T, H, W, 3] and normalised text features."""

    frames: torch.Tensor
    texts: torch.Tensor  # [B, P, D]
    negatives: torch.Tensor  # [B, P, N, D]
    ids: torch.Tensor  # int64 [B, P]: equal numbers are equal texts
    swaps: torch.Tensor | None = None  # [B, P, D], zero where an event has none


@dataclass(frozen=True)
class Prepared:
    """A TrainingSet whose frames are in `store` and whose texts are encoded.

    `keys` name each clip's frames there: kept, for working them out again asks the file system of
    every video, or of every image of its folder, at every step. `features` is float32 [texts, D],
    normalised, its last row zero: no text. `texts` int64 [B, P], `negatives` int64 [B, P, N] and
    `swaps` int64 [B, P], None where the data has none, are rows of it. `counts` says how many
    different texts of each kind there are, and how many the model cannot read whole.
    """

    data: TrainingSet
    store: FrameStore
    keys: list[str]
    features: torch.Tensor
    texts: torch.Tensor
    negatives: torch.Tensor
    counts: dict[str, int]
    swaps: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.data.clips)

    @property
    def content(self) -> str:
        """Hash of what is learnt from: clips, moments and texts, in their order."""
        data = self.data
        clips = [clip.id for clip in data.clips]
        return digest("training data", data.plan.key, clips, data.prompts, data.negatives)

    def batches(self, places: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """The batches of the given places, the next one read while the last is worked on."""
        with ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(self.batch, part) for part in places[:1]]
            while waiting:  # a process may have no part of a small set
                batch = waiting.pop().result()
                places = places[1:]
                waiting += [reader.submit(self.batch, part) for part in places[:1]]
                yield batch

    def batch(self, places: Sequence[int]) -> Batch:
        """Read the frames of the clips at `places`. BenchError where the store lost one."""
        frames = []
        for place in places:
            found = self.store.load(self.keys[place])
            if found is None:
                raise BenchError(
                    f"{self.store.path(self.keys[place])}: frames of {self.data.clips[place].id} "
                    "vanished during training; run the same command again"
                )
            frames.append(found.frames)
        chosen = torch.as_tensor(list(places))
        return Batch(
            torch.from_numpy(np.stack(frames)),
            self.features[self.texts[chosen]],
            self.features[self.negatives[chosen]],
            self.texts[chosen],
            None if self.swaps is None else self.features[self.swaps[chosen]],
        )


def prepare(
    data: TrainingSet, model: Trainable, run: RunConfig, progress: Progress
) -> tuple[Prepared, list[Failure]]:
    """Decode every clip into the store, leave out those that fail, encode every text once.

    Several processes share the decoding and the texts through the stores, which all must see.
    """
    folder = run.cache_folder / "frames"
    store = FrameStore(folder, model.preprocessing, data.plan, run.decoder, run.frames)
    if distributed.world() > 1:
        share = data.clips[distributed.rank() :: distributed.world()]
        deque(store.fill(share, *decoding_limits(run)), 0)  # into the store
        distributed.barrier()
    data, failures = _decoded(data, store, run, progress)
    rows: dict[str, int] = {}  # of every different text: prompts, then negatives, then swaps
    prompts = [[rows.setdefault(text, len(rows)) for text in video] for video in data.prompts]
    ends = {"prompts": len(rows)}
    negatives = [
        [[rows.setdefault(text, len(rows)) for text in event] for event in video]
        for video in data.negatives
    ]
    ends["negatives"] = len(rows)
    swaps = [
        [rows.setdefault(text, len(rows)) if text else NO_TEXT for text in video]
        for video in data.swaps
    ]
    ends |= {"role_swaps": len(rows)} if data.swaps else {}
    features, counts = _encode(list(rows), ends, model, run.cache_folder / "features", progress)
    places = partial(torch.tensor, dtype=torch.int64)
    return Prepared(
        data, store, [store.key(clip) for clip in data.clips], features,
        places(prompts), places(negatives), counts, places(swaps) if swaps else None,
    ), failures  # fmt: skip


def _decoded(
    data: TrainingSet, store: FrameStore, run: RunConfig, progress: Progress
) -> tuple[TrainingSet, list[Failure]]:
    failures: list[Failure] = []
    kept: list[int] = []
    decoders: dict[str, str] = {}
    progress.start(f"{data.name}: frames", len(data.clips))
    wanted = data.events * data.frames
    for place, (clip, found) in enumerate(store.fill(data.clips, *decoding_limits(run))):
        if not isinstance(found, Failure):
            decoders[clip.id] = found.decoder
        problem = _problem(clip, found, wanted)
        if problem is None:
            kept.append(place)
        else:
            failures.append(problem)
        progress.advance()
    for line in odd_clips(decoders, data.name):
        progress.warn(line)
    chosen = replace(
        data,
        clips=[data.clips[place] for place in kept],
        prompts=[data.prompts[place] for place in kept],
        negatives=[data.negatives[place] for place in kept],
        swaps=[data.swaps[place] for place in kept] if data.swaps else [],
    )
    return chosen, failures


def _problem(clip: Clip, found: DecodedFrames | Failure, wanted: int) -> Failure | None:
    if isinstance(found, Failure):
        return found
    if len(found.frames) != wanted:
        return Failure(clip.id, "broken", f"{len(found.frames)} frames where {wanted} are needed")
    return None


def _encode(
    texts: list[str], ends: dict[str, int], model: Trainable, folder: Path, progress: Progress
) -> tuple[torch.Tensor, dict[str, int]]:
    """Normalised features [texts + 1, D] on the CPU, the last zero, and `Prepared.counts`.

    `ends` says where each kind of texts ends. Kept a chunk at a time, so that a killed run resumes;
    kept in memory once: at full size they are gigabytes.
    """
    starts = [0, *ends.values()]
    kinds = {kind: range(start, ends[kind]) for start, kind in zip(starts, ends, strict=False)}
    counts = {name: count for kind, part in kinds.items()
              for name, count in ((kind, len(part)), (f"{kind}_cut", 0))}  # fmt: skip
    if not texts:
        return torch.zeros(1, 1), counts  # nothing held out
    store = TensorStore(folder)
    chunks = {
        range(at, min(at + TEXTS_AT_ONCE, part.stop)): f"{kind}_cut"
        for kind, part in kinds.items() for at in range(part.start, part.stop, TEXTS_AT_ONCE)
    }  # fmt: skip
    progress.start("texts", len(texts))

    def make(chunk: range) -> None:
        _encode_chunk([texts[row] for row in chunk], model, store)
        progress.advance(len(chunk))

    distributed.divide(list(chunks), make)
    features: torch.Tensor | None = None
    for chunk, cut in chunks.items():
        found = _encode_chunk([texts[row] for row in chunk], model, store)
        if features is None:
            features = torch.zeros(len(texts) + 1, found["features"].shape[1])
        features[chunk.start : chunk.stop] = torch.tensor(found["features"])
        counts[cut] += int(found["cut"][0])
    assert features is not None
    for rows in features.split(1 << 14):  # in place: no second copy
        rows.copy_(functional.normalize(rows, dim=-1))
    return features, counts


def _encode_chunk(chunk: list[str], model: Trainable, store: TensorStore) -> dict[str, np.ndarray]:
    """`features` float32 [texts, D] and `cut` [1], how many of them are too long."""

    def make() -> dict[str, np.ndarray]:
        cut = np.array([model.count_truncated(chunk)])
        return {"features": model.encode_texts(chunk), "cut": cut}

    def sound(arrays: dict[str, np.ndarray]) -> bool:
        cut = arrays.get("cut")
        if cut is None or cut.shape != (1,) or cut.dtype.kind != "i":
            return False
        return 0 <= int(cut[0]) <= len(chunk) and is_valid(arrays, len(chunk), model.embed_dim)

    return store.kept(digest("training texts", model.fingerprint, chunk), make, sound)
