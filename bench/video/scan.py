"""What a video file holds, from its packets alone: 2 to 5 % of the cost of decoding it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Containers whose index decord reads as the decoder would; AVI and transport streams it does not.
_DECORD_FORMATS = {"mov", "mp4", "matroska", "webm"}
_INDEXED = {"mov", "mp4", "matroska", "webm"}  # declare an exact frame count, if they declare one


def plain(error: BaseException) -> str:
    """An exception's text as one short line."""
    return " ".join((str(error) or type(error).__name__).split())[:300]


class VideoError(Exception):
    """No frames from this file. `kind` is missing, empty, broken, truncated or timeout."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = " ".join(reason.split())


@dataclass(frozen=True)
class Scan:
    """`timestamps`: seconds from the first frame, ascending [F]; `origin`: its own time stamp.

    `decord_ok` tells whether decord counts this file's frames as they are shown.
    """

    timestamps: np.ndarray
    origin: float
    duration: float
    codec: str
    container: str
    decord_ok: bool


def scan(path: Path) -> Scan:
    """Read the packets of the first video stream. Raises VideoError with kind and reason."""
    import av

    check_readable(path)
    try:
        with av.open(str(path), mode="r") as container:
            if not container.streams.video:
                raise VideoError("broken", "no video stream")
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            return _summary(stream, container.format.name, packets)
    except av.FFmpegError as error:
        raise VideoError("broken", f"not readable as video ({error.strerror})") from error


def check_readable(path: Path) -> None:
    """Raise VideoError for what needs no decoder to be seen: absence, emptiness, permissions."""
    try:
        status = path.stat()
        if not path.is_file():
            raise VideoError("broken", "not a regular file")
        if status.st_size == 0:
            raise VideoError("empty", "the file has 0 bytes")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise VideoError("missing", "no such file") from error
    except OSError as error:
        raise VideoError("broken", str(error.strerror or error)) from error


def _summary(stream: Any, container: str, packets: list[Any]) -> Scan:
    if not packets:
        raise VideoError("broken", "the video stream holds no frames")
    formats = set(container.split(","))
    declared = stream.frames
    if formats & _INDEXED and declared and len(packets) < declared:
        raise VideoError("truncated", f"{len(packets)} of {declared} frames")
    stamps = [packet.pts for packet in packets]
    shown = [packet for packet in packets if packet.pts is not None and not packet.is_discard]
    if not shown:
        raise VideoError("broken", "no frame has a time stamp")
    base = float(stream.time_base or 1)
    pts = np.unique(np.array([packet.pts for packet in shown], dtype=np.int64))
    seconds = (pts - pts[0]) * base
    last = max(shown, key=lambda packet: packet.pts)
    step = (last.duration or 0) * base or (
        float(np.median(np.diff(seconds))) if len(pts) > 1 else 0.04
    )
    whole = len(pts) == len(packets) and None not in stamps
    trusted = (
        bool(formats & _DECORD_FORMATS)
        and stream.codec_context.name not in ("av1", "libdav1d")
        and whole
        and int(np.abs(pts).max()) < 2**31
        and _closed_groups(packets)
    )
    return Scan(
        seconds, float(pts[0]) * base, float(seconds[-1]) + step, stream.codec_context.name,
        container, trusted,
    )  # fmt: skip


def _closed_groups(packets: list[Any]) -> bool:
    """Whether no packet after a key frame is shown before it (an open group of pictures)."""
    key = None
    for packet in packets:
        if packet.is_keyframe:
            key = packet.pts
        elif key is None or packet.pts < key:
            return False
    return True
