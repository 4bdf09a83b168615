"""A look at a video's packets without decoding: when its frames are shown, and is it whole?

The scan costs a few hundredths of decoding. It finds what no decoder reports: files cut short, and
files on which decord returns other frames than those asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.errors import plain
from bench.video.container import VideoError, check_size, film, is_frame, open_video

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"


@dataclass(frozen=True)
class Scan:
    """What the packets of the film say: of stream number `stream`.

    `timestamps` are ascending seconds from the first frame, one a frame that is shown. `pts` are
    the same moments as the container counts them, or None where they cannot tell frames apart and
    the k-th decoded frame is the k-th shown. `keyframes` are those of keyframes, ascending.
    `declared` is 0 where the container does not say.
    """

    timestamps: list[float]
    duration: float
    pts: list[int] | None
    keyframes: list[int]
    codec: str
    container: str
    declared: int
    decord_ok: bool
    stream: int


@dataclass(frozen=True)
class _Entry:
    pts: int | None
    dts: int | None
    duration: int
    keyframe: bool
    discarded: bool


def scan(path: Path) -> Scan:
    """Demux `path` once. Raises VideoError for whatever cannot give all of its frames."""
    check_file(path)
    import av

    try:
        with open_video(path) as container:
            stream = film(container, path)
            check_size(stream.codec_context.width, stream.codec_context.height)
            entries = _entries(container, stream)
            found = _summarise(container, stream, entries)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError("broken", f"cannot be read: {plain(error)}") from error
    if len(entries) < found.declared and found.container in (MP4, MATROSKA):
        packets = _packets_without_edits(path, found.stream)
        if packets < found.declared:
            raise VideoError("truncated", f"{packets} of {found.declared} frames")
    if not found.timestamps:
        raise VideoError("broken", "no frames in the video stream")
    return found


def check_file(path: Path) -> None:
    """VideoError for no file, for one of zero bytes, and for a pipe, which would wait for ever."""
    status = status_of(path)
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("broken", "not a regular file (a pipe, socket or device)")
    if status.st_size == 0:
        raise VideoError("empty", "the file has 0 bytes")


def status_of(path: Path) -> os.stat_result:
    """`path.stat()`, or VideoError."""
    try:
        return path.stat()
    except FileNotFoundError:
        raise VideoError("missing", f"no file {path}") from None
    except OSError as error:
        raise VideoError("broken", f"cannot be read: {plain(error)}") from error


def _entries(container: InputContainer, stream: VideoStream) -> list[_Entry]:
    return [
        _Entry(p.pts, p.dts, p.duration or 0, bool(p.is_keyframe), bool(p.is_discard))
        for p in container.demux(stream)
        if is_frame(p)
    ]


def _packets_without_edits(path: Path, stream: int) -> int:
    """All packets in the file: a shortened edit list hides some, which is no truncation."""
    import av

    try:
        with open_video(path, ignore_editlist="1") as container:
            return sum(is_frame(packet) for packet in container.demux(container.streams[stream]))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError("broken", f"cannot be read: {plain(error)}") from error


def _summarise(container: InputContainer, stream: VideoStream, entries: Sequence[_Entry]) -> Scan:
    kind, best = container.format.name, container.streams.best("video")
    shown = [entry for entry in entries if not entry.discarded]
    known = [entry.pts for entry in shown if entry.pts is not None]
    by_pts = len(known) == len(shown) == len(set(known)) and kind != "avi"
    by_pts = by_pts and not _order_lost(stream, shown)
    if by_pts:
        shown = _decodable(shown)
    pts = sorted(entry.pts for entry in shown if entry.pts is not None) if by_pts else None
    seconds = _seconds(stream, shown, pts)
    declared = stream.frames or int(stream.metadata.get("NUMBER_OF_FRAMES", "0"))
    return Scan(
        timestamps=seconds,
        duration=_duration(stream, shown, seconds),
        pts=pts,
        keyframes=sorted(e.pts for e in shown if e.keyframe and e.pts is not None),
        codec=stream.codec_context.name,
        container=kind,
        declared=declared,
        decord_ok=by_pts
        and kind in (MP4, MATROSKA)
        and best is not None
        and best.index == stream.index  # the one that decord takes
        and stream.codec_context.codec.canonical_name != "av1"
        and _in_order(entries),
        stream=stream.index,
    )


def _order_lost(stream: VideoStream, shown: Sequence[_Entry]) -> bool:
    """Whether frames are shown in another order than stored, and no time stamp says which.

    Some writers store each frame's place in the file as its time.
    """
    return bool(stream.codec_context.has_b_frames) and all(e.pts == e.dts for e in shown)


def _decodable(shown: list[_Entry]) -> list[_Entry]:
    """Without what precedes the first keyframe: a cut in mid-group leaves it without a base."""
    first = next((at for at, entry in enumerate(shown) if entry.keyframe), None)
    if first is None:
        return shown
    base = shown[first].pts
    return [e for e in shown[first:] if e.pts is not None and base is not None and e.pts >= base]


def _in_order(entries: Sequence[_Entry]) -> bool:
    """Whether decord's index holds: whole groups of pictures, nothing hidden, 31-bit clock."""
    base: int | None = None
    for entry in entries:
        if entry.discarded or entry.pts is None or entry.pts >= 2**31:
            return False
        if entry.keyframe:
            base = entry.pts
        if base is None or entry.pts < base:
            return False
    return True


def _seconds(stream: VideoStream, shown: Sequence[_Entry], pts: list[int] | None) -> list[float]:
    """Ascending seconds from the first frame, from the best clock that the file has."""
    clock = pts or sorted(entry.dts for entry in shown if entry.dts is not None)
    if len(clock) == len(shown) == len(set(clock)) and stream.time_base is not None:
        return [float((tick - clock[0]) * stream.time_base) for tick in clock]
    rate = stream.average_rate or stream.base_rate
    if not rate:
        raise VideoError("broken", "neither timestamps nor a frame rate")
    return [float(at / rate) for at in range(len(shown))]


def _duration(stream: VideoStream, shown: Sequence[_Entry], seconds: Sequence[float]) -> float:
    """Seconds from the first frame to the end of the last one."""
    if not seconds:
        return 0.0
    last = max(shown, key=lambda entry: (entry.pts or 0, entry.dts or 0))
    if last.duration > 0 and stream.time_base is not None:
        return seconds[-1] + float(last.duration * stream.time_base)
    gaps = [after - before for before, after in pairwise(seconds)]
    return seconds[-1] + (median(gaps) if gaps else 0.0)
