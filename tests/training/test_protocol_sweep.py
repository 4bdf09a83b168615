"""`bench sweep protocol`: every turn a run of its own, paired with the default; resumed; shown."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import bench
from bench import registry
from bench.cli.main import cli
from bench.config import Config, RunConfig, load_config
from bench.engine import evaluate
from bench.errors import DataError, UsageError
from bench.features.turning import Turned
from bench.progress import Bar
from bench.report.ablations import find_records, grid_boards, load_record
from bench.report.charts import standalone
from bench.report.protocols import protocol_chart
from bench.report.text import render
from bench.results.files import load, load_predictions
from bench.training.protocol_sweep import ProtocolSweep
from tests.bench.test_protocol import Words
from tests.bench.test_turning import Eight

COUNT = 20  # videos, each a cluster of its own


class Coarse(Words):
    """Reads 40 words; what it computes in rounds its features."""

    context_length, published = 40, {}
    encoded = 0

    def __init__(self, precision: str) -> None:
        super().__init__()
        self.name, self.precision = "coarse", precision

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        return f"coarse-{self.precision}"

    def describe(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        type(self).encoded += len(frames)
        found = super().encode_frames(frames) - np.float32(100)  # so that clips are not all alike
        return found if self.precision == "float32" else found.round(-1)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        type(self).encoded += len(texts)
        return super().encode_texts(texts)


@pytest.fixture
def source(toy: Path, tmp_path: Path) -> Path:
    """The first videos of the toy world, without its groups, which would be too few to test."""
    folder = tmp_path / "data"
    (folder / "msrvtt").mkdir(parents=True)
    (folder / "msrvtt" / "videos").symlink_to(toy / "msrvtt" / "videos")
    shutil.copy(toy / "msrvtt" / "source.json", folder / "msrvtt")
    with (toy / "msrvtt" / "MSRVTT_JSFUSION_test.csv").open() as file:
        rows = list(csv.DictReader(file))[:COUNT]
    with (folder / "msrvtt" / "MSRVTT_JSFUSION_test.csv").open("w") as file:
        writer = csv.DictWriter(file, ["key", "vid_key", "video_id", "sentence"],
                                extrasaction="ignore")  # fmt: skip
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Whatever model is named, it is `Coarse`."""
    Coarse.encoded = 0
    monkeypatch.setattr(
        registry, "load_adapter",
        lambda name, config: Coarse(config.run.precision.replace("auto", "float32")),
    )  # fmt: skip
    run = RunConfig(cache=tmp_path / "cache", workers=2, resamples=200, output=tmp_path / "out")
    return replace(load_config(), run=run)


def swept(source: Path, config: Config) -> tuple[ProtocolSweep, list[dict[str, Any]]]:
    one = ProtocolSweep("coarse", "msrvtt", str(source), config)
    return one, list(one.records(Bar(True)))


def test_every_turn_is_a_run_paired_with_the_default(source: Path, config: Config) -> None:
    one, records = swept(source, config)
    record = records[-1]
    assert [row["name"] for row in record["rows"]] == [
        "default", "4 frames", "8 frames", "16 frames", "32 frames", "linspace", "middle",
        "first-of-second", "1 fps", "raw mean", "16 tokens", "32 tokens", "bfloat16", "float16",
        "†dual-softmax-100",
    ]  # fmt: skip
    assert [len(some["rows"]) for some in records] == [*range(1, 16)]
    assert record == json.loads(one.file.read_text()) and record["clusters"] == COUNT
    assert record["left_out"] == [
        "77 tokens: model 'coarse' reads at most 40 tokens, start and end included; --context 77 "
        "is more"
    ]
    task = bench.load_task("msrvtt", str(source))
    rows = {row["name"]: row for row in record["rows"]}
    assert rows["8 frames"]["protocol"] == "msrvtt/toy, 8 frames"
    assert rows["bfloat16"]["protocol"] == "msrvtt/toy" == record["protocol"]
    assert rows["bfloat16"]["precision"] == "bfloat16" and rows["default"]["differences"] == {}
    assert rows["16 tokens"]["truncated"] >= 0
    moved = 0
    for name, turned in (("8 frames", Turned(frames=8)), ("raw mean", Turned(raw_mean=True)),
                         ("†dual-softmax-100", Turned(temperature=100.0))):  # fmt: skip
        row = rows[name]
        # As a run of its own gives it, and the difference recounted from both runs' ranks.
        direct = evaluate(Coarse("float32"), task, config.run, turned=turned)
        usual = evaluate(Coarse("float32"), task, config.run)
        kept = load(one.file.parent / row["results"][0])
        assert load_predictions(one.file.parent / row["results"][0], kept) == direct.predictions
        ranks = [[line["rank"] for line in found.predictions if line["direction"] == "t2v"]
                 for found in (usual, direct)]  # fmt: skip
        for cutoff in (1, 10):
            hits = 100 * (np.array(ranks) <= cutoff)
            gap = row["differences"][f"R@{cutoff}"]
            assert gap["value"] == pytest.approx((hits[1] - hits[0]).mean())
            assert gap["low"] <= gap["value"] <= gap["high"] and 0 < gap["p"] <= 1
            moved += bool(gap["value"])
    assert moved
    p_values = sorted(row["differences"]["R@1"]["p"] for row in record["rows"][1:])
    smallest = min(row["holm"] for row in record["rows"][1:])
    assert smallest == pytest.approx(min(1.0, 14 * p_values[0]))


def test_a_second_sweep_decodes_and_encodes_nothing(
    source: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = swept(source, config)
    assert Coarse.encoded > 0
    Coarse.encoded = 0
    monkeypatch.setattr("bench.video.pool.COMMAND", ["false"])  # no decoder would start
    _, again = swept(source, config)
    assert Coarse.encoded == 0 and again[-1] == first[-1]


def test_an_interrupted_sweep_ends_in_the_same_record(source: Path, config: Config) -> None:
    one = ProtocolSweep("coarse", "msrvtt", str(source), config)
    for record in one.records(Bar(True)):
        if len(record["rows"]) == 3:
            break
    done = Coarse.encoded
    assert len(json.loads(one.file.read_text())["rows"]) == 3
    _, rest = swept(source, config)
    Coarse.encoded, whole = 0, replace(config.run, cache=config.run.cache_folder / "other")
    _, other = swept(source, replace(config, run=whole))
    assert rest[-1] == other[-1] and 0 < done < Coarse.encoded


def test_a_video_that_only_one_plan_can_read(
    source: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of other items are not paired, and the table says so."""
    real = evaluate

    def losing(adapter: Any, task: Any, *given: Any, turned: Turned) -> Any:
        if turned.frames == 4:
            lost = replace(task.clips[0], path=None)
            task = replace(task, clips=[lost, *task.clips[1:]])
        return real(adapter, task, *given, turned=turned)

    monkeypatch.setattr("bench.engine.evaluate", losing)
    _, records = swept(source, config)
    rows = {row["name"]: row for row in records[-1]["rows"]}
    assert rows["4 frames"]["partial"] and rows["4 frames"]["differences"] == {}
    (board,) = grid_boards(records[-1])
    shown = {row.model: row for row in board.rows}
    assert shown["4 frames"].kind == "partial" and shown["8 frames"].kind == "measured"
    assert shown["4 frames"].remark == "19/20 partial; other items answered: not compared"


def test_the_command_prints_a_table_and_keeps_a_plot(
    source: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.options.Options.for_work", lambda self, **given: config)
    arguments = ["sweep", "protocol", "--task", "msrvtt", "--model", "coarse", "--source",
                 str(source)]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "| †dual-softmax-100 |" in done.output and "R@1 less" in done.output
    (path,) = find_records(config.run.output)
    record = load_record(path)
    tree = ElementTree.fromstring(path.with_suffix(".svg").read_text())
    words = [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"8 frames", "†dual-softmax-100"} <= set(words) and "default" not in words
    marks = list(tree.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(marks) == 14
    (board,) = grid_boards(record)
    for row in board.rows[1:]:  # ≈ where the interval holds zero, and only there
        assert set(row.tied) == {name for name, (low, high) in row.bounds.items()
                                 if name != "R@1" and low <= 0 <= high}  # fmt: skip
    shown = CliRunner().invoke(cli, ["report", "--results", str(config.run.output)])
    assert "What the protocol does: coarse on msrvtt/toy (toy world" in shown.output
    page = tmp_path / "page.html"
    made = CliRunner().invoke(cli, ["report", "--results", str(config.run.output), "--format",
                                    "html", "--output", str(page)])  # fmt: skip
    assert made.exit_code == 0 and "What the protocol does" in page.read_text()
    path.write_text(json.dumps({**record, "rows": [{}]}))
    with pytest.raises(DataError, match="run the sweep again"):
        load_record(path)


def test_the_table_fits_a_terminal(
    source: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, records = swept(source, config)
    monkeypatch.setattr("rich.console.Console", lambda **given: Console(**{**given, "width": 80}))
    shown = render(grid_boards(records[-1]), "rich")
    table = [line for line in shown.splitlines() if "│" in line or "┃" in line]
    assert max(map(len, table)) <= 80 and any("[" in line for line in table)


def test_a_chart_has_a_row_a_turn_around_zero() -> None:
    gap = {"R@1": {"value": -2.0, "low": -5.0, "high": 1.0, "p": 0.2}}
    rows = [{"name": name, "differences": found} for name, found in
            (("default", {}), ("a<b", gap), ("c", {"R@1": {**gap["R@1"], "low": None,
                                                           "high": None}}))]  # fmt: skip
    record = {"kind": "protocol sweep", "primary": "R@1", "model": "m", "protocol": "p",
              "toy": True, "rows": rows}  # fmt: skip
    drawn = standalone(protocol_chart(record))
    tree = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    whiskers = [one for one in tree.iter(f"{space}path") if "whisker" in str(one.get("class"))]
    titles = {title.text for title in tree.iter(f"{space}title")}
    assert len(whiskers) == 1 and "a<b: -2.00 [-5.00, 1.00]" in titles
    (zero,) = [one for one in tree.iter(f"{space}line") if one.get("class") == "axis"]
    mark = next(tree.iter(f"{space}circle"))
    assert float(str(mark.get("cx"))) < float(str(zero.get("x1")))
    words = [text.text for text in tree.iter(f"{space}text")]
    assert words[:2] == [
        "What the protocol does: m on p",
        "Toy world: not comparable with real videos",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["protocol"], "protocol needs --task and no --set"),
        (["protocol", "--task", "msrvtt", "--set", "epochs=1"], "protocol needs --task and no"),
        (["parts", "--task", "msrvtt"], "the others have their own task"),
        (["protocol", "--task", "msrvt"], "did you mean 'msrvtt'"),
        (["protocol", "--task", "vidsitu"], "'vidsitu' ranks by no similarity, .* sweep: .*lsmdc"),
    ],
)
def test_mistakes_end_before_the_work(options: list[str], says: str) -> None:
    done = CliRunner().invoke(cli, ["sweep", *options, "--model", "clip-tiny", "--source", "toy"])
    assert done.exit_code == 2 and re.search(says, done.output), done.output


def test_a_model_of_clips_is_turned_as_far_as_it_can_be(
    source: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of exactly eight frames cannot take the task's own twelve: said at once."""

    class Any_(Eight):
        def encode_clips(self, clips: np.ndarray) -> np.ndarray:
            return 1 + clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32)

        def odd_frames(self, count: int) -> str:
            return "" if count in (8, 12) else f"{count} frames a clip, and it reads 8 or 12"

    monkeypatch.setattr(registry, "load_adapter", lambda name, config: Any_())
    _, records = swept(source, config)
    names = [row["name"] for row in records[-1]["rows"]]
    assert names == ["default", "8 frames", "linspace", "middle", "†dual-softmax-100"]
    left = [line.partition(":")[0] for line in records[-1]["left_out"]]
    assert left == ["4 frames", "16 frames", "32 frames", "first-of-second", "1 fps", "raw mean",
                    "16 tokens", "32 tokens", "77 tokens"]  # fmt: skip


def test_a_source_that_is_gone_or_a_model_is_said_at_once(source: Path, config: Config) -> None:
    with pytest.raises(UsageError, match="unknown source"):
        list(ProtocolSweep("coarse", "msrvtt", str(source / "no"), config).records(Bar(True)))
    assert not (config.run.cache_folder / "frames").exists()
