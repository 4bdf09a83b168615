"""What adversaries and bad luck do beyond the tests of single parts; see `tests.faults.hostile`."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_clip import SRLCLIPAdapter
from adapters.srl_settings import CARD, LORA
from adapters.transformers_clip import TransformersAdapter
from bench.cli.main import cli
from bench.config import Config, RunConfig
from bench.contracts import Clip
from bench.errors import BenchError
from bench.files.atomic import write_text
from bench.files.tensor_store import TensorStore
from bench.results.comparison import Evidence
from bench.results.files import load, save
from bench.video import FrameStore, Uniform
from tasks.msrvtt import MSRVTT
from tests.adapters.test_transformers import TEXTS, write
from tests.faults.hostile import ROWS, ids
from tests.faults.numbers import CLIPS, Model, run, world
from tests.faults.readers import RECORD

ESCAPES = "\x1b]0;x\x07\x1b[31m\u202e\x9b"
ACTING = set("\x1b\x07\u202e\x9b")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_row_names_tests_that_there_are() -> None:
    """So that a row cannot say what nothing tries; the tests themselves run with all others."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:warnings",
        *ids(ROWS),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1500:]
    kinds = [row.kind for row in ROWS if row.found]
    assert all(kinds.count(kind) >= 3 for kind in {row.kind for row in ROWS})
    findings = {number for row in ROWS for number in row.findings}
    assert findings == set(range(1, 13))


# Stale answers


def test_a_link_led_to_another_video_of_the_same_size_and_date(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"one"), ("b.mp4", b"two")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(5, 5))
    link, store = tmp_path / "v.mp4", FrameStore(tmp_path / "frames", 16, Uniform(3))
    keys = []
    for name in ("a.mp4", "b.mp4"):
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        keys.append(store.key(Clip("v", link)))
    (tmp_path / "folder").symlink_to(tmp_path)
    assert keys[0] != keys[1] == store.key(Clip("v", tmp_path / "folder" / "b.mp4"))


# Foreign files


def test_what_lies_behind_a_link_or_is_called_old_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "page.html").symlink_to(theirs)
    (tmp_path / "page.html-old").write_text("theirs")
    os.link(theirs, tmp_path / "page.md")
    for name in ("page.html", "page.md"):
        write_text(tmp_path / name, "ours")
        assert (tmp_path / name).read_text() == "ours" and not (tmp_path / name).is_symlink()
    assert theirs.read_text() == (tmp_path / "page.html-old").read_text() == "theirs"


def test_an_entry_that_is_a_link_is_replaced_and_not_its_target(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.safetensors"
    store = TensorStore(tmp_path / "store")
    store.put("abcd", {"x": np.zeros(1)}, {})
    store.path("abcd").rename(theirs)
    before = theirs.read_bytes()
    store.path("abcd").symlink_to(theirs)
    store.put("abcd", {"x": np.ones(1)}, {})
    found = store.get("abcd")
    assert found is not None and found[0]["x"] == 1 and theirs.read_bytes() == before


# Code


def test_code_beside_a_tokenizer_is_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "clip", "clip")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\nclass Evil: ...\n")
    for name, key in (("tokenizer_config.json", "AutoTokenizer"), ("config.json", "AutoModel")):
        whole = json.loads((folder / name).read_text())
        whole |= {"auto_map": {key: ["evil.Evil", None]}, "tokenizer_class": "Evil"}
        (folder / name).write_text(json.dumps(whole))
    model = TransformersAdapter("t", RunConfig(cache=tmp_path / "c", device="cpu"),
                                folder=str(folder))  # fmt: skip
    try:
        model.encode_texts(TEXTS)
    except BenchError as error:
        assert "\n" not in str(error)
    assert not (tmp_path / "owned").exists()


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


def test_a_pickle_in_the_cache_is_not_run(tmp_path: Path) -> None:
    """In place of weights by a tag, of features, and of draws."""
    first = run(world(tmp_path / "data"), Model()) if (tmp_path / "data").mkdir() is None else None
    cache = tmp_path / "data" / "cache"
    assert first is not None
    for path in cache.rglob("*.safetensors"):
        path.write_bytes(pickle.dumps(_Evil()))
    model = Model()
    assert run(tmp_path / "data", model).predictions == first.predictions
    assert model.encoded == 12 * CLIPS
    weights = cache / "weights" / "clip-tiny" / "mine.pt"
    weights.parent.mkdir(parents=True)
    for content in (pickle.dumps(_Evil()), pickle.dumps({"state_dict": _Evil()})):
        weights.write_bytes(content)
        with pytest.raises(BenchError, match=r"mine\.pt: not a checkpoint"):
            OpenCLIPAdapter("m", RunConfig(cache=cache), spec="clip-tiny/mine").encode_texts(["x"])
    torch.save(_Evil(), weights)
    with pytest.raises(BenchError, match=r"mine\.pt: not a checkpoint"):
        OpenCLIPAdapter("m", RunConfig(cache=cache), spec="clip-tiny/mine").encode_texts(["x"])
    assert not Path("owned").exists()


# Cards


ODD = (True, "4", [], {}, float("nan"), 1e308, -1, 10**400, None, [4], 0.5)


@pytest.mark.parametrize("name", [CARD, LORA[0]])
def test_a_card_of_any_values_is_read_or_refused_in_one_line(tmp_path: Path, name: str) -> None:
    config = RunConfig(cache=tmp_path / "cache", device="cpu")
    small = {"rank": 4, "vc_layers": 1, "vc_heads": 4}
    SRLCLIPAdapter.untrained("s", config, small, "clip-tiny", "shipped")[0].save(tmp_path / "w", {})
    whole = json.loads((tmp_path / "w" / name).read_text())
    places = [whole] + [one for one in whole.values() if isinstance(one, dict)]
    for place in places:
        for number, key in enumerate(list(place)):
            before = place[key]
            place[key] = ODD[number % len(ODD)]
            (tmp_path / "w" / name).write_text(json.dumps(whole))
            place[key] = before
            try:
                model = SRLCLIPAdapter("s", config, arch="clip-tiny", pretrained="shipped",
                                       checkpoint=str(tmp_path / "w"))  # fmt: skip
                assert np.isfinite(model.encode_frames(np.zeros((1, 64, 64, 3), np.uint8))).all()
            except BenchError as error:
                assert "\n" not in str(error) and str(tmp_path) in str(error), key


# Results and marks


@pytest.fixture
def two(kept: Path, tmp_path: Path) -> list[Path]:
    """Results of two models on the same data, their lines beside them."""
    shutil.copytree(kept / "results", tmp_path / "results")
    return sorted((tmp_path / "results").rglob("*.json"))[:2]


def lines(path: Path) -> Path:
    return path.with_name(f"{path.stem}.predictions.jsonl")


def marks(paths: list[Path], tmp_path: Path) -> list[list[str]]:
    """Why each is stale."""
    found = [(path, load(path)) for path in paths]
    evidence = Evidence(found, Config(RunConfig(cache=tmp_path / "cache", resamples=20)))
    return [evidence.stale(document) for _, document in found]


def test_lines_exchanged_between_two_results_mark_both(two: list[Path], tmp_path: Path) -> None:
    one, other = map(lines, two)
    other.rename(one.with_name("x"))
    one.rename(other)
    one.with_name("x").rename(one)
    assert marks(two, tmp_path) == [["predictions changed"]] * 2


def test_links_and_moves_mark_no_other_result(two: list[Path], tmp_path: Path) -> None:
    first, second = two
    link, moved = first.with_name("link.json"), tmp_path / "results" / "elsewhere"
    link.symlink_to(first.name)
    moved.mkdir()
    shutil.copy(second, moved)  # without its lines
    paths = [first, link, second, moved / second.name]
    assert [bool(found) for found in marks(paths, tmp_path)] == [False, False, False, True]
    assert [bool(found) for found in marks(paths[::-1], tmp_path)] == [True, False, False, False]


def test_two_results_of_one_text_are_marked_each_by_its_own_lines(
    two: list[Path], tmp_path: Path
) -> None:
    copy = tmp_path / "results" / "copy"
    shutil.copytree(two[0].parent, copy)
    lines(copy / two[0].name).write_text("")
    assert marks([two[0], copy / two[0].name], tmp_path) == [[], ["predictions changed"]]
    lines(two[0]).unlink()
    assert marks([copy / two[0].name, two[0]], tmp_path) == [
        ["predictions changed"], ["predictions are gone"]
    ]  # fmt: skip


def _no_file(make: Callable[[Path], object]) -> Callable[[Path], str]:
    def at(path: Path) -> str:
        make(path)
        return "left out: "

    return at


NO_FILES: dict[str, Callable[[Path], str]] = {
    "a folder": _no_file(Path.mkdir),
    "a pipe": _no_file(os.mkfifo),
    "a loop of links": _no_file(lambda path: path.symlink_to(path.name)),
    "a link to nothing": _no_file(lambda path: path.symlink_to("/nonexistent")),
    "a device without end": _no_file(lambda path: path.symlink_to("/dev/zero")),
    "UTF-16": _no_file(lambda path: path.write_text("{}", encoding="utf-16")),
    "half a character": _no_file(lambda path: path.write_text('{"schema": 1, "a": "\\ud800"}')),
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_left_out_by_its_name(two: list[Path], what: str) -> None:
    odd = two[0].with_name(f"odd{ESCAPES}\n.json")
    NO_FILES[what](odd)
    done = CliRunner().invoke(cli, ["report", "--results", str(two[0].parents[2])])
    assert done.exit_code == 1 and load(two[0]).name in done.output
    assert "left out: " in done.output and "odd" in done.output
    assert not ACTING & set(done.output)


@pytest.mark.parametrize("what", ["a pipe", "a device without end", "a folder"])
def test_lines_that_are_no_file_are_gone(two: list[Path], tmp_path: Path, what: str) -> None:
    lines(two[0]).unlink()
    NO_FILES[what](lines(two[0]))
    assert marks(two, tmp_path) == [["predictions are gone"], []]


# Names


@pytest.mark.parametrize("format_", ["md", "csv", "latex", "json", "rich"])
def test_names_in_a_sweeps_record_move_no_cursor(tmp_path: Path, format_: str) -> None:
    record = json.loads(json.dumps(RECORD))
    for key in ("model", "source", "protocol"):
        record[key] += ESCAPES
    record["rows"][0]["name"] += ESCAPES
    record["common"] = {f"a{ESCAPES}": ESCAPES}
    path = tmp_path / "sweep" / "m" / "s" / "supp-2.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    done = CliRunner().invoke(cli, ["report", "--results", str(tmp_path), "--format", format_])
    assert done.exit_code == 0 and len(done.output) > 300
    assert not ACTING & set(done.output)


def test_names_of_a_configuration_and_of_clips_move_no_cursor(tmp_path: Path) -> None:
    """A configuration is the user's own; a shared one is somebody else's, as annotations are."""
    name = json.dumps(f"m{ESCAPES}")
    (tmp_path / "bench.yaml").write_text(
        f"models: {{{name}: {{adapter: open_clip, arch: clip-tiny, pretrained: shipped}}}}\n"
        f"sources: {{{name}: {{msrvtt: {{root: {tmp_path}/data}}}}}}\n"
    )
    (tmp_path / "data").mkdir()
    annotations = world(tmp_path / "data") / MSRVTT.files[0]
    text = annotations.read_text().replace("a text 2", f"a text{ESCAPES}\t2")
    check = ["data", "check", "msrvtt", "--source", f"m{ESCAPES}"]
    lists = (["list", "models"], ["list", "sources"], ["list", "tasks"])
    for written, code, commands in (
        (text, 0, (*lists, check)),
        (text.replace("video1,", f"video1{ESCAPES},"), 1, (check,)),  # refused by its line
    ):
        annotations.write_text(written)
        for words in commands:
            done = CliRunner().invoke(cli, ["--config", str(tmp_path / "bench.yaml"), *words])
            assert done.exit_code == code and len(done.output) > 80, done.output
            assert not ACTING & set(done.output), words


def test_models_that_some_disks_take_for_one_have_two_results(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = run(world(tmp_path / "data"), Model())
    paths = []
    for name in ("Alpha", "alpha", "caf\u00e9", "cafe\u0301", "a" * 300, "A" * 300):
        document = result.document
        other = replace(result, document=type(document)(**{
            **{key: getattr(document, key) for key in document.__struct_fields__},
            "model": {**document.model, "name": name},
        }))  # fmt: skip
        paths.append(save(other, tmp_path / "results"))
        assert load(paths[-1]).name == name
    assert len({path.name.casefold() for path in paths}) == len(paths)
