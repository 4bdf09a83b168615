"""Several plans decoded in one pass over a file: the frames that each has alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import remux, write_video
from PIL import Image

from bench.contracts import Clip, Plan
from bench.errors import BenchError
from bench.video import FirstOfSecond, FrameStore, Linspace, PerSecond, Uniform, VideoError, decode
from bench.video.ahead import decode_ahead
from bench.video.decode import decode_each
from bench.video.pool import Pool
from tests.video.test_odd import BREACHES, inverted

PLANS: list[Plan] = [Uniform(4), Uniform(12), Linspace(5), FirstOfSecond(), PerSecond(2)]
LIMITS = (1, 60.0, 4096)


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_each_plan_gets_the_frames_it_has_alone(mp4: Path, decoder: str) -> None:
    clip = Clip("c", mp4, 0.2, 2.7)
    for plan, found in zip(PLANS, decode_each(clip, PLANS, 32, decoder), strict=True):
        alone = decode(clip, plan, 32, decoder)
        np.testing.assert_array_equal(found.frames, alone.frames)
        np.testing.assert_array_equal(found.times, alone.times)
        assert found.decoder == alone.decoder


def test_so_it_does_of_a_folder(tmp_path: Path) -> None:
    for number in range(1, 31):
        colour = (number, 2 * number, 3 * number)
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number:03}.png")
    clip = Clip("c", tmp_path, frames_fps=10.0)
    for plan, found in zip(PLANS, decode_each(clip, PLANS, 16), strict=True):
        np.testing.assert_array_equal(found.frames, decode(clip, plan, 16).frames)


def test_what_only_the_tolerant_decoder_reads_is_left_to_each(tmp_path: Path, mp4: Path) -> None:
    """A plan may end before the place at which the strict one stops."""
    (breach, *_) = BREACHES.values()
    path = remux(mp4, tmp_path / "odd.mp4", breach)
    assert decode(Clip("c", path), Uniform(90), 16).decoder.endswith("tolerant")
    with pytest.raises(VideoError, match="the strict decoder stops"):
        decode_each(Clip("c", path), [Uniform(90), Uniform(4)], 16)


def test_a_file_is_decoded_once_for_all_plans(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[dict[str, Any]] = []
    submit = Pool.submit
    monkeypatch.setattr(Pool, "submit", lambda self, job: (jobs.append(job), submit(self, job))[1])
    damaged = remux(mp4, tmp_path / "damaged.mp4",
                    lambda number, data: inverted(data) if number == 40 else data)  # fmt: skip
    other = write_video(tmp_path / "other.mp4", 45)
    clips = [Clip("a", mp4), Clip("gone", None), Clip("lost", tmp_path / "lost.mp4"),
             Clip("damaged", damaged), Clip("b", other)]  # fmt: skip
    stores = [FrameStore(tmp_path / "frames", 32, plan) for plan in PLANS]
    with stores[1].fill(clips[:1], 1) as filling:  # what is there is not made again
        list(filling)
    jobs.clear()
    advanced: list[int] = []
    decode_ahead(stores, clips, LIMITS, lambda: advanced.append(1))
    assert len(advanced) == len(clips)
    assert [(job["id"], len(job["also"])) for job in jobs] == [("a", 3), ("damaged", 4), ("b", 4)]
    for store in stores:
        for clip in (clips[0], clips[4]):
            found, alone = store.get(clip), decode(clip, store.plan, 32)
            assert found is not None
            np.testing.assert_array_equal(found.frames, alone.frames)
        assert store.get(clips[3]) is None  # each plan's own decoding says why
    jobs.clear()
    decode_ahead(stores, [clips[0], clips[4]], LIMITS, lambda: None)
    assert jobs == []


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path, mp4: Path) -> None:
    (tmp_path / "file").write_text("")
    stores = [FrameStore(tmp_path / "frames", 32, plan) for plan in PLANS[:2]]
    (tmp_path / "frames").mkdir()
    folder = tmp_path / "frames" / stores[0].key(Clip("c", mp4))[:2]
    folder.write_text("a file in the folder's place")
    with pytest.raises(BenchError):
        decode_ahead(stores, [Clip("c", mp4)], LIMITS, lambda: None)
