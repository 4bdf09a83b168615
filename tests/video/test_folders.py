"""Folders of frames: their order, copies and holes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from clips import draw, read
from PIL import Image

from bench.contracts import Clip
from bench.video import FrameStore, Uniform, VideoError, decode
from bench.video.folders import Numbered, numbered_frames


def draw_frames(folder: Path, names: Iterable[str]) -> Path:
    """The k-th name shows k."""
    for number, name in enumerate(names):
        Image.fromarray(draw(number)).save(folder / name, quality=95)
    return folder


def numbers(folder: Path, count: int) -> list[int]:
    clip = Clip("c", folder, frames_fps=3.0)
    return [read(frame) for frame in decode(clip, Uniform(count), 128).frames]


def fault(folder: Path) -> str:
    with pytest.raises(VideoError) as caught:
        decode(Clip("c", folder, frames_fps=3.0), Uniform(3), 128)
    assert caught.value.kind == "broken"
    return caught.value.reason


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.jpg" for n in range(12)],
        [f"frame{n + 1}.png" for n in range(12)],
        [f"img_{n + 4711:06d}.JPEG" for n in range(12)],
        [f"{n + 1:03d}_of_012.jpg" for n in range(12)],
        [f"shot 7, frame {n}, {n * 33} ms.jpg" for n in range(12)],
        [f"{n + 95}.{'png' if n % 2 else 'jpg'}" for n in range(12)],
    ],
)
def test_a_numbering_may_start_anywhere(tmp_path: Path, names: list[str]) -> None:
    assert numbers(draw_frames(tmp_path, names), 12) == list(range(12))


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ([0, 1, 2, 4, 5], "1 of 6 frames missing: 3;"),
        ([7, 11, 12, 15], "5 of 9 frames missing: 8-10, 13-14;"),
        ([0, 10**15], "missing: 1-999999999999999;"),
        (range(0, 20, 2), "9 of 19 frames missing: 1, 3, 5, 7, 9 and 4 more holes;"),
    ],
)
def test_holes_are_named(tmp_path: Path, kept: Iterable[int], says: str) -> None:
    folder = draw_frames(tmp_path, [f"{n:04d}.jpg" for n in kept])
    assert says in fault(folder)


def test_copies_of_a_frame_are_one_frame(tmp_path: Path) -> None:
    draw_frames(tmp_path, [f"f{n}.png" for n in range(12)])
    for number in range(0, 12, 2):
        Image.fromarray(draw(99)).save(tmp_path / f"f{number}.jpg")
    Image.fromarray(draw(99)).save(tmp_path / "F3.jpeg")
    assert numbers(tmp_path, 12) == list(range(12))


def test_hidden_files_are_not_frames(tmp_path: Path) -> None:
    draw_frames(tmp_path, [f"{n}.jpg" for n in range(12)])
    for number in range(20):
        (tmp_path / f"._{number}.jpg").write_bytes(b"\0\5\26\7")
    assert numbers(tmp_path, 12) == list(range(12))


def test_what_may_be_two_clips_is_refused(tmp_path: Path) -> None:
    draw_frames(tmp_path, [f"frame_{n}.jpg" for n in range(1, 4)])
    (tmp_path / "cover_0.jpg").write_bytes(b"")
    assert "several series, such as cover_0.jpg and frame_1.jpg" in fault(tmp_path)
    (tmp_path / "cover_0.jpg").unlink()
    (tmp_path / "frame_01.jpg").write_bytes(b"")
    assert "frame_01.jpg and frame_1.jpg have one number" in fault(tmp_path)


def test_a_fault_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in a store from before holes were faults is not taken."""
    folder = tmp_path / "folder"
    folder.mkdir()
    clip, store = Clip("c", folder), FrameStore(tmp_path, 128, Uniform(3))
    draw_frames(folder, ["1.jpg", "2.jpg", "4.jpg"])
    with_hole, found = store.key(clip), numbered_frames(folder)
    monkeypatch.setattr("bench.video.store.numbered_frames", lambda _: Numbered(found.paths))
    assert found.fault and store.key(clip) != with_hole
