"""The frames a plan asks for, exact ones or none.

`auto` and `pyav` are PyAV, set to stop at damage; it skips what the wanted frames do not need
where that is safe. Where it stops, a tolerant decoder decides whether the file is damaged or only
odd. `decord` is decord where its index can be trusted, else PyAV; it conceals
damaged pictures without a word, and takes longer.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from errno import ENOMEM
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from bench.contracts import Clip, Plan
from bench.errors import UsageError, plain
from bench.video.container import (
    STRICT,
    VideoError,
    check_size,
    decoded,
    decoding,
    is_frame,
    open_video,
)
from bench.video.folders import numbered_frames
from bench.video.preprocessing import Preprocessing, as_preprocessing
from bench.video.sampling import EPSILON, ByIndex, chosen_frames
from bench.video.scan import Scan, scan, status_of
from bench.video.sound import Sound
from bench.video.sparse import can_skip, needed_frames
from bench.video.tolerant import FLAGGING, MARK, undamaged_frames

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

DECODERS = ("auto", "decord", "pyav")
Decoding = Callable[["InputContainer", Scan, Collection[int]], Iterator["VideoFrame"]]


@dataclass(frozen=True)
class DecodedFrames:
    """uint8 [T, size, size, 3] RGB; seconds float64 [T] from the file's first frame; who did it.

    `key` is what they were read from the store under, empty where they were not. `sound` is there
    where it was wanted.
    """

    frames: np.ndarray
    times: np.ndarray
    decoder: str
    key: str = ""
    sound: Sound | None = None


def decode(
    clip: Clip, plan: Plan, pixels: int | Preprocessing, decoder: str = "auto"
) -> DecodedFrames:
    """The frames of `clip` at `plan`'s moments, as squares: a size alone is OpenAI's rule.

    Raises VideoError where a single one of them cannot be had, UsageError for an unknown decoder.
    """
    if decoder not in DECODERS:
        raise UsageError(f"unknown decoder '{decoder}'; choose auto, decord or pyav")
    if clip.path is None:
        raise VideoError("missing", "no file was found")
    if stat.S_ISDIR(status_of(clip.path).st_mode):
        return _from_folder(clip, clip.path, plan, as_preprocessing(pixels))
    found = scan(clip.path)
    start, end = _span(clip, found.duration)
    indices = chosen_frames(plan, found.timestamps, found.duration, start, end)
    frames, name = _from_file(clip.path, found, indices, as_preprocessing(pixels), decoder)
    times = np.array([found.timestamps[index] for index in indices], np.float64)
    return DecodedFrames(frames, times, name)


def decode_each(
    clip: Clip, plans: Sequence[Plan], pixels: int | Preprocessing, decoder: str = "auto"
) -> list[DecodedFrames]:
    """`decode` by each of several plans, in one pass over a file.

    VideoError where a single frame cannot be had, or only by the tolerant decoder: which plans are
    without fault is not known then.
    """
    if clip.path is None or stat.S_ISDIR(status_of(clip.path).st_mode):
        return [decode(clip, plan, pixels, decoder) for plan in plans]
    found = scan(clip.path)
    span = _span(clip, found.duration)
    chosen = [chosen_frames(plan, found.timestamps, found.duration, *span) for plan in plans]
    wanted = sorted({index for indices in chosen for index in indices})
    frames, name = _from_file(clip.path, found, wanted, as_preprocessing(pixels), decoder)
    if name.endswith(MARK):
        raise VideoError("broken", "the strict decoder stops")
    place = {index: at for at, index in enumerate(wanted)}
    return [
        DecodedFrames(
            frames[[place[index] for index in indices]],
            np.array([found.timestamps[index] for index in indices], np.float64),
            name,
        )
        for indices in chosen
    ]


def _span(clip: Clip, duration: float) -> tuple[float, float]:
    """Start and end in seconds from the file's first frame; an end past the file's is cut."""
    start = max(0.0, clip.start)
    end = duration if clip.end is None else min(clip.end, duration)
    if start >= end:
        asked = "its end" if clip.end is None else f"{clip.end:.2f} s"
        raise VideoError(
            "broken", f"the span {clip.start:.2f} s to {asked} is not in a file of {duration:.2f} s"
        )
    return start, end


def _from_file(
    path: Path, found: Scan, indices: Sequence[int], square: Preprocessing, decoder: str
) -> tuple[np.ndarray, str]:
    """Frames [T, size, size, 3] and the decoder's name."""
    if decoder == "decord" and found.decord_ok:
        try:
            return _stack(_by_decord(path, found, indices), indices, square), _version("decord")
        except Exception as error:  # decord raises its own kinds, which differ by version
            raise VideoError("broken", f"decord: {plain(error)}") from error
    problems: list[VideoError] = []
    for way, mark in _decodings(found):
        try:
            pictures = _by_pyav(path, found, indices, way)
            return _stack(pictures, indices, square), f"{_version('av')}{mark}"
        except VideoError as error:
            problems.append(error)
    raise problems[0]


def _decodings(found: Scan) -> list[tuple[Decoding, str]]:
    """The ways to decode a file, each tried where the one before fails, and their marks."""
    return [
        *([(needed_frames, "")] if can_skip(found) else []),
        (_frames, ""),
        *([(undamaged_frames, MARK)] if found.codec in FLAGGING else []),
    ]


def _version(package: str) -> str:
    shown = {"av": "PyAV", "pillow": "Pillow"}.get(package, package)
    try:
        return f"{shown} {version(package)}"
    except PackageNotFoundError:  # decord2 installs the module under another package's name
        return f"{shown} (unknown version)"


def _stack(
    pictures: Iterator[tuple[int, np.ndarray]], indices: Sequence[int], square: Preprocessing
) -> np.ndarray:
    """Crop each picture as it comes, so that only small ones are held; all wanted or VideoError."""
    small = {
        index: np.asarray(square.apply(Image.fromarray(picture))) for index, picture in pictures
    }
    if lost := sorted(set(indices) - set(small)):
        raise VideoError(
            "broken", f"{len(lost)} of {len(set(indices))} frames did not decode, first {lost[0]}"
        )
    return np.stack([small[index] for index in indices])


def _by_decord(path: Path, found: Scan, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    import decord

    # The reader lives for one batch only: an idle one keeps hundreds of megabytes.
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    if len(reader) != len(found.timestamps):
        raise VideoError("broken", f"{len(reader)} of {len(found.timestamps)} frames in its index")
    unique = sorted(set(indices))
    batch = reader.get_batch(unique).asnumpy()
    del reader
    yield from zip(unique, batch, strict=True)


def _by_pyav(
    path: Path, found: Scan, indices: Sequence[int], way: Decoding
) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames as `way` gives them; VideoError where it stops."""
    import av

    try:
        with open_video(path) as container:
            yield from _wanted(way, container, found, set(indices))
    except (av.FFmpegError, ValueError, OSError) as error:
        if getattr(error, "errno", None) == ENOMEM:
            raise MemoryError from error  # the limit's doing, not the video's
        raise VideoError("broken", f"cannot be decoded: {plain(error)}") from error


def _wanted(
    way: Decoding, container: InputContainer, found: Scan, wanted: set[int]
) -> Iterator[tuple[int, np.ndarray]]:
    index_of: dict[int | None, int] = {pts: at for at, pts in enumerate(found.pts or [])}
    moments = {found.pts[index] for index in wanted} if found.pts else frozenset(wanted)
    for count, frame in enumerate(way(container, found, moments)):
        index = count if found.pts is None else index_of.get(frame.pts)
        if index is None or index not in wanted:
            continue
        if frame.is_corrupt:
            raise VideoError("broken", f"frame {index} is damaged")
        check_size(frame.width, frame.height)
        wanted.remove(index)
        picture = frame.to_ndarray(format="rgb24")
        yield index, np.rot90(picture, round(frame.rotation / 90)).copy()
        if not wanted and way is not undamaged_frames:
            return


def _frames(
    container: InputContainer, found: Scan, wanted: Collection[int]
) -> Iterator[VideoFrame]:
    """All frames in the order shown, up to the first damage."""
    stream = decoding(container, found.stream, STRICT)
    shown = None if found.pts is None else frozenset(found.pts)
    for packet in container.demux(stream):
        if is_frame(packet):
            yield from decoded(stream, packet, shown)
    yield from stream.decode(None)


def _from_folder(clip: Clip, folder: Path, plan: Plan, square: Preprocessing) -> DecodedFrames:
    numbered = numbered_frames(folder)
    paths = numbered.paths
    if not paths:
        raise VideoError("empty", "no numbered .jpg or .png frames in the folder")
    if numbered.fault:
        raise VideoError("broken", numbered.fault)
    duration = len(paths) / clip.frames_fps
    indices = _numbers(plan, len(paths), clip.frames_fps, *_span(clip, duration))
    frames = {index: _picture(paths[index], square) for index in set(indices)}
    return DecodedFrames(
        np.stack([frames[index] for index in indices]),
        np.array([index / clip.frames_fps for index in indices], np.float64),
        _version("pillow"),
    )


def _numbers(plan: Plan, count: int, rate: float, start: float, end: float) -> list[int]:
    """Which of a folder's `count` pictures, extracted at `rate` a second."""
    if isinstance(plan, ByIndex):
        timestamps = [number / rate for number in range(count)]
        return chosen_frames(plan, timestamps, count / rate, start, end)
    times = (start + time for time in plan.times(end - start))
    return [min(count - 1, int((time + EPSILON) * rate)) for time in times]


def _picture(path: Path, square: Preprocessing) -> np.ndarray:
    """One picture, turned as its camera says. Transparency is ignored, as in videos."""
    try:
        # By content Pillow would also open what runs other programs, such as PostScript.
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            check_size(*image.size)
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(square.apply(_rgb(image)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError("broken", f"{path.name}: {plain(error)}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which `convert` would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
