"""Odd is not damaged: what a strict decoder stops at, judged by what a tolerant one flags.

Cameras write files that breach the standard and that every player shows. FFmpeg in its default
mode conceals damage, but some of its decoders flag the frames that it concealed, and say which
frames were lost. Frames that depend on those are not flagged: so nothing that is decoded on the way
to a wanted frame may be flagged or lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from bench.video.container import TOLERANT, VideoError, decoded, decoding, is_frame
from bench.video.scan import Scan
from bench.video.sparse import needed_packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Those whose decoders flag what they conceal. HEVC's and MJPEG's do not: of files with flipped bits
# that their strict decoders refuse, many would pass.
FLAGGING = frozenset(
    ("h264", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "flv", "h263", "wmv2")
)
MARK = ", tolerant"  # ends the name of the decoder


def undamaged_frames(
    container: InputContainer, found: Scan, wanted: Collection[int]
) -> Iterator[VideoFrame]:
    """The frames on the way to those with the `wanted` presentation times.

    The iterator raises VideoError or FFmpeg's error where one is flagged or lost, which may be
    after the last wanted frame has come: believe none before its end.
    """
    stream = decoding(container, found.stream, TOLERANT)
    shown = None if found.pts is None else frozenset(found.pts)
    fed, came = set(), set()
    count = 0
    for packet in _packets(container, stream, found, wanted):
        if packet is not None:
            fed.add(packet.pts)
        for frame in _undamaged(stream, packet, shown):
            came.add(frame.pts)
            count += 1
            yield frame
        if packet is None:
            stream.codec_context.flush_buffers()
    whole = count == len(found.timestamps) if shown is None else came >= shown & fed
    if not whole:
        raise VideoError("broken", "not all frames decoded")


def odd_clips(decoders: Mapping[str, str], name: str) -> list[str]:
    """A line on the clips of `name` that were read tolerantly, if any; `decoders` are by clip."""
    odd = [clip for clip, decoder in decoders.items() if decoder.endswith(MARK)]
    if not odd:
        return []
    return [
        f"{name}: {len(odd)} of {len(decoders)} videos breach the standard of their format; a "
        f"tolerant decoder read them and flagged no frame as damaged; the first, {odd[0]}"
    ]


def _packets(
    container: InputContainer, stream: VideoStream, found: Scan, wanted: Collection[int]
) -> Iterator[Packet | None]:
    if found.pts is None:  # frames are counted: all must come
        return chain((packet for packet in container.demux(stream) if is_frame(packet)), [None])
    return needed_packets(container, stream, found, wanted)


def _undamaged(
    stream: VideoStream, packet: Packet | None, shown: Collection[int] | None
) -> Iterator[VideoFrame]:
    if packet is not None and packet.is_corrupt:
        raise VideoError("broken", "a packet is flagged as damaged")
    for frame in decoded(stream, packet, shown):
        if frame.is_corrupt and (shown is None or frame.pts in shown):
            raise VideoError("broken", f"the frame at {frame.time or 0:.2f} s is damaged")
        yield frame
