"""The distributed files of MSRVTT and LSMDC: what is read, and how faults are named."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.contracts import Adapter, Features, Source
from bench.errors import BenchError, DataError
from tasks.lists import PublishedList, list_hash, videos_hash
from tasks.lsmdc import LSMDC
from tasks.msrvtt import MSRVTT
from tasks.retrieval import RetrievalTask, chance
from tasks.sources import VideoIndex, protocol_of

HEAD = "key,vid_key,video_id,sentence\n"
MSRVTT_FILE, LSMDC_FILE = MSRVTT.files[0], LSMDC.files[0]


def msrvtt(folder: Path, text: str | bytes) -> Source:
    path = folder / MSRVTT_FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Source("test", folder)


def lsmdc(folder: Path, text: str) -> Source:
    (folder / LSMDC_FILE).write_text(text, encoding="utf-8")
    return Source("test", folder)


@pytest.mark.parametrize(
    "text",
    [
        'key,vid_key,video_id,sentence\nret0,msr1,video1,"a man, a dog"\nret1,msr2,video2,b\n',
        "key;vid_key;video_id;sentence\nret0;msr1;video1;a man, a dog\nret1;msr2;video2;b\n",
        '\ufeffkey,vid_key,video_id,sentence\r\nr0,m,video1,"a man, a dog"\r\nr1,m,video2,b',
        'sentence,video_id\n"a man, a dog",video1\nb,video2\n',
    ],
)
def test_both_dialects_of_msrvtt(tmp_path: Path, text: str) -> None:
    (tmp_path / "videos" / "part2").mkdir(parents=True)
    (tmp_path / "videos" / "video1.MP4").write_bytes(b"x")
    (tmp_path / "videos" / "part2" / "video2.webm").write_bytes(b"x")
    task = MSRVTT.load(msrvtt(tmp_path, text))
    assert task.texts == ["a man, a dog", "b"]
    assert [clip.path and clip.path.name for clip in task.clips] == ["video1.MP4", "video2.webm"]
    assert task.protocol == "msrvtt/2 items" and task.expected == 2


def test_lsmdc_keeps_stray_quotes_and_names_what_is_missing(tmp_path: Path) -> None:
    line = "0001_Film_00.00.01.000-00.00.02.000\t1\t2\t1\t2\t"
    other = "0001_Film_00.00.03.000-00.00.04.000\t3\t4\t3\t4\tSOMEONE nods.\n"
    (tmp_path / "0001_Film").mkdir()
    (tmp_path / "0001_Film" / "0001_Film_00.00.01.000-00.00.02.000.avi").write_bytes(b"x")
    task = LSMDC.load(lsmdc(tmp_path, line + '"Come in, says SOMEONE.\n' + other))
    assert task.texts == ['"Come in, says SOMEONE.', "SOMEONE nods."]
    assert task.clips[0].path is not None and task.clips[1].path is None


def rows(count: int) -> str:
    return HEAD + "".join(f"ret{i},msr{i},video{i},text {i}\n" for i in range(count))


def test_the_published_protocol_is_a_list_and_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for others, name in ((1000, "other-1000"), (999, "999 items"), (1001, "1001 items")):
        task = MSRVTT.load(msrvtt(tmp_path, rows(others)))
        assert (task.protocol, task.remarks) == (f"msrvtt/{name}", [])
    source = msrvtt(tmp_path, rows(3))
    pairs = [(f"video{i}", f"text {i}") for i in range(3)]
    one = PublishedList("1k-A", 3, list_hash(f"{v}\t{s}" for v, s in pairs), videos_hash(pairs))
    monkeypatch.setattr(MSRVTT, "lists", (one,))
    assert MSRVTT.load(source).protocol == "msrvtt/1k-A"
    lines = rows(3).splitlines()
    same = "\n".join([lines[0], *lines[:0:-1]]).replace("video1", "Video1.MP4")
    same = same.replace(",text ", ", Text\u00a0  ")
    assert MSRVTT.load(msrvtt(tmp_path, same)).protocol == "msrvtt/1k-A"
    for old, new in (("text 2", "text 2."), ("text 2", "text 1"), ("video2", "video3")):
        task = MSRVTT.load(msrvtt(tmp_path, rows(3).replace(old, new)))
        assert task.protocol == "msrvtt/other-3"
        said = ["msrvtt: the videos are those of 1k-A, the sentences are not"] * (new != "video3")
        assert task.remarks == said
    source = msrvtt(tmp_path, rows(3))
    (tmp_path / "source.json").write_text(json.dumps({"protocol": "1k-A"}))
    assert MSRVTT.load(source).protocol == "msrvtt/generated-1k-A"  # a card cannot claim it
    (tmp_path / "source.json").write_text("{}")
    with pytest.raises(DataError, match="no 'protocol'"):
        MSRVTT.load(source)


def test_where_only_the_size_is_known_no_other_size_has_the_name(tmp_path: Path) -> None:
    source = Source("test", tmp_path)
    names = [protocol_of(source, "vidsitu", "valid", count, 1326) for count in (1325, 1326, 1327)]
    assert names == ["vidsitu/1325 items", "vidsitu/valid", "vidsitu/1327 items"]


def test_the_full_test_of_msrvtt_is_known_by_its_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = MSRVTT.lists[1]
    assert full.items == 20 * 2990
    monkeypatch.setattr(MSRVTT, "lists", (MSRVTT.lists[0], replace(full, items=2990)))
    sentences = [{"video_id": f"video{n}", "caption": f"{n}"} for n in range(7010, 10_000)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"sentences": sentences}))
    task = MSRVTT.load(Source("test", tmp_path))
    assert task.protocol == "msrvtt/full-2990" and "not verified" in task.remarks[0]
    other = [{**sentences[0], "video_id": "video7009"}, *sentences[1:]]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"sentences": other}))
    assert MSRVTT.load(Source("test", tmp_path)).protocol == "msrvtt/other-2990"
    (tmp_path / "MSRVTT_data.json").write_text(
        json.dumps({"sentences": [*sentences, *sentences[:1]]})
    )
    task = MSRVTT.load(Source("test", tmp_path))
    assert task.protocol == "msrvtt/2991 items" and "those of full-2990" in task.remarks[1]


def test_lsmdcs_list_is_known_by_the_form_of_its_ids_and_said_to_be_unverified(
    tmp_path: Path,
) -> None:
    def lines(form: str, count: int = 1000) -> str:
        return "".join(f"{form.format(n)}\t1\t2\t1\t2\tSOMEONE nods {n}.\n" for n in range(count))

    form = "1004_Film_00.01.32.{:03d}-00.01.35.040"
    task = LSMDC.load(lsmdc(tmp_path, lines(form)))
    assert task.protocol == "lsmdc/test-1000" and "not verified" in task.remarks[0]
    assert LSMDC.load(lsmdc(tmp_path, lines(form, 999))).protocol == "lsmdc/999 items"
    assert LSMDC.load(lsmdc(tmp_path, lines("clip{}"))).protocol == "lsmdc/other-1000"


def test_a_task_that_names_no_lists_has_its_name_unverified(tmp_path: Path) -> None:
    other = type("Other", (MSRVTT,), {"name": "other", "published": "mine", "lists": ()})
    task = other.load(msrvtt(tmp_path, rows(1000)))
    assert task.protocol == "other/mine" and "not verified" in task.remarks[0]


def test_limit_keeps_whole_videos(tmp_path: Path) -> None:
    text = HEAD + "a,m,video1,one\nb,m,video2,two\nc,m,video1,three\nd,m,video3,four\n"
    task = MSRVTT.load(msrvtt(tmp_path, text), limit=2)
    assert task.texts == ["one", "two", "three"] and task.owners == ["video1", "video2", "video1"]
    assert task.expected == 4 and len(task.clips) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column video_id and sentence"),
        (HEAD, "no pairs"),
        ("key,vid_key,film,sentence\nr,m,v,s\n", ":1: no column video_id; the header is .*film"),
        (HEAD + "r0,m,video1,a\nr0,m,video2,b\n", ":3: key 'r0' again, first in .*:2"),
        (HEAD + "r0,m,video1,a\nvideo_id,sentence,key,vid_key\n", ":3: another header"),
        (HEAD + "r0,m,video1,\n", ":2: an empty id or sentence"),
        (HEAD + "r0,m,,a\n", ":2: an empty id or sentence"),
        (HEAD + "r0,m,video1\n", ":2: 4 columns expected"),
        (HEAD + "r0,m,video1,a,b\n", ":2: 4 columns expected"),
        (HEAD + 'r0,m,video1,"a\n', "check the quotes"),
        (HEAD + "r0,m,../../etc/passwd,a\n", ":2: the id .* is a path"),
        (HEAD + "r0,m,a\\b,a\n", ":2: the id .* is a path"),
        (HEAD + "r0,m,.,a\n", ":2: the id .* is a path"),
        (HEAD + "r0,m,..,a\n", ":2: the id .* is a path"),
        (HEAD + "r0,m,a\x07b,a\n", ":2: the id .* holds control characters"),
        (HEAD + f"r0,m,video1,{'a' * 10_001}\n", ":2: a field far too long"),
        (HEAD + f"r0,m,{'v' * 256},a\n", ":2: a field far too long"),
        (HEAD.encode() + b"r0,m,video1,\x81\n", "neither UTF-8 nor Windows-1252"),
        (HEAD.encode("utf-16")[:-1], "neither UTF-8 nor UTF-16"),
        (b"PK\3\4rest", "a workbook or zip archive"),
        (HEAD + "r0,m,video1,a\0b\n", ":2: a NUL byte"),
    ],
)
def test_faults_of_msrvtt_are_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        MSRVTT.load(msrvtt(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no pairs"),
        ("a\tb\n", ":1: 2 columns, 6 expected"),
        ("a\t1\t2\t1\t2\tx\na\t1\t2\t1\t2\ty\n", ":2: clip 'a' again, first in .*:1"),
        ("a\t1\t2\t1\t2\t\n", ":1: an empty id or sentence"),
    ],
)
def test_faults_of_lsmdc_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        LSMDC.load(lsmdc(tmp_path, text))


@pytest.mark.parametrize("task", [MSRVTT, LSMDC])
def test_absent_files_are_named_with_the_remedy(tmp_path: Path, task: type[RetrievalTask]) -> None:
    with pytest.raises(DataError, match=re.escape(task.files[0])):
        task.load(Source("test", tmp_path))
    absent = Source("lab", tmp_path, annotations=tmp_path / "no.csv")
    with pytest.raises(DataError, match=r"no.csv: no such file; check sources.lab"):
        task.load(absent)
    source = msrvtt(tmp_path, rows(2))
    with pytest.raises(DataError, match="no such folder of videos"):
        MSRVTT.load(Source("test", source.root, videos=tmp_path / "absent"))


def test_the_index_prefers_mp4_and_finds_frame_folders(tmp_path: Path) -> None:
    (tmp_path / "b" / "clip2").mkdir(parents=True)
    (tmp_path / "b" / "clip2" / "clip2_000001.jpg").write_bytes(b"x")
    for name in ("a.webm", "a.mp4", "b/a.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    index = VideoIndex(tmp_path)
    assert index.find("a") == tmp_path / "a.mp4"
    assert index.find("clip2") == tmp_path / "b" / "clip2"
    assert index.find("notes") is None and index.find("../a") is None


def test_links_are_followed_and_links_to_nothing_are_missing_clips(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    root = tmp_path / "root"
    for folder in (disk, root):
        folder.mkdir()
    (disk / "video0.mp4").write_bytes(b"x")
    (disk / "loop").symlink_to(root, target_is_directory=True)
    (root / "videos").symlink_to(disk, target_is_directory=True)
    (root / "video1.mp4").symlink_to(tmp_path / "gone.mp4")
    task = MSRVTT.load(msrvtt(root, rows(2)))
    assert [clip.path for clip in task.clips] == [root / "videos" / "video0.mp4", None]


def test_the_root_may_hold_the_annotations_and_the_card_of_a_task(tmp_path: Path) -> None:
    (tmp_path / "msrvtt").mkdir()
    (tmp_path / "msrvtt" / "video0.mp4").write_bytes(b"x")
    (tmp_path / "source.json").write_text(json.dumps({"protocol": "toy"}))
    task = MSRVTT.load(msrvtt(tmp_path, rows(1000)))
    assert task.clips[0].path is not None and task.protocol == "msrvtt/toy"


class Stub(Adapter):
    """Needs no model: the test hands the features over itself."""

    name = "stub"
    embed_dim = image_size = 2
    fingerprint = "0"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError


def features(videos: list[list[float]]) -> Features:
    """One frame a video, and one text a video with the same features."""
    values = np.array(videos, np.float32)
    return Features({f"video{i}": value[None] for i, value in enumerate(values)}, values)


def test_answers_are_ranked_and_scored(tmp_path: Path) -> None:
    task = MSRVTT.load(msrvtt(tmp_path, rows(3)))
    lines = list(task.answer(features([[1, 0], [0, 1], [-1, 0]]), Stub()))
    assert lines[0] == {
        "item": "t2v 0", "direction": "t2v", "query": 0, "text": "text 0", "target": "video0",
        "rank": 1, "score": 1.0, "top": [["video0", 1.0], ["video1", 0.0], ["video2", -1.0]],
    }  # fmt: skip
    assert [line["direction"] for line in lines] == ["t2v"] * 3 + ["v2t"] * 3
    json.dumps(lines)
    scores = task.score([{"warning": "w"}, *lines], resamples=20, seed=0)
    assert scores.answered == 3 and set(scores.metrics) == set(scores.intervals) == set(
        MSRVTT.metrics
    )
    assert scores.metrics["R@1"] == scores.metrics["v2t/R@1"] == 100


def test_lengths_of_features_do_not_matter(tmp_path: Path) -> None:
    """Scores are cosines: texts and frames of any length give the same lines."""
    task = MSRVTT.load(msrvtt(tmp_path, rows(3)))
    given = features([[3, 1], [1, 2], [-1, 1]])
    plain = list(task.answer(given, Stub()))
    texts = given.texts * np.array([[1], [5], [0.2]], np.float32)
    clips = {name: 7 * clip for name, clip in given.clips.items()}
    for line, other in zip(plain, task.answer(Features(clips, texts), Stub()), strict=True):
        assert other["rank"] == line["rank"] and other["score"] == pytest.approx(line["score"])
        assert [name for name, _ in other["top"]] == [name for name, _ in line["top"]]


def test_frames_are_pooled_by_direction_alone() -> None:
    pooled = Stub().pool(np.array([[3, 0], [0, 1]], np.float32))
    np.testing.assert_allclose(pooled, [0.5**0.5, 0.5**0.5], rtol=1e-6)


def test_chance_is_that_of_guessing() -> None:
    """Four videos with a text each: every rank from 1 to 4 is as likely."""
    expected = {"R@1": 25.0, "R@5": 100.0, "R@10": 100.0, "MdR": 2.5, "MnR": 2.5}
    found = chance(Counter("abcd"))
    assert found == expected | {f"v2t/{name}": value for name, value in expected.items()}
    assert chance(Counter({"a": 2, "b": 1, "c": 1, "d": 1})) == expected
    assert chance(Counter(map(str, range(20))))["R@5"] == 25.0


def test_videos_are_drawn_with_all_their_captions(tmp_path: Path) -> None:
    """Two captions of a video rank alike here, and are no two independent draws."""
    lines = [
        {"item": f"t2v {n}", "direction": "t2v", "query": n, "target": f"v{n // 2}",
         "rank": 1 + 9 * (n // 2 % 2)}
        for n in range(40)
    ] + [
        {"item": f"v2t v{n}", "direction": "v2t", "target": f"v{n}", "rank": 1} for n in range(20)
    ]  # fmt: skip
    drawn = MSRVTT.draws(lines, resamples=500, seed=0)["R@1"]
    assert drawn.std() == pytest.approx(50 / 20**0.5, rel=0.15)


def test_what_a_file_says_belongs_together_is_drawn_together(tmp_path: Path) -> None:
    """By its column `cluster`, in both directions; without one by the video."""
    task = MSRVTT.load(msrvtt(tmp_path, rows(4)))
    given = features([[1, 0], [0, 1], [-1, 0], [0, -1]])
    plain = list(task.answer(given, Stub()))
    assert all("cluster" not in line for line in plain)
    assert {MSRVTT.cluster(line) for line in plain} == {f"video{n}" for n in range(4)}
    file = tmp_path / MSRVTT.files[0]
    head, *lines_ = file.read_text().splitlines()
    grouped = [f"{head},cluster", *(f"{line},film{n // 2}" for n, line in enumerate(lines_))]
    file.write_text("\n".join(grouped))
    again = MSRVTT.load(Source("lab", tmp_path))
    assert again.fingerprint == task.fingerprint and again.protocol == task.protocol
    found = list(again.answer(given, Stub()))
    assert [line["cluster"] for line in found] == ["film0", "film0", "film1", "film1"] * 2
    assert MSRVTT.sample(found).clusters == 2 and MSRVTT.sample(plain).clusters == 4
    for ranked in (found, plain):
        ranked[0]["rank"] = 4
    drawn = [MSRVTT.draws(ranked, resamples=400, seed=0)["MnR"] for ranked in (found, plain)]
    assert set(drawn[0]) == {1, 1.75, 2.5} and len(set(drawn[1])) > 3


def test_clips_of_a_film_are_drawn_together() -> None:
    clip = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    for target, film in ((clip, "0001_American_Beauty"), ("another", "another")):
        assert LSMDC.cluster({"item": "t2v 0", "target": target}) == film


def test_a_failed_clip_leaves_its_texts_out(tmp_path: Path) -> None:
    task = MSRVTT.load(msrvtt(tmp_path, rows(3)))
    given = features([[1, 0], [0, 1], [-1, 0]])
    del given.clips["video1"]
    lines = list(task.answer(given, Stub()))
    assert [line["query"] for line in lines] == [0, 2, "video0", "video2"]


def test_odd_features_and_doubled_files_are_said(tmp_path: Path) -> None:
    for name in ("video1.mp4", "video1.avi"):
        (tmp_path / name).write_bytes(b"x")
    task = MSRVTT.load(msrvtt(tmp_path, rows(3)))
    lines = list(task.answer(features([[1, 0]] * 3), Stub()))
    warnings = [line["warning"] for line in lines if "warning" in line]
    assert "several files for 1 clips, the first video1" in warnings[0]
    assert len(warnings) == 1  # that all features are alike is the engine's to say
    assert {line["rank"] for line in lines if "rank" in line} == {3}  # collapsed: last, not first
    with pytest.raises(BenchError, match="NaN"):
        list(task.answer(features([[1, 0], [np.nan, 0], [0, 1]]), Stub()))


def test_the_fingerprint_follows_the_data(tmp_path: Path) -> None:
    load: Callable[[str], str] = lambda text: MSRVTT.load(msrvtt(tmp_path, text)).fingerprint  # noqa: E731
    first = load(rows(3))
    assert first == load(rows(3)) != load(rows(4))
    (tmp_path / "video1.mp4").write_bytes(b"x")
    assert first != load(rows(3))


def test_the_fingerprint_follows_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caption, whose it is, the task and its version; files of the same names and sizes."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "b.mp4").write_bytes(b"y")
    other = type("Other", (MSRVTT,), {"name": "other"})
    texts = ("r,m,a,one\ns,m,b,two\n", "r,m,a,one\ns,m,b,too\n", "r,m,a,one\ns,m,b,x\nt,m,a,two\n",
             "r,m,a,one\ns,m,b,x\nt,m,b,two\n")  # fmt: skip
    seen = [MSRVTT.load(msrvtt(tmp_path, HEAD + text)).fingerprint for text in texts]
    seen.append(other.load(msrvtt(tmp_path, HEAD + texts[0])).fingerprint)
    monkeypatch.setattr(MSRVTT, "version", 99)
    seen.append(MSRVTT.load(msrvtt(tmp_path, HEAD + texts[0])).fingerprint)
    assert len(set(seen)) == len(seen)


def test_a_task_is_the_published_one(tmp_path: Path) -> None:
    """Twelve frames evenly over the clip; what the source says of its frames."""
    source = replace(msrvtt(tmp_path, rows(3)), frames_fps=12.5)
    task = MSRVTT.load(source)
    assert task.source is source and {clip.frames_fps for clip in task.clips} == {12.5}
    assert task.plan.key == "uniform-12" and len(task.plan.times(10.0)) == 12
    assert task.chance["R@1"] == pytest.approx(100 / 3)
    assert MSRVTT.load(msrvtt(tmp_path, rows(255))).clips  # ids of any usual length
    longest = HEAD + f"r0,m,{'v' * 255},{'a' * 10_000}\n"
    assert len(MSRVTT.load(msrvtt(tmp_path, longest)).clips) == 1


def test_numbers_do_not_depend_on_the_order_of_the_lines(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [
        {"item": f"{way} {n}", "direction": way, "target": f"v{n // 2}",
         "rank": int(random.integers(1, 20))}
        for way in ("t2v", "v2t") for n in range(30)
    ]  # fmt: skip
    first = MSRVTT.score(lines, resamples=50, seed=0)
    assert first == MSRVTT.score(lines[::-1], resamples=50, seed=0)
    assert first.intervals != MSRVTT.score(lines, resamples=50, seed=1).intervals


@pytest.mark.parametrize("rank", [0, -1, 3, 10**400, 1.5, True, "1", None])
@pytest.mark.parametrize("way", ["t2v", "v2t"])
def test_a_rank_that_is_none_among_the_set_is_refused(way: str, rank: object) -> None:
    lines = [
        {"item": f"{one} {n}", "direction": one, "target": f"v{n}", "rank": n + 1}
        for one in ("t2v", "v2t") for n in range(2)
    ]  # fmt: skip
    assert MSRVTT.score(lines, resamples=2, seed=0).metrics["MnR"] == 1.5
    lines[0 if way == "t2v" else 2]["rank"] = rank  # type: ignore[assignment]
    for use in (MSRVTT.score, MSRVTT.draws):
        with pytest.raises(ValueError, match=rf"rank .* of {way} 0 among 2"):
            use(lines, resamples=2, seed=0)


def test_the_toy_world_needs_no_special_case(toy: Path) -> None:
    for task in (MSRVTT, LSMDC):
        loaded = task.load(Source("toy", toy))
        assert loaded.protocol == f"{task.name}/toy"
        assert len(loaded.clips) == len(loaded.texts) >= 20
        assert all(clip.path for clip in loaded.clips)
