"""Exact frames, whatever the container, or none."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from clips import draw, read, write_video
from PIL import Image

from bench.contracts import Clip, Plan
from bench.errors import UsageError
from bench.video import FirstOfSecond, PerEvent, Uniform, VideoError, decode, scan
from bench.video.sparse import can_skip, needed_frames

needs_decord = pytest.mark.skipif(find_spec("decord") is None, reason="decord has no wheel here")
VP9 = {"g": "30", "deadline": "realtime", "cpu-used": "8"}
AV1 = {"preset": "8", "crf": "20", "svtav1-params": "lp=1"}
OPEN = {"g": "30", "bf": "2", "x264-params": "open-gop=1"}


def numbers(path: Path, plan: Plan, decoder: str = "auto", **span: float) -> list[int]:
    return [read(frame) for frame in decode(Clip("c", path, **span), plan, 128, decoder).frames]


@pytest.mark.parametrize(
    ("name", "codec", "options", "trusted"),
    [
        ("h264.mp4", "libx264", None, True),
        ("mpeg4.mov", "mpeg4", {"bf": "0"}, True),
        ("h264.mkv", "libx264", None, True),
        ("vp9.webm", "libvpx-vp9", VP9, True),
        ("h264.avi", "libx264", None, False),
        ("mpeg4.avi", "mpeg4", {"bf": "2"}, False),
        ("h264.ts", "libx264", None, False),
        ("av1.mp4", "libsvtav1", AV1, False),
        ("open.mp4", "libx264", OPEN, False),
    ],
)
def test_every_frame_is_the_one_asked_for(
    tmp_path: Path, name: str, codec: str, options: dict[str, str] | None, trusted: bool
) -> None:
    if codec not in av.codec.codecs_available:
        pytest.skip(f"this FFmpeg does not write {codec}")
    path = write_video(tmp_path / name, codec=codec, options=options)
    found = scan(path)
    assert len(found.timestamps) == 90
    assert found.duration == pytest.approx(3.0, abs=0.002)
    assert found.decord_ok == trusted
    for decoder in ["auto", *(["decord"] if find_spec("decord") else [])]:
        decoded = decode(Clip("c", path), Uniform(90), 128, decoder)
        assert [read(frame) for frame in decoded.frames] == list(range(90))
        decord = trusted and decoder == "decord"
        assert decoded.decoder.startswith("decord " if decord else "PyAV ")
        assert decoded.times == pytest.approx(np.arange(90) / 30, abs=0.001)


@needs_decord
def test_both_decoders_give_nearly_the_same_pixels(mp4: Path) -> None:
    ours, theirs = (decode(Clip("c", mp4), Uniform(9), 128, d) for d in ("decord", "pyav"))
    assert ours.decoder.startswith("decord ") and theirs.decoder.startswith("PyAV ")
    difference = np.abs(ours.frames.astype(int) - theirs.frames)
    assert difference.max() <= 4 and difference.mean() < 1


GROUPS = {"g": "10", "bf": "3", "b_strategy": "0"}
PYRAMID = {"g": "40", "bf": "4", "x264-params": "b-pyramid=normal:ref=4:scenecut=0"}
X265 = {"g": "12", "x265-params": "log-level=none:pools=none:open-gop=0:bframes=4"}


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", GROUPS), ("libx264", PYRAMID), ("libx265", X265)],
)
@pytest.mark.parametrize("name", ["skip.mp4", "skip.mkv"])
def test_skipping_leaves_the_wanted_frames_bit_for_bit(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec not in av.codec.codecs_available:
        pytest.skip(f"this FFmpeg does not write {codec}")
    path = write_video(tmp_path / name, codec=codec, options=options)
    found = scan(path)
    assert can_skip(found) and len(found.keyframes) > 2
    whole = np.stack([frame.to_ndarray(format="rgb24") for frame in all_frames(path)])
    chooser = np.random.default_rng(0)
    for count in (1, 2, 3, 7, 30):
        wanted = sorted(chooser.choice(90, count, replace=False).tolist())
        pts = {found.pts[index]: index for index in wanted} if found.pts else {}
        with av.open(str(path)) as container:
            got = {
                pts[frame.pts]: frame.to_ndarray(format="rgb24")
                for frame in needed_frames(container, found, pts) if frame.pts in pts
            }  # fmt: skip
        assert sorted(got) == wanted
        assert all(np.array_equal(got[index], whole[index]) for index in wanted)


def test_skipping_decodes_less(tmp_path: Path) -> None:
    path = write_video(tmp_path / "groups.mp4", options=GROUPS)
    found = scan(path)
    assert found.pts is not None
    with av.open(str(path)) as container:
        decoded = list(needed_frames(container, found, {found.pts[45]}))
    assert len(decoded) <= 6  # of 90: one group of ten, up to the wanted one, without its B-frames


def all_frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_moments_are_found_by_time_where_the_rate_varies(
    tmp_path: Path, name: str, decoder: str
) -> None:
    pts = [number if number < 60 else 60 + (number - 60) * 10 for number in range(90)]
    path = write_video(tmp_path / name, pts=pts)
    assert scan(path).timestamps[-1] == pytest.approx(350 / 30, abs=0.002)
    seconds = [second * 30 for second in range(12)]
    shown = [max(n for n in range(90) if pts[n] <= second) for second in seconds]
    assert numbers(path, FirstOfSecond(), decoder) == shown


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_spans_in_a_longer_file(mp4: Path, decoder: str) -> None:
    assert numbers(mp4, Uniform(3), decoder, start=1.0, end=2.0) == [35, 45, 55]
    assert numbers(mp4, Uniform(2), decoder, start=2.0, end=99.0) == [67, 82]
    assert numbers(mp4, PerEvent(frames=1, events=2), decoder, start=2.0) == [67, 82]
    assert numbers(mp4, FirstOfSecond(), decoder, start=0.5, end=0.51) == [15]
    with pytest.raises(VideoError, match=r"span 3\.00 s to 4\.00 s is not in a file of 3\.00 s"):
        numbers(mp4, Uniform(1), decoder, start=3.0, end=4.0)


def test_a_shortened_edit_list_is_obeyed_and_is_no_truncation(tmp_path: Path, mp4: Path) -> None:
    data = bytearray(mp4.read_bytes())
    at = data.index(b"elst") + 4  # version, flags, entry count, then the segment's duration
    (duration,) = struct.unpack_from(">I", data, at + 8)
    struct.pack_into(">I", data, at + 8, duration // 3)
    path = tmp_path / "edited.mp4"
    path.write_bytes(data)
    assert scan(path).duration == pytest.approx(1.0, abs=0.1)
    assert numbers(path, Uniform(5)) == [3, 9, 15, 21, 27]


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_a_cut_in_mid_group_begins_at_its_first_keyframe(tmp_path: Path, codec: str) -> None:
    """VP9's decoder calls each frame before that broken."""
    options = VP9 if codec == "libvpx-vp9" else None
    whole = write_video(tmp_path / "whole.mkv", codec=codec, options=options)
    path = tmp_path / ("cut.mkv" if options else "cut.ts")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and number >= 10:
                packet.stream = stream
                target.mux(packet)
    assert not scan(path).decord_ok
    assert numbers(path, Uniform(60)) == list(range(30, 90))


@needs_decord
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_both_decoders_turn_a_video_the_same_way(tmp_path: Path, mp4: Path, turns: int) -> None:
    cos, sin = {1: (0, 1), 2: (-1, 0), 3: (0, -1)}[turns]
    data = bytearray(mp4.read_bytes())
    at = data.index(b"tkhd") + 44
    for slot, value in ((0, cos), (4, sin), (12, -sin), (16, cos)):
        struct.pack_into(">i", data, at + slot, value << 16)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    turned = [decode(Clip("c", path), Uniform(3), 128, d).frames for d in ("decord", "pyav")]
    assert np.abs(turned[0].astype(int) - turned[1]).max() <= 4
    upright = np.rot90(turned[1], turns, axes=(1, 2))
    assert [read(frame) for frame in upright] == [15, 45, 75]


@needs_decord
def test_decord_is_asked_only_by_name(mp4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decord.VideoReader", None)
    assert decode(Clip("c", mp4), Uniform(3), 128).decoder.startswith("PyAV ")
    with pytest.raises(VideoError, match="decord: "):
        decode(Clip("c", mp4), Uniform(3), 128, "decord")
    with pytest.raises(UsageError, match="choose auto, decord or pyav"):
        decode(Clip("c", mp4), Uniform(3), 128, "ffmpeg")


def failure(path: Path | None) -> tuple[str, str]:
    with pytest.raises(VideoError) as caught:
        decode(Clip("c", path), Uniform(12), 64)
    assert "\n" not in caught.value.reason
    return caught.value.kind, caught.value.reason


def test_what_cannot_be_read_says_why(tmp_path: Path, mp4: Path) -> None:
    assert failure(None)[0] == failure(tmp_path / "none.mp4")[0] == "missing"
    path = tmp_path / "video.mp4"
    path.write_bytes(b"")
    assert failure(path) == ("empty", "the file has 0 bytes")
    path.write_text("not a video\n" * 100)
    assert failure(path)[0] == "broken"
    path.write_bytes(mp4.read_bytes()[:2000])
    assert failure(path)[0] in ("broken", "truncated")
    path.write_bytes(mp4.read_bytes()[: mp4.stat().st_size * 2 // 3])
    kind, reason = failure(path)
    assert kind == "truncated" and reason.endswith(" of 90 frames")


def test_sound_without_pictures_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        samples = np.zeros((1, 4096), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert failure(path) == ("broken", "no video stream")


def test_a_folder_of_frames_is_read_by_number(tmp_path: Path) -> None:
    for number in range(30):
        name = f"frame{number + 1}.{'png' if number % 2 else 'jpg'}"
        Image.fromarray(draw(number)).save(tmp_path / name, quality=95)
    (tmp_path / "notes.txt").write_text("1")
    clip = Clip("c", tmp_path, frames_fps=3.0)
    decoded = decode(clip, FirstOfSecond(10), 128)
    assert [read(frame) for frame in decoded.frames] == [3 * second for second in range(10)]
    assert decoded.times == pytest.approx(np.arange(10.0))
    assert decoded.decoder.startswith("Pillow ")
    clip = Clip("c", tmp_path, 5.0, 7.0, frames_fps=3.0)
    assert [read(frame) for frame in decode(clip, Uniform(2), 128).frames] == [16, 19]
    whole = (tmp_path / "frame1.jpg").read_bytes()
    (tmp_path / "frame1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"broken: frame1\.jpg: "):
        decode(Clip("c", tmp_path, frames_fps=3.0), Uniform(30), 128)


def test_an_empty_folder_is_empty(tmp_path: Path) -> None:
    assert failure(tmp_path)[0] == "empty"
