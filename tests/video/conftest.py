"""Videos that show their own frame numbers, as ten big black or white cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

BITS = 10
WIDTH, HEIGHT = 192, 128
Make = Callable[..., Path]


def draw(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 [height, width, 3]: the number in binary in the middle band, so that crops keep it.

    The cells fill the central square, 5 to a row in two rows, below a red top edge.
    """
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 4] = (200, 30, 30)
    side, left, cell = height // 2, (width - height) // 2, height // 5
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        value = 235 if number >> bit & 1 else 20
        top, start = side + row * side // 2, left + column * cell
        picture[top : top + side // 2, start : start + cell] = value
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
    rate: int = 30,
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """`pts` are in 1/`rate` seconds, one a frame; the default is 0, 1, 2, …"""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"g": "30", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts = pts[number] if pts else number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames at 30 a second, H.264 with B-frames, index in front."""
    path = tmp_path_factory.mktemp("mp4") / "plain.mp4"
    return write_video(path, container_options={"movflags": "+faststart"})
