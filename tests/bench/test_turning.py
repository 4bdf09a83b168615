"""What a run turns of its protocol: named, kept apart, refused where it cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bench
from bench.cli import run as command
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Adapter, Task, normalise
from bench.engine import evaluate
from bench.errors import DataError, UsageError
from bench.features.extraction import clip_features, text_features
from bench.features.turning import Turned, temperature_of
from bench.features.work import Silent, Work
from bench.report.boards import boards
from bench.report.text import render
from bench.results.comparison import comparable
from bench.results.files import load, save
from bench.results.paired import compared
from bench.video.sampling import CHOICES, PerSecond, Steps, Uniform
from tests.bench.test_protocol import Words
from tests.bench.test_reranking import Matcher


class Reader(Words):
    """Reads at most 20 words, or as many as a run asks for."""

    context_length = 20


class Uneven(Words):
    """Features of frames differ in length and direction, by what is in the frame."""

    fingerprint = "uneven-1"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        found, sums = super().encode_frames(frames), frames.reshape(len(frames), -1).sum(axis=1)
        found[np.arange(len(frames)), sums % 3] *= 2
        return found * (1 + sums % 7)[:, None]


class Eight(Adapter):
    """A video model of exactly eight frames."""

    name, embed_dim, image_size, fingerprint = "eight", 3, 16, "eight-1"

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        assert clips.shape[1] == 8
        return 1 + clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32)

    encode_texts = Words.encode_texts  # type: ignore[assignment]

    def odd_frames(self, count: int) -> str:
        return "" if count == 8 else f"{count} frames a clip, and it reads 8"


def test_the_plans_of_the_command_line_are_those_of_the_code() -> None:
    assert tuple(CHOICES) == command.PLANS


@pytest.mark.parametrize(
    ("turned", "key", "names"),
    [
        (Turned(), "uniform-12", []),
        (Turned(12, "uniform"), "uniform-12", []),  # the task's own: no departure
        (Turned(frames=8), "uniform-8", ["8 frames"]),
        (Turned(plan="linspace"), "linspace-12", ["linspace"]),
        (Turned(8, "middle"), "middles-8", ["8 frames", "middle"]),
        (Turned(plan="first-of-second"), "1fps-12", ["first-of-second"]),
        (Turned(plan="fps"), "fps-1", ["1 fps"]),
        (Turned(2, "fps"), "fps-2", ["2 fps"]),
        (Turned(8, context=16, temperature=100.0, raw_mean=True), "uniform-8",
         ["8 frames", "16 tokens", "raw mean", "†dual-softmax-100"]),
    ],
)  # fmt: skip
def test_each_departure_has_a_name(task: Task, turned: Turned, key: str, names: list[str]) -> None:
    assert turned.plan_of(task).key == key and turned.names(task) == names


def test_frames_turned_are_the_plan_s_own(task: Task, run: RunConfig, tmp_path: Path) -> None:
    """The very features of a task that has this plan; the default's stay as they were."""
    plain = evaluate(Words(), task, run)
    turned, adapter = evaluate(Words(), task, run, turned=Turned(frames=5)), Words()
    other = dataclasses.replace(task, plan=Uniform(5))
    same = evaluate(adapter, other, run)
    assert same.predictions == turned.predictions != plain.predictions and not adapter.shapes
    assert turned.document.protocol == "msrvtt/toy, 5 frames"
    assert turned.document.settings and turned.document.settings.plan == "uniform-5"
    paths = [save(one, tmp_path / "results") for one in (plain, turned)]
    assert [path.name for path in paths] == ["words.json", "words.5-frames.json"]
    again = evaluate(Words(), task, run, turned=Turned(12, "uniform"))
    assert again.predictions == plain.predictions
    assert again.document.protocol == "msrvtt/toy" and not again.document.departures


def test_a_frame_or_two_of_each_second(task: Task, run: RunConfig) -> None:
    result = evaluate(Words(), task, run, turned=Turned(2, "fps"))
    work = Work(Words(), task, run, Silent(), turned=Turned(2, "fps"))
    clips = clip_features(work)
    assert work.encoded["frames"] == 0 and result.document.protocol == "msrvtt/toy, 2 fps"
    for clip in task.clips:
        _, times = work.read[clip.id]
        assert len(clips[clip.id]) == len(times) and set(np.diff(times).round(1)) <= {0.5}


def test_texts_are_cut_and_counted(task: Task, run: RunConfig) -> None:
    adapter = Reader()
    result = evaluate(adapter, task, run, turned=Turned(context=3))
    assert max(len(text.split()) for text in adapter.read) == 3 and adapter.context is None
    assert result.document.protocol == "msrvtt/toy, 3 tokens"
    assert result.document.texts and result.document.texts.truncated == len(task.texts)
    whole = evaluate(Reader(), task, run)
    assert whole.document.texts and whole.document.texts.truncated == 0
    assert whole.predictions != result.predictions
    # As many as it reads: other words for the same, from the same store.
    asked = Reader()
    most = evaluate(asked, task, run, turned=Turned(context=20))
    assert most.predictions == whole.predictions and asked.read == []
    assert most.document.protocol == "msrvtt/toy, 20 tokens"


def test_frames_are_averaged_as_they_are(task: Task, run: RunConfig) -> None:
    plain, result = (
        evaluate(Uneven(), task, run, turned=Turned(raw_mean=raw)) for raw in (False, True)
    )
    work = Work(Uneven(), task, run, Silent())
    clips, texts = clip_features(work), normalise(text_features(work))
    assert work.encoded["frames"] == 0
    videos = np.stack([normalise(clips[clip.id].mean(axis=0)) for clip in task.clips])
    scores = [line["score"] for line in result.predictions if line["direction"] == "t2v"]
    np.testing.assert_allclose(scores, (texts * videos).sum(axis=1), atol=1e-5)
    usual = [line["score"] for line in plain.predictions if line["direction"] == "t2v"]
    assert np.abs(np.array(scores) - usual).max() > 1e-3
    assert result.document.protocol == "msrvtt/toy, raw mean"
    assert result.document.model["pooling"] == "mean of frame features as they are, L2-normalised"
    assert plain.document.model.get("pooling") is None
    with pytest.raises(UsageError, match="makes no mean of normalised frames"):
        evaluate(Matcher(), task, run, turned=Turned(raw_mean=True))


def test_a_run_rescores_its_own_features(task: Task, run: RunConfig) -> None:
    """By the plain formula, each direction over its own queries; nothing is encoded again."""
    plain, adapter = evaluate(Words(), task, run), Words()
    result = evaluate(adapter, task, run, turned=Turned(temperature=20.0))
    assert adapter.shapes == [] and result.document.protocol == "msrvtt/toy, †dual-softmax-20"
    work = Work(Words(), task, run, Silent())
    clips, texts = clip_features(work), normalise(text_features(work))
    videos = np.stack([Words().pool(clips[clip.id]) for clip in task.clips])
    similarity = (texts @ videos.T).astype(np.float64)
    powers = np.exp(20 * similarity)
    expected = {"t2v": similarity * powers / powers.sum(axis=0),
                "v2t": (similarity * powers / powers.sum(axis=1, keepdims=True)).T}  # fmt: skip
    for direction, scores in expected.items():
        lines = [line for line in result.predictions if line["direction"] == direction]
        found = [line["score"] for line in lines]
        np.testing.assert_allclose(found, np.diagonal(scores), atol=1e-6)
        firsts = [line["top"][0][1] for line in lines]
        np.testing.assert_allclose(firsts, scores.max(axis=1), atol=1e-6)
    assert result.metrics != plain.metrics


def test_a_dual_softmax_has_a_board_and_rows_of_its_own(task: Task, run: RunConfig) -> None:
    task.protocol = "msrvtt/1k-A"
    both = [evaluate(Words(), task, run, turned=Turned(temperature=t)).document
            for t in (None, 100.0)]  # fmt: skip
    plain, rescored = boards(both)
    assert rescored.protocol == "msrvtt/1k-A, †dual-softmax-100"
    assert "weighed by those of all queries" in rescored.notes[-1] and not any(
        "weighed" in note for note in plain.notes
    )
    published = [[row for row in board.rows if row.kind == "published"]
                 for board in (plain, rescored)]  # fmt: skip
    assert {row.dual_softmax for row in published[0]} == {True, False}
    assert {row.dual_softmax for row in published[1]} == {True}
    assert "†dual-softmax-100" in render([rescored], "md")
    assert r"$\dagger$dual-softmax-100" in render([rescored], "latex")
    assert comparable(*both) == "protocol msrvtt/1k-A, †dual-softmax-100, but msrvtt/1k-A"


def test_rescored_ranks_of_fewer_videos_are_not_known(
    task: Task, run: RunConfig, tmp_path: Path
) -> None:
    """A smaller set of queries would have given other scores."""
    turned = Turned(temperature=100.0)
    whole = save(evaluate(Words(), task, run, turned=turned), tmp_path / "whole")
    path = task.clips[0].path
    assert path
    path.unlink()
    fewer = save(evaluate(Words(), task, run, turned=turned), tmp_path / "fewer")
    assert load(fewer).partial
    with pytest.raises(DataError, match="a dual softmax scores each query by all"):
        compared([whole], [fewer], run)


@pytest.mark.parametrize(
    ("turned", "says"),
    [
        (
            Turned(frames=7),
            "7 frames a clip, and it reads 8; plan uniform-7 gives clips of 7",
        ),
        (Turned(8, "first-of-second"), "plan 1fps-8 gives clips of 1 frames"),
        (Turned(plan="fps"), "plan fps-1 gives clips of 1 frames"),
        (Turned(context=9), "'eight' does not say how many tokens it reads; leave --context out"),
    ],
)
def test_what_a_model_cannot_read_is_refused(
    task: Task, run: RunConfig, turned: Turned, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        evaluate(Eight(), task, run, turned=turned)
    assert not (run.cache_folder / "frames").exists()


def test_what_a_model_can_read_is_not(task: Task, run: RunConfig) -> None:
    for plan in ("uniform", "linspace", "middle"):  # all frames of clips of less than eight
        assert evaluate(Eight(), task, run, turned=Turned(8, plan)).complete
    with pytest.raises(UsageError, match=r"reads at most 20 tokens, .* --context 21 is more"):
        evaluate(Reader(), task, run, turned=Turned(context=21))


def test_what_a_task_does_not_have_is_refused(
    toy_vidsitu: Path, task: Task, run: RunConfig
) -> None:
    vidsitu = bench.load_task("vidsitu", str(toy_vidsitu))
    with pytest.raises(UsageError, match="divides the frames of a clip among 5 parts"):
        evaluate(Words(), vidsitu, run, turned=Turned(frames=8))
    with pytest.raises(UsageError, match="'vidsitu' ranks by no similarity; leave --rescore out"):
        evaluate(Words(), vidsitu, run, turned=Turned(temperature=100.0))
    other = dataclasses.replace(task, plan=Steps(4))
    with pytest.raises(UsageError, match=r"has the plan steps-4, .* say which --plan"):
        evaluate(Words(), other, run, turned=Turned(frames=8))
    assert evaluate(Words(), other, run, turned=Turned(plan="linspace")).document.departures == [
        "linspace"
    ]


@pytest.mark.parametrize(
    ("text", "found"), [(None, None), ("dual-softmax", 100.0), ("dual-softmax:2.5", 2.5)]
)
def test_the_temperature_is_said_or_clip_s_own(text: str | None, found: float | None) -> None:
    assert temperature_of(text) == found


@pytest.mark.parametrize("text", ["dual", "dual-softmax:0", "dual-softmax:1e2", "dual-softmax:301"])
def test_another_rescoring_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--rescore {text}: dual-softmax, or dual-softmax:T"):
        temperature_of(text)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--frames", "8", "--protocol", "published"],
            "--protocol published has frames and a text",
        ),
        (["--rescore", "dual-softmax", "--rerank"], "choose one"),
        (["--rescore", "softmax"], "--rescore softmax: dual-softmax, or"),
        (["--context", "78"], "'clip-tiny' reads at most 77 tokens"),
        (["--plan", "half"], "is not one of"),
    ],
)
def test_the_command_refuses_before_the_work(toy: Path, options: list[str], says: str) -> None:
    done = CliRunner().invoke(cli, ["run", "--task", "msrvtt", "--model", "clip-tiny", "--source",
                                    str(toy), *options])  # fmt: skip
    assert done.exit_code == 2 and says in done.output
    assert not list(Path().rglob("*.safetensors"))


def test_the_command_hands_them_on(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Turned] = []

    def stand_in(*given: Any) -> None:
        asked.append(given[-1])
        raise DataError("enough")

    monkeypatch.setattr("bench.engine.evaluate", stand_in)
    CliRunner().invoke(cli, ["run", "--task", "msrvtt", "--model", "clip-tiny",
                             "--source", str(toy), "--frames", "8", "--plan", "middle",
                             "--context", "32", "--rescore", "dual-softmax:50"])  # fmt: skip
    assert asked == [Turned(8, "middle", 32, 50.0)]


def test_the_help_is_readable_at_80_columns() -> None:
    shown = CliRunner().invoke(cli, ["run", "--help"]).output
    assert max(map(len, shown.splitlines())) <= 80
    for option in ("--frames N", "--plan [", "--context N", "--rescore dual-softmax[:T]"):
        assert option in shown


def test_plans_by_the_second_have_an_end() -> None:
    plan = PerSecond(2)
    assert len(plan.times(127.9)) == 256 and len(plan.times(1e5)) == 256
    assert plan.times(1e5)[-1] == pytest.approx(1e5 * 255.5 / 256)
