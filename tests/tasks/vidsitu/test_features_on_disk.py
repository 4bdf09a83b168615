"""`features:DIR`: VidSitu's event features and GVSR's objects from files, broken ones too."""

from __future__ import annotations

import base64
import csv
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bench
from adapters.features import FeaturesAdapter
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Source
from bench.engine import evaluate
from bench.errors import BenchError, DataError, UsageError
from bench.features.protocol import check_inputs
from tasks.vidsitu.head.inputs import VideosOnDisk
from tasks.vidsitu.task import VidSitu
from tests.test_stores import missed

from .conftest import SMALL

HEAD = {**SMALL, "head": "videowhisperer", "vc_heads": 2, "epochs": 1, "select": "last"}
DV, DO, OBJECTS, FRAMES = 12, 10, 3, 11
FIELDS = ["img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf",
          "num_boxes", "boxes", "features"]  # fmt: skip


def frame(random: np.random.Generator, number: int, objects: int = OBJECTS) -> dict[str, Any]:
    """A line as the detector's own script writes it."""
    arrays = {
        "objects_id": np.arange(objects), "attrs_id": np.arange(objects),
        "objects_conf": np.ones(objects, np.float32), "attrs_conf": np.ones(objects, np.float32),
        "boxes": random.uniform(0, 100, (objects, 4)).astype(np.float32),
        "features": random.normal(size=(objects, DO)).astype(np.float32),
    }  # fmt: skip
    coded = {name: base64.b64encode(value.tobytes()).decode() for name, value in arrays.items()}
    return {"img_id": f"f{number}", "img_h": 120 + number, "img_w": 200, "num_boxes": objects,
            **coded}  # fmt: skip


def write_objects(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.DictWriter(file, FIELDS, delimiter="\t").writerows(lines)


@pytest.fixture
def folder(tree: Path, tmp_path: Path) -> Path:
    """Features of every clip of the tree, events and objects."""
    random, root = np.random.default_rng(0), tmp_path / "gvsr"
    task = VidSitu.load(Source("lab", tree))
    (root / "events").mkdir(parents=True)
    for clip in [*task.support, *task.clips]:
        events = random.normal(size=(5, DV)).astype(np.float32)
        np.save(root / "events" / f"{clip.id}_feats.npy", events)
        lines = [frame(random, number) for number in range(FRAMES + 1)]
        write_objects(root / "objects" / f"{clip.id}.tsv", lines)
    return root


def adapter_of(folder: Path) -> FeaturesAdapter:
    return FeaturesAdapter("gvsr", RunConfig(), str(folder))


def test_what_is_read_is_what_was_written(folder: Path, tree: Path) -> None:
    clip = VidSitu.load(Source("lab", tree)).clips[0].id
    adapter = adapter_of(folder)
    expected = np.load(folder / "events" / f"{clip}_feats.npy")
    np.testing.assert_array_equal(adapter.features(clip), expected)
    features, boxes, sizes = adapter.objects(clip)
    # As the detector's users read it: https://github.com/airsplay/lxmert, `load_obj_tsv`.
    with (folder / "objects" / f"{clip}.tsv").open() as file:
        rows = list(csv.DictReader(file, FIELDS, delimiter="\t"))[:FRAMES]
    for name, found in (("features", features), ("boxes", boxes)):
        official = [np.frombuffer(base64.b64decode(row[name]), np.float32) for row in rows]
        np.testing.assert_array_equal(found.reshape(FRAMES, -1), np.stack(official))
    assert sizes.tolist() == [[120 + number, 200] for number in range(FRAMES)]
    assert adapter.describe() == {
        "features": {"rows": 5, "numbers": DV},
        "objects": {"frames": FRAMES, "a_frame": OBJECTS, "numbers": DO},
    }
    before = adapter.identity(clip)
    for path in (folder / "events" / f"{clip}_feats.npy", folder / "objects" / f"{clip}.tsv"):
        os.utime(path, (1, 1))
        assert adapter.identity(clip) != before
        before = adapter.identity(clip)


def test_the_head_sees_objects_boxes_and_boundary_frames_as_published(
    folder: Path, tree: Path
) -> None:
    names = [clip.id for clip in VidSitu.load(Source("lab", tree)).clips]
    adapter = adapter_of(folder)
    events = torch.from_numpy(np.stack([adapter.features(name) for name in names]))
    videos = VideosOnDisk(names, events, adapter, DO)
    assert videos.dims == (DO, DV)
    taken = videos.take(torch.tensor([2, 0]), "cpu")
    _, boxes, _ = adapter.objects(names[2])
    assert taken.frames.shape == (2, FRAMES, OBJECTS, DO) and taken.boxes is not None
    np.testing.assert_array_equal(taken.frames[1], adapter.objects(names[0])[0])
    np.testing.assert_array_equal(taken.events[0], adapter.features(names[2]))
    # Width, height, width, height of the first frame.
    np.testing.assert_allclose(taken.boxes[0], boxes / np.array([200, 120, 200, 120]), rtol=1e-6)

    from tasks.vidsitu.head.settings import HeadSettings
    from tasks.vidsitu.head.whisperer import WhispererHead

    head = WhispererHead(HeadSettings.of(HEAD, "test"), DO, DV, 7, 12, objects=True).eval()
    belongs = head.model.tx_vo_ro.frames_of
    assert belongs.shape == (11, 5) and belongs.sum().item() == 15  # four frames are of two events
    with torch.no_grad():
        encoded, _ = head.contextualize(taken)
        other, _ = head.contextualize(replace(taken, boxes=taken.boxes.flip(-1)))
    assert encoded.shape == (2, 5 + FRAMES * OBJECTS, 32)
    assert (encoded - other).abs().max() > 1e-4


def test_a_run_from_end_to_end(folder: Path, tree: Path, run: RunConfig) -> None:
    """Training, answers and scores; again from what was kept, and anew where a file is another."""
    task = VidSitu.load(Source("lab", tree, settings=HEAD))
    result = evaluate(adapter_of(folder), task, run)
    document = result.document
    assert document.protocol == task.protocol + ", features from disk"
    assert document.protocol.endswith("VideoWhisperer's head, features from disk")
    assert document.coverage.answered == 5 and document.texts.count == 0
    assert not any(name.startswith(("zero-shot", "vc/")) for name in document.metrics)
    assert document.model["objects"]["frames"] == FRAMES
    heads = run.cache_folder / "learnt"
    assert len(list(heads.rglob("head.safetensors"))) == 1
    assert evaluate(adapter_of(folder), task, run).predictions == result.predictions
    assert len(list(heads.rglob("head.safetensors"))) == 1
    learnt = folder / "objects" / f"{task.support[0].id}.tsv"
    os.utime(learnt, (1, 1))
    evaluate(adapter_of(folder), task, run)
    assert len(list(heads.rglob("head.safetensors"))) == 2


def test_its_fingerprint_is_of_all_files(folder: Path) -> None:
    path = sorted((folder / "objects").iterdir())[3]
    content, before = path.read_bytes(), path.stat().st_mtime

    def key(change: Callable[[], object]) -> str:
        change()
        try:
            return adapter_of(folder).fingerprint
        finally:
            path.write_bytes(content)
            os.utime(path, (before, before))
            (folder / "objects" / "another.tsv").unlink(missing_ok=True)

    def grow() -> None:
        path.write_bytes(content + b"x")
        os.utime(path, (before, before))

    os.utime(path, (before, before))
    missed("`features`", key, lambda: None, {
        "the names of all files": lambda _: (folder / "objects" / "another.tsv").touch,
        "their sizes": lambda _: grow,
        "their dates of writing": lambda _: lambda: os.utime(path, (1, 1)),
    })  # fmt: skip


def test_a_missing_file_is_a_missing_clip(folder: Path, tree: Path, run: RunConfig) -> None:
    task = VidSitu.load(Source("lab", tree, settings=HEAD))
    lost = folder / "objects" / f"{task.clips[1].id}.tsv"
    lost.unlink()
    (folder / "events" / f"{task.support[3].id}_feats.npy").unlink()
    result = evaluate(adapter_of(folder), task, run)
    assert (result.document.coverage.answered, result.document.coverage.missing) == (4, 1)
    assert result.document.coverage.support_failed == 1
    assert str(lost) in result.failures[-1].reason
    for path in (folder / "events").iterdir():
        if any(clip.id in path.name for clip in task.clips):
            path.unlink()
    with pytest.raises(BenchError, match=r"none of 5 videos could be read.* missing: no .*npy"):
        evaluate(adapter_of(folder), task, run)


@pytest.mark.parametrize("rows", [5, 20])
@pytest.mark.parametrize("head", ["own", "videowhisperer"])
def test_features_of_anybody_without_objects(
    tree: Path, tmp_path: Path, run: RunConfig, rows: int, head: str
) -> None:
    task = VidSitu.load(Source("lab", tree, settings={**HEAD, "head": head}))
    (tmp_path / "mine" / "events").mkdir(parents=True)
    random = np.random.default_rng(0)
    for clip in [*task.support, *task.clips]:
        kept = random.normal(size=(rows, DV)).astype(np.float64 if rows == 5 else np.float16)
        np.save(tmp_path / "mine" / "events" / f"{clip.id}_feats.npy", kept)
    result = evaluate(adapter_of(tmp_path / "mine"), task, run)
    assert result.document.coverage.answered == 5


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


def npy(array: Any, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array, **options)

    return write


def header(text: str) -> Callable[[Path], object]:
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b""), "no array of numpy.save"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes of an array"),
        (lambda path: path.write_bytes(pickle.dumps(Hostile())), "no array of numpy.save"),
        (npy(np.array([[Hostile()]], object), allow_pickle=True), "object of shape"),
        (npy(np.zeros((5, DV + 1), np.float32)), rf"shape \[5, {DV + 1}\], where .* \[5, {DV}\]"),
        (npy(np.zeros((4, DV), np.float32)), r"shape \[4, "),
        (npy(np.zeros((5, 2, DV), np.float32)), "rows of floating-point numbers are expected"),
        (npy(np.zeros((5, DV), np.int64)), "int64 of shape"),
        (npy(np.full((5, DV), np.nan, np.float32)), "NaN or infinite"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999)}"), "0 bytes"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, -12)}"), "of shape"),
        (header("__import__('os').mkdir('was-run')"), "no array of numpy.save"),
        (lambda path: (path.unlink(), path.mkdir()), "a folder, not a file"),
    ],
)
def test_broken_events_are_named(
    folder: Path, tree: Path, change: Callable[[Path], object], message: str
) -> None:
    names = sorted(clip.id for clip in VidSitu.load(Source("lab", tree)).clips)
    path = folder / "events" / f"{names[0]}_feats.npy"
    adapter = adapter_of(folder)
    change(path)
    with pytest.raises(DataError, match=message) as caught:
        adapter.features(names[0])
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not Path("was-run").exists()


def test_fortran_order_is_honoured(folder: Path, tree: Path) -> None:
    name = VidSitu.load(Source("lab", tree)).clips[0].id
    expected = np.load(folder / "events" / f"{name}_feats.npy")
    adapter = adapter_of(folder)
    np.save(folder / "events" / f"{name}_feats.npy", np.asfortranarray(expected))
    np.testing.assert_array_equal(adapter.features(name), expected)


def changed(number: int, **values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda lines: lines[number].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines.__delitem__(slice(0, 5)), r"\.tsv: 7 frames, 11 are expected"),
        (changed(2, features="no base64!"), r"\.tsv:3: no objects of a frame"),
        (changed(2, features="AAAA"), r"\.tsv:3: no objects of a frame"),
        (changed(2, num_boxes=2), r"\.tsv:3: 2 objects with 6 numbers a box"),
        (changed(2, num_boxes="many"), r"\.tsv:3: no objects of a frame"),
        (changed(2, num_boxes=-1), r"\.tsv:3: no objects of a frame"),
        (changed(2, img_h=0), r"in a frame of 200 x 0"),
        (changed(2, img_id="a\tb"), r"\.tsv:3: 11 fields, 10 are expected"),
        (changed(2, boxes=base64.b64encode(np.full((OBJECTS, 4), np.inf, np.float32)).decode()),
         r"\.tsv:3: NaN or infinite"),
        (lambda lines: lines[2].update(frame(np.random.default_rng(0), 2, 4)),
         "frames of different numbers of objects"),
        (lambda lines: [one.update(frame(np.random.default_rng(0), 2, 4)) for one in lines],
         r"objects of shape \[11, 4, 10\], where the folder's first file has \[11, 3, 10\]"),
    ],
)  # fmt: skip
def test_broken_objects_are_named_before_anything_is_trained(
    folder: Path,
    tree: Path,
    run: RunConfig,
    change: Callable[[list[dict[str, Any]]], None],
    message: str,
) -> None:
    random = np.random.default_rng(0)
    task = VidSitu.load(Source("lab", tree, settings=HEAD))
    path = folder / "objects" / f"{sorted(clip.id for clip in task.clips)[-1]}.tsv"
    lines = [frame(random, number) for number in range(FRAMES + 1)]
    change(lines)
    with path.open("w", newline="") as file:  # without quotes, as nobody reads them
        rows = ("\t".join(str(line[name]) for name in FIELDS) for line in lines)
        file.write("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        evaluate(adapter_of(folder), task, run)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(run.cache_folder.rglob("*.safetensors"))


def test_a_folder_that_is_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="features:DIR"):
        FeaturesAdapter("features", RunConfig())
    with pytest.raises(DataError, match=r"nowhere/events: cannot be listed"):
        adapter_of(tmp_path / "nowhere")
    (tmp_path / "empty" / "events").mkdir(parents=True)
    with pytest.raises(DataError, match=r"empty/events: no files \*_feats.npy there"):
        adapter_of(tmp_path / "empty")
    assert "no files" in str(FeaturesAdapter.problem(RunConfig(), "x", spec=f"{tmp_path}/empty"))
    assert FeaturesAdapter.problem(RunConfig(), "x", spec=str(folder)) is None
    for path in (folder / "events").iterdir():
        np.save(path, np.zeros((20, DV), np.float32))
    with pytest.raises(DataError, match="20 rows, 5, one an event, are expected"):
        adapter_of(folder)


def test_what_it_cannot_answer_is_refused_by_name(folder: Path, toy: Path, tree: Path) -> None:
    adapter = adapter_of(folder)
    with pytest.raises(UsageError, match=r"reads no texts, and task 'msrvtt' .*: vidsitu"):
        check_inputs(adapter, bench.load_task("msrvtt", str(toy)))
    with pytest.raises(UsageError, match=r"objects, which VideoWhisperer's head alone sees"):
        check_inputs(adapter, VidSitu.load(Source("lab", tree, settings=dict(SMALL))))
    settings = {**HEAD, "stage_one": "model"}
    with pytest.raises(UsageError, match=r"'gvsr' has no video module that encodes frames"):
        check_inputs(adapter, VidSitu.load(Source("lab", tree, settings=settings)))
    for what in (lambda: adapter.encode_texts(["a"]), lambda: adapter.preprocessing):
        with pytest.raises(BenchError, match="is features on disk"):
            what()


def test_the_command_needs_no_videos(folder: Path, tree: Path, tmp_path: Path) -> None:
    sets = [part for name, value in HEAD.items() for part in ("--set", f"vidsitu.{name}={value}")]
    arguments = ["run", "--task", "vidsitu", "--model", f"features:{folder}", "--source",
                 str(tree), "--output", str(tmp_path / "out"), *sets]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "features from disk" in done.output and "VideoWhisperer's head" in done.output
    done = CliRunner().invoke(cli, [*arguments[:4], "clip-tiny", *arguments[5:]])
    assert done.exit_code == 1 and "none of 5 videos is there" in done.output
