"""VELOCITI: the official rows in every form, their faults by name, and its own pooling."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.config import RunConfig
from bench.contracts import Adapter, Source
from bench.engine import evaluate
from bench.errors import BenchError, DataError
from bench.results.files import load, save
from bench.video import decode
from tasks.caption_pairs import COLUMNS, CaptionPair, as_json, items_of, read_pairs
from tasks.lists import PublishedList
from tasks.velociti import Velociti
from tests.features.test_video_models import Motion

Row = dict[str, Any]


@pytest.fixture
def rows(toy_pairs: Path) -> list[Row]:
    with (toy_pairs / "velociti" / "velociti.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def source(toy_pairs: Path) -> Source:
    return Source("lab", toy_pairs / "velociti")


def as_csv(rows: list[Row], delimiter: str = ",") -> str:
    head = delimiter.join(rows[0])
    return "\n".join([head, *(delimiter.join(f'"{v}"' for v in row.values()) for row in rows)])


FORMS: dict[str, Callable[[list[Row]], str]] = {
    "velociti.csv": as_csv,
    "velociti.json": lambda rows: json.dumps(
        [{**row, "video_id": row["video_id"] + ".mp4", "in_subset": True} for row in rows]
    ),
    "velociti.jsonl": lambda rows: "\n".join(
        json.dumps({**row, "event": row["event"] or None}) for row in rows
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_official_rows_in_every_form(name: str, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / name).write_text(FORMS[name](rows))
    task = Velociti.load(Source("lab", tmp_path))
    assert [(p.clip, p.test, p.event, p.true, p.false) for p in task.pairs] == [
        tuple(row[column] for column in COLUMNS) for row in rows
    ]
    assert task.protocol == f"velociti/{len(rows)} items" and task.remarks == []
    items = items_of(task.pairs)
    assert len(set(items)) == len(rows)
    assert items[0] == f"{rows[0]['test_name']} {rows[0]['video_id']} {rows[0]['event']}"
    assert {clip.path for clip in task.clips} == {None}


class FakeSchema(list[Any]):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(SimpleNamespace(name=name, type="string") for name in names)
        self.names = names


def test_parquet_needs_pyarrow(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake:
        """As much of pyarrow as is used; the videos are never asked for."""

        def __init__(self, path: Path) -> None:
            self.schema_arrow = FakeSchema([*COLUMNS, "in_subset"])

        def read(self, columns: list[str]) -> Any:
            chosen = [{name: row[name] for name in columns} for row in rows]
            return SimpleNamespace(to_pylist=lambda: chosen)

    path = tmp_path / "velociti.parquet"
    path.write_bytes(b"PAR1 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="pyarrow is needed; install it, or save video_id and test"):
        Velociti.load(Source("lab", tmp_path))
    fake: Any = ModuleType("pyarrow")
    fake.parquet, fake.__version__ = SimpleNamespace(ParquetFile=Fake), "20.0.0"
    monkeypatch.setitem(sys.modules, "pyarrow", fake)
    assert len(Velociti.load(Source("lab", tmp_path)).pairs) == len(rows)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"test_name": "agent_bindd"}, "unknown test 'agent_bindd' .did you mean 'agent_bind'"),
        ({"pos": " "}, "an empty id or sentence"),
        ({"neg": ""}, "an empty id or sentence"),
        ({"neg": 3}, "neg is 3, no text"),
        ({"video_id": "../../etc/passwd"}, "is a path; ids are plain names"),
    ],
)
def test_faults_are_named_with_their_row(
    changes: Row, says: str, rows: list[Row], tmp_path: Path
) -> None:
    rows[4] |= changes
    (tmp_path / "velociti.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=f"velociti.json: entry 4: .*{says}"):
        Velociti.load(Source("lab", tmp_path))
    for row in rows:
        del row["neg"]
    for name in ("velociti.json", "velociti.csv"):
        path = tmp_path / name
        path.write_text(FORMS[name](rows))
        with pytest.raises(DataError, match=r"no (column )?neg"):
            Velociti.load(Source("lab", tmp_path, annotations=path))


def test_repeated_rows_and_equal_captions_are_remarked_on(
    rows: list[Row], tmp_path: Path, source: Source, shared: RunConfig
) -> None:
    rows = [rows[0], rows[0], {**rows[1], "neg": rows[1]["pos"]}]
    (tmp_path / "velociti.csv").write_text(as_csv(rows))
    task = Velociti.load(replace(source, annotations=tmp_path / "velociti.csv"))
    assert task.remarks == [
        "velociti: 1 pairs are there twice, the first in velociti.csv:3 as velociti.csv:2",
        "velociti: 1 pairs of two equal captions, which no model gets right, the first in "
        "velociti.csv:4",
    ]
    result = evaluate(Uneven(), task, shared)
    assert len(result.predictions) == task.expected == 3
    assert result.predictions[1]["item"] == result.predictions[0]["item"] + " #2"
    assert [*task.remarks, "velociti: 1 of 3 pairs have two equal scores"] == [
        warning[: len(expected)]
        for warning, expected in zip(
            result.document.warnings,
            [*task.remarks, "velociti: 1 of 3 pairs have two equal scores"],
            strict=False,
        )
    ]


def test_only_a_list_of_its_length_has_its_name(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.velociti.LISTS", (PublishedList("full", len(rows)),))
    (tmp_path / "velociti.csv").write_text(as_csv(rows))
    task = Velociti.load(Source("lab", tmp_path))
    assert task.protocol == "velociti/full" and "the list is not verified" in task.remarks[0]
    (tmp_path / "velociti.csv").write_text(as_csv(rows[1:]))
    assert Velociti.load(Source("lab", tmp_path)).protocol == f"velociti/{len(rows) - 1} items"


class Uneven(Adapter):
    """Frames of very different lengths; its own pooling must take no part."""

    name, embed_dim, image_size, fingerprint = "uneven", 6, 16, "uneven-1"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        colours = frames.reshape(len(frames), -1, 3).mean(axis=1) / 64
        moved = np.sin(40 * colours)
        return (np.concatenate([colours, moved], axis=1) ** 3).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = [[text.count(letter) - 3 for letter in "aeibro"] for text in texts]
        return np.array(rows, np.float32)

    def pool(self, frame_features: np.ndarray) -> np.ndarray:
        if frame_features.shape[0] > 1:  # the guard against a collapse looks at features this way
            return np.eye(6, dtype=np.float32)[0] + frame_features.mean() / 100
        raise AssertionError


def test_frames_are_averaged_as_they_are_and_normalised_then(
    source: Source, shared: RunConfig
) -> None:
    task, model = Velociti.load(source), Uneven()
    assert task.protocol == "velociti/toy" and task.plan.times(10.0)[:3] == [0.25, 0.75, 1.25]
    result = evaluate(model, task, shared)
    seen = {}
    for clip in task.clips:
        frames = model.encode_frames(decode(clip, task.plan, 16).frames)
        assert len(frames) == 20
        mean = sum(frames[1:], frames[0]) / 20
        seen[clip.id] = mean / np.sqrt((mean**2).sum())
    right: dict[str, list[bool]] = {}
    for line in result.predictions:
        assert "part" not in line  # a caption of one event is held to the whole clip
        said = model.encode_texts([line["true"], line["false"]])
        cosines = said @ seen[line["clip"]] / np.linalg.norm(said, axis=1)
        np.testing.assert_allclose(line["scores"], cosines, rtol=1e-4, atol=1e-6)
        right.setdefault(line["test"], []).append(cosines[0] > cosines[1])
    shares = {test: 100 * float(np.mean(some)) for test, some in right.items()}
    metrics = {name: value.value for name, value in result.document.metrics.items()}
    counted = [share for test, share in shares.items() if test != "control"]
    assert len(counted) == 7 and metrics["accuracy"] == pytest.approx(np.mean(counted))
    assert {test: metrics[f"accuracy/{test}"] for test in shares} == pytest.approx(shares)


def test_a_video_model_has_its_own_protocol(
    source: Source, shared: RunConfig, tmp_path: Path
) -> None:
    task = Velociti.load(source)
    model = Motion()
    result = evaluate(model, task, shared)
    assert {call[1] for call in model.calls} == {20}
    assert result.document.protocol == "velociti/toy, clips encoded whole"
    assert result.document.toy and result.document.departures == ["clips encoded whole"]
    plain = save(evaluate(Uneven(), task, shared), tmp_path)
    assert load(save(result, tmp_path)).protocol != load(plain).protocol


def test_missing_clips_are_counted_and_the_control_alone_is_no_mean(
    source: Source, shared: RunConfig, tmp_path: Path, rows: list[Row]
) -> None:
    folder = shutil.copytree(source.root, tmp_path / "copy")
    task = Velociti.load(Source("lab", folder))
    gone = task.clips[0]
    assert gone.path
    gone.path.unlink()
    result = evaluate(Uneven(), Velociti.load(Source("lab", folder)), shared)
    lost = sum(pair.clip == gone.id for pair in task.pairs)
    coverage = result.document.coverage
    assert (coverage.missing, coverage.answered) == (1, len(task.pairs) - lost) and lost > 5
    control = [row for row in rows if row["test_name"] == "control"]
    (folder / "velociti.csv").write_text(as_csv(control))
    with pytest.raises(BenchError, match="none of the 5 pairs answered counts, all are of control"):
        evaluate(Uneven(), Velociti.load(Source("lab", folder)), shared)


def test_a_written_file_reads_back(tmp_path: Path) -> None:
    pairs = [
        CaptionPair("v_a_seg_0_10", "chrono", "(Ev1, Ev3)", 'first "a", then é', "then a"),
        CaptionPair("v_a_seg_0_10", "coref", "", "a\\b", "c"),
    ]
    (tmp_path / "pairs.json").write_text(as_json(pairs), encoding="utf-8")
    assert read_pairs(tmp_path / "pairs.json", Velociti.tests) == (pairs, [])
    assert [pair.part for pair in pairs] == [None, None] and items_of(pairs)[1].endswith("_10")
