"""Decoding no more than the wanted frames need, exactly: unneeded groups and frames are skipped.

Of H.264 and HEVC files whose groups of pictures are whole, a group without a wanted frame is not
decoded at all, and within a group neither are frames that no other refers to, nor what follows the
last wanted one. The frames that come out are those of a full decode, bit for bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from bench.video.container import STRICT, decoding, is_frame
from bench.video.scan import Scan

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

CODECS = ("h264", "hevc")  # those whose decoders say truly which frames nothing refers to


def can_skip(found: Scan) -> bool:
    """Whether skipping is safe: whole groups, a time stamp of its own for every frame."""
    return _whole_groups(found) and found.codec in CODECS


def needed_frames(
    container: InputContainer, found: Scan, wanted: Collection[int]
) -> Iterator[VideoFrame]:
    """The frames with the `wanted` presentation times, and some of those they depend on."""
    stream = decoding(container, found.stream, STRICT)
    codec = stream.codec_context
    for packet in needed_packets(container, stream, found, wanted):
        if packet is None:
            yield from stream.decode(None)
            codec.flush_buffers()
        else:
            codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from stream.decode(packet)


def needed_packets(
    container: InputContainer, stream: VideoStream, found: Scan, wanted: Collection[int]
) -> Iterator[Packet | None]:
    """Of each group with a wanted frame the packets up to the last such one; None: flush now.

    A file whose groups are not whole counts as one group.
    """
    left = Counter(_group(found, pts) for pts in wanted)
    skipped = False
    for packet in container.demux(stream):
        if not is_frame(packet) or packet.pts is None:
            continue
        group = _group(found, packet.pts)
        if not left[group]:
            skipped = True
            continue
        if skipped:  # what the decoder holds back comes out before the next group goes in
            yield None
            skipped = False
        left[group] -= packet.pts in wanted
        yield packet
    yield None


def _whole_groups(found: Scan) -> bool:
    return found.decord_ok and bool(found.keyframes)


def _group(found: Scan, pts: int) -> int:
    """The group of pictures of a moment, counted from 1."""
    return bisect_right(found.keyframes, pts) if _whole_groups(found) else 0
