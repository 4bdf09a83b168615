"""Files of pairs as they circulate: every one gives the pairs of the plain file, or is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bench.contracts import Source
from bench.errors import DataError
from tasks.lsmdc import LSMDC
from tasks.msrvtt import MSRVTT
from tasks.sources import VideoIndex

ROWS = [("r0", "m0", "video0", "a café"), ("r1", "m1", "video1", "two dogs"),
        ("r2", "m2", "video2", 'a "dog", a cat')]  # fmt: skip
NAMES = ("key", "vid_key", "video_id", "sentence")
PAIRS = [(row[2], row[3]) for row in ROWS]


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if '"' in field else field


def table(sep: str = ",", head: Sequence[str] = NAMES, tail: str = "", first: str = "") -> str:
    lines = [sep.join(map(quoted, row)) + tail + "\n" for row in [head, *ROWS]]
    return first + "".join(lines)


def read(folder: Path, content: str | bytes, name: str = MSRVTT.files[0]) -> Any:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return MSRVTT.read(path)


@pytest.mark.parametrize(
    "text",
    [
        table(tail=",,"), table(";", tail=";;;"), table(", "), table("\t"), table("|"),
        table(head=[name.upper() for name in NAMES]), table(head=(" Key", "Vid Key", "Video-ID ",
        "SENTENCE")), table(";", first="sep=;\n"), table("\t", first='"sep=\t"\r\n'),
        table(";", first="\ufeffSEP=;\r\n"), table() + ",,,\n , ,\n\n", "\n,,,\n" + table(),
        table().replace("\n", "\r\n"), table().replace("\n", "\r"),
        table(first=",").replace("\n", "\n7,", 3), table(head=("video_id", "x", "video", "caption"))
        .replace("r0,m0", "video0,m0").replace("r1", "video1").replace("r2", "video2"),
    ],
)  # fmt: skip
def test_dialects_of_csv(tmp_path: Path, text: str) -> None:
    assert [(pair.video, pair.sentence) for pair in read(tmp_path, text)] == PAIRS


def test_one_key_for_all_sentences_of_a_video(tmp_path: Path) -> None:
    text = table().replace("r1,m1,video1", "r0,m0,video0")
    assert [pair.video for pair in read(tmp_path, text)] == ["video0", "video0", "video2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table() + "r3,m3,video3\n", ":5: 4 columns expected, not 3"),
        (table() + "r3,m3,video3,a,b\n", ":5: 4 columns expected, not 5"),
        (table(head=("key", "video_id", "video_id", "sentence")), ":1: column video_id is named"),
        (table() + "r0,m,video8,a\n", ":5: key 'r0' again, first in .*:2"),
        (table(head=("a", "b", "c", "d")), "no column video_id and sentence; the header is .*'a'"),
        ('{"videos": []}', "its keys are .*videos"),
        ("[1]", "entry 0: 1, not an object"),
        ('[{"video": "v"}]', "entry 0: no sentence among .*video"),
        ('[{"video": 3, "caption": "a"}]', "entry 0: the id is 3, not a text"),
        ('[{"video": "v", "caption": null}]', "entry 0: a sentence is None, no text"),
        ('[{"video": "v", "caption": []}]', "entry 0: a sentence is"),
        ('{"v": "a", "v": "b"}', "given twice"),
        ('{"video": "v", "caption": "a"}\n{"video": "w"}', ":2: no sentence"),
        ('{"video": "v", "caption": "a"}\n{"video": "w"', ":2: not readable as JSON"),
        ('[{"video": "v", "caption": "a", "split": "train"}]', "no split 'test' in it, only"),
        ('{"videos": [3], "sentences": [{}]}', "video 0 is 3"),
        ('{"video": ["v", "w"], "caption": ["a"]}', "of different length"),
        ('{"video": {"0": "v"}, "caption": {"1": "a"}}', "with different rows"),
        (table() + "video_id;sentence\n", ":5: another header"),
        (table() + "video_id,caption\n", ":5: another header"),
        (table() + "r3,m3,video3,\"['a man', 'a dog']\"\n", ":5: a list written as text"),
        (table().encode() + b"r3,m3,video3,caf\xe9\n", ":5: partly UTF-8 and partly not"),
    ],
)
def test_what_is_in_doubt_is_refused_by_name(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, text)


def objects(video: str, sentence: str, **more: Any) -> list[dict[str, Any]]:
    return [{video: one, sentence: text, **more} for one, text in PAIRS]


@pytest.mark.parametrize(
    "value",
    [
        objects("video_id", "desc", subtitle=float("nan")), objects("Video", "Caption", split=3),
        objects("clip_name", "caption"), [{"video": v, "caption": [s]} for v, s in PAIRS],
        dict(PAIRS), {video: [text] for video, text in PAIRS},
        {"annotations": objects("image_id", "caption"), "images": [{"id": v} for v, _ in PAIRS]},
        {"sentences": objects("video_id", "caption", sen_id=None), "videos": []},
        {"test": objects("video", "caption"), "train": [{"video": "video9", "caption": "no"}]},
        {"info": {}, "data": objects("video", "caption")},
        {video: {"captions": [text], "length": 3} for video, text in PAIRS},
        {"video_id": [v for v, _ in PAIRS], "caption": [text for _, text in PAIRS], "x": []},
        {"index": {}, "Video_ID": {str(n): v for n, (v, _) in enumerate(PAIRS)},
         "caption": {str(n): text for n, (_, text) in enumerate(PAIRS)}},
    ],
)  # fmt: skip
def test_shapes_of_json(tmp_path: Path, value: Any) -> None:
    found = read(tmp_path, json.dumps(value, indent=1))
    assert [(pair.video, pair.sentence) for pair in found] == PAIRS and not found.remarks
    if isinstance(value, list):
        lines = "\n".join(map(json.dumps, value)) + "\n\n"
        assert [(pair.video, pair.sentence) for pair in read(tmp_path, lines)] == PAIRS
        assert len(read(tmp_path, json.dumps(value[0]))) == 1


def test_of_splits_the_test_is_read_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    videos = [{"video_id": f"video{n}", "id": n, "split": split}
              for n, split in enumerate(("train", "validate", "Test", "test"))]  # fmt: skip
    sentences = [{"video_id": f"video{n}", "caption": f"{n}"} for n in (0, 1, 2, 2, 9)]
    found = read(tmp_path, json.dumps({"videos": videos, "sentences": sentences}))
    assert [(pair.video, pair.sentence) for pair in found] == [("video2", "2")] * 2
    said = "; ".join(found.remarks)
    assert "1 of train, 1 of validate" in said
    assert "1 sentences of videos that it does not list" in said
    assert "1 of its videos have no sentence" in said
    only = [{**one, "split": "test"} for one in videos]
    found = read(tmp_path, json.dumps({"videos": only[:3], "sentences": sentences[:3]}))
    assert len(found) == 3 and not found.remarks


def test_a_list_of_ids_near_a_file_without_splits_is_kept_to(tmp_path: Path) -> None:
    (tmp_path / "annotation").mkdir()
    (tmp_path / "high-quality" / "lists").mkdir(parents=True)
    value = json.dumps({"annotations": objects("image_id", "caption")})
    near = tmp_path / "high-quality" / "lists" / "test_list_full.txt"
    near.write_text("video2\nvideo0.mp4\r\n\nvideo7\n")
    found = read(tmp_path / "annotation", value, "MSR_VTT.json")
    assert [pair.video for pair in found] == ["video0", "video2"]
    assert "the ids of test_list_full.txt are read, 2 of 3 pairs" in found.remarks[0]
    assert "1 of its ids have no sentence" in found.remarks[1]
    (near.parent / "val_list_jsfusion.txt").write_text("video1\n")
    found = read(tmp_path / "annotation", value, "MSR_VTT.json")
    assert [pair.video for pair in found] == ["video1"]
    (near.parent / "val_list_jsfusion.txt").write_text("video9\n")
    with pytest.raises(DataError, match="none of its 1 ids is in MSR_VTT"):
        read(tmp_path / "annotation", value, "MSR_VTT.json")
    assert len(read(tmp_path / "annotation", table())) == 3  # a table is a list of its own


@pytest.mark.parametrize(
    ("encoding", "says"),
    [("utf-16", "MSRVTT_JSFUSION_test.csv: not UTF-8, read as UTF-16"),
     ("cp1252", "MSRVTT_JSFUSION_test.csv:2: not UTF-8, read as Windows-1252")],
)  # fmt: skip
def test_other_encodings_are_read_with_a_remark(tmp_path: Path, encoding: str, says: str) -> None:
    for text in (table(), json.dumps(dict(PAIRS), indent=1, ensure_ascii=False)):
        found = read(tmp_path, text.encode(encoding))
        assert [(pair.video, pair.sentence) for pair in found] == PAIRS
        assert says in found.remarks[0]


def test_repeated_sentences_and_headers_are_read_with_a_remark(tmp_path: Path) -> None:
    text = table() + table(head=[name.upper() for name in NAMES]).replace("r0", "r4")
    text = text.replace("r1", "", 1).replace("r2", "", 1)
    (tmp_path / MSRVTT.files[0]).write_text(text)
    task = MSRVTT.load(Source("test", tmp_path))
    assert task.texts == [text for _, text in PAIRS] * 2 and len(task.clips) == 3
    assert task.remarks == [
        "msrvtt: MSRVTT_JSFUSION_test.csv:5: the header again, skipped",
        "msrvtt: 3 sentences are there twice for their video, the first in "
        "MSRVTT_JSFUSION_test.csv:6 as MSRVTT_JSFUSION_test.csv:2",
    ]
    assert MSRVTT.check(Source("test", tmp_path)).remarks == task.remarks


class FakeParquet:
    """As much of pyarrow as is used: a schema and columns by name."""

    def __init__(self, path: Path) -> None:
        fields = [("video_id", "struct<bytes: binary>"), ("Video", "string"), ("caption", "string")]
        self.all = [SimpleNamespace(name=name, type=kind) for name, kind in fields]

    @property
    def schema_arrow(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return iter(self.all)

    def read(self, columns: list[str]) -> Any:
        assert columns == ["Video", "caption"]  # never the videos themselves
        rows = [dict(zip(columns, pair, strict=True)) for pair in PAIRS]
        return SimpleNamespace(to_pylist=lambda: rows)


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"PAR1 and so on"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="for which pyarrow is needed; install it"):
        read(tmp_path, content)
    fake: Any = ModuleType("pyarrow")
    fake.parquet, fake.__version__ = SimpleNamespace(ParquetFile=FakeParquet), "20.0.0"
    monkeypatch.setitem(sys.modules, "pyarrow", fake)
    assert [(pair.video, pair.sentence) for pair in read(tmp_path, content)] == PAIRS
    fake.__version__ = "14.0.0"
    with pytest.raises(DataError, match="too old"):
        read(tmp_path, content)


CLIPS = [f"10{n:02d}_A_Film_00.0{n}.32.161-00.0{n}.35.040" for n in range(3)]
LINES = [f'{clip}\t00:01\t1.5\t\tNaN\t"SOMEONE {n}.\n' for n, clip in enumerate(CLIPS)]
HEAD = "clip_id\tstart_aligned\tend_aligned\tstart_extracted\tend_extracted\tsentence\n"


def lsmdc(folder: Path, text: str) -> Any:
    path = folder / LSMDC.files[0]
    path.write_text(text, newline="")
    return LSMDC.read(path)


@pytest.mark.parametrize(
    "head",
    [HEAD, HEAD.upper(), "Name\tvon\tbis\tvon\tbis\tText\n", "0\t1\t2\t3\t4\t5\n",
     "<" + HEAD.replace("\t", ">\t<").strip() + ">\n", "1\t2\t3\t4\t5\t6\t\n"],
)  # fmt: skip
def test_headers_of_lsmdc_are_no_pairs(tmp_path: Path, head: str) -> None:
    for text in (
        head + "".join(LINES), head + head.join(LINES),
        "\t" + head + "".join(f"{n}\t{line}" for n, line in enumerate(LINES)),
        "Unnamed: 0\t" + head + "".join(f"{n}\t{line}" for n, line in enumerate(LINES)),
        (head + "".join(LINES)).replace("\n", "\r"), head + "\ufeff" + "".join(LINES),
        head.replace("\n", "\r\n") + "".join(LINES).replace("\n", "\t\t\r\n"),
    ):  # fmt: skip
        found = lsmdc(tmp_path, text)
        assert [pair.video for pair in found] == CLIPS
        assert [pair.sentence for pair in found] == [f'"SOMEONE {n}.' for n in range(3)]
        assert "a header, skipped" in found.remarks[0]


def test_lsmdc_with_quotes_around_every_field(tmp_path: Path) -> None:
    lines = [f'"{clip}"\t"1"\t"2"\t"1"\t""\t"""Hi"" {clip}"\n' for clip in CLIPS]
    found = lsmdc(tmp_path, "".join(lines))
    assert [(p.video, p.sentence) for p in found] == [(clip, f'"Hi" {clip}') for clip in CLIPS]


def test_stray_tabs_of_lsmdc(tmp_path: Path) -> None:
    text = LINES[0].replace("\n", "\t\n") + "\t" + LINES[1] + "\t\t\n" + LINES[2].replace(" ", "\t")
    found = lsmdc(tmp_path, text)
    assert [pair.sentence for pair in found] == [f'"SOMEONE {n}.' for n in range(3)]
    assert found.remarks == [f"{LSMDC.files[0]}:4: tabs in the sentence, read as blanks"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LINES[0] + HEAD + LINES[1], ":2: a header or a shifted line"),
        (LINES[0].replace("\t00:01", "\tSOMEONE"), ":1: a header or a shifted line"),
        ("sentence\ta\tb\tc\td\tclip_id\n" + LINES[0], ":1: the header has another order"),
        (LINES[0].replace("\n", "\tmore\n") + LINES[1].replace("\n", "\tmore\n"), "7 columns, 6"),
        ("a;b\n", "1 columns, 6 expected"),
    ],
)
def test_what_is_in_doubt_in_lsmdc_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        lsmdc(tmp_path, text)


def test_lsmdc_with_columns_by_name(tmp_path: Path) -> None:
    for text in (
        "clip_id,start,sentence\n" + "".join(f"{clip},1,hi {clip}\n" for clip in CLIPS),
        json.dumps([{"clip_id": clip, "sentence": f"hi {clip}"} for clip in CLIPS]),
    ):
        assert [pair.video for pair in lsmdc(tmp_path, text)] == CLIPS


def test_ids_with_an_ending_or_in_other_case_find_their_file(tmp_path: Path) -> None:
    for name in ("video0.mp4", "Video1.webm", "VIDEO2.avi", "video2x.avi"):
        (tmp_path / name).write_bytes(b"x")
    text = table().replace("video0", "video0.AVI").replace("video2", "video2.mp4")
    (tmp_path / MSRVTT.files[0]).write_text(text)
    task = MSRVTT.load(Source("test", tmp_path))
    assert [clip.id for clip in task.clips] == ["video0", "video1", "video2"]
    names = [clip.path and clip.path.name for clip in task.clips]
    assert names == ["video0.mp4", "Video1.webm", "VIDEO2.avi"]
    assert task.remarks == ["msrvtt: 2 ids in another case than their file, as video1"]


def test_ids_that_are_paths_of_videos_find_them_by_name(tmp_path: Path) -> None:
    (tmp_path / "video0.mp4").write_bytes(b"x")
    text = table().replace("video0", "/data/all/video0.mp4").replace("video1", "..\\video1.avi")
    (tmp_path / MSRVTT.files[0]).write_text(text)
    task = MSRVTT.load(Source("test", tmp_path))
    assert [clip.id for clip in task.clips] == ["video0", "video1", "video2"]
    assert task.clips[0].path == tmp_path / "video0.mp4"
    text = table().replace("video0", "a/video0.mp4").replace("video1", "b/video0.mp4")
    (tmp_path / MSRVTT.files[0]).write_text(text)
    with pytest.raises(DataError, match=r":3: .video0. in another folder than in .*:2"):
        MSRVTT.load(Source("test", tmp_path))


def test_the_number_of_a_missing_video_is_enough_to_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "msr9000.mp4").write_bytes(b"x")
    assert VideoIndex(tmp_path).near("video9000") == " (did you mean 'msr9000.mp4'?)"
    assert VideoIndex(tmp_path).near("video900") == VideoIndex(tmp_path).near("video") == ""


def test_a_file_in_other_case_is_taken_only_without_a_doubt(tmp_path: Path) -> None:
    for name in ("AB.mp4", "cd.mp4", "CD.mp4", "ef.mp4"):
        (tmp_path / name).write_bytes(b"x")
    paths, other = VideoIndex(tmp_path).find_all(["ab", "Ab", "Cd", "ef", "EF", "gh"])
    assert other == [] and [name for name, path in paths.items() if path] == ["ef"]


@pytest.mark.parametrize(
    ("file", "near"),
    [("video0002.mp4", "video0002.mp4"), ("video_2.mp4", "video_2.mp4"), ("v-video2-hd.avi", "hd"),
     ("msr002.mp4", ""), ("video2.ogv", "ending is not a video's"), ("video21.mp4", ""),
     ("video2.jpg", "")],
)  # fmt: skip
def test_a_near_name_of_a_missing_video_is_named(tmp_path: Path, file: str, near: str) -> None:
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / MSRVTT.files[0]).write_text(table())
    said = "; ".join(MSRVTT.load(Source("test", tmp_path)).remarks)
    assert ("no file for 3 videos, as video2 (" in said and near in said) if near else said == ""


def test_earlier_names_of_the_file_are_preferred(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / MSRVTT.files[0]).write_text(table())
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"video9": "another"}))
    assert len(MSRVTT.load(Source("test", tmp_path)).texts) == 3
    with pytest.raises(DataError, match=r"a folder; name the file in it, or .* of sources\.lab"):
        MSRVTT.load(Source("lab", tmp_path, annotations=tmp_path / "a"))
    with pytest.raises(DataError, match="no such folder"):
        MSRVTT.load(Source("lab", tmp_path / "none"))
