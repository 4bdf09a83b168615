"""A result records what was requested: the command that makes it again, and what was in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.config import RunConfig
from bench.engine import evaluate
from bench.results.request import WITHHELD, recorded
from tests.guess import Guess


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, auto_envvar_prefix="BENCH")
    assert done.exit_code == 0, done.output
    return done.output


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Result documents by task and file name."""
    return {f"{path.parts[-3]}/{path.stem}": json.loads(path.read_text())
            for path in folder.rglob("*.json")}  # fmt: skip


def test_paths_from_home_and_secrets_are_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for text, kept in {
        "/home/me": "~", "/home/me/x": "~/x", "/home/men/x": "/home/men/x", "/data/x": "/data/x",
        "/mnt/home/me/x": "/mnt/home/me/x", "srlclip@/home/me/m": "srlclip@~/m",
        "open_clip:ViT-B-16//home/me/w.pt": "open_clip:ViT-B-16/~/w.pt",
        "transformers:/home/me/a+/home/me/b": "transformers:~/a+~/b",
        "task.api_key=abc": f"task.api_key={WITHHELD}", "task.epochs=3": "task.epochs=3",
    }.items():  # fmt: skip
        assert recorded(text) == kept
    given = {"folder": Path("/home/me/x"), "hf_token": "abc", "password": 3, "tokenizer": "t",
             "deep": [{"apikey": "x"}, 1.5, None, True]}  # fmt: skip
    assert recorded(given) == {
        "folder": "~/x", "hf_token": WITHHELD, "password": WITHHELD, "tokenizer": "t",
        "deep": [{"apikey": WITHHELD}, 1.5, None, True],
    }  # fmt: skip
    monkeypatch.setenv("HOME", "/")
    assert recorded("/data") == "/data"


def test_every_result_has_the_command_that_makes_it_alone(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench.yaml").write_text("run: {resamples: 20, workers: 2}\n")
    monkeypatch.setenv("BENCH_RUN_LIMIT", "4")
    run("--config", "bench.yaml", "run", "--task", "msrvtt,lsmdc", "--model",
        "clip-tiny,srlclip-tiny", "--source", str(toy), "--output", "first", "--quiet",
        "--allow-missing", "--seed", "0", "--rescore", "dual-softmax")  # fmt: skip
    monkeypatch.delenv("BENCH_RUN_LIMIT")
    first = documents(tmp_path / "first")
    assert len(first) == 4
    one = first["lsmdc/srlclip-tiny.limit4.dual-softmax-100"]
    assert one["command"] == [
        "bench", "--config", "bench.yaml", "run", "--task", "lsmdc", "--model", "srlclip-tiny",
        "--source", str(toy), "--rescore", "dual-softmax", "--limit", "4", "--seed", "0",
    ]  # fmt: skip
    configuration = one["configuration"]
    assert configuration["run"]["resamples"] == 20 and configuration["run"]["decoder"] == "auto"
    assert configuration["source"]["root"] == str(toy)
    assert configuration["model"]["arch"] == "clip-tiny"
    run(*one["command"][1:], "--output", "again", "--quiet")
    (again,) = documents(tmp_path / "again").values()
    assert again["metrics"] == one["metrics"] and again["command"] == one["command"]
    assert again["predictions"] == one["predictions"]


def test_the_source_that_was_chosen_and_the_tasks_own_settings_are_in_it(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench.yaml").write_text(
        f"run: {{resamples: 20}}\nsources: {{lab: {{msrvtt: {{root: {toy}}}, "
        f"vidsitu: {{root: {toy}}}}}}}\n"
    )
    asked: list[list[str]] = []

    def recorded_alone(request: Any, task: str, model: str, source: str) -> list[str]:
        words: list[str] = real(request, task, model, source)
        asked.extend([words, real(request, "vidsitu", model, source)])
        return words

    from bench.cli.run import Request

    real = Request.command
    monkeypatch.setattr(Request, "command", recorded_alone)
    monkeypatch.setattr("bench.cli.run._checked", lambda *_: ({}, [Guess("clip-tiny", 0)]))
    done = CliRunner().invoke(cli, [
        "run", "--task", "msrvtt,vidsitu", "--model", "clip-tiny", "--limit", "2", "--quiet",
        "--set", "vidsitu.epochs=3", "--select", "best",
    ])  # fmt: skip
    assert done.exit_code == 1  # of VidSitu there are no files
    plain, own = asked
    assert plain == ["bench", "run", "--task", "msrvtt", "--model", "clip-tiny", "--source", "lab",
                     "--limit", "2"]  # fmt: skip
    assert own[4:] == ["--model", "clip-tiny", "--source", "lab", "--limit", "2", "--set",
                       "vidsitu.epochs=3", "--select", "best"]  # fmt: skip


def test_a_call_from_python_has_settings_and_no_command(toy: Path, tmp_path: Path) -> None:
    run = RunConfig(cache=tmp_path / "c", resamples=20, seed=5)
    data = evaluate(Guess("guess", 0), bench.load_task("msrvtt", str(toy), 3), run).data
    assert data["configuration"]["run"]["seed"] == 5 and "command" not in data
