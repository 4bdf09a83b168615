"""What can fail is seen before the first long step; what is finished is printed all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Done

import bench
from bench import engine
from bench.cli.main import cli
from bench.compute import check_device
from bench.config import RunConfig
from bench.errors import BenchError, UsageError
from bench.files.atomic import check_writable
from tests.guess import Guess


def invoke(*arguments: str, code: int = 0) -> Done:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def source(toy: Path, tmp_path: Path) -> str:
    """The small MSRVTT, and an LSMDC whose file is damaged."""
    (tmp_path / "data" / "lsmdc").mkdir(parents=True)
    (tmp_path / "data" / "msrvtt").symlink_to(toy / "msrvtt")
    (tmp_path / "data" / "lsmdc" / "LSMDC16_challenge_1000_publictect.csv").write_text("broken\n")
    return str(tmp_path / "data")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose evaluation began."""
    names: list[str] = []

    def evaluate(adapter: Any, *_: Any) -> None:
        names.append(adapter.name)
        raise AssertionError("the long step")

    monkeypatch.setattr(engine, "evaluate", evaluate)
    return names


RUN = ("run", "--task", "msrvtt", "--model", "clip-tiny", "--source")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--device", "cuda"), 2, "device cuda: PyTorch finds no device of this kind here"),
        (("--device", "cuda:1"), 2, "device cuda:1: PyTorch finds no device"),
        (("--task", "msrvtt,lsmdc"), 1, "publictect.csv:1"),
        (("--task", "msrvtt,lsmdk"), 2, "did you mean 'lsmdc'"),
        (("--model", "clip-tiny,clip-tyni"), 2, "did you mean 'clip-tiny'"),
        (("--model", "clip-tiny,clip-b32"), 1, "openai.safetensors"),
        (("--model", "clip-tiny,srlclip-tiny@nowhere"), 1, "nowhere"),
        (("--output", "a-file/results"), 1, "cannot write a-file/results/msrvtt"),
    ],
)
def test_a_run_is_checked_before_the_first_model(
    source: str, begun: list[str], monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("a-file").write_text("")
    done = invoke(*RUN, source, *options, code=code)
    assert says in done.output and not begun and done.output.strip().count("\n") == 0


def test_the_configuration_is_checked_as_well(source: str, begun: list[str]) -> None:
    for text, says in (
        ("device: cuda:99", "device cuda:99"),
        ("output: a-file", "cannot write a-file"),
        ("batch_frames: 0", "run.batch_frames must be"),
    ):
        Path("a-file").write_text("")
        Path("bench.yaml").write_text(f"run: {{{text}}}\n")
        assert says in CliRunner().invoke(cli, (*RUN, source)).output and not begun
    assert not Path("results").exists()  # a check leaves nothing behind


def test_a_task_without_any_video_ends_before_the_other_is_run(
    source: str, begun: list[str], tmp_path: Path
) -> None:
    name = "LSMDC16_challenge_1000_publictect.csv"
    (tmp_path / "data" / "lsmdc" / name).write_text("a_00.00\t1\t2\t3\t4\tA dog barks.\n")
    done = invoke(*RUN, source, "--task", "msrvtt,lsmdc", code=1)
    assert "lsmdc: none of 1 videos is there" in done.output and not begun


def test_settings_of_a_task_still_to_be_drawn_are_checked(begun: list[str]) -> None:
    """The toy world takes a while; it is not drawn for a run that cannot be."""
    tasks = ("run", "--task", "msrvtt,vidsitu", "--model", "clip-tiny", "--source", "toy")
    done = invoke(*tasks, "--set", "vidsitu.epoch=1", code=2)
    assert "did you mean 'epochs'" in done.output and not list(Path("cache").rglob("*.mp4"))


@pytest.mark.parametrize("command", ["train", "sweep supp-1"])
def test_trainings_are_checked_first(
    toy_vidsitu: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def began(*_: Any, **__: Any) -> None:
        raise AssertionError("the long step")

    monkeypatch.setattr("bench.training.loop.train", began)
    monkeypatch.setattr(engine, "evaluate", began)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("a-file").write_text("")
    given = (*command.split(), "--source", str(toy_vidsitu))
    for options, says in (
        (("--model", "clip-tiny"), "cannot be trained"),
        (("--model", "srlclip-tiny", "--device", "cuda"), "device cuda: PyTorch finds no"),
        (("--model", "srlclip-tiny", "--device", "gpu"), "--device must be one of"),
        (("--model", "srlclip-tiny", "--output", "a-file/x"), "cannot write a-file/x"),
        (("--model", "srlclip-tiny", "--set", "model.rnk=3"), "did you mean 'rank'"),
        (("--model", "srlclip-b32"), "openai.safetensors"),
    ):
        done = CliRunner().invoke(cli, (*given, *options))
        assert done.exit_code in (1, 2) and says in done.output, done.output


def test_what_is_finished_is_printed_though_a_later_part_failed(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunConfig(cache=tmp_path / "own", resamples=20)
    true = engine.evaluate(Guess("guess", 0), bench.load_task("msrvtt", str(toy), 6), run)

    def evaluate(adapter: Any, *_: Any) -> Any:
        if adapter.name == "srlclip-tiny":
            raise BenchError("the second model failed")
        return true

    monkeypatch.setattr(engine, "evaluate", evaluate)
    models = ("--model", "clip-tiny,srlclip-tiny", "--output", "out")
    done = invoke(*RUN, str(toy), *models, code=1)
    assert "| guess" in done.stdout and "error: the second model failed" in done.output
    assert [path.name for path in Path("out").rglob("*.json")] == ["guess.limit6.json"]
    done = invoke(*RUN, str(toy), *models, "--json", code=1)
    assert [one["model"]["name"] for one in json.loads(done.stdout)] == ["guess"]

    def full(*_: Any) -> None:
        raise BenchError("the disk is full")

    monkeypatch.setattr("bench.results.files.save", full)
    done = invoke(*RUN, str(toy), "--output", "out", code=1)
    assert "not saved: guess on msrvtt/toy" in done.stdout and "the disk is full" in done.output


def test_devices_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("auto", "cpu"):
        check_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device("cuda")
    check_device("cuda:1")
    with pytest.raises(UsageError, match="finds 2 devices of this kind here"):
        check_device("cuda:2")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device mps: PyTorch finds no device"):
        check_device("mps")


def test_a_place_to_write_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c.json")
    (tmp_path / "file").write_text("kept")
    check_writable(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for path in (tmp_path / "file" / "x", Path("/proc/results/x")):
        with pytest.raises(BenchError, match=f"cannot write {path}"):
            check_writable(path)
