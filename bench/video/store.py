"""Frames on disk, decoded once for all models of an image size, and the filling of the store."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bench.contracts import Clip, Failure, Plan
from bench.errors import BenchError
from bench.files.tensor_store import TensorStore, digest
from bench.video.decode import DecodedFrames
from bench.video.folders import numbered_frames
from bench.video.packing import FORMS, packed, unpacked
from bench.video.pool import Pool
from bench.video.preprocessing import Preprocessing, as_preprocessing
from bench.video.sampling import parse_plan, planned_times
from bench.video.sound import Sound

FORMAT = 3  # raised whenever the same video and plan could give other frames
CHANGED = "its file changed during the run; run again"
AHEAD = 32  # clips that a worker may be ahead of the reader
Outcome = tuple[Clip, DecodedFrames | Failure]


@dataclass(frozen=True)
class FrameStore:
    """The frames of clips under `plan` as squares of pixels, below `root`; see `decode`.

    The plan must be one that `parse_plan` knows, for the decoding processes are sent its key.
    `form` is how new frames are written (see `bench.video.packing`); any form is read. With
    `sound`, the clips' sound tracks are kept beside their frames.
    """

    root: Path
    pixels: int | Preprocessing
    plan: Plan
    decoder: str = "auto"
    form: str = FORMS[0]
    sound: bool = False
    _folders: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        parse_plan(self.plan.key)

    @property
    def _square(self) -> Preprocessing:
        return as_preprocessing(self.pixels)

    @cached_property
    def _store(self) -> TensorStore:
        return TensorStore(self.root)

    def key(self, clip: Clip) -> str:
        """Names the clip's frames: by file, span, plan, preprocessing and decoder.

        Raises OSError for a clip without a file.
        """
        if clip.path is None:
            raise FileNotFoundError(f"{clip.id} has no file")
        path, status = self._resolved(clip.path)
        folder = stat.S_ISDIR(status.st_mode)
        return digest(
            "frames", FORMAT, _identity(path, status), clip.start, clip.end,
            clip.frames_fps if folder else None, self.plan.key, self._square.key, self.decoder,
            *["sound"] * self.sound,
        )  # fmt: skip

    def get(self, clip: Clip) -> DecodedFrames | None:
        """The clip's frames if the store has them."""
        try:
            return self.load(self.key(clip))
        except OSError:
            return None

    def _resolved(self, path: Path) -> tuple[str, os.stat_result]:
        """`path` without links, and its status. A folder is looked up once, for many clips."""
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            real = os.path.realpath(path)  # unlike resolve(), not upset by a loop of links
            return real, os.stat(real)  # noqa: PTH116
        parent, name = os.path.split(path)
        if parent not in self._folders:
            self._folders[parent] = os.path.realpath(parent)
        return f"{self._folders[parent]}{os.sep}{name}", status

    def fill(
        self, clips: Sequence[Clip], workers: int, timeout: float = 30.0, memory: int = 4096
    ) -> Filling:
        """Every clip in order with its frames, decoding those that the store lacks.

        `workers` processes run ahead, but not far: they leave frames on disk, and only one clip's
        are held here. `timeout` is in seconds a clip, `memory` in MiB a process. The iterator
        raises BenchError when the store cannot be written.
        """
        return Filling(self, clips, Pool(workers, timeout, memory))

    def lacking(self, clip: Clip) -> dict[str, Any] | None:
        """The decoding that the clip's frames still need; None if the store has them.

        None, too, for a clip whose file is not there.
        """
        try:
            key = self.key(clip)
        except OSError:
            return None
        return None if self.has(key) else self._job(clip, key)

    def _job(self, clip: Clip, key: str) -> dict[str, Any]:
        return {
            "id": clip.id,
            "path": str(clip.path.absolute()) if clip.path else None,
            "start": clip.start,
            "end": clip.end,
            "frames_fps": clip.frames_fps,
            "plan": self.plan.key,
            "pixels": asdict(self._square),
            "decoder": self.decoder,
            "form": self.form,
            "sound": self.sound,
            "root": str(self.root.absolute()),
            "key": key,
        }

    def has(self, key: str) -> bool:
        """Whether there is an entry under `key`, whole or not."""
        return key in self._store

    def path(self, key: str) -> Path:
        """Where the frames under `key` lie or would lie."""
        return self._store.path(key)

    def load(self, key: str) -> DecodedFrames | None:
        """The frames under `key` if the store has them, whole.

        What could not have been written by us is as good as damaged.
        """
        found = self._store.get(key)
        if found is None:
            return None
        arrays, record = found
        times, decoder = planned_times(arrays.get("times"), self.plan), record.get("decoder")
        if times is None or not isinstance(decoder, str):
            return None
        frames, side = unpacked(arrays), self._square.size
        if frames is None or frames.dtype != np.uint8:
            return None
        sound = _sound(arrays, record) if self.sound else None
        whole = frames.shape == (len(times), side, side, 3) and (sound or not self.sound)
        return DecodedFrames(frames, times, decoder, key, sound) if whole else None

    def keep(self, key: str, decoded: DecodedFrames) -> None:
        """Write a clip's frames under `key`. BenchError where the store cannot be written."""
        arrays = {**packed(decoded.frames, self.form), "times": decoded.times}
        record: dict[str, Any] = {"decoder": decoded.decoder}
        if decoded.sound:
            arrays["sound"], record["rate"] = decoded.sound.samples, decoded.sound.rate
        self._store.put(key, arrays, record)


class Filling(Iterator[Outcome]):
    """Clips in order with their frames. Closing it, from any thread, kills the processes.

    As a context manager it closes itself; so it does at the end.
    """

    def __init__(self, store: FrameStore, clips: Sequence[Clip], pool: Pool) -> None:
        self._store, self._pool = store, pool
        self._started: dict[str, Future[dict[str, Any]]] = {}
        self._outcomes = self._run(clips)

    def __next__(self) -> Outcome:
        try:
            return next(self._outcomes)
        except BaseException:  # the end, an error, Ctrl-C: nothing more will be asked for
            self.close()
            raise

    def __enter__(self) -> Filling:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; a reader that waits for them gets a BenchError."""
        self._pool.close()

    def _run(self, clips: Sequence[Clip]) -> Iterator[Outcome]:
        ahead = AHEAD * self._pool.workers
        begun: deque[tuple[Clip, str | Failure]] = deque()
        for clip in clips:
            begun.append((clip, self._begin(clip)))
            if len(begun) > ahead:
                yield self._outcome(*begun.popleft())
        while begun:
            yield self._outcome(*begun.popleft())

    def _begin(self, clip: Clip) -> str | Failure:
        """The clip's key, its decoding submitted where needed; two clips may share one key."""
        store = self._store
        try:
            key = store.key(clip)
        except FileNotFoundError:
            where = f"no file {clip.path}" if clip.path else "no file was found"
            return Failure(clip.id, "missing", where)
        except OSError as error:
            return Failure(clip.id, "broken", f"cannot be read: {error.strerror or error}")
        if key not in self._started and not store.has(key):
            self._started[key] = self._pool.submit(store._job(clip, key))
        return key

    def _outcome(self, clip: Clip, key: str | Failure) -> Outcome:
        return clip, key if isinstance(key, Failure) else self._finish(clip, key)

    def _finish(self, clip: Clip, key: str) -> DecodedFrames | Failure:
        store, started = self._store, self._started
        if key not in started:
            if found := store.load(key):
                return found
            started[key] = self._pool.submit(store._job(clip, key))  # there, but damaged
        answer = started[key].result()
        if "kind" in answer:
            return Failure(clip.id, answer["kind"], answer["reason"])
        started.pop(key)  # it is in the store now; a failure is kept, should a clip share its key
        if found := store.load(key):
            return found
        raise BenchError(f"{store.path(key)} vanished or was damaged during the run; run again")


def _sound(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> Sound | None:
    """The sound track that was kept; None where it is not what is kept."""
    samples, rate = arrays.get("sound"), record.get("rate")
    if samples is None or samples.dtype != np.float32 or samples.ndim != 2:
        return None
    if not isinstance(rate, int) or rate < bool(samples.size):
        return None
    return Sound(samples, rate) if np.isfinite(samples).all() else None


def _identity(path: str, status: os.stat_result) -> list[Any]:
    """What tells that a file, or a folder of frames, is still the same; no content is read."""
    name = os.fsencode(path).hex()  # a name need not be valid Unicode
    if not stat.S_ISDIR(status.st_mode):
        return [name, *_state(status)]
    numbered = numbered_frames(Path(path))
    # A fault is part of it: the same pictures may lie in the store from before it was one.
    pictures = [_of_picture(picture) for picture in numbered.paths]
    return [name, pictures, numbered.fault] if numbered.fault else [name, pictures]


def _of_picture(path: Path) -> list[Any]:
    return [os.fsencode(path.name).hex(), *_state(path.stat())]


def _state(status: os.stat_result) -> list[int]:
    """Inode and time of change too: a copy that keeps size and date is another file."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
