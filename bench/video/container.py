"""Opening a file that may be anything, and choosing which of its streams is the film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# What may be opened, whatever its name. FFmpeg also knows playlists and scripts (HLS, concat, ...):
# text that would have it open other files, or addresses.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegvideo,mpegts,ogg,m4v,h264,hevc,ivf,"
    "gif,apng,mxf,nut"
)
LARGEST_PIXELS = 8192 * 8192  # of one picture; more is a broken header, and memory for nothing
LONGEST_STRIP = 100  # times its short side; scaling the short side up would make it enormous
STRICT, TOLERANT = "crccheck+explode", "crccheck"  # by default, damage is concealed
STILLS = 10  # a stream with at most one frame to so many of another's is a track of stills


class VideoError(Exception):
    """A video gave no frames. `kind` is missing, empty, broken, truncated or timeout."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = " ".join(reason.split())
        super().__init__(f"{kind}: {self.reason}")


def open_video(path: Path, **options: str) -> InputContainer:
    """PyAV's container of a file that is a video and names no others. Raises as `av.open`."""
    import av

    # Titles in another encoding are no fault of the film; from PyAV 19 on they never raise.
    lenient: Any = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    # Absolute: a relative name such as `http:a.mp4` would be an address to FFmpeg.
    return av.open(
        str(path.absolute()),
        options={"format_whitelist": FORMATS, "protocol_whitelist": "file", **options},
        **lenient,
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


def film(container: InputContainer, path: Path) -> VideoStream:
    """The stream of `path`, opened as `container`, that is the film; VideoError if there is none.

    Covers and thumbnails never are, nor is a track of stills beside a stream with many more frames,
    whatever is flagged as default. Of several films, the one that players show.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        only = ", only a cover picture" if container.streams.video else ""
        raise VideoError("broken", f"no video stream{only}")
    if len(streams) == 1:
        return streams[0]
    with open_video(path) as other:
        packets = other.demux([other.streams[stream.index] for stream in streams])
        frames = Counter(packet.stream.index for packet in packets if is_frame(packet))
    most = max(frames.values(), default=0)
    few = max(1, most // STILLS)
    films = [one for one in streams if frames[one.index] > few or frames[one.index] == most]
    best = container.streams.best("video")
    return next(
        (one for one in films if best is not None and one.index == best.index),
        max(films, key=lambda one: frames[one.index]),
    )


def decoding(container: InputContainer, index: int, detect: str) -> VideoStream:
    """Stream `index`, to be decoded by one thread; `detect` is STRICT or TOLERANT."""
    stream: Any = container.streams[index]
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"err_detect": detect, "max_pixels": str(LARGEST_PIXELS)}
    found: VideoStream = stream
    return found


def decoded(
    stream: VideoStream, packet: Packet | None, shown: Collection[int] | None
) -> list[VideoFrame]:
    """The frames that come out with `packet`, None at the end. Raises FFmpeg's errors.

    But not for a packet of a moment that is not `shown`: what precedes the first keyframe has no
    base. Where frames are counted, `shown` is None: a lost one would shift all that follow.
    """
    import av

    try:
        return stream.decode(packet)
    except av.error.InvalidDataError:
        if packet is None or shown is None or packet.pts in shown:
            raise
        return []


def is_frame(packet: Packet) -> bool:
    """False for the flush packet at the end and for AVI's empty "show the last again" chunks."""
    return packet.size > 0


def _is_cover(stream: VideoStream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))
