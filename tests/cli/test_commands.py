"""What the commands hand on, say and end with; the work behind them is stood in for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from click.testing import Result as Done
from msgspec.structs import replace

import bench
from bench import engine
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Failure, Source
from bench.results.files import Result
from tests.guess import Guess


def invoke(*arguments: str, code: int = 0) -> Done:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def runs(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `bench run` asks to be evaluated: each gets one true result under its own name."""
    run = RunConfig(cache=tmp_path / "own", resamples=20)
    true = engine.evaluate(Guess("guess", 0), bench.load_task("msrvtt", str(toy), 6), run)
    asked: list[Any] = []

    def stand_in(
        adapter: Any, task: Any, run: RunConfig, bar: Any, protocol: str, rerank: bool, turned: Any
    ) -> Result:
        asked.append(SimpleNamespace(model=adapter.name, task=task, run=run))
        one = true.document
        lost = [Failure("clip7", "broken", "no frames")] if adapter.name == "clip-tiny" else []
        changed = replace(
            one, model={**one.model, "name": adapter.name}, failures=lost,
            coverage=replace(one.coverage, limit=task.limit, broken=len(lost)),
        )  # fmt: skip
        return Result(changed, true.predictions)

    monkeypatch.setattr(engine, "evaluate", stand_in)
    return asked


RUN = ("run", "--task", "msrvtt", "--model", "srlclip-tiny")


def test_a_run_is_what_the_command_line_says(runs: list[Any], toy: Path, tmp_path: Path) -> None:
    """Also where it says 0 and bench.yaml says otherwise."""
    (tmp_path / "bench.yaml").write_text("run: {seed: 7, device: cpu}\n")
    options = ("--seed", "0", "--limit", "4", "--output", "there", "--source", str(toy))
    invoke(*RUN[:-1], "srlclip-tiny, srlclip-tiny", *options)
    (one,) = runs  # named twice, run once
    assert (one.model, one.run.seed, one.run.device) == ("srlclip-tiny", 0, "cpu")
    assert one.task.limit == 4 and len(one.task.clips) <= 4
    assert [path.name for path in Path("there").rglob("*.json")] == ["srlclip-tiny.limit4.json"]
    invoke(*RUN, "--source", str(toy))
    assert runs[1].run.seed == 7 and runs[1].task.limit is None


def test_a_run_that_lacks_videos_says_so_and_ends_with_3(runs: list[Any], toy: Path) -> None:
    lacking = ("run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(toy))
    assert "clip7: broken: no frames" in invoke(*lacking, code=3).output
    assert "clip7: broken: no frames" in invoke(*lacking, "--allow-missing").output
    invoke(*RUN, "--source", str(toy))


def test_the_toy_world_never_stands_in_unsaid(
    runs: list[Any], toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.registry.prepare_source", lambda *_: None)
    monkeypatch.setattr("bench.registry._generated", lambda name, config: Source(name, toy))
    assert "no source configured, using the toy world" in invoke(*RUN).output
    assert "no source configured" not in invoke(*RUN, "--source", "toy").output


def test_settings_reach_the_task_and_name_the_file(
    runs: list[Any], toy_vidsitu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of other settings never replace the plain one."""
    run = ("run", "--task", "vidsitu", "--model", "srlclip-tiny", "--source", str(toy_vidsitu))
    stand_in = engine.evaluate

    def of_vidsitu(*given: Any) -> Result:
        found = stand_in(*given)
        return Result(replace(found.document, task="vidsitu"), found.predictions)

    monkeypatch.setattr(engine, "evaluate", of_vidsitu)
    invoke(*run, "--set", "vidsitu.learning_rate=1e-3", "--select", "best", "--json")
    assert runs[0].task.settings["learning_rate"] == 1e-3
    assert runs[0].task.settings["select"] == "best"
    (path,) = Path("results").rglob("*.json")
    assert path.name == "srlclip-tiny.learning_rate-0.001.select-best.json"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((*RUN, "--device", "gpu"), 2, "--device must be one of auto, cpu"),
        ((*RUN, "--set", "msrvtt.x=1"), 2, "task 'msrvtt' has no settings; remove x"),
        ((*RUN, "--set", "lsmdc.x=1"), 2, "TASK.KEY=VALUE is expected, of msrvtt"),
        (
            ("run", "--task", "msrvtt,vidsitu", *RUN[3:], "--set", "vidsitu.epoch=1"),
            2,
            "did you mean 'epochs'",
        ),
        (("run", "--task", ",", *RUN[3:]), 2, "give at least one name"),
        (("run", "--task", "msrvt", *RUN[3:]), 2, "did you mean 'msrvtt'"),
        (("report", "--results", "nowhere"), 1, "no such folder"),
        (("export", "--model", "clip-tiny", "--output", "x.safetensors"), 1, "cannot be exported"),
        (("report", "--format", "html"), 2, "needs --output"),
    ],
)
def test_mistakes_end_before_the_work(
    runs: list[Any], toy: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    source = ("--source", str(toy)) if arguments[0] == "run" else ()
    done = invoke(*arguments, *source, code=code)
    assert says in done.output and not runs and done.output.count("\n") <= 4


def test_ctrl_c_says_that_the_same_command_goes_on(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "evaluate", interrupted)
    assert (
        "interrupted; run the same command again"
        in invoke(*RUN, "--source", str(toy), code=130).output
    )


def test_lists_name_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text("sources: {lab: {msrvtt: {root: absent}}}\n")
    models = {row["model"]: row for row in json.loads(invoke("list", "models", "--json").output)}
    assert models["clip-tiny"]["status"] == "ready"
    assert "bench train --model srlclip-b32" in models["srlclip-b32"]["status"]
    sources = json.loads(invoke("list", "sources", "--json").output)
    told = {(row["source"], row["task"]): row["status"] for row in sources}
    assert "absent" in told["lab", "msrvtt"] and told["toy", "msrvtt"] == "ready"
    tasks = {row["task"]: row for row in json.loads(invoke("list", "tasks", "--json").output)}
    assert tasks["msrvtt"]["source"] == "lab" and "absent" in tasks["msrvtt"]["status"]
    assert (tasks["lsmdc"]["source"], tasks["lsmdc"]["status"]) == ("toy", "ready")
    shown = " ".join(invoke("list", "tasks").output.split())
    for task in tasks.values():
        assert task["data"] and task["licence"] and f"licence: {task['licence']}." in shown


@pytest.mark.parametrize(("stopped", "code"), [("", 0), ("--max-minutes", 0), ("SIGTERM", 130)])
def test_a_training_is_what_the_command_line_says(
    monkeypatch: pytest.MonkeyPatch, stopped: str, code: int
) -> None:
    seen: dict[str, Any] = {}

    class Plan:
        def run(self, folder: Path, bar: Any, minutes: float | None, project: str | None) -> Any:
            seen.update(folder=folder, minutes=minutes, project=project)
            failures = [Failure(f"clip{n}", "missing", "no file") for n in range(12)]
            return SimpleNamespace(
                folder=folder, epochs=3, best_epoch=2, held_out={"R@1": 30.0},
                criterion=("R@1",), failures=failures, stopped=stopped,
            )  # fmt: skip

    def plan(
        model: str, source: str | None, settings: dict[str, Any], config: Any, init: Path | None
    ) -> Plan:
        seen.update(model=model, source=source, settings=settings, seed=config.run.seed, init=init)
        return Plan()

    monkeypatch.setattr("bench.training.plan.plan_training", plan)
    options = ("--set", "epochs=2", "--set", "learning_rate=1e-4", "--max-minutes", "1.5",
               "--init", ".")  # fmt: skip
    done = invoke("train", "--model", "srlclip-tiny", "--source", "toy", "--seed", "3", *options,
                  code=code)  # fmt: skip
    assert seen == {
        "model": "srlclip-tiny", "source": "toy", "seed": 3, "minutes": 1.5, "project": None,
        "init": Path(),
        "settings": {"epochs": 2, "learning_rate": 1e-4},
        "folder": Path("results/train/srlclip-tiny"),
    }  # fmt: skip
    assert "(3 epochs, best held-out R@1 30.0 in epoch 2)" in done.output
    assert "and 2 more videos left out" in done.output
    assert (f"stopped by {stopped}" in done.output) == bool(stopped)


def test_the_toy_world_draws_the_tasks_named_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def write(root: Path, tasks: tuple[str, ...] = ("all",), **others: Any) -> None:
        drawn.append((root, list(tasks), others["seed"]))

    monkeypatch.setattr("bench.registry.generator", lambda name: write)
    invoke("data", "toy", "--output", "here", "--seed", "3")
    invoke("data", "toy", "--output", "here", "--task", "lsmdc, msrvtt")
    assert drawn == [(Path("here"), ["all"], 3), (Path("here"), ["lsmdc", "msrvtt"], 0)]


def test_data_check_says_what_was_assumed(tmp_path: Path) -> None:
    """Not a problem, so that the exit code stays 0."""
    (tmp_path / "video1.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    text = "video_id,sentence\nvideo1,a caf\u00e9\n"
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(text, encoding="cp1252")
    check = ("data", "check", "msrvtt", "--source", str(tmp_path))
    assert "remark: msrvtt: MSRVTT_JSFUSION_test.csv:2: not UTF-8, read as" in invoke(*check).output
    (remark,) = json.loads(invoke(*check, "--json").output)["remarks"]
    assert "Windows-1252" in remark


def _options(command: click.Command, where: str = "bench") -> Iterator[tuple[str, click.Parameter]]:
    yield from ((f"{where} {one.name}", one) for one in command.params)
    for name, below in getattr(command, "commands", {}).items():
        yield from _options(below, f"{where} {name}")


def test_every_path_option_expands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell leaves ~ alone in --output=~/results, and in variables such as BENCH_RUN_OUTPUT."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found = {name: one for name, one in _options(cli) if isinstance(one.type, click.Path)}
    assert len(found) >= 14
    for name, one in found.items():
        if one.type.exists:  # type: ignore[attr-defined]
            (tmp_path / "x").write_text("")
        else:
            (tmp_path / "x").unlink(missing_ok=True)
        for text in ("~/x", "$HOME/x"):
            assert one.type.convert(text, one, None) == tmp_path / "x", name
        with pytest.raises(click.BadParameter, match="NOWHERE is not set"):
            one.type.convert("$NOWHERE/x", one, None)
    monkeypatch.setenv("BENCH_REPORT_RESULTS", "~/results")
    assert f"{tmp_path}/results: no such folder" in CliRunner().invoke(
        cli, ["report"], auto_envvar_prefix="BENCH"
    ).output.replace("\n", "")
