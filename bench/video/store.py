"""Frames on disk, decoded once for all models of an image size, and the filling of the store."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cache import TensorStore, digest
from bench.contracts import Clip, Failure, Plan
from bench.errors import BenchError
from bench.video.decode import DecodedFrames, numbered_frames
from bench.video.pool import Pool
from bench.video.sampling import parse_plan

FORMAT = 2  # raised whenever the same video and plan could give other frames


@dataclass(frozen=True)
class FrameStore:
    """The frames of clips under `plan` at `size` pixels square, below `root`.

    The plan must be one that `parse_plan` knows, for the decoding processes are told its key.
    """

    root: Path
    size: int
    plan: Plan
    decoder: str = "auto"

    def __post_init__(self) -> None:
        parse_plan(self.plan.key)

    @property
    def _store(self) -> TensorStore:
        return TensorStore(self.root)

    def key(self, clip: Clip) -> str:
        """Names the clip's frames; another file, span, plan, size or decoder gives another key.

        Raises OSError for a clip without a file.
        """
        if clip.path is None:
            raise FileNotFoundError(f"{clip.id} has no file")
        path = Path(os.path.realpath(clip.path))  # unlike resolve(), not upset by a loop of links
        fps = clip.frames_fps if path.is_dir() else None
        return digest(
            "frames", FORMAT, _identity(path), clip.start, clip.end, fps,
            self.plan.key, self.size, self.decoder,
        )  # fmt: skip

    def get(self, clip: Clip) -> DecodedFrames | None:
        """The clip's frames if the store has them."""
        try:
            return self._load(self.key(clip))
        except OSError:
            return None

    def fill(
        self, clips: Sequence[Clip], workers: int, timeout: float = 30.0, memory: int = 4096
    ) -> Generator[tuple[Clip, DecodedFrames | Failure], None, None]:
        """Yield every clip in order with its frames, decoding those that the store lacks.

        `workers` processes run ahead through the whole list, for they leave frames on disk and only
        one clip's frames are held here. `timeout` is in seconds a clip, `memory` in MiB a process.
        Raises BenchError when the store cannot be written. Closing the generator kills the
        processes.
        """
        with Pool(workers, timeout, memory) as pool:
            started: dict[str, Future[dict[str, Any]]] = {}
            keys = [self._begin(clip, pool, started) for clip in clips]
            for clip, key in zip(clips, keys, strict=True):
                if isinstance(key, Failure):
                    yield clip, key
                else:
                    yield clip, self._finish(clip, key, pool, started)

    def _begin(
        self, clip: Clip, pool: Pool, started: dict[str, Future[dict[str, Any]]]
    ) -> str | Failure:
        """The clip's key, its decoding submitted where needed; two clips may share one key."""
        try:
            key = self.key(clip)
        except FileNotFoundError:
            where = f"no file {clip.path}" if clip.path else "no file was found"
            return Failure(clip.id, "missing", where)
        except OSError as error:
            return Failure(clip.id, "broken", f"cannot be read: {error.strerror or error}")
        if key not in self._store and key not in started:
            started[key] = pool.submit(self._job(clip, key))
        return key

    def _finish(
        self, clip: Clip, key: str, pool: Pool, started: dict[str, Future[dict[str, Any]]]
    ) -> DecodedFrames | Failure:
        if key not in started:
            if found := self._load(key):
                return found
            started[key] = pool.submit(self._job(clip, key))  # the file was there, but damaged
        answer = started[key].result()
        if "kind" in answer:
            return Failure(clip.id, answer["kind"], answer["reason"])
        if found := self._load(key):
            return found
        raise BenchError(
            f"{self._store.path(key)} vanished or was damaged during the run; run again"
        )

    def _job(self, clip: Clip, key: str) -> dict[str, Any]:
        return {
            "id": clip.id,
            "path": str(clip.path.absolute()) if clip.path else None,
            "start": clip.start,
            "end": clip.end,
            "frames_fps": clip.frames_fps,
            "plan": self.plan.key,
            "size": self.size,
            "decoder": self.decoder,
            "root": str(self.root.absolute()),
            "key": key,
        }

    def _load(self, key: str) -> DecodedFrames | None:
        found = self._store.get(key)
        if found is None:
            return None
        arrays, record = found
        frames, times = arrays.get("frames"), arrays.get("times")
        if frames is None or times is None or "decoder" not in record:
            return None
        if frames.dtype != np.uint8 or frames.shape != (len(times), self.size, self.size, 3):
            return None  # of other hands: as good as damaged
        return DecodedFrames(frames, times, record["decoder"])


def _identity(path: Path) -> list[Any]:
    """What tells that a file, or a folder of frames, is still the same; no content is read."""
    status = path.stat()
    name = os.fsencode(path).hex()  # a name need not be valid Unicode
    if not path.is_dir():
        return [name, status.st_size, status.st_mtime_ns]
    return [name, [_of_picture(picture) for picture in numbered_frames(path)]]


def _of_picture(path: Path) -> list[Any]:
    status = path.stat()
    return [os.fsencode(path.name).hex(), status.st_size, status.st_mtime_ns]
