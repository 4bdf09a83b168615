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
from typing import TYPE_CHECKING, Any

from bench.errors import plain

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"
# What may be opened, whatever its name. FFmpeg also knows playlists and scripts (HLS, concat, ...):
# text that would have it open other files, or addresses.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegvideo,mpegts,ogg,m4v,h264,hevc,ivf,"
    "gif,apng,mxf,nut"
)
LARGEST_PIXELS = 8192 * 8192  # of one picture; more is a broken header, and memory for nothing
LONGEST_STRIP = 100  # times its short side; scaling the short side up would make it enormous


class VideoError(Exception):
    """A video gave no frames. `kind` is missing, empty, broken, truncated or timeout."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = " ".join(reason.split())
        super().__init__(f"{kind}: {self.reason}")


@dataclass(frozen=True)
class Scan:
    """What the packets of the first video stream say.

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
            stream = first_video(container)
            check_size(stream.codec_context.width, stream.codec_context.height)
            entries = _entries(container, stream)
            found = _summarise(container.format.name, stream, entries)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError("broken", f"cannot be read: {plain(error)}") from error
    if len(entries) < found.declared and found.container in (MP4, MATROSKA):
        packets = _packets_without_edits(path)
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


def open_video(path: Path, **options: str) -> InputContainer:
    """PyAV's container of a file that is a video and names no others. Raises as `av.open`."""
    import av

    # Absolute: a relative name such as `http:a.mp4` would be an address to FFmpeg.
    return av.open(
        str(path.absolute()),
        options={"format_whitelist": FORMATS, "protocol_whitelist": "file", **options},
        metadata_errors="ignore",
    )


def check_size(width: int, height: int) -> None:
    """VideoError for a picture of no size, of absurd size or of absurd shape."""
    if width < 1 or height < 1:
        raise VideoError("broken", "no picture size in its header")
    if width * height > LARGEST_PIXELS or max(width, height) > LONGEST_STRIP * min(width, height):
        raise VideoError(
            "broken",
            f"pictures of {width}x{height}; at most {LARGEST_PIXELS >> 20} million pixels and "
            f"{LONGEST_STRIP}:1 are read",
        )


def first_video(container: InputContainer) -> VideoStream:
    """The stream that players show, cover pictures aside; decord takes the same one."""
    stream: Any = container.streams.best("video")
    if stream is None:
        raise VideoError("broken", "no video stream")
    found: VideoStream = stream
    return found


def strict_video(container: InputContainer) -> VideoStream:
    """The same, to be decoded by one thread up to the first damage.

    By default FFmpeg conceals damage: a picture is made up from its neighbours.
    """
    stream = first_video(container)
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {
        "err_detect": "crccheck+explode", "max_pixels": str(LARGEST_PIXELS)
    }  # fmt: skip
    return stream


def is_frame(packet: Packet) -> bool:
    """False for the flush packet at the end and for AVI's empty "show the last again" chunks."""
    return packet.size > 0


def _entries(container: InputContainer, stream: VideoStream) -> list[_Entry]:
    return [
        _Entry(p.pts, p.dts, p.duration or 0, bool(p.is_keyframe), bool(p.is_discard))
        for p in container.demux(stream)
        if is_frame(p)
    ]


def _packets_without_edits(path: Path) -> int:
    """All packets in the file: a shortened edit list hides some, which is no truncation."""
    import av

    try:
        with open_video(path, ignore_editlist="1") as container:
            return sum(is_frame(packet) for packet in container.demux(first_video(container)))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError("broken", f"cannot be read: {plain(error)}") from error


def _summarise(container: str, stream: VideoStream, entries: Sequence[_Entry]) -> Scan:
    shown = [entry for entry in entries if not entry.discarded]
    known = [entry.pts for entry in shown if entry.pts is not None]
    by_pts = len(known) == len(shown) == len(set(known)) and container != "avi"
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
        container=container,
        declared=declared,
        decord_ok=by_pts
        and container in (MP4, MATROSKA)
        and stream.codec_context.codec.canonical_name != "av1"
        and _in_order(entries),
    )


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
