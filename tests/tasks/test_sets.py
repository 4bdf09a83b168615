"""Retrieval sets beside MSRVTT and LSMDC: small files of the forms in which they circulate."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Adapter, Features, Source
from bench.errors import DataError
from tasks.activitynet import ActivityNet
from tasks.didemo import DiDeMo
from tasks.lists import PublishedList, list_hash
from tasks.msvd import MSVD
from tasks.retrieval import RetrievalTask
from tasks.vatex import VATEX
from tasks.youcook2 import YouCook2

CLIPS = ["mv89psg6zh4_33_46", "mv89psg6zh4_50_60", "-4wsuPCjDBc_5_15"]
CAPTIONS = {CLIPS[0]: ["a bird bathes", "a bird in a sink"], CLIPS[1]: ["a bird sings"],
            CLIPS[2]: ["a squirrel eats", "a squirrel", "an animal eats"]}  # fmt: skip
PAIRS = [(clip, text) for clip, texts in CAPTIONS.items() for text in texts]
VIDEOS = ["12090392@N02_13482799053_87ef417396", "12090392@N02_8_a0", "26292851@N04_42_26c3"]
YOUTUBE = ["v_uqiMw7tQ1Cc", "v_bXdq2zI1Ms0"]


class Stub(Adapter):
    """Reads ten characters of a text; the test hands the features over itself."""

    name = "stub"
    embed_dim = image_size = 2
    fingerprint = "0"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    def count_truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text) > 10 for text in texts)


def put(folder: Path, name: str, value: Any) -> Source:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return Source("lab", folder)


def listed(task: RetrievalTask) -> list[tuple[str, str]]:
    return list(zip(task.owners, task.texts, strict=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("msvd_test.json", [{"video_id": clip, "video": f"{clip}.avi", "caption": texts}
                            for clip, texts in CAPTIONS.items()]),
        ("msvd_ret_test.json", [{"video": f"{clip}.avi", "caption": texts}
                                for clip, texts in CAPTIONS.items()]),
        ("descs_ret_test.json", [{"video_id": clip, "desc": texts}
                                 for clip, texts in CAPTIONS.items()]),
        ("msvd_test_multi.csv", "video_id,sentence\n"
                                + "".join(f"{c},{'@'.join(t)}\n" for c, t in CAPTIONS.items())),
    ],
)  # fmt: skip
def test_msvd_has_several_captions_a_video(tmp_path: Path, name: str, value: Any) -> None:
    task = MSVD.load(put(tmp_path, name, value))
    assert listed(task) == PAIRS and [clip.id for clip in task.clips] == CLIPS
    assert task.protocol == "msvd/6 items" and task.expected == 6
    assert [MSVD.cluster({"target": clip}) for clip in CLIPS] == [CLIPS[0][:11]] * 2 + [
        CLIPS[2][:11]
    ]


def test_msvds_files_of_all_videos_need_the_list_of_the_test(tmp_path: Path) -> None:
    more = {**CAPTIONS, "zzzzzzzzzzz_1_2": ["a man of the training split"]}
    lines = "# head\n\n" + "".join(
        f"{clip} {one}\n" for clip, texts in more.items() for one in texts
    )
    put(tmp_path / "txt", "AllVideoDescriptions.txt", lines)
    (tmp_path / "pkl").mkdir()
    words = {clip: [text.split() for text in texts] for clip, texts in more.items()}
    (tmp_path / "pkl" / "raw-captions.pkl").write_bytes(pickle.dumps(words))
    for kind in ("txt", "pkl"):
        source = Source("lab", tmp_path / kind)
        with pytest.raises(DataError, match=r"no test_list\.txt near it; put the list"):
            MSVD.load(source)
        (tmp_path / kind / "test_list.txt").write_text("\n".join(CLIPS))
        task = MSVD.load(source)
        assert listed(task) == PAIRS
        assert any("the ids of test_list.txt are read, 6 of 7 pairs" in r for r in task.remarks)
    for value, says in (({"v": [3]}, "a caption is 3"), ({"v": "a"}, "no list"), ([1], "captions")):
        (tmp_path / "pkl" / "raw-captions.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(DataError, match=says):
            MSVD.load(Source("lab", tmp_path / "pkl"))
    put(tmp_path / "txt", "AllVideoDescriptions.txt", "alone\n")
    with pytest.raises(DataError, match=":1: no id and caption"):
        MSVD.load(Source("lab", tmp_path / "txt"))


def test_msvds_test_is_known_by_its_670_videos_and_no_number_of_captions(tmp_path: Path) -> None:
    def task(count: int) -> RetrievalTask:
        rows = [{"video_id": f"{n:011d}_1_2", "caption": ["a", "b"][: 1 + n % 2]}
                for n in range(count)]  # fmt: skip
        return MSVD.load(put(tmp_path, "msvd_test.json", rows))

    known = task(670)
    assert known.protocol == "msvd/test-670" == MSVD.published_protocol()
    assert "taken for test-670 by 670 videos and ids of its form" in known.remarks[0]
    assert task(669).protocol == "msvd/1003 items"


SENTENCES = [(VIDEOS[0], "first a man"), (VIDEOS[1], "a tie"), (VIDEOS[0], " then a dog "),
             (VIDEOS[2], "bugs")]  # fmt: skip
PARAGRAPHS = {VIDEOS[0]: "first a man then a dog", VIDEOS[1]: "a tie", VIDEOS[2]: "bugs"}


def test_didemos_sentences_are_joined_to_paragraphs_in_their_order(tmp_path: Path) -> None:
    rows = [{"video": f"{video}.mov", "description": text, "times": [[0, 1]], "annotation_id": n}
            for n, (video, text) in enumerate(SENTENCES)]  # fmt: skip
    (tmp_path / f"{VIDEOS[1]}.3gp").write_bytes(b"x")
    task = DiDeMo.load(put(tmp_path, "test_data.json", rows))
    assert dict(listed(task)) == PARAGRAPHS and task.expected == 3
    assert [clip.path is not None for clip in task.clips] == [False, True, False]
    assert "didemo: 4 sentences are joined to 3 paragraphs, one a video" in task.remarks
    whole = [{"video_id": video, "desc": text} for video, text in PARAGRAPHS.items()]
    again = DiDeMo.load(put(tmp_path / "other", "didemo.descs_ret_test.json", whole))
    assert listed(again) == listed(task) and again.remarks == []
    assert [DiDeMo.cluster({"target": clip}) for clip in VIDEOS] == [
        "12090392@N02", "12090392@N02", "26292851@N04"
    ]  # fmt: skip
    rows[2]["description"] = " "
    with pytest.raises(DataError, match="entry 2: an empty id or sentence"):
        DiDeMo.load(put(tmp_path, "test_data.json", rows))


def test_a_list_is_verified_by_its_paragraphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = list_hash(f"{video.lower()}\t{text}" for video, text in PARAGRAPHS.items())
    monkeypatch.setattr(DiDeMo, "lists", (PublishedList("test-1003", 3, pairs=hashed),))
    rows = [{"video": video, "description": text} for video, text in SENTENCES]
    assert DiDeMo.load(put(tmp_path, "test_data.json", rows)).protocol == "didemo/test-1003"
    rows[0], rows[2] = rows[2], rows[0]
    assert DiDeMo.load(put(tmp_path, "test_data.json", rows)).protocol == "didemo/other-3"


def test_paragraphs_that_a_model_cuts_are_counted(tmp_path: Path) -> None:
    rows = [{"video": video, "desc": text} for video, text in PARAGRAPHS.items()]
    task = DiDeMo.load(put(tmp_path, "test_data.json", rows))
    values = np.eye(3, 2, dtype=np.float32) + 0.1
    given = Features({video: values[n][None] for n, video in enumerate(VIDEOS)}, values)
    warnings = [line["warning"] for line in task.answer(given, Stub()) if "warning" in line]
    assert warnings == ["didemo: 1 of 3 paragraphs are longer than stub reads, and are cut"]


def test_activitynets_ids_have_two_spellings(tmp_path: Path) -> None:
    sentences = ["A man.", " He jumps."]
    raw = {video: {"duration": 9.0, "timestamps": [[0, 4], [4, 9]], "sentences": sentences}
           for video in YOUTUBE}  # fmt: skip
    (tmp_path / f"{YOUTUBE[0]}.mp4").write_bytes(b"x")
    (tmp_path / f"{YOUTUBE[1][2:]}.mkv").write_bytes(b"x")
    task = ActivityNet.load(put(tmp_path, "val_1.json", raw))
    assert listed(task) == [(video, "A man. He jumps.") for video in YOUTUBE]
    assert [clip.path and clip.path.suffix for clip in task.clips] == [".mp4", ".mkv"]
    bare = [{"video": f"{video[2:]}.mp4", "caption": ["A man.", "He jumps."]} for video in YOUTUBE]
    (tmp_path / "val_1.json").unlink()
    again = ActivityNet.load(put(tmp_path, "anet_ret_val_1.json", bare))
    assert listed(again) == listed(task) and again.fingerprint == task.fingerprint
    assert ActivityNet.canonical("v_abcdefghi") == "v_v_abcdefghi"  # YouTube's eleven begin so too
    assert ActivityNet.cluster({"target": YOUTUBE[0]}) == YOUTUBE[0]


def test_vatex_reads_english_captions_and_subtitles(tmp_path: Path) -> None:
    clip = "G9zN5TTuGO4_000179_000189"
    rows = [{"videoID": clip, "enCap": ["one", "two"], "chCap": ["\u4e00"]}]
    task = VATEX.load(put(tmp_path, "vatex_validation_v1.0.json", rows))
    assert listed(task) == [(clip, "one"), (clip, "two")] and task.subtitles is None
    rows = [{"video_id": clip, "desc": ["one", "two"], "subtitle": " hello "}]
    task = VATEX.load(put(tmp_path, "descs_ret_test.json", rows))
    assert task.subtitles == {clip: "hello"} and VATEX.cluster({"target": clip}) == clip[:11]


STEPS = {"subset": "validation", "recipe_type": "226", "duration": 90, "annotations": [
    {"segment": [1, 7.5], "id": 0, "sentence": "cut the onion"},
    {"segment": [8, 30], "id": 1, "sentence": "fry it"}]}  # fmt: skip
HIDDEN = {**STEPS, "subset": "testing", "annotations": []}
OFFICIAL = {"database": {"xHr8X2Wpmno": STEPS, "AAAAAAAAAAA": {**STEPS, "subset": "training"},
                         "BBBBBBBBBBB": HIDDEN}}  # fmt: skip
TABLE = ("task,video_id,text,start,end\n226,xHr8X2Wpmno,cut the onion,1,7.5\n"
         "226,xHr8X2Wpmno,fry it,8,30\n")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("youcookii_annotations_trainval.json", OFFICIAL), ("validation_youcook.csv", TABLE)],
)
def test_youcook2s_clips_are_cut_files_or_parts_of_whole_videos(
    tmp_path: Path, name: str, value: Any
) -> None:
    source = put(tmp_path, name, value)
    (tmp_path / "xHr8X2Wpmno.mp4").write_bytes(b"x")
    whole = YouCook2.load(source)
    clips = ["xHr8X2Wpmno_0", "xHr8X2Wpmno_1"]
    assert listed(whole) == [(clips[0], "cut the onion"), (clips[1], "fry it")]
    assert [(one.id, one.start, one.end) for one in whole.clips] == [
        (clips[0], 1, 7.5), (clips[1], 8, 30)
    ]  # fmt: skip
    assert {clip.path for clip in whole.clips} == {tmp_path / "xHr8X2Wpmno.mp4"}
    assert {YouCook2.cluster({"target": clip}) for clip in clips} == {"xHr8X2Wpmno"}
    (tmp_path / "xHr8X2Wpmno_1.webm").write_bytes(b"x")
    cut = YouCook2.load(source)
    assert (cut.clips[1].start, cut.clips[1].end) == (0, None) and cut.clips[0].end == 7.5
    assert cut.clips[1].path == tmp_path / "xHr8X2Wpmno_1.webm"
    assert cut.fingerprint != whole.fingerprint


def test_other_bounds_are_other_data_and_no_bounds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "xHr8X2Wpmno.mp4").write_bytes(b"x")
    name = "validation_youcook.csv"
    first = YouCook2.load(put(tmp_path, name, TABLE)).fingerprint
    assert first != YouCook2.load(put(tmp_path, name, TABLE.replace("7.5", "7"))).fingerprint
    for new in ("0.5", "nan", "soon", "inf", ""):
        with pytest.raises(DataError, match=r":2: (from .* is no part|its start and end are)"):
            YouCook2.load(put(tmp_path, name, TABLE.replace("7.5", new)))
    broken = json.loads(json.dumps(OFFICIAL))
    broken["database"]["xHr8X2Wpmno"]["annotations"][1]["segment"] = [8]
    with pytest.raises(DataError, match="xHr8X2Wpmno, step 1: its start and end are"):
        YouCook2.load(put(tmp_path / "x", "youcookii_annotations_trainval.json", broken))
    with pytest.raises(DataError, match="not what it should hold"):
        YouCook2.load(put(tmp_path / "x", "youcookii_annotations_trainval.json", {"database": 3}))


def test_several_captions_are_ranked_both_ways_by_a_recount(tmp_path: Path) -> None:
    """A text ranks the videos; a video ranks groups of captions, each by its best."""
    rows = [{"video_id": clip, "caption": texts} for clip, texts in CAPTIONS.items()]
    task = MSVD.load(put(tmp_path, "msvd_test.json", rows))
    random = np.random.default_rng(3)
    texts = random.normal(size=(6, 4)).astype(np.float32)
    videos = {clip: random.normal(size=(2, 4)).astype(np.float32) for clip in CLIPS}
    lines = list(task.answer(Features(videos, texts), Stub()))

    def unit(vector: Any) -> Any:
        return vector / np.sqrt((vector**2).sum(-1, keepdims=True))

    pooled = {clip: unit(unit(video).mean(0)) for clip, video in videos.items()}
    score = {(n, clip): float(unit(texts[n]) @ pooled[clip]) for n in range(6) for clip in CLIPS}
    for n, (own, _) in enumerate(PAIRS):
        rank = 1 + sum(score[n, clip] >= score[n, own] for clip in CLIPS if clip != own)
        assert next(one for one in lines if one["item"] == f"t2v {n}")["rank"] == rank
    for video in CLIPS:
        best = {clip: max(score[n, video] for n, (own, _) in enumerate(PAIRS) if own == clip)
                for clip in CLIPS}  # fmt: skip
        rank = 1 + sum(best[clip] >= best[video] for clip in CLIPS if clip != video)
        assert next(one for one in lines if one["item"] == f"v2t {video}")["rank"] == rank
    assert MSVD.sample(lines).clusters == 2
    assert task.chance == {"R@1": 100 / 3, "R@5": 100, "R@10": 100, "MdR": 2, "MnR": 2}


@pytest.mark.parametrize("task", [MSVD, DiDeMo, ActivityNet, VATEX, YouCook2])
def test_every_set_says_where_it_comes_from(task: type[RetrievalTask], tmp_path: Path) -> None:
    assert task.citation and task.licence and task.version == 1 and task.primary == "R@1"
    with pytest.raises(DataError, match=f"no {task.files[0]} or .* found there; give the file"):
        task.load(Source("lab", tmp_path))
