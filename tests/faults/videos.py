"""Bad videos: a corpus made by code, each either decoded right or a named failure.

Every kind goes the way of a run: through the decoding processes, with a time and a memory limit.
The pictures show their own numbers (tests/video/clips.py), so that a wrong frame is seen.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from bench.contracts import Clip, Failure
from bench.video import DecodedFrames, FrameStore, Uniform, pool
from tests.faults.table import FaultRow
from tests.video.clips import draw, headless_note, read, remux, write_video

FRAMES = 31  # of every video: the centres of three equal parts lie well inside frames 5, 15, 25
SHOWN = [5, 15, 25]
TIMEOUT, MEMORY = 20.0, 1024  # seconds a video, MiB a process
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A kind of video; `make` writes one into an empty folder and returns its path.

    `kinds` are the failures that are right answers, none where it must decode. `check` tells
    whether decoded frames are right.
    """

    kind: str
    make: Make
    kinds: tuple[str, ...] = ()
    check: Callable[[np.ndarray], bool] = lambda frames: [read(f) for f in frames] == SHOWN
    told: str = "decoded right"


def outcomes(
    folder: Path, cases: list[Case], workers: int = 2, timeout: float = TIMEOUT
) -> dict[str, DecodedFrames | Failure]:
    """Make and decode every case below `folder`; kind -> what came of it."""
    clips = []
    for number, case in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        clips.append(Clip(case.kind, case.make(place)))
    store = FrameStore(folder / "store", 128, Uniform(3))
    return {clip.id: found for clip, found in store.fill(clips, workers, timeout, MEMORY)}


def right(case: Case, found: DecodedFrames | Failure) -> bool:
    """Whether the outcome is one that the case allows."""
    if isinstance(found, Failure):
        return found.kind in case.kinds
    return case.check(found.frames)


# --- makers --------------------------------------------------------------------------------------


def video(name: str, frames: int = FRAMES, **others: Any) -> Make:
    """By `write_video`, under `name`."""
    return lambda folder: write_video(folder / name, frames, **others)


FRONT = {"container_options": {"movflags": "+faststart"}}


def encoded(
    name: str, codec: str, pixels: str, size: tuple[int, int] = (192, 128),
    options: dict[str, str] | None = None, frames: int = FRAMES, **context: Any,
) -> Make:  # fmt: skip
    """A video of another pixel format or size; `context` are attributes of the encoder."""

    def make(folder: Path) -> Path:
        with av.open(str(folder / name), "w") as container:
            stream: Any = container.add_stream(codec, rate=30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            for key, value in context.items():
                setattr(stream.codec_context, key, value)
            for number in range(frames):
                picture = Image.fromarray(draw(number)).resize(size, Image.Resampling.NEAREST)
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return folder / name

    return make


def bytes_of(content: bytes, name: str = "video.mp4") -> Make:
    """A file of just these bytes."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def changed(change: Callable[[bytes], bytes], base: Make) -> Make:
    """What `base` makes, its bytes changed."""

    def make(folder: Path) -> Path:
        path = base(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def cut(share: float) -> Callable[[bytes], bytes]:
    """The first `share` of a file."""
    return lambda data: data[: int(len(data) * share)]


def flipped(data: bytes) -> bytes:
    """Sixteen bytes of the pictures inverted, evenly over the file's second half."""
    found = bytearray(data)
    for at in range(len(data) // 2, len(data) - 16, max(1, len(data) // 32)):
        found[at] ^= 0xFF
    return bytes(found)


def nudged(data: bytes) -> bytes:
    """One bit flipped, three quarters into the file."""
    at = len(data) * 3 // 4
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def patched(box: bytes, offset: int, layout: str, *values: int) -> Callable[[bytes], bytes]:
    """Numbers written `offset` bytes after the name of an mp4 box."""

    def change(data: bytes) -> bytes:
        found = bytearray(data)
        struct.pack_into(layout, found, data.index(box) + offset, *values)
        return bytes(found)

    return change


def claiming(size: int) -> Callable[[bytes], bytes]:
    """The sizes in the pictures' own headers, and the container's, replaced."""

    def change(data: bytes) -> bytes:
        old, new = struct.pack(">HH", 128, 192), struct.pack(">HH", size, size)
        head = b"\xff\xc0\x00\x11\x08"
        assert head + old in data
        found = data.replace(head + old, head + new)
        return found.replace(struct.pack("<II", 192, 128), struct.pack("<II", size, size))

    return change


def turned(data: bytes) -> bytes:
    """With a display matrix of a quarter turn."""
    found = bytearray(data)
    at = data.index(b"tkhd") + 44
    for slot, value in ((0, 0), (4, 1), (12, -1), (16, 0)):
        struct.pack_into(">i", found, at + slot, value << 16)
    return bytes(found)


def odd(folder: Path) -> Path:
    """A non-intra slice in an IDR picture, and no time but the place in the file."""
    plain = video("plain.mp4")(folder)
    return remux(plain, folder / "video.mp4", headless_note, stored_order=True)


def odd_and_damaged(folder: Path) -> Path:
    """The same with one damaged picture."""

    def change(number: int, data: bytes) -> bytes:
        if number != 16:
            return headless_note(number, data)
        at = len(data) // 2
        return data[:at] + bytes(byte ^ 0x55 for byte in data[at:])

    plain = video("plain.mp4")(folder)
    return remux(plain, folder / "video.mp4", change, stored_order=True)


def still_first(folder: Path) -> Path:
    """A white picture as the first stream, flagged as the default one."""
    with (
        av.open(str(video("plain.mp4")(folder))) as old,
        av.open(str(folder / "video.mp4"), "w") as new,
    ):
        still: Any = new.add_stream("mjpeg", rate=1)
        still.width, still.height, still.pix_fmt = 192, 128, "yuvj420p"
        stream = new.add_stream_from_template(old.streams.video[0])
        still.disposition, stream.disposition = 1, 0
        white = av.VideoFrame.from_ndarray(np.full((128, 192, 3), 255, np.uint8), format="rgb24")
        new.mux(still.encode(white))
        new.mux(still.encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return folder / "video.mp4"


def sound(folder: Path) -> Path:
    """A second of silence and no pictures."""
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        for _ in range(10):
            samples = np.zeros((1, 4096), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder / "sound.mp4"


def no_frames(folder: Path) -> Path:
    """A video stream that was opened and closed again."""
    with av.open(str(folder / "none.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        stream.codec_context.open()
        container.start_encoding()
    return folder / "none.mkv"


def playlist(folder: Path) -> Path:
    """A text that would have FFmpeg open another file, under a video's name."""
    other = video("other.mp4")(folder)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{other.as_uri()}\n#EXT-X-ENDLIST\n"
    (folder / "video.mp4").write_text(text)
    return folder / "video.mp4"


def script(folder: Path) -> Path:
    """FFmpeg's own list of files to join, under a video's name."""
    video("other.mp4")(folder)
    (folder / "video.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    return folder / "video.mp4"


def made(call: Callable[[Path], object], name: str = "video.mp4") -> Make:
    """Whatever `call` puts at a path."""

    def make(folder: Path) -> Path:
        call(folder / name)
        return folder / name

    return make


def listening(path: Path) -> None:
    """A socket's file; its path must be short, so that it is bound from within its folder."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def link(folder: Path) -> Path:
    """A link to a good video."""
    (folder / "link.mp4").symlink_to(video("real.mp4")(folder))
    return folder / "link.mp4"


def frames(names: Callable[[int], str], mode: str = "RGB", **how: Any) -> Make:
    """A folder of pictures at 30 a second."""

    def make(folder: Path) -> Path:
        (folder / "frames").mkdir()
        for number in range(FRAMES):
            image = Image.fromarray(draw(number))
            if mode == "I;16":
                image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
            elif mode == "RGBA":
                image.putalpha(Image.fromarray(np.full((128, 192), number * 8, np.uint8)))
            else:
                image = image.convert(mode)
            image.save(folder / "frames" / names(number), **how)
        return folder / "frames"

    return make


def with_copies(folder: Path) -> Path:
    """Every other picture in two formats."""
    place = frames("{}.png".format)(folder)
    for number in range(0, FRAMES, 2):
        Image.open(place / f"{number}.png").save(place / f"{number}.jpg")
    return place


def with_holes(folder: Path) -> Path:
    """Three pictures were lost."""
    place = frames(NUMBERED)(folder)
    for number in (3, 7, 8):
        (place / NUMBERED(number)).unlink()
    return place


def sideways(folder: Path) -> Path:
    """JPEGs that lie on their side, and whose EXIF says so."""
    (folder / "frames").mkdir()
    for number in range(FRAMES):
        image = Image.fromarray(np.rot90(draw(number)).copy())
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        image.save(folder / "frames" / f"{number}.jpg", exif=exif, quality=95)
    return folder / "frames"


def broken_picture(folder: Path) -> Path:
    """A folder in which one picture is cut short."""
    made_folder = frames(lambda n: f"{n:03d}.png")(folder)
    path = made_folder / "015.png"
    path.write_bytes(path.read_bytes()[:300])
    return made_folder


def postscript(folder: Path) -> Path:
    """A program for Ghostscript under a picture's name."""
    (folder / "frames").mkdir()
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n"
    (folder / "frames" / "1.jpg").write_text(text)
    return folder / "frames"


def huge_picture(folder: Path) -> Path:
    """A PNG whose header claims 60,000 by 60,000 pixels."""
    (folder / "frames").mkdir()
    path = folder / "frames" / "1.png"
    Image.fromarray(draw(0)).save(path)
    path.write_bytes(_png_of_size(path.read_bytes(), 60_000))
    return folder / "frames"


def _png_of_size(data: bytes, size: int) -> bytes:
    import zlib

    head = b"IHDR" + struct.pack(">II", size, size) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


# --- the corpus ----------------------------------------------------------------------------------


def _upright(found: np.ndarray) -> bool:
    return [read(frame) for frame in np.rot90(found, 1, axes=(1, 2))] == SHOWN


def _red_above(found: np.ndarray) -> bool:
    """The top of a drawn picture, for videos too coarse for their numbers."""
    top = found[:, :16].reshape(-1, 3).mean(axis=0)
    return bool(np.abs(top - (200, 30, 30)).max() < 25)


FASTSTART = video("video.mp4", **FRONT)
PLAIN = video("video.mp4")
JPEGS = encoded("video.avi", "mjpeg", "yuvj420p")
NUMBERED = "frame{:05d}.jpg".format
CASES = [
    # What must decode right.
    Case("mp4, index in front", FASTSTART),
    Case("mp4, index at the end", PLAIN),
    Case("mkv", video("video.mkv")),
    Case("webm, VP9", video("video.webm", codec="libvpx-vp9", options={"cpu-used": "8"})),
    Case("avi, H.264", video("video.avi")),
    Case("avi, MPEG-4 with B-frames", video("video.avi", codec="mpeg4", options={"bf": "2"})),
    Case("transport stream", video("video.ts")),
    Case("animated gif", encoded("video.gif", "gif", "rgb8")),
    Case("a gif named mp4", changed(bytes, lambda f: encoded("v.gif", "gif", "rgb8")(f).rename(
        f / "video.mp4"))),
    Case("one frame", video("video.mp4", 1), check=lambda f: [read(x) for x in f] == [0, 0, 0]),
    Case("variable rate", video("video.mp4", pts=[n if n < 10 else 10 + (n - 10) * 10
                                                  for n in range(FRAMES)]),
         check=lambda f: [read(x) for x in f] == [12, 19, 26]),
    Case("turned by its display matrix", changed(turned, PLAIN), check=_upright),
    Case("odd size, 193x129", encoded("video.mkv", "ffv1", "yuv444p", (193, 129))),
    Case("2x2 pixels", encoded("video.mkv", "ffv1", "bgr0", (2, 2)),
         check=lambda f: f.shape == (3, 128, 128, 3)),
    Case("10 bits", encoded("video.mp4", "libx264", "yuv420p10le")),
    Case("HDR (PQ, BT.2020), read without tone mapping",
         encoded("video.mp4", "libx264", "yuv420p10le", color_primaries=9, color_trc=16,
                 colorspace=9, color_range=1)),
    Case("4:4:4 and RGB", encoded("video.mp4", "libx264rgb", "rgb24"),
         check=lambda f: [read(x) for x in f] == SHOWN and _red_above(f)),
    Case("full-range JPEG colours", encoded("video.avi", "mjpeg", "yuvj420p"),
         check=lambda f: [read(x) for x in f] == SHOWN and _red_above(f)),
    Case("grey", encoded("video.mkv", "ffv1", "gray")),
    Case("transparent, colours as stored", encoded("video.mov", "qtrle", "argb")),
    Case("duration in the header ten times too long",
         changed(patched(b"mvhd", 20, ">I", 10_333), PLAIN)),
    Case("duration in the header zero", changed(patched(b"mvhd", 20, ">I", 0), PLAIN)),
    Case("garbage after the end", changed(lambda data: data + b"\xff" * 5000, PLAIN)),
    Case("transport stream cut short: as long as what is there",
         changed(cut(0.7), video("video.ts", 90, options={"g": "10"})),
         check=lambda f: [read(x) for x in f] == sorted(read(x) for x in f) and read(f[2]) < 70,
         kinds=("broken",)),
    Case("a breach of the standard that players show", odd, told="decoded right, with a remark"),
    Case("a still picture as the first stream", still_first),
    Case("a line break in its name", video("a\nb.mp4")),
    Case("a name in Unicode", video("видео 视频 é.mp4")),
    Case("a name that is no Unicode", video("\udcff\udcfe.mp4")),
    Case("a leading dash in its name", video("-i.mp4")),
    Case("an address as its name", video("http:x.mp4")),
    Case("a pattern as its name", video("%03d*?[a].mp4")),
    Case("a link to a video", link),
    Case("folder of frames", frames(NUMBERED)),
    Case("folder of frames with hostile names", frames("-\n;$(touch x) é %d {}.png".format)),
    Case("folder of transparent frames", frames("{}.png".format, "RGBA")),
    Case("folder of palette frames", frames("{}.png".format, "P")),
    Case("folder of 16-bit grey frames", frames("{}.png".format, "I;16")),
    Case("folder of frames that begins at 1000", frames(lambda n: f"{n + 1000}.jpg")),
    Case("folder with jpg and png copies", with_copies),
    Case("folder of CMYK frames", frames("{}.jpg".format, "CMYK", quality=95)),
    Case("folder of frames turned by EXIF", sideways),
    # What must become a named failure.
    Case("0 bytes", bytes_of(b""), ("empty",)),
    Case("text", bytes_of(b"not a video\n" * 100), ("broken",)),
    Case("a web page", bytes_of(b"<!DOCTYPE html><html>404</html>"), ("broken",)),
    Case("zeros", bytes_of(bytes(100_000)), ("broken",)),
    Case("mp4 cut before its index", changed(cut(0.6), PLAIN), ("broken", "truncated")),
    Case("mp4 cut in its index", changed(lambda data: data[:900], FASTSTART),
         ("broken", "truncated")),
    Case("mp4 cut after its index", changed(cut(0.7), FASTSTART), ("truncated",)),
    Case("avi cut", changed(cut(0.6), video("video.avi")), ("broken", "truncated")),
    Case("bytes flipped, H.264", changed(flipped, FASTSTART), ("broken",)),
    Case("bytes flipped, after a breach of the standard", odd_and_damaged, ("broken",)),
    Case("bytes flipped, MPEG-4", changed(flipped, video("video.avi", codec="mpeg4")),
         ("broken",)),
    Case("bytes flipped, frames with checksums (FFV1)",
         changed(flipped, encoded("video.mkv", "ffv1", "yuv420p",
                                  options={"level": "3", "slicecrc": "1"})), ("broken",)),
    Case("a bit flipped, VP9", changed(nudged, video("video.webm", codec="libvpx-vp9",
                                                     options={"cpu-used": "8"})), ("broken",),
         check=lambda frames: len(frames) == 3,
         told="decoded; damage inside pictures is not seen, for the format has no checksums"),
    Case("no frames", no_frames, ("broken",)),
    Case("sound alone", sound, ("broken",)),
    Case("size 0x0 in the container, right in the pictures",
         changed(patched(b"avc1", 28, ">HH", 0, 0), PLAIN)),
    Case("pictures of 0x0", changed(claiming(0), JPEGS), ("broken",)),
    Case("pictures that claim 12000x12000", changed(claiming(12000), JPEGS), ("broken",)),
    Case("a strip, 4000x2", encoded("video.mp4", "libx264", "yuv420p", (4000, 2)), ("broken",)),
    Case("needs more memory than allowed",
         encoded("video.mkv", "ffv1", "bgr0", (8000, 8000), frames=2), ("broken",)),
    Case("playlist named mp4", playlist, ("broken",)),
    Case("FFmpeg script named mp4", script, ("broken",)),
    Case("named pipe", made(os.mkfifo), ("broken",)),
    Case("socket", made(listening), ("broken",)),
    Case("device", made(lambda path: path.symlink_to("/dev/zero")), ("broken",)),
    Case("a loop of links", made(lambda path: path.symlink_to(path)), ("broken", "missing")),
    Case("a link to nothing", made(lambda path: path.symlink_to("gone")), ("missing",)),
    Case("empty folder", made(Path.mkdir), ("empty",)),
    Case("folder with holes in its numbers", with_holes, ("broken",)),
    Case("folder with a broken frame", broken_picture, ("broken",)),
    Case("folder with PostScript as a frame", postscript, ("broken",)),
    Case("folder with a frame of 60000x60000", huge_picture, ("broken",)),
]  # fmt: skip
# Decoding processes of which one video's name decides what befalls them.
UNRULY = """
import os, signal, time
import bench.video.worker as worker
decode = worker.decode
def unruly(clip, *others):
    if clip.id == "the decoder hangs": time.sleep(600)
    if clip.id == "the decoder crashes (SIGSEGV)": os.kill(os.getpid(), signal.SIGSEGV)
    if clip.id == "the decoder is killed": os.kill(os.getpid(), signal.SIGKILL)
    if clip.id == "not ours to read" and os.geteuid() == 0: os.seteuid(65534)
    return decode(clip, *others)
worker.decode = unruly
worker.main()
"""
DECODERS = [
    Case("the decoder hangs", PLAIN, ("timeout",)),
    Case("a good video after one that hangs", PLAIN),
    Case("the decoder crashes (SIGSEGV)", PLAIN, ("broken",)),
    Case("the decoder is killed", PLAIN, ("broken",)),
    Case("a good video after crashes", video("video.mkv")),
    Case("not ours to read", made(lambda path: path.write_bytes(b"x") and path.chmod(0)),
         ("broken",)),
]  # fmt: skip


def unruly_outcomes(folder: Path) -> dict[str, DecodedFrames | Failure]:
    """What comes of DECODERS, in processes that misbehave; one process, so in their order."""
    kept = pool.COMMAND
    pool.COMMAND = [sys.executable, "-c", UNRULY]
    try:
        return outcomes(folder, DECODERS, workers=1, timeout=5.0)
    finally:
        pool.COMMAND = kept


def rows(quick: bool) -> list[FaultRow]:
    """A row a kind, in the order of the corpus; `quick` leaves nothing out."""
    return [
        *_rows("Bad videos", CASES, outcomes),
        *_rows("Bad decoders", DECODERS, lambda folder, _: unruly_outcomes(folder)),
    ]


def _rows(
    area: str,
    cases: list[Case],
    outcomes: Callable[[Path, list[Case]], dict[str, DecodedFrames | Failure]],
) -> Iterator[FaultRow]:
    with tempfile.TemporaryDirectory() as folder:
        found = outcomes(Path(folder), cases)
        for case in cases:
            outcome = found[case.kind]
            if not right(case, outcome):
                told = f"WRONG: {outcome}"
            elif isinstance(outcome, Failure):
                told = f"{outcome.kind}: {outcome.reason}".replace(folder, "")
            else:
                told = case.told
            yield FaultRow(area, case.kind, 1, told)
