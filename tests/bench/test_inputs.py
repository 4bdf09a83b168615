"""What a model reads beside frames: subtitles of the annotations, sound of the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Adapter, Source, Task
from bench.engine import evaluate
from bench.errors import BenchError
from bench.features.doctor import examine
from bench.video.sound import Sound
from tasks.msrvtt import MSRVTT
from tests.video.test_sound import RATE, film, tone


class Listener(Adapter):
    """Letters of the subtitles, and how loud the first channel is."""

    name, embed_dim, image_size, fingerprint = "listener", 3, 16, "listener-1"

    def __init__(self, *inputs: str) -> None:
        self.inputs = frozenset({"frames", *inputs})
        self.read: list[str] = []
        self.heard: list[Sound] = []

    def encode_clips(
        self, clips: np.ndarray, subtitles: Sequence[str] = (), audio: Sequence[Sound] = ()
    ) -> np.ndarray:
        found = 1 + clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32)
        for place, said in enumerate(subtitles):
            found[place] += [said.count(letter) for letter in "abc"]
        for place, sound in enumerate(audio):
            found[place, 0] += np.abs(sound.samples[:1]).sum() / 1000
        self.read += subtitles
        self.heard += audio
        return found

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[1 + text.count(c) for c in "abc"] for text in texts], np.float32)


class Matching(Listener):
    rerank_top, matching = 3, "itm"

    def condition(self, clips: np.ndarray, subtitles: Sequence[str] = ()) -> np.ndarray:
        return np.array([[len(said)] for said in subtitles], np.float32)

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        return np.array([1 / (1 + conditions[clip, 0]) for _, clip in pairs])


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "cache", workers=2, resamples=50)


def entry(name: str, said: str | None) -> dict[str, object]:
    return {"video_id": name, "desc": f"a {name} is shown", "subtitle": said}


@pytest.fixture
def subtitled(toy: Path, tmp_path: Path) -> Task:
    """Four toy videos in the JSON that VAST and GRAM read."""
    data = tmp_path / "data"
    videos = sorted((toy / "msrvtt" / "videos").iterdir())[:4]
    for video in videos:
        shutil.copytree(video, data / "videos" / video.name) if video.is_dir() else (
            (data / "videos").mkdir(parents=True, exist_ok=True),
            shutil.copy(video, data / "videos"),
        )
    said = [" abba", "", None, "cab"]
    rows = [entry(video.stem, one) for video, one in zip(videos, said, strict=True)]
    (data / "msrvtt_ret_test1k.json").write_text(json.dumps(rows))
    return MSRVTT.load(Source("lab", data))


def test_subtitles_reach_the_model_and_its_key(subtitled: Task, run: RunConfig) -> None:
    assert list((subtitled.subtitles or {}).values()) == ["abba", "", "", "cab"]
    adapter = Listener("subtitles")
    result = evaluate(adapter, subtitled, run)
    assert adapter.read == ["abba", "", "", "cab"]
    assert result.document.protocol.endswith(", subtitles")
    again = Listener("subtitles")
    assert evaluate(again, subtitled, run).predictions == result.predictions and again.read == []
    subtitled.subtitles = {**(subtitled.subtitles or {}), subtitled.clips[1].id: "new"}
    changed = Listener("subtitles")
    evaluate(changed, subtitled, run)
    assert changed.read == ["abba", "new", "", "cab"]  # the group of the one that changed
    blind = Listener()
    plain = evaluate(blind, subtitled, run)
    assert blind.read == [] and ", " not in plain.document.protocol


def test_the_matching_head_reads_them_too(subtitled: Task, run: RunConfig) -> None:
    result = evaluate(Matching("subtitles"), subtitled, run, rerank=True)
    assert result.document.protocol.endswith(", subtitles, re-ranked-itm-3")
    tops = [line["top"] for line in result.predictions if line["direction"] == "t2v"]
    lengths = dict(zip([clip.id for clip in subtitled.clips], (4, 0, 0, 3), strict=True))
    for top in tops:
        for name, score in top:
            assert score == pytest.approx(1 / (1 + lengths[name]))


def test_subtitles_are_part_of_the_data(subtitled: Task, tmp_path: Path) -> None:
    path = tmp_path / "data" / "msrvtt_ret_test1k.json"
    rows = json.loads(path.read_text())
    rows[1]["subtitle"] = "other"
    path.write_text(json.dumps(rows))
    assert MSRVTT.load(Source("lab", path.parent)).fingerprint != subtitled.fingerprint
    rows[2]["subtitle"], rows[3]["subtitle"] = 7, float("nan")
    path.write_text(json.dumps([*rows, {**rows[1], "subtitle": "third"}]))
    read = MSRVTT.read(path)
    assert read.subtitles and list(read.subtitles.values()) == ["abba", "other", "", ""]
    (remark,) = read.remarks
    assert "subtitles of 2 rows are no text, or others than the video's first" in remark


def test_sound_reaches_the_model_and_what_lacks_it_is_counted(
    toy: Path, run: RunConfig, tmp_path: Path
) -> None:
    task = bench.load_task("msrvtt", str(shutil.copytree(toy, tmp_path / "data")), limit=3)
    given = tone(3)
    for clip, track in zip(task.clips, (given, None, np.zeros((1, RATE), np.int16)), strict=True):
        assert clip.path
        film(clip.path.with_suffix(".mkv"), track).replace(clip.path)
    for expected in (3, 0):  # the second time from the stores
        adapter = Listener("audio")
        result = evaluate(adapter, task, run)
        assert len(adapter.heard) == expected
        assert result.document.protocol == "msrvtt/toy, audio"
        assert ("listener: of 3 clips, 1 have no sound track and 1 a silent one"
                in result.document.warnings)  # fmt: skip
        if adapter.heard:
            np.testing.assert_array_equal(
                adapter.heard[0].samples, given.astype(np.float32) / 2**15
            )
            assert [sound.state for sound in adapter.heard] == ["heard", "missing", "silent"]
    deaf = evaluate(Listener(), task, run)
    assert not [line for line in deaf.document.warnings if "sound" in line]


def test_vidsitu_cannot_tell_whose_sound_it_is(toy_vidsitu: Path, run: RunConfig) -> None:
    task = bench.load_task("vidsitu", str(toy_vidsitu))
    with pytest.raises(BenchError, match="reads audio, and 'vidsitu' makes 5 clips of each"):
        evaluate(Listener("audio"), task, run)


def test_the_doctor_gives_nothing_beside_frames() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16, 3), np.uint8)
    adapter = Listener("audio", "subtitles")
    found = {one.check: one.ok for one in examine(adapter, frames, ["a b", "c", "abc"])}
    assert found["batches"] and found["repeatability"]
    assert set(adapter.read) == {""} and {one.state for one in adapter.heard} == {"missing"}
