"""Toy videos: which file shows which events, and its encoding, the same bytes each time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

from bench.files.atomic import atomic_path
from tasks.toyworld.world import Event

SIZE = 224


@dataclass(frozen=True)
class Video:
    """One file to write: `seconds` are those of each event, `fps` frames a second."""

    path: Path
    events: tuple[Event, ...]
    seconds: float
    fps: int

    def encode(self) -> None:
        """Draw and write the file as H.264. It appears whole or not at all."""
        # Here, for what the toy world can draw is asked far more often than it is drawn.
        import av
        import numpy as np

        from tasks.toyworld.draw import draw

        # The container is named: LSMDC's .avi must be AVI. bitexact leaves dates and version
        # strings out.
        exact = {"fflags": "+bitexact"}
        form = self.path.suffix[1:]
        with (
            atomic_path(self.path) as temporary,
            av.open(str(temporary), "w", format=form, container_options=exact) as container,
        ):
            stream = container.add_stream("libx264", rate=self.fps)
            stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
            # One thread, and no macroblock tree: x264's fast code for it does not repeat its bytes.
            stream.options = {
                "crf": "20",
                "preset": "veryfast",
                "tune": "animation",
                "x264-params": "mbtree=0:cpu-independent=1",
            }
            stream.codec_context.thread_count = 1
            for event in self.events:
                count = round(self.seconds * self.fps)
                for k in range(count):
                    picture = np.asarray(draw(event, (k + 0.5) / count, SIZE))
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    container.mux(stream.encode(frame))
            container.mux(stream.encode())


def _encode_all(videos: Sequence[Video]) -> int:
    for video in videos:
        video.encode()
    return len(videos)


def encode_missing(
    videos: Iterable[Video], workers: int, progress: Callable[[int, int], None] | None
) -> None:
    """Write every video that is not there yet; `progress(done, total)` counts all of them."""
    videos = list(videos)
    missing = [video for video in videos if not video.path.exists()]
    done = len(videos) - len(missing)
    if progress:
        progress(done, len(videos))
    batches = [missing[k : k + 8] for k in range(0, len(missing), 8)]
    pool = _pool(workers) if min(workers, len(batches)) > 1 else None
    if pool is None:
        for batch in batches:
            done += _encode_all(batch)
            if progress:
                progress(done, len(videos))
        return
    with pool:
        for future in as_completed([pool.submit(_encode_all, batch) for batch in batches]):
            done += future.result()
            if progress:
                progress(done, len(videos))


def _pool(workers: int) -> ProcessPoolExecutor | None:
    """Drawing processes; None where the system gives no semaphores, as without /dev/shm."""
    # Spawned, not forked: the caller may hold threads (torch, decord) that a fork would break.
    try:
        return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)
    except (OSError, ImportError, NotImplementedError):
        return None


def _end_with_parent() -> None:
    """Let a drawing process end when the run is killed: else it waits for work for ever."""

    def watch() -> None:
        run = parent_process()
        if run is not None:
            run.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
