"""Which of a file's streams is the film: no cover and no track of stills, wherever it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from clips import HEIGHT, WIDTH, read, write_video

from bench.contracts import Clip
from bench.video import Uniform, VideoError, decode, scan
from bench.video.container import open_video


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", 31)


def with_stills(
    path: Path, film: Path, codec: str = "mjpeg", count: int = 1,
    flags: int = Disposition.default.value, first: bool = True,
) -> Path:  # fmt: skip
    """`film` and a stream of `count` white pictures, one a second, before or behind it."""
    with av.open(str(film)) as old, av.open(str(path), "w") as new:
        streams: dict[str, Any] = {}
        for kind in ("stills", "film") if first else ("film", "stills"):
            if kind == "film":
                streams[kind] = new.add_stream_from_template(old.streams.video[0])
                streams[kind].disposition = 0
                continue
            stream = streams[kind] = new.add_stream(codec, rate=1)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt, stream.disposition = "rgb24" if codec == "png" else "yuvj420p", flags
        white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(white, format="rgb24")
            frame.pts = number
            new.mux(streams["stills"].encode(frame))
        new.mux(streams["stills"].encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = streams["film"]
                new.mux(packet)
    return path


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("name", "stills"),
    [
        ("cover.mp4", {"flags": Disposition.attached_pic.value}),
        ("cover.mp4", {"flags": Disposition.attached_pic.value, "codec": "png"}),
        ("still.mp4", {}),
        ("still.mov", {"codec": "png"}),
        ("still.mkv", {}),
        ("slides.mkv", {"count": 3}),
        ("slides.mp4", {"count": 3}),
    ],
)
def test_stills_are_not_the_film(
    tmp_path: Path, short: Path, name: str, stills: dict[str, Any], first: bool
) -> None:
    path = with_stills(tmp_path / name, short, first=first, **stills)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert len(scan(path).timestamps) == 31
    for decoder in ("auto", "decord"):
        found = decode(Clip("c", path), Uniform(3), 128, decoder).frames
        assert [read(frame) for frame in found] == [5, 15, 25]


def test_of_two_films_the_one_that_players_show(tmp_path: Path, short: Path) -> None:
    """A slow stream that is flagged as default is a film where it has frames enough."""
    path = with_stills(tmp_path / "two.mkv", short, count=9)
    with av.open(str(path)) as container:
        best = container.streams.best("video")
        assert best is not None and best.index == 0
    assert len(scan(path).timestamps) == 9


def test_one_still_beside_a_short_film(tmp_path: Path) -> None:
    path = with_stills(tmp_path / "two.mp4", write_video(tmp_path / "short.mp4", 5))
    found = scan(path)
    assert len(found.timestamps) == 5
    assert not found.decord_ok  # decord would choose for itself


def test_a_single_picture_is_a_film_of_one_frame(tmp_path: Path) -> None:
    path = with_stills(tmp_path / "two.mp4", write_video(tmp_path / "one.mp4", 1))
    assert len(scan(path).timestamps) == 1


def test_music_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "music.mp4"
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("aac", rate=44100)
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        cover.disposition = Disposition.attached_pic.value
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(cover.encode(av.VideoFrame(WIDTH, HEIGHT, "yuvj420p")))
        container.mux(sound.encode(frame))
        for stream in (cover, sound):
            container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="broken: no video stream, only a cover picture"):
        scan(path)


@pytest.mark.parametrize(("version", "lenient"), [("18.1.0", True), ("19.0.2", False)])
def test_files_are_opened_as_each_pyav_knows_it(
    short: Path, monkeypatch: pytest.MonkeyPatch, version: str, lenient: bool
) -> None:
    """From 19 on `metadata_errors` is no argument: every video would count as broken."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(av, "__version__", version)
    monkeypatch.setattr(av, "open", lambda *_, **options: given.append(options))
    open_video(short)
    assert ("metadata_errors" in given[0]) == lenient
    assert given[0]["options"]["protocol_whitelist"] == "file"
