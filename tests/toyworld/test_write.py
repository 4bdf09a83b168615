"""The toy world's files: the real datasets' formats, whole, repeatable and restartable."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import av
import pytest

from bench.contracts import Source
from bench.errors import UsageError
from tasks.msrvtt import MSRVTT
from tasks.msvd import MSVD
from tasks.toyworld import VERSION, write
from tasks.toyworld.world import ACTORS, VERBS
from tasks.ucf101 import UCF101

SCALE = 0.04
EVENTS = ("Ev1", "Ev2", "Ev3", "Ev4", "Ev5")
ANNOTATIONS = Path("vidsitu/vidsitu_annotations")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("toy"), seed=3, workers=1, scale=SCALE)


def probe(path: Path) -> tuple[str, str, int, int, float]:
    """Container, codec, side, frames and seconds of a video that decodes to its end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert frames[0].width == frames[0].height == 224
        rate = float(stream.average_rate or 0)
        return container.format.name, stream.codec_context.name, 224, len(frames), rate


def load(toy: Path, folder: str, name: str) -> Any:
    return json.loads((toy / ANNOTATIONS / folder / name).read_text(encoding="utf-8"))


def test_msrvtt_table_and_videos(toy: Path) -> None:
    with (toy / "msrvtt/MSRVTT_JSFUSION_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["key", "vid_key", "video_id", "sentence", "cluster"]
    assert {row["cluster"] for row in rows} == {"group1"}
    assert len(rows) == 12
    assert len({row["sentence"] for row in rows}) == 12
    assert rows[3]["key"] == "ret3"
    assert rows[3]["vid_key"] == rows[3]["video_id"].replace("video", "msr")
    name, codec, _, frames, rate = probe(toy / f"msrvtt/videos/{rows[0]['video_id']}.mp4")
    assert "mp4" in name
    assert (codec, frames, rate) == ("h264", 30, 10)


def test_lsmdc_table_and_videos(toy: Path) -> None:
    text = (toy / "lsmdc/LSMDC16_challenge_1000_publictect.csv").read_text()
    rows = [line.split("\t") for line in text.splitlines()]
    assert len(rows) == 12
    assert {len(row) for row in rows} == {6}
    assert len({row[5] for row in rows}) == 12
    clip, start, end = rows[0][:3]
    assert clip.endswith(f"_{start}-{end}")
    film = clip.removesuffix(f"_{start}-{end}")
    assert probe(toy / "lsmdc/videos" / film / f"{clip}.avi") == ("avi", "h264", 224, 30, 10)


def test_lsmdc_sentences_are_unique_at_full_size() -> None:
    from tasks.toyworld.writers import _lsmdc, _msrvtt

    lines = next(iter(_lsmdc(Path("x"), 0, 1.0)[0].values())).splitlines()
    sentences = [line.split("\t")[5] for line in lines]
    assert len(set(sentences)) == 288
    assert sum("SOMEONE" in text for text in sentences) > 20
    rows = next(iter(_msrvtt(Path("x"), 0, 1.0)[0].values())).splitlines()[1:]
    assert len({row.split(",")[3] for row in rows}) == 288


def test_vidsitu_annotations_have_the_official_keys(toy: Path) -> None:
    train = load(toy, "split_files", "vseg_split_train_lb.json")
    valid = load(toy, "split_files", "vseg_split_valid_lb.json")
    found = load(toy, "vseg_ann_files", "vsann_train_lb.json")
    assert [ann["Ev1"]["vid_seg_int"] for ann in found] == train
    assert len(train) == 24
    senses = {verb.sense for verb in VERBS.values()}
    for annotation in found + load(toy, "vseg_ann_files", "vsann_valid_lb.json"):
        assert list(annotation) == ["Ev1", "Ev2", "Ev3", "Ev4", "Ev5"]
        for name, event in annotation.items():
            assert event["VerbID"] in senses
            assert list(event["Args"]) == list(event["Arg_List"])
            assert "Scene of the Event" in event["Args"]
            assert ("EvRel" in event) == (name != "Ev3")
    clips = [
        ann["Ev1"]["vid_seg_int"] for ann in load(toy, "vseg_ann_files", "vsann_valid_lb.json")
    ]
    assert clips == [clip for clip in valid for _ in range(3)]
    for info in load(toy, "vinfo_files", "vinfo_valid_lb.json"):
        assert [len(votes) for votes in info["vbid_lst"].values()] == [10] * 5


def test_vidsitu_splits_are_disjoint_and_have_videos(toy: Path) -> None:
    names = ("train", "valid", "testvb", "testsrl", "testevrel")
    clips = [
        clip for name in names for clip in load(toy, "split_files", f"vseg_split_{name}_lb.json")
    ]
    assert len(set(clips)) == len(clips)
    assert sorted(path.stem for path in (toy / "vidsitu/videos").iterdir()) == sorted(clips)
    assert all(len(clip) == len("v_toyAAAAAAAA_seg_0_10") for clip in clips)
    assert probe(toy / f"vidsitu/videos/{clips[0]}.mp4")[3:] == (60, 6)


def test_marker_says_what_was_drawn(toy: Path) -> None:
    marker = json.loads((toy / "lsmdc/source.json").read_text())
    assert marker == {
        "kind": "toy", "protocol": "toy", "version": VERSION, "seed": 3, "scale": SCALE,
        "tasks": ["lsmdc"],
    }  # fmt: skip


def test_same_seed_same_bytes_and_progress_ends_at_the_total(toy: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    again = write(
        tmp_path, ("msrvtt",), 3, workers=2, scale=SCALE, progress=lambda *x: seen.append(x)
    )
    assert (seen[0], seen[-1]) == ((0, 12), (12, 12))
    files = [path.relative_to(again) for path in again.rglob("*") if path.is_file()]
    assert len(files) == 14
    for file in files:
        assert (again / file).read_bytes() == (toy / file).read_bytes()


def test_a_broken_run_continues_and_keeps_what_is_done(tmp_path: Path) -> None:
    write(tmp_path, ("lsmdc",), 4, workers=1, scale=SCALE)
    folder = tmp_path / "lsmdc"
    videos = sorted(folder.rglob("*.avi"))
    kept = videos[1].stat().st_mtime_ns
    (folder / "source.json").rename(folder / "drawing.json")
    whole = videos[0].read_bytes()
    videos[0].unlink()
    write(tmp_path, ("lsmdc",), 4, workers=1, scale=SCALE)
    assert videos[0].read_bytes() == whole
    assert videos[1].stat().st_mtime_ns == kept
    assert (folder / "source.json").is_file()


def test_another_seed_in_the_same_folder_is_refused(toy: Path) -> None:
    with pytest.raises(UsageError, match="another toy world"):
        write(toy, ("msrvtt",), 9, workers=1, scale=SCALE)


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task 'didemo'"):
        write(tmp_path, ("didemo",))


def test_other_data_are_not_drawn_over(tmp_path: Path) -> None:
    """Such as the real set, by `--output` of its folder."""
    theirs = tmp_path / "msrvtt" / "MSRVTT_JSFUSION_test.csv"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    with pytest.raises(UsageError, match=r"holds other data \(MSRVTT_JSFUSION_test\.csv\)"):
        write(tmp_path, tasks=("lsmdc", "msrvtt"), scale=0.01)
    assert theirs.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["msrvtt"]


def test_msvd_and_ucf101_have_the_forms_of_the_real_sets(toy: Path) -> None:
    """Several captions a video, and clips in groups: read by the ordinary readers."""
    several = MSVD.load(Source("toy", toy))
    assert (several.protocol, len(several.clips), len(several.texts)) == ("msvd/toy", 12, 48)
    assert len(set(several.texts)) == 48 and not several.remarks
    assert {MSVD.cluster({"target": clip.id}) for clip in several.clips} == {"toyMSVD0001"}
    first = MSRVTT.load(Source("toy", toy))  # the same events: of one caption each
    assert sum(text in several.texts for text in first.texts) == 12
    actions = UCF101.load(Source("toy", toy))
    assert actions.protocol == "ucf101/toy" and actions.remarks == []
    assert len(actions.clips) == 2 * len(VERBS) and len(actions.classes) == len(VERBS)
    assert {len(set(actions.labels.values())), *actions.chance.values()} == {
        18, 100 / 18, 500 / 18
    }  # fmt: skip
    assert all(clip.path for clip in (*several.clips, *actions.clips))
    assert probe(next(clip.path for clip in actions.clips if clip.path))[1:4] == ("h264", 224, 30)


def test_velocitis_rows_are_true_and_false_of_their_clips(toy: Path) -> None:
    """By VidSitu's annotations of the same clips, which are drawn to the same bytes."""
    with (toy / "velociti/velociti.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["video_id", "test_name", "event", "pos", "neg", "in_subset"]
    events: dict[str, list[dict[str, str]]] = {}
    for entry in load(toy, "vseg_ann_files", "vsann_valid_lb.json"):
        words = [{**e["Args"], "verb": e["Verb"]} for e in map(entry.get, EVENTS)]
        events.setdefault(entry["Ev1"]["vid_seg_int"], words)
    assert {row["video_id"] for row in rows} == set(events)
    for row in rows:
        clip = events[row["video_id"]]
        of = [clip[int(place) - 1] for place in re.findall("Ev([1-5])", row["event"])]
        for event in of:  # the true caption says who, and how, or what is done
            who = next(value for key, value in event.items() if key.startswith("Arg0"))
            assert who in row["pos"] or row["test_name"] == "coref"
            assert VERBS[event["verb"]].third in row["pos"]
            assert event["ArgM (manner)"] in row["pos"] or row["test_name"] == "coref"
        assert row["pos"] != row["neg"] and row["in_subset"] in ("True", "False")
    tests = {row["test_name"]: row for row in rows}
    assert len(tests) == 8 and len(rows) > 8 * 3
    first, then = tests["chrono"]["pos"].removeprefix("first ").split(", then ")
    assert tests["chrono"]["neg"] == f"first {then}, then {first}"
    for test, names in (("agent_random", False), ("agent_bind", True)):
        row = tests[test]
        cast = " ".join(value for event in events[row["video_id"]] for value in event.values())
        other = next(one.name for one in ACTORS if row["neg"].startswith(f"a {one.name} "))
        assert (other in cast) == names and other not in row["pos"]
        assert row["neg"].split()[3:] == row["pos"].split()[3:]
    for clip in events:
        one, two = (toy / f"{task}/videos/{clip}.mp4" for task in ("velociti", "vidsitu"))
        assert one.read_bytes() == two.read_bytes()
