"""A clip's sound track as its file has it: channels and rate are the file's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts import Clip
from bench.errors import plain
from bench.video.container import VideoError, film, open_video
from bench.video.scan import check_file

GAP = 0.05  # seconds that a track may be behind its own time stamps

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


@dataclass(frozen=True)
class Sound:
    """`samples` float32 [channels, N] of -1 to 1, `rate` of them a second.

    A clip without a sound track has [0, 0] at rate 0; one that is silent has samples, all zero.
    """

    samples: np.ndarray
    rate: int

    @property
    def state(self) -> str:
        """`missing`, `silent` or `heard`."""
        if not self.samples.size:
            return "missing"
        return "heard" if self.samples.any() else "silent"


NONE = Sound(np.zeros((0, 0), np.float32), 0)


def sound_of(clip: Clip) -> Sound:
    """The first sound track of the clip's file, from the clip's start to its end.

    A folder of pictures has none. VideoError where it does not decode whole: part of a track is
    not what the model would have heard.
    """
    if clip.path is None:
        raise VideoError("missing", "no file was found")
    if clip.path.is_dir():
        return NONE
    check_file(clip.path)
    import av

    try:
        with open_video(clip.path) as container:
            if not container.streams.audio:
                return NONE
            return _decoded(container, container.streams.audio[0], clip, clip.path)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError("broken", f"its sound cannot be decoded: {plain(error)}") from error


def _decoded(container: InputContainer, stream: AudioStream, clip: Clip, path: Path) -> Sound:
    """Samples of the clip's span. A file that is asked for whole gives its whole track."""
    video = film(container, path)
    zero = float((video.start_time or 0) * (video.time_base or 0))
    whole = clip.start <= 0 and clip.end is None
    rate, parts = 0, []
    for at, part, rate in _pieces(container, stream):
        if not whole:
            first = round((clip.start - (at - zero)) * rate)
            last = part.shape[1] if clip.end is None else round((clip.end - (at - zero)) * rate)
            part = part[:, max(0, first) : max(0, last)]
        parts.append(part)
    return Sound(np.concatenate(parts, axis=1), rate) if rate else NONE


def _pieces(
    container: InputContainer, stream: AudioStream
) -> Iterator[tuple[float, np.ndarray, int]]:
    """Of each decoded piece its seconds in the file's clock, float32 [channels, N], its rate."""
    import av

    stream.codec_context.options = {"err_detect": "crccheck+explode"}
    resampler = av.AudioResampler(format="fltp")
    at = 0.0
    for frame in container.decode(stream):
        # Of a gap only: a container's clock may be rounded to milliseconds.
        if frame.time is not None and abs(frame.time - at) > GAP:
            at = frame.time
        for piece in resampler.resample(frame):
            yield at, piece.to_ndarray(), piece.sample_rate
            at += piece.samples / piece.sample_rate
