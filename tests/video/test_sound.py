"""Sound tracks: a file's own samples, cut to the clip, kept beside its frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from bench.contracts import Clip, Failure
from bench.video import FrameStore, Preprocessing, Uniform, VideoError
from bench.video.sound import NONE, sound_of
from tests.video.clips import HEIGHT, WIDTH, draw

RATE = 22_050


def tone(seconds: float, channels: int = 2) -> np.ndarray:
    """int16 [channels, N]: each channel another tone."""
    times = np.arange(round(seconds * RATE)) / RATE
    waves = [np.sin(2 * np.pi * 200 * (1 + one) * times) for one in range(channels)]
    return (np.stack(waves) * 20_000).astype(np.int16)


def film(
    path: Path, samples: np.ndarray | None, seconds: int = 3, codec: str = "pcm_s16le"
) -> Path:
    """Ten frames a second, and a sound track of `samples` int16 [channels, N]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if samples is not None:
            layout = "stereo" if len(samples) == 2 else "mono"
            sound = container.add_stream(codec, rate=RATE, layout=layout)
        for number in range(10 * seconds):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if samples is not None:
            whole = np.ascontiguousarray(samples.T).reshape(1, -1)
            for at in range(0, samples.shape[1], 1000):
                part = whole[:, at * len(samples) : (at + 1000) * len(samples)]
                piece = av.AudioFrame.from_ndarray(part, format="s16", layout=layout)
                piece.sample_rate, piece.pts, piece.time_base = RATE, at, Fraction(1, RATE)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_the_files_own(tmp_path: Path, channels: int) -> None:
    given = tone(3, channels)
    found = sound_of(Clip("a", film(tmp_path / "a.mkv", given)))
    assert found.rate == RATE and found.state == "heard"
    np.testing.assert_array_equal(found.samples, given.astype(np.float32) / 2**15)


def test_a_clip_has_the_sound_of_its_span(tmp_path: Path) -> None:
    given = tone(3)
    path = film(tmp_path / "a.mkv", given)
    found = sound_of(Clip("a", path, 1.0, 2.5))
    wanted = given.astype(np.float32) / 2**15
    np.testing.assert_array_equal(found.samples, wanted[:, RATE : 5 * RATE // 2])
    rest = sound_of(Clip("a", path, 1.0)).samples
    np.testing.assert_array_equal(rest, wanted[:, RATE:])


def test_what_has_no_sound(tmp_path: Path) -> None:
    assert sound_of(Clip("a", film(tmp_path / "a.mp4", None))) is NONE and NONE.state == "missing"
    silent = sound_of(Clip("b", film(tmp_path / "b.mkv", np.zeros((1, RATE), np.int16))))
    assert silent.state == "silent" and silent.samples.shape == (1, RATE)
    (tmp_path / "pictures").mkdir()
    assert sound_of(Clip("c", tmp_path / "pictures")) is NONE
    with pytest.raises(VideoError, match="missing"):
        sound_of(Clip("d", None))


def test_damaged_sound_is_a_failure_of_its_clip(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", tone(3), codec="flac")
    whole = path.read_bytes()
    at = whole.rindex(b"\xff\xf8") + 40  # within the last FLAC frame
    path.write_bytes(whole[:at] + bytes(200) + whole[at + 200 :])
    with pytest.raises(VideoError, match="its sound cannot be decoded"):
        sound_of(Clip("a", path))
    store = FrameStore(tmp_path / "frames", Preprocessing(16), Uniform(2), sound=True)
    ((_, found),) = list(store.fill([Clip("a", path)], workers=1))
    assert isinstance(found, Failure) and found.kind == "broken"
    plain = FrameStore(tmp_path / "frames", Preprocessing(16), Uniform(2))
    ((_, found),) = list(plain.fill([Clip("a", path)], workers=1))
    assert not isinstance(found, Failure)


def test_the_store_keeps_it_beside_the_frames(tmp_path: Path) -> None:
    given = tone(3)
    clips = [Clip("a", film(tmp_path / "a.mkv", given)), Clip("b", film(tmp_path / "b.mp4", None))]
    plain, store = (
        FrameStore(tmp_path / "frames", Preprocessing(16), Uniform(2), sound=sound)
        for sound in (False, True)
    )
    assert plain.key(clips[0]) != store.key(clips[0])
    for _ in ("decoded", "kept"):
        found = [one for _, one in store.fill(clips, workers=1)]
        assert not isinstance(found[0], Failure) and found[0].sound
        np.testing.assert_array_equal(found[0].sound.samples, given.astype(np.float32) / 2**15)
        assert not isinstance(found[1], Failure) and found[1].sound
        assert found[1].sound.state == "missing"
    ((_, one),) = list(plain.fill(clips[:1], workers=1))
    assert not isinstance(one, Failure) and one.sound is None


def test_kept_sound_that_is_none_is_made_again(tmp_path: Path) -> None:
    clip = Clip("a", film(tmp_path / "a.mkv", tone(1), seconds=1))
    store = FrameStore(tmp_path / "frames", Preprocessing(16), Uniform(2), sound=True)
    list(store.fill([clip], workers=1))
    key = store.key(clip)
    kept = store._store.get(key)
    assert kept
    arrays, record = kept
    for odd in (
        ({**arrays, "sound": arrays["sound"].astype(np.float64)}, record),
        ({**arrays, "sound": arrays["sound"] * np.float32("nan")}, record),
        ({**arrays, "sound": arrays["sound"][0]}, record),
        (arrays, {**record, "rate": 0}),
        (arrays, {"decoder": record["decoder"]}),
    ):
        store._store.put(key, *odd)
        assert store.load(key) is None
    ((_, found),) = list(store.fill([clip], workers=1))
    assert not isinstance(found, Failure) and found.sound and found.sound.rate == RATE
