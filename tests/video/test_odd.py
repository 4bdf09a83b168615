"""What breaches a standard is read, with a mark; what is damaged is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from clips import from_nal_units, headless_note, nal_units, read, remux, write_video

from bench.contracts import Clip
from bench.video import DecodedFrames, Uniform, VideoError, decode
from bench.video.tolerant import FLAGGING, odd_clips

Change = Callable[[int, bytes], bytes]


def unit_before(unit: bytes) -> Change:
    return lambda number, data: from_nal_units([unit, *nal_units(data)])


def inverted(data: bytes) -> bytes:
    """A picture whose content is damaged and whose headers are not."""
    at = len(data) // 2
    return data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + 24]) + data[at + 24 :]


def read_all(path: Path, count: int = 90, size: int = 128) -> DecodedFrames:
    return decode(Clip("c", path), Uniform(count), size)


def is_tolerant(decoded: DecodedFrames) -> bool:
    return decoded.decoder.endswith(", tolerant")


BREACHES: dict[str, Change] = {
    "a non-intra slice in an IDR picture": headless_note,
    "a note that is longer than its unit": unit_before(bytes([6, 4, 200, 1, 2, 3])),
    "a timing note cut short": unit_before(bytes([6, 1, 60, 1, 2, 3])),
    "a second set of parameters cut short": unit_before(bytes([0x68, 0, 0, 3])),
}


@pytest.mark.parametrize("stored_order", [False, True])
@pytest.mark.parametrize("breach", BREACHES)
def test_an_odd_clip_gives_the_frames_that_players_show(
    tmp_path: Path, mp4: Path, breach: str, stored_order: bool
) -> None:
    path = remux(mp4, tmp_path / "odd.mp4", BREACHES[breach], stored_order)
    found = read_all(path)
    assert is_tolerant(found)
    np.testing.assert_array_equal(found.frames, read_all(mp4).frames)
    assert found.times == pytest.approx(np.arange(90) / 30, abs=0.001)


@pytest.mark.parametrize("count", [1, 3, 7, 90])
def test_skipping_and_decoding_all_agree_on_an_odd_clip(
    tmp_path: Path, mp4: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the odd picture is not wanted, skipping does not even see what is odd."""
    path = remux(mp4, tmp_path / "odd.mp4", headless_note)
    sparse = read_all(path, count)
    monkeypatch.setattr(sys.modules["bench.video.decode"], "can_skip", lambda found: False)
    whole = read_all(path, count)
    np.testing.assert_array_equal(sparse.frames, whole.frames)
    assert is_tolerant(whole)


def test_frames_stored_out_of_order_without_times_of_their_own(tmp_path: Path, mp4: Path) -> None:
    path = remux(mp4, tmp_path / "stored.mp4", lambda number, data: data, stored_order=True)
    found = read_all(path)
    assert [read(frame) for frame in found.frames] == list(range(90))
    assert not is_tolerant(found)


def test_a_clip_that_is_refreshed_row_by_row_is_read(tmp_path: Path) -> None:
    """Its groups begin with no whole picture, so that skipping alone loses frames."""
    options = {"g": "30", "bf": "0", "x264-params": "intra-refresh=1"}
    path = write_video(tmp_path / "refresh.mp4", options=options)
    found = decode(Clip("c", path, start=31 / 30, end=37 / 30), Uniform(6), 128)
    assert [read(frame) for frame in found.frames] == list(range(31, 37))
    assert not is_tolerant(found)


@pytest.mark.parametrize("stored_order", [False, True])
@pytest.mark.parametrize("damage", ["damaged", "lost"])
def test_a_damaged_picture_costs_what_may_depend_on_it(
    tmp_path: Path, mp4: Path, damage: str, stored_order: bool
) -> None:
    def change(number: int, data: bytes) -> bytes:
        if number == 31:  # the first after the second keyframe
            data = inverted(data) if damage == "damaged" else from_nal_units([bytes([12, 255])])
        return BREACHES["a timing note cut short"](number, data)

    path = remux(mp4, tmp_path / "odd.mp4", change, stored_order)
    with pytest.raises(VideoError, match="broken"):
        read_all(path, 1)  # the middle
    if stored_order:  # frames are counted: none may be lost
        with pytest.raises(VideoError, match="broken"):
            decode(Clip("c", path, end=0.5), Uniform(3), 128)
    else:
        found = decode(Clip("c", path, end=0.5), Uniform(3), 128)
        assert is_tolerant(found) and [read(frame) for frame in found.frames] == [2, 7, 12]


@pytest.mark.parametrize("first", ["odd", "plain"])
def test_flipped_bits_stay_refused(tmp_path: Path, mp4: Path, first: str) -> None:
    path = tmp_path / "flipped.mp4"
    whole = remux(mp4, path, headless_note if first == "odd" else lambda _, data: data)
    data = whole.read_bytes()
    for seed in range(12):
        chooser, found = np.random.default_rng(seed), bytearray(data)
        start = data.index(b"mdat") + 1000  # behind the encoder's note
        for at in chooser.integers(start, data.index(b"moov"), 16):
            found[at] ^= 1 << int(chooser.integers(8))
        path.write_bytes(found)
        with pytest.raises(VideoError):
            read_all(path, size=32)


def test_a_decoder_that_flags_nothing_is_not_trusted(tmp_path: Path) -> None:
    """A JPEG cut short is filled up with grey, and not flagged."""
    path = tmp_path / "cut.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuvj420p"
        for number in range(9):
            frame = av.VideoFrame(192, 128, "yuvj420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cut = remux(path, tmp_path / "odd.avi", lambda number, data: data[: len(data) * 2 // 3])
    assert "mjpeg" not in FLAGGING and "hevc" not in FLAGGING
    with pytest.raises(VideoError, match="broken"):
        read_all(cut, 9)


def test_the_remark_counts_and_names() -> None:
    decoders = {"a": "PyAV 1", "b": "PyAV 1, tolerant", "c": "PyAV 1, tolerant"}
    (line,) = odd_clips(decoders, "task")
    assert line.startswith("task: 2 of 3 videos") and line.endswith("the first, b")
    assert odd_clips({"a": "PyAV 1"}, "task") == []
