"""Videos that show their own frame numbers, as ten big black or white cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 10
WIDTH, HEIGHT = 192, 128


def draw(number: int) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]: the number in binary, two rows of five cells below a red edge.

    The cells fill the central square, so that crops keep them.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    picture[: HEIGHT // 4] = (200, 30, 30)
    left, cell = (WIDTH - HEIGHT) // 2, HEIGHT / 5
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        top, start = HEIGHT // 2 + row * HEIGHT // 4, left + round(column * cell)
        value = 235 if number >> bit & 1 else 20
        picture[top : top + HEIGHT // 4, start : left + round((column + 1) * cell)] = value
    return picture


def read(frame: np.ndarray) -> int:
    """The number in a decoded square [S, S, 3]."""
    size, number = len(frame), 0
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        y, x = size * (5 + 2 * row) // 8, size * (2 * column + 1) // 10
        number |= int(frame[y - 2 : y + 2, x - 2 : x + 2].mean() > 128) << bit
    return number


def write_video(
    path: Path,
    frames: int = 90,
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """30 frames a second; `pts` are in thirtieths, one a frame, the default is 0, 1, 2, …"""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=30, options=options or {"g": "30", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts = pts[number] if pts else number
            frame.time_base = Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(
    source: Path, path: Path, change: Callable[[int, bytes], bytes], stored_order: bool = False
) -> Path:
    """The pictures of `source`, each `change`d as it is numbered in the file, under `path`.

    `stored_order` gives each its place in the file as its time, as some cameras do.
    """
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        start = min(packet.dts for packet in packets) if stored_order else 0
        for number, packet in enumerate(packets):
            other = av.Packet(change(number, bytes(packet)))
            other.dts = packet.dts - start
            other.pts = other.dts if stored_order else packet.pts
            other.time_base, other.duration = packet.time_base, packet.duration
            other.is_keyframe, other.stream = packet.is_keyframe, stream
            new.mux(other)
    return path


def nal_units(data: bytes) -> list[bytes]:
    """An mp4's H.264 picture taken apart, without the lengths."""
    units = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        units.append(data[4:end])
        data = data[end:]
    return units


def from_nal_units(units: Sequence[bytes]) -> bytes:
    """The picture again."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def headless_note(number: int, data: bytes) -> bytes:
    """The encoder's note before the first picture without its first byte.

    So it reads as a non-intra slice in an IDR picture, which players skip.
    """
    first, *others = nal_units(data)
    return data if number else from_nal_units([first[1:], *others])
