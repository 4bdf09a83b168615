"""Zero-shot actions: small lists of the usual forms, and the metrics counted anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import RunConfig
from bench.contracts import Adapter, Features, Source
from bench.engine import evaluate
from bench.errors import BenchError, DataError, UsageError
from bench.report.boards import boards
from bench.results.files import load, load_predictions, save
from bench.results.paired import compared
from tasks.action_files import class_list, words
from tasks.actions import ActionTask, chance
from tasks.hmdb51 import HMDB51
from tasks.kinetics400 import Kinetics400
from tasks.ssv2 import SSv2
from tasks.templates import DEFAULT, OURS, class_features
from tasks.ucf101 import UCF101

CLASSES = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
UCF = [("v_ApplyEyeMakeup_g01_c01", 0), ("v_ApplyEyeMakeup_g01_c02", 0),
       ("v_HandStandPushups_g02_c01", 1), ("v_YoYo_g01_c01", 2)]  # fmt: skip


class Stub(Adapter):
    """Needs no model: the test hands the features over itself."""

    name = "stub"
    embed_dim = image_size = 3
    fingerprint = "0"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError


def put(folder: Path, files: dict[str, Any]) -> Source:
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return Source("lab", folder)


def numbered(names: Sequence[str], first: int) -> str:
    return "".join(f"{n} {name}\n" for n, name in enumerate(names, first))


def listing(ending: str = ".avi") -> str:
    return "".join(f"{CLASSES[label]}/{video}{ending}\n" for video, label in UCF)


def found(task: ActionTask) -> list[tuple[str, str]]:
    return list(task.labels.items())


EXPECTED = [(video, CLASSES[label]) for video, label in UCF]


@pytest.mark.parametrize(
    "files",
    [
        {"testlist01.txt": listing(), "classInd.txt": numbered(CLASSES, 1)},
        {"ucfTrainTestlist/testlist01.txt": listing().replace("\n", "\r\n"),
         "ucfTrainTestlist/classInd.txt": numbered(CLASSES, 1)},
        {"val1.txt": "".join(f"{v}.avi {n}\n" for v, n in UCF),
         "ucf_101_labels.csv": "id,name\n" + "".join(f"{n},{c}\n" for n, c in enumerate(CLASSES))},
        {"val1.txt": "".join(f"{CLASSES[n]}/{v}.avi, {n}\n" for v, n in UCF),
         "ucf_101_labels.csv": "\n".join(CLASSES)},
        {"val1.txt": "video,label\n" + "".join(f"{v}.avi,{CLASSES[n]}\n" for v, n in UCF),
         "classInd.txt": json.dumps(CLASSES)},
        {"val1.txt": [{"video_id": v, "label": n} for v, n in UCF], "classInd.txt":
         {str(n): name for n, name in enumerate(CLASSES)}},
        {"val1.txt": [{"video_id": v, "pos_text": words(CLASSES[n])} for v, n in UCF],
         "classInd.txt": {name: str(n) for n, name in enumerate(CLASSES)}},
        {f"videos/{CLASSES[n]}/{v}.avi": "x" for v, n in UCF} | {"classInd.txt":
         numbered(CLASSES, 1)},
    ],
)  # fmt: skip
def test_lists_and_folders_of_ucf101(tmp_path: Path, files: dict[str, Any]) -> None:
    task = UCF101.load(put(tmp_path, files))
    assert found(task) == EXPECTED and task.classes == list(CLASSES)
    assert task.texts == [
        "a photo of a apply eye makeup.", "a photo of a handstand pushups.", "a photo of a yo yo."
    ]  # fmt: skip
    assert task.protocol == "ucf101/4 items, 3 of 101 classes" and task.expected == 4
    assert any("3 classes, not 101" in remark for remark in task.remarks)
    assert task.chance == {"top-1": 100 / 3, "top-5": 100, "mean-class": 100 / 3}
    assert len(task.clips) == 4 and task.caption(UCF[3][0]) == "yo yo"


def test_videos_are_found_below_and_the_split_is_a_setting(tmp_path: Path) -> None:
    lines = listing().splitlines(keepends=True)
    files = {"testlist01.txt": lines[0], "testlist02.txt": "".join(lines[1:]),
             "classInd.txt": numbered(CLASSES, 1), "UCF-101/YoYo/v_YoYo_g01_c01.avi": "x",
             "UCF-101/HandstandPushups/v_HandstandPushups_g02_c01.avi": "x"}  # fmt: skip
    source = put(tmp_path, files)
    assert len(UCF101.load(source).labels) == 1
    second = Source("lab", tmp_path, settings={"split": 2})
    task = UCF101.load(second)
    assert found(task) == EXPECTED[1:] and task.settings == {"templates": "default", "split": 2}
    assert [clip.path is not None for clip in task.clips] == [False, True, True]
    assert "1 ids in another case than their file" in "".join(task.remarks)
    assert len(UCF101.load(second, limit=2).clips) == 2
    assert UCF101.load(second, limit=2).expected == 3
    with pytest.raises(DataError, match=r"no testlist03\.txt or val3\.txt found there"):
        UCF101.load(
            Source("lab", put(tmp_path / "empty", {"a.txt": ""}).root, settings={"split": 3})
        )


def test_published_splits_are_known_by_number_and_form_and_unverified(tmp_path: Path) -> None:
    names = [f"A{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(101)]
    videos = [f"{names[n % 101]}/v_{names[n % 101]}_g01_c{n:04d}.avi" for n in range(3783)]
    files = {"testlist01.txt": "\n".join(videos), "classInd.txt": numbered(names, 1)}
    task = UCF101.load(put(tmp_path, files))
    assert task.protocol == "ucf101/split-1" == UCF101.published_protocol()
    assert "not verified" in task.remarks[0] and len(task.remarks) == 1
    files["testlist01.txt"] = "\n".join(videos[:-1])
    assert UCF101.load(put(tmp_path, files)).protocol == "ucf101/3782 items"
    files["testlist01.txt"] = "\n".join(videos).replace("_g01_", "_x01_")
    assert UCF101.load(put(tmp_path, files)).protocol == "ucf101/other-3783"
    put(tmp_path, {"source.json": {"protocol": "split-1"}})
    assert UCF101.load(Source("lab", tmp_path)).protocol == "ucf101/generated-split-1"


LINE = "{}_brush_hair_u_nm_np1_ba_goo_{}.avi {}\n"


def test_hmdb51s_split_is_a_file_a_class(tmp_path: Path) -> None:
    lists = {
        "brush_hair_test_split1.txt": LINE.format("April_09", 0, 1) + LINE.format("Film_a", 0, 2)
        + LINE.format("Film_a", 1, 2) + LINE.format("Other", 3, 0) + "\n",
        "shake_hands_test_split1.txt": "Film_a_shake_hands_f_cm_np2_le_bad_4.avi 2 \n",
        "brush_hair_test_split2.txt": LINE.format("April_09", 0, 2),
    }  # fmt: skip
    source = put(tmp_path, {f"testTrainMulti_7030_splits/{k}": v for k, v in lists.items()})
    task = HMDB51.load(source)
    assert found(task) == [
        ("Film_a_brush_hair_u_nm_np1_ba_goo_0", "brush_hair"),
        ("Film_a_brush_hair_u_nm_np1_ba_goo_1", "brush_hair"),
        ("Film_a_shake_hands_f_cm_np2_le_bad_4", "shake_hands"),
    ]
    assert task.texts[1] == "a photo of a shake hands."
    lines = [{"item": item, "label": words(label)} for item, label in found(task)]
    assert {HMDB51.cluster(line) for line in lines} == {"Film_a"}
    assert HMDB51.cluster({"item": "another", "label": "walk"}) == "another"
    second = Source("lab", tmp_path, settings={"split": 2})
    assert list(HMDB51.load(second).labels) == ["April_09_brush_hair_u_nm_np1_ba_goo_0"]
    folder = tmp_path / "testTrainMulti_7030_splits"
    assert len(HMDB51.load(Source("lab", tmp_path / "x", folder, tmp_path)).labels) == 3
    (folder / "brush_hair_test_split1.txt").write_text("video.avi 3\n")
    with pytest.raises(DataError, match=r"brush_hair_test_split1\.txt:1: no video and 0, 1 or 2"):
        HMDB51.load(source)


def test_hmdb51s_splits_of_one_length_are_told_apart_by_the_setting(tmp_path: Path) -> None:
    for split in (1, 3):
        lines = "".join(f"v{n}.avi 2\n" for n in range(1530))
        source = put(tmp_path, {f"brush_hair_test_split{split}.txt": lines})
        task = HMDB51.load(Source("lab", source.root, settings={"split": split}))
        assert task.protocol == f"hmdb51/split-{split}, 1 of 51 classes"
    with pytest.raises(UsageError, match="settings of 'hmdb51': split cannot be 4"):
        HMDB51.load(Source("lab", tmp_path, settings={"split": 4}))


def test_kinetics_own_table_and_the_names_of_its_files(tmp_path: Path) -> None:
    table = (
        "label,youtube_id,time_start,time_end,split\nplaying guitar,AAAAAAAAAAA,10,20,validate\n"
        "abseiling,BBBBBBBBBBB,7,17,validate\nabseiling,AAAAAAAAAAA,30,40,validate\n"
    )
    files = {"val.csv": table, "val_256/abseiling/BBBBBBBBBBB.mp4": "x",
             "val_256/playing_guitar/AAAAAAAAAAA_000010_000020.mp4": "x"}  # fmt: skip
    task = Kinetics400.load(put(tmp_path, files))
    assert [clip.path is not None for clip in task.clips] == [True, True, False]
    assert task.classes == ["abseiling", "playing guitar"]
    assert "1 videos by another name, such as BBBBBBBBBBB.mp4" in "; ".join(task.remarks)
    clusters = [Kinetics400.cluster({"item": i, "label": n}) for i, n in found(task)]
    assert clusters == ["AAAAAAAAAAA", "BBBBBBBBBBB", "AAAAAAAAAAA"]
    (tmp_path / "val.csv").unlink()
    task = Kinetics400.load(put(tmp_path, {"train/abseiling/CCCCCCCCCCC.mp4": "x",
                                           "val_256/readme.txt": ""}))  # fmt: skip
    assert len(task.labels) == 3  # `val_256` is no split's usual name: all folders are taken
    (tmp_path / "val_256").rename(tmp_path / "val")
    task = Kinetics400.load(Source("lab", tmp_path))
    assert dict(found(task)) == {"BBBBBBBBBBB": "abseiling",
                                 "AAAAAAAAAAA_000010_000020": "playing_guitar"}  # fmt: skip
    assert "1 videos outside val are not read" in task.remarks[0]
    bad = table.replace(",10,", ",soon,")
    with pytest.raises(DataError, match=r"val\.csv:2: its times are no numbers"):
        Kinetics400.load(put(tmp_path, {"val.csv": bad}))


def test_somethings_templates_are_read_without_brackets(tmp_path: Path) -> None:
    videos = [
        {"id": "74225", "label": "spinning cube", "template": "Spinning [something]"},
        {"id": "116154", "label": "a", "template": "Putting [something], [something] up"},
    ]
    labels = {"Putting something, something up": "1", "Spinning something": "0"}
    files = {"labels/validation.json": videos, "labels/labels.json": labels}
    task = SSv2.load(put(tmp_path, files))
    assert found(task) == [("74225", "Spinning something"),
                           ("116154", "Putting something, something up")]  # fmt: skip
    assert task.texts == [f"a photo of a {name}." for name in labels]
    assert words("Putting [something], [something] up") == "Putting something, something up"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"val1.txt": "v_a.avi 0\n"}, r"val1\.txt:1: no class for 'v_a\.avi'"),
        ({"val1.txt": "v_a.avi 7\n", "classInd.txt": "1 A\n"}, ":1: no class for"),
        ({"val1.txt": "A/v_a.avi 0\n", "classInd.txt": "0 B\n1 A\n"}, "counts from 0 or from 1"),
        (
            {"val1.txt": "Yoyos/v_a.avi\n", "classInd.txt": "0 YoYo\n"},
            "'Yoyos' is no class .*'YoYo'",
        ),
        ({"val1.txt": "A/v.avi\nB/v.avi\n", "classInd.txt": "A\nB"}, ":2: 'v' is 'A' too"),
        ({"val1.txt": "A/v\n", "classInd.txt": "0 A\n1 a\n"}, "class 'a' is there twice"),
        ({"val1.txt": "A/v\n", "classInd.txt": "0 A\n1 A\n"}, "class 'A' is there twice"),
        ({"val1.txt": "A/v\n", "classInd.txt": "0 A\n0 B\n"}, "number 0 is there twice"),
        ({"val1.txt": "A/v\n", "classInd.txt": "0 A\nB\n"}, "no number and name of a class: 'B'"),
        ({"val1.txt": "A/v\n", "classInd.txt": ""}, "no classes in it"),
        ({"val1.txt": "A/v\n", "classInd.txt": "[3]"}, "not names of classes"),
        ({"val1.txt": "A/v\n", "classInd.txt": '{"A": 0, "B": 0}'}, "number of a class is there"),
        ({"val1.txt": ""}, "no videos in the list"),
        ({"val1.txt": "{}"}, "not a list of videos"),
        ({"val1.txt": '[{"video": "v"}]'}, "entry 0: no video and label among"),
        ({"a/x.avi": "", "b/x.avi": ""}, r"b/x\.avi: named as .*a/x\.avi; rename one"),
        ({"x.avi": "", "b/y.avi": ""}, "x.avi: in no class's folder"),
    ],
)
def test_what_is_in_doubt_is_refused_by_name(
    tmp_path: Path, files: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says) as caught:
        UCF101.load(put(tmp_path, files))
    assert "\n" not in str(caught.value)


def test_repeated_videos_and_classes_without_any_are_said(tmp_path: Path) -> None:
    files = {"val1.txt": "A/v\nA/w\nA/v\n", "classInd.txt": "A\nB\nC"}
    task = UCF101.load(put(tmp_path, files))
    said = "; ".join(task.remarks)
    assert len(task.labels) == task.expected == 2 and len(task.texts) == 3
    assert "1 videos are listed twice" in said and "2 classes have no video, such as 'B'" in said


def test_a_folder_of_frames_is_a_video(tmp_path: Path) -> None:
    files = {f"{name}/{name}_1/img_{n:05d}.jpg": "" for name in ("walk", "run") for n in (1, 2)}
    task = HMDB51.load(put(tmp_path, files))
    assert found(task) == [("run_1", "run"), ("walk_1", "walk")]
    assert task.clips[0].path == tmp_path / "run" / "run_1"


# --- templates -----------------------------------------------------------------------------------


def templated(folder: Path, setting: str) -> ActionTask:
    files = {"testlist01.txt": listing(), "classInd.txt": numbered(CLASSES, 1)}
    put(folder, files)
    return UCF101.load(Source("lab", folder, settings={"templates": setting}))


def test_templates_are_another_protocol_and_ours_are_called_so(tmp_path: Path) -> None:
    plain, ours = (templated(tmp_path, name) for name in ("default", "averaged"))
    assert ours.protocol == f"{plain.protocol}, {len(OURS)} templates of ours averaged"
    assert len(ours.texts) == 3 * len(OURS) and ours.texts[0] == OURS[0].format("apply eye makeup")
    assert plain.fingerprint != ours.fingerprint and len(set(OURS)) == len(OURS)
    own = tmp_path / "own.txt"
    own.write_text("\n".join(["a {}", "", "the {}!"]))
    task = templated(tmp_path, str(own))
    assert task.texts[:3] == ["a apply eye makeup", "the apply eye makeup!", "a handstand pushups"]
    first = task.protocol
    assert first.startswith(f"{plain.protocol}, 2 templates averaged (")
    own.write_text("a {x} {}")
    assert templated(tmp_path, str(own)).texts[2] == "a {x} yo yo"
    own.write_text("a {}\nthe {}?")
    assert templated(tmp_path, str(own)).protocol != first
    for text, says in (("a\n", ":1: a template has {} once"), ("{} {}", ":1: a template has"),
                       ("\n", "no templates in it"), ("{}\n{}", "there twice")):  # fmt: skip
        own.write_text(text)
        with pytest.raises(DataError, match=says):
            templated(tmp_path, str(own))
    with pytest.raises(UsageError, match="templates cannot be 'clip': no such file"):
        templated(tmp_path, "clip")
    with pytest.raises(UsageError, match=r"settings of 'ucf101': unknown setting 'templats'"):
        UCF101.load(Source("lab", tmp_path, settings={"templats": "default"}))


def test_a_class_is_the_mean_of_its_sentences_directions() -> None:
    texts = np.array([[3, 0], [0, 1], [0, 7], [0, 2]], np.float32)
    half = 0.5**0.5
    np.testing.assert_allclose(class_features(texts, 2), [[half, half], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(class_features(texts, 4), [[1, 0], [0, 1], [0, 1], [0, 1]])


# --- answers and metrics -------------------------------------------------------------------------


def test_answers_are_ranks_among_all_classes_by_a_recount(tmp_path: Path) -> None:
    task = templated(tmp_path, "averaged")
    random = np.random.default_rng(5)
    texts = random.normal(size=(len(task.texts), 3)).astype(np.float32)
    clips = {video: random.normal(size=(4, 3)).astype(np.float32) for video, _ in UCF[1:]}
    lines = list(task.answer(Features(clips, texts), Stub()))
    assert [line["item"] for line in lines] == [video for video, _ in UCF[1:]]

    def unit(vector: Any) -> Any:
        return vector / np.sqrt((vector**2).sum(-1, keepdims=True))

    names = [unit(unit(texts[n * len(OURS) : (n + 1) * len(OURS)]).mean(0)) for n in range(3)]
    for line, (video, label) in zip(lines, UCF[1:], strict=True):
        scores = [float(unit(unit(clips[video]).mean(0)) @ name) for name in names]
        order = sorted(range(3), key=lambda n: -scores[n])
        assert line["label"] == CLASSES[label] and line["rank"] == 1 + order.index(label)
        assert [name for name, _ in line["top"]] == [CLASSES[n] for n in order]
        assert line["score"] == pytest.approx(scores[label], abs=1e-6)
    json.dumps(lines)


def test_a_tie_ranks_the_right_class_behind_and_nan_is_refused(tmp_path: Path) -> None:
    task = templated(tmp_path, "default")
    clips = {video: np.ones((2, 3), np.float32) for video, _ in UCF}
    alike = Features(clips, np.ones((3, 3), np.float32))
    assert {line["rank"] for line in task.answer(alike, Stub())} == {3}
    with pytest.raises(BenchError, match="stub on ucf101: NaN or infinity"):
        list(task.answer(Features(clips, np.full((3, 3), np.nan, np.float32)), Stub()))


def lines_of(ranks: Sequence[int], labels: str, groups: Sequence[int]) -> list[dict[str, Any]]:
    given = enumerate(zip(ranks, labels, groups, strict=True))
    return [
        {"item": f"v_{label}_g{group:02d}_c{n}", "label": label, "rank": rank}
        for n, (rank, label, group) in given
    ]


def test_metrics_by_a_recount() -> None:
    lines = lines_of([1, 1, 1, 6, 5, 2], "AAABBC", [1, 1, 2, 1, 1, 1])
    scores = UCF101.score(lines[::-1], resamples=200, seed=0)
    assert scores.metrics == pytest.approx({"top-1": 50, "top-5": 500 / 6, "mean-class": 100 / 3})
    assert scores.answered == 6 and set(scores.intervals) == set(UCF101.metrics)
    assert chance(4) == {"top-1": 25, "top-5": 100, "mean-class": 25}
    sample = UCF101.sample(lines)
    assert sample.clusters == 4  # A's groups 1 and 2, B's and C's
    of = {"v_A_g01": [0, 1], "v_A_g02": [2], "v_B_g01": [3, 4], "v_C_g01": [5]}
    weights = np.random.default_rng(0).integers(0, 3, (50, 4)).astype(float)
    for row in weights:
        drawn = [n for w, items in zip(row, of.values(), strict=True) for n in items * int(w)]
        if not drawn:
            continue
        expected = 100 * np.mean([lines[n]["rank"] == 1 for n in drawn])
        assert sample.statistics["top-1"](row[None])[0] == pytest.approx(expected)
        labels = {lines[n]["label"] for n in drawn}
        by = [np.mean([lines[n]["rank"] == 1 for n in drawn if lines[n]["label"] == label])
              for label in labels]  # fmt: skip
        found_ = sample.statistics["mean-class"](row[None])[0]
        assert found_ == pytest.approx(100 * np.mean(by))


@pytest.mark.parametrize("rank", [0, -1, 1.5, True, "1", None])
def test_a_rank_that_is_none_is_refused(rank: Any) -> None:
    lines = lines_of([1, 2], "AB", [1, 1])
    lines[1]["rank"] = rank
    for use in (UCF101.score, UCF101.draws):
        with pytest.raises(ValueError, match=r"rank .* of v_B_g01_c1"):
            use(lines, resamples=2, seed=0)
    with pytest.raises(ValueError, match="nothing was answered"):
        UCF101.score([], resamples=2, seed=0)


def test_two_runs_are_compared_on_the_videos_of_both() -> None:
    first, second = lines_of([1, 2, 3], "ABC", [1] * 3), lines_of([3, 2, 1], "ABC", [1] * 3)
    one, two = UCF101.common(first[1:], second[:2])
    assert [line["item"] for line in one[0]] == [line["item"] for line in two[1]] == [
        first[1]["item"]
    ]  # fmt: skip
    assert one[0] is one[1] and two[0] is two[1]
    second[1]["label"] = "X"
    with pytest.raises(ValueError, match="other classes of the same videos"):
        UCF101.common(first, second)


class Colour(Stub):
    """Knows red from blue: in frames and in the first words of a text."""

    name, image_size, parts = "colour", 8, 1

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return frames.reshape(len(frames), -1, 3).mean(axis=1).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[float("red" in text), 0, float("blue" in text)] for text in texts],
                        np.float32)  # fmt: skip


class Clips(Colour):
    """The same as a model of clips."""

    name = "clips"
    encode_frames = Adapter.encode_frames  # type: ignore[assignment]

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        return clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32)


@pytest.mark.parametrize("model", [Colour, Clips])
def test_a_run_from_folders_of_pictures(tmp_path: Path, model: type[Adapter]) -> None:
    """Models of frames and of clips alike; what has no frames is a failure and leaves the rest."""
    from PIL import Image

    for colour, name in (((255, 9, 9), "red"), ((9, 9, 255), "blue")):
        for take in range(2):
            folder = tmp_path / "data" / name / f"{name}_{take}"
            folder.mkdir(parents=True)
            for n in range(3):
                Image.new("RGB", (16, 16), colour).save(folder / f"{n:03d}.png")
    (tmp_path / "data" / "red" / "broken.mp4").write_bytes(b"no video")
    task = HMDB51.load(Source("lab", tmp_path / "data", frames_fps=3.0))
    run = RunConfig(cache=tmp_path / "cache", workers=1, resamples=50)
    document = evaluate(model(), task, run).document
    assert document.protocol == "hmdb51/5 items, 2 of 51 classes"
    assert {name: one.value for name, one in document.metrics.items()} == {
        "top-1": 100, "top-5": 100, "mean-class": 100
    }  # fmt: skip
    assert (document.coverage.answered, document.coverage.expected) == (4, 5)
    assert document.chance["top-1"] == 50 and document.failures[0].clip == "broken"


@pytest.mark.parametrize("task", [UCF101, HMDB51, Kinetics400, SSv2])
def test_every_set_says_where_it_comes_from(task: type[ActionTask], tmp_path: Path) -> None:
    assert task.citation and task.licence and task.version == 1 and task.primary == "top-1"
    assert DEFAULT == ("a photo of a {}.",)
    with pytest.raises(DataError, match="found there; give the file as 'annotations' of"):
        task.load(Source("lab", tmp_path))


def test_class_lists_keep_their_order_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text('id,name\n2,"b, c"\n0,a\n')
    assert class_list(path) == {2: "b, c", 0: "a"}


def test_results_of_actions_have_boards_and_are_compared(tmp_path: Path) -> None:
    """A model that knows red from blue against one that does not: clusters, tests, chance."""
    from PIL import Image

    for n in range(24):
        colour, name = [((255, 9, 9), "red"), ((9, 9, 255), "blue")][n % 2]
        folder = tmp_path / "data" / name / f"Film{n // 2}_{name}_u_nm_np1_ba_goo_{n}"
        folder.mkdir(parents=True)
        Image.new("RGB", (16, 16), colour).save(folder / "000.png")
    task = HMDB51.load(Source("lab", tmp_path / "data", frames_fps=3.0))
    run = RunConfig(cache=tmp_path / "cache", workers=1, resamples=200)
    models = (Colour(), Swapped())
    paths = [save(evaluate(model, task, run), tmp_path / "results") for model in models]
    found = compared(paths[:1], paths[1:], run)
    rows = {row.metric: row for row in found.rows}
    assert set(rows) == set(HMDB51.metrics) and found.items == 24
    for name in ("top-1", "mean-class"):
        assert rows[name].difference == -100 and rows[name].better == "first"
        assert rows[name].p < 0.05
    assert rows["top-5"].difference == 0 and rows["top-5"].better == "-"
    assert HMDB51.sample(load_predictions(paths[0], load(paths[0]))).clusters == 12
    (board,) = boards([load(path) for path in paths])
    assert board.columns == ["top-1", "top-5", "mean-class"]
    assert [(row.model, row.values["top-1"]) for row in board.rows] == [
        ("colour", 100), ("swapped", 0), ("(chance)", 50)
    ]  # fmt: skip
    part = save(evaluate(Colour(), HMDB51.load(task.source, limit=6), run), tmp_path / "part")
    assert compared([part], paths[1:], run).items == 6


class Swapped(Colour):
    """Takes red for blue."""

    name, fingerprint = "swapped", "1"

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return super().encode_texts(texts)[:, ::-1]
