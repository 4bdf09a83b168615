"""`bench data check vidsitu`: every oddity of a tree is named with its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.contracts import Source
from bench.errors import DataError
from tasks.vidsitu.task import VidSitu

ANNOTATIONS = "vidsitu_annotations"
TRAIN = f"{ANNOTATIONS}/vseg_ann_files/vsann_train_lb.json"
VALID = f"{ANNOTATIONS}/vseg_ann_files/vsann_valid_lb.json"
LABELS = f"{ANNOTATIONS}/vinfo_files/vinfo_valid_lb.json"
SPLIT = f"{ANNOTATIONS}/split_files/vseg_split_train_lb.json"


@pytest.fixture
def root(tree: Path, tmp_path: Path) -> Path:
    """The tree with a (worthless) file for every clip."""
    root = Path(shutil.copytree(tree, tmp_path / "data"))
    for path in (root / ANNOTATIONS / "split_files").iterdir():
        for name in json.loads(path.read_text()):
            (root / "videos" / f"{name}.mp4").write_bytes(b"\0\0\0 ftypisom")
    return root


def edit(root: Path, name: str, change: Callable[[Any], Any]) -> None:
    content = json.loads((root / name).read_text())
    (root / name).write_text(json.dumps(change(content) or content))


def problems(root: Path) -> dict[str, tuple[int, str]]:
    found = VidSitu.check(Source("lab", root))
    return {what: (count, first) for what, count, first in found.problems}


def test_a_whole_tree_has_none(root: Path) -> None:
    found = VidSitu.check(Source("lab", root))
    assert found.problems == [] and found.missing == []
    assert found.facts["train"] == "30 segments, 30 videos"
    assert found.facts["valid annotations"] == 15


def test_missing_videos_and_files(root: Path) -> None:
    lost = sorted((root / "videos").iterdir())[0]
    lost.unlink()
    (root / LABELS).unlink()
    found = problems(root)
    assert found["train: missing video"] == (1, lost.stem)
    assert found["missing file"] == (1, "vinfo_valid_lb.json")
    assert VidSitu.check(Source("lab", root)).missing == [lost.stem]


def set_(path: list[Any], value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        if value is None:
            del content[path[-1]]
        else:
            content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "problem", "first"),
    [
        (TRAIN, set_([0, "Ev2", "VerbID"], ""), "train: event without verb", "entry 0, Ev2"),
        (TRAIN, set_([1, "Ev1", "Args", "Arg9"], "x"), "train: unknown role 'Arg9'", "entry 1"),
        (TRAIN, set_([1, "Ev1", "Args"], None), "train: event without arguments", "entry 1, Ev1"),
        (TRAIN, set_([2, "Ev5"], None), "train: annotation without all five events", "entry 2"),
        (TRAIN, set_([0, "Ev1", "Args", "Arg0 (a)"], " "), "train: role without a value", "Arg0"),
        (TRAIN, lambda c: c[1:], "train: segment without annotation", "v_toyA"),
        (TRAIN, lambda c: [*c, c[0]], "train: segment with 2 annotations", "v_toyA"),
        (TRAIN, lambda c: [*c, 7], "entry that is no mapping", "entry 30"),
        (VALID, lambda c: c[1:], "valid: segment with 2 annotations", "v_toyB"),
        (VALID, set_([0, "Ev1", "Args", "Arg2 (a)"], "x"),
         "valid: annotators who name different scored roles", "v_toyB"),
        (SPLIT, lambda c: c[1:], "train: annotation of a segment outside the split", "v_toyA"),
        (SPLIT, lambda c: [*c, "v_toyBAAAAAAA_seg_0_10"], "segment in both train and valid", "v_"),
        (LABELS, set_([0, "vbid_lst", "Ev4"], ["a.01"]),
         "valid: not 9 or 10 verb labels an event", "entry 0"),
        (LABELS, lambda c: c[1:], "valid: segment without verb labels", "v_toyB"),
    ],
)  # fmt: skip
def test_oddities_are_named(
    root: Path, name: str, change: Callable[[Any], Any], problem: str, first: str
) -> None:
    edit(root, name, change)
    found = problems(root)
    assert problem in found, found
    assert first in found[problem][1] and found[problem][0] == 1


def test_no_tree_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder 'split_files' found"):
        VidSitu.check(Source("lab", tmp_path))


def test_faults_are_counted_and_every_missing_video_named(root: Path) -> None:
    lost = sorted((root / "videos").iterdir())
    lost = [lost[0], lost[1], lost[-1]]  # of two splits
    for path in lost:
        path.unlink()
    found = VidSitu.check(Source("lab", root))
    assert sorted(found.missing) == sorted(path.stem for path in lost)
    counts = {what: (count, first) for what, count, first in found.problems}
    assert counts["train: missing video"] == (2, lost[0].stem)  # the first of them is named
    assert sum(count for count, _ in counts.values()) == 3


def test_what_is_no_fault_is_none(root: Path) -> None:
    """Roles that no metric reads may differ between annotators; ten labels are as good as nine."""
    edit(root, VALID, set_([0, "Ev1", "Args", "ArgM (manner)"], "slowly"))
    labels = json.loads((root / LABELS).read_text())
    ten = (labels[0]["vbid_lst"]["Ev1"] * 2)[:10]
    edit(root, LABELS, set_([0, "vbid_lst", "Ev1"], ten))
    assert problems(root) == {}
    edit(root, LABELS, set_([0, "vbid_lst", "Ev1"], [*ten, ten[0]]))
    assert list(problems(root)) == ["valid: not 9 or 10 verb labels an event"]


def test_two_files_for_a_segment_are_told(root: Path) -> None:
    video = sorted((root / "videos").iterdir())[0]
    (root / "videos" / "more").mkdir()
    (root / "videos" / "more" / video.name).write_bytes(b"\0\0\0 ftypisom")
    assert problems(root) == {"train: several files for a segment": (1, video.stem)}


def test_verbs_that_cannot_be_learnt_and_capitals_are_counted(root: Path) -> None:
    def facts() -> dict[str, Any]:
        return VidSitu.check(Source("lab", root)).facts

    verbs, train, valid = (
        "valid events without a verb of a training clip", "train captions with capitals",
        "valid captions with capitals",
    )  # fmt: skip
    before = facts()
    assert before[verbs] == "0 of 25" and before[valid].startswith("0 of ")

    def relabel(labels: Any) -> None:
        labels[0]["vbid_lst"]["Ev2"] = ["unheard.01"] * 10
        labels[1]["vbid_lst"]["Ev5"][1:] = ["unheard.01"] * 9  # one is left that can be learnt

    def capitalise(annotations: Any) -> None:
        arguments = annotations[0]["Ev1"]["Args"]
        arguments.update(dict.fromkeys(arguments, "Old Man"))
        arguments["ArgM (manner)"] = "Not Scored"

    edit(root, LABELS, relabel)
    edit(root, VALID, capitalise)
    after = facts()
    assert after[verbs] == "1 of 25" and after[train] == before[train]
    arguments = json.loads((root / VALID).read_text())[0]["Ev1"]["Args"]
    scored = [key for key in arguments if key.partition(" ")[0] in ("Arg0", "Arg1", "Arg2", "Scene")
              or key == "ArgM (location)"]  # fmt: skip
    assert after[valid].startswith(f"{len(scored)} of ")
