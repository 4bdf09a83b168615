"""Frames of a clip at the moments of a plan, as the model's square pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.contracts import Clip, Plan
from bench.video.sampling import EPSILON, frame_indices
from bench.video.scan import Scan, VideoError, scan

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class DecodedFrames:
    """`frames` uint8 RGB [T, size, size, 3], `times` their seconds from the clip's start [T]."""

    frames: np.ndarray
    times: np.ndarray
    decoder: str


def decode(clip: Clip, plan: Plan, size: int, decoder: str = "auto") -> DecodedFrames:
    """Decode `clip` at the plan's times, resize and crop. Raises VideoError with kind and reason.

    `decoder` is `auto` (decord where the scan trusts it, PyAV elsewhere), `decord` or `pyav`.
    """
    if clip.path is None:
        raise VideoError("missing", "no video file was found")
    if clip.path.is_dir():
        return _decode_folder(clip, plan, size)
    found = scan(clip.path)
    times = _times(clip, plan, found.duration)
    indices = frame_indices(found.timestamps, times)
    pictures, used = _pictures(clip.path, found, np.unique(indices), decoder)
    squares = {index: to_square(picture, size) for index, picture in pictures}
    if missing := [int(index) for index in indices if index not in squares]:
        raise VideoError("broken", f"frame {missing[0]} cannot be decoded")
    frames = np.stack([np.asarray(squares[index]) for index in indices])
    return DecodedFrames(frames, found.timestamps[indices] - clip.start, used)


def to_square(image: Image.Image, size: int) -> Image.Image:
    """RGB, shortest side `size`, centre crop: open_clip's own transform, bit for bit.

    torchvision's Resize rounds the long side down, and its CenterCrop rounds the margin to even.
    """
    image = image.convert("RGB")
    width, height = image.size
    if min(width, height) != size:
        if width <= height:
            width, height = size, max(size, int(size * height / width))
        else:
            width, height = max(size, int(size * width / height)), size
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def _times(clip: Clip, plan: Plan, duration: float) -> list[float]:
    """Seconds from the file's first frame; the span is cut to the file's own length."""
    end = duration if clip.end is None else min(clip.end, duration)
    if clip.start < 0 or end - clip.start <= EPSILON:
        raise VideoError(
            "broken", f"the span from {clip.start:g} s lies outside the file's {duration:.2f} s"
        )
    return [clip.start + time for time in plan.times(end - clip.start)]


def _pictures(
    path: Path, found: Scan, indices: np.ndarray, decoder: str
) -> tuple[list[tuple[int, Image.Image]], str]:
    """(index, picture) of each wanted frame, and which decoder made them."""
    if decoder == "decord" or (decoder == "auto" and found.decord_ok and _version("decord")):
        try:
            return _by_decord(path, indices), f"decord {_version('decord')}"
        except VideoError:
            if decoder == "decord":
                raise  # asked for by name: a silent change of decoder would be no answer
    return list(_by_pyav(path, found, indices)), f"PyAV {_version('av')}"


def _by_decord(path: Path, indices: np.ndarray) -> list[tuple[int, Image.Image]]:
    try:
        import decord

        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        batch = reader.get_batch(indices.tolist()).asnumpy()
        del reader  # an idle reader was seen to grow to 700 MB
    except Exception as error:  # DECORDError is no subclass of anything useful, ImportError is
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise VideoError("broken", f"decord: {reason[0][:200]}") from error
    return [(int(i), Image.fromarray(frame)) for i, frame in zip(indices, batch, strict=True)]


def _by_pyav(path: Path, found: Scan, indices: np.ndarray) -> Iterator[tuple[int, Image.Image]]:
    """Decode in order up to the last wanted frame, matching frames by time stamp."""
    import av

    wanted = set(indices.tolist())
    last = int(indices.max())
    try:
        with av.open(str(path), mode="r") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # more workers serve better than more threads
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                time = float(frame.pts * stream.time_base) - found.origin
                index = int(frame_indices(found.timestamps, [time])[0])
                if abs(found.timestamps[index] - time) > 1e-4:
                    continue  # decoded but never shown: before an edit list's cut
                if index in wanted:
                    wanted.discard(index)
                    yield index, _upright(frame)
                if index >= last and not wanted:
                    return
    except av.FFmpegError as error:
        raise VideoError("broken", f"decoding fails ({error.strerror})") from error


def _upright(frame: Any) -> Image.Image:
    """The picture as a player shows it: PyAV leaves a phone's rotation to the caller."""
    image: Image.Image = frame.to_image()
    rotation = int(getattr(frame, "rotation", 0)) % 360
    return image.rotate(rotation, expand=True) if rotation else image


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def numbered_frames(folder: Path) -> list[Path]:
    """A folder's numbered pictures in the order of their numbers."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    numbered = [(re.findall(r"\d+", path.stem), path) for path in files]
    return [path for digits, path in sorted(
        ((int(digits[-1]), path) for digits, path in numbered if digits)
    )]  # fmt: skip


def _decode_folder(clip: Clip, plan: Plan, size: int) -> DecodedFrames:
    assert clip.path is not None
    files = numbered_frames(clip.path)
    if not files:
        raise VideoError("empty", "the folder holds no numbered pictures")
    stamps = np.arange(len(files)) / clip.frames_fps
    times = _times(clip, plan, len(files) / clip.frames_fps)
    indices = frame_indices(stamps, times)
    squares = {int(index): _open_picture(files[index], size) for index in np.unique(indices)}
    frames = np.stack([squares[int(index)] for index in indices])
    return DecodedFrames(frames, stamps[indices] - clip.start, f"Pillow {_version('pillow')}")


def _open_picture(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(to_square(image, size))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise VideoError("broken", f"{path.name}: {error}") from error
