"""Frames by several plans, of which each file is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.contracts import Clip
from bench.video.pool import Pool
from bench.video.store import FrameStore


def decode_ahead(
    stores: Sequence[FrameStore],
    clips: Sequence[Clip],
    limits: tuple[int, float, int],
    advance: Callable[[], None],
) -> None:
    """Put the frames of clips into stores that differ in their plans alone, as each would itself.

    `limits` are those of `FrameStore.fill`; of so many seconds each plan has its own. A clip that
    fails is left out; whoever needs its frames later gets the reason. BenchError where a store
    cannot be written.
    """
    workers, timeout, memory = limits
    with Pool(workers, timeout * len(stores), memory) as pool:
        awaited = []
        for clip in clips:
            jobs = [job for store in stores if (job := store.lacking(clip))]
            if len(jobs) > 1:
                jobs[0]["also"] = [{"plan": job["plan"], "key": job["key"]} for job in jobs[1:]]
                awaited.append(pool.submit(jobs[0]))
            else:
                advance()  # nothing to save
        for one in awaited:
            one.result()
            advance()
