"""Where a result comes from: the command that repeats it, and what the card says."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

import leaderboards
from bench.cli.main import cli
from bench.config import Config, load_config
from bench.report.facts import frames_in_words, model_size, parameters, size_in_words
from bench.report.provenance import BUILT, RECORDED, card, command
from bench.results.document import Document, of_json
from bench.results.files import load, load_all

from .test_boards import result

KEPT = Path(leaderboards.__file__).parent / "results"


def document(
    model: str = "clip-tiny", departures: list[str] | None = None, **settings: Any
) -> Document:
    found = result(model, 20, 9, "msrvtt/toy")
    found["settings"] = {"resamples": 9999, "seed": 0, **settings}
    if departures:
        found["settings"]["departures"] = departures
    return of_json(found)


def test_the_command_names_task_model_and_source() -> None:
    assert command(document(), Config()) == (
        "bench run --task msrvtt --model clip-tiny --source lab"
    )


def test_a_recorded_command_is_shown_as_it_was_recorded() -> None:
    asked = ["bench", "run", "--model", "my model", "--task", "msrvtt"]
    found = msgspec.structs.replace(document(), command=asked)
    shown = card(found, Config())
    assert shlex.split(shown.command) == asked and shown.note == RECORDED
    assert card(document(), Config()).note == BUILT


@pytest.mark.parametrize(
    ("departures", "options"),
    [
        (["published"], ["--protocol", "published"]),
        (["8 frames", "linspace"], ["--frames", "8", "--plan", "linspace"]),
        (["2 fps"], ["--plan", "fps", "--frames", "2"]),
        (["32 tokens"], ["--context", "32"]),
        (["†dual-softmax-100"], ["--rescore", "dual-softmax:100"]),
        (["re-ranked-itm-50"], ["--rerank"]),
        (["clips encoded whole", "subtitles"], []),  # these come with the model
    ],
)
def test_every_departure_that_was_asked_for_is_an_option(
    departures: list[str], options: list[str]
) -> None:
    """And one that the command line has."""
    words = shlex.split(command(document(departures=departures), Config()))
    assert words[8:] == options
    known = {name for one in cli.commands["run"].params for name in one.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("--")} <= known


def test_seed_limit_and_resamples_are_named_where_they_are_not_the_usual_ones() -> None:
    found = result("m", 20, 9, "msrvtt/toy", answered=5)
    found["coverage"]["limit"] = 5
    found["settings"] = {"resamples": 200, "seed": 3}
    assert command(of_json(found), Config()) == (
        "BENCH_RUN_RESAMPLES=200 bench run --task msrvtt --model m --source lab --limit 5 --seed 3"
    )


def test_settings_are_those_that_the_source_does_not_have_anyway() -> None:
    """What bench.yaml says of the toy world's head need not be said again."""
    kept = load(KEPT / "vidsitu" / "toy" / "clip-tiny.json")
    assert command(kept, load_config(None)) == (
        "bench run --task vidsitu --model clip-tiny --source toy"
    )
    other = {**kept.task_settings, "select": "best", "causal": False}
    assert kept.settings
    changed = of_json({**result("m", 1, 1), "task": "vidsitu", "source": {"name": "toy"},
                       "settings": {"resamples": 9999, "seed": 0, "task": other}})  # fmt: skip
    assert command(changed, load_config(None)).endswith(
        "--source toy --set vidsitu.select=best --set vidsitu.causal=false"
    )


def test_what_is_copied_into_a_shell_is_one_word() -> None:
    words = command(document("$(rm -rf ~); `x`\n'"), Config())
    assert shlex.split(words)[5] == "$(rm -rf ~); `x`\n'"


def test_a_scored_file_is_scored_again() -> None:
    found = {**result("theirs.json", 20, 9), "task": "vidsitu", "kind": "verbs"}
    assert command(of_json(found), Config()) == (
        "bench score --task vidsitu --source lab --predictions theirs.json --kind verbs"
    )


def test_the_command_line_takes_the_commands_of_all_kept_results() -> None:
    config = load_config(None)
    commands = {command(one, config) for one in load_all(KEPT)}
    assert len(commands) == 15
    for words in map(shlex.split, sorted(commands)):
        run = cli.commands[words[1]]  # type: ignore[attr-defined]
        given = run.make_context("run", words[2:]).params
        assert given["models"][0] in ("clip-tiny", "srlclip-tiny", "clip4clip-tiny")


def test_a_card_says_what_there_is_and_that_the_command_was_built() -> None:
    found = card(load(KEPT / "msrvtt" / "toy" / "srlclip-tiny.json"), load_config(None))
    facts = dict(found.facts)
    assert found.title == "srlclip-tiny on msrvtt/toy" and found.note == BUILT
    assert facts["Answered"] == "288 of 288 items, 288 clips"
    assert facts["Trained"].startswith("on vidsitu/train of toy, 600 segments, 10 epochs")
    assert "uniform-12" in facts["Frames"] and "9999 resamples" in facts["Intervals"]
    assert "torch" in facts["Software"] and "Warnings" not in facts and "Failed" not in facts
    bare = dict(card(of_json(result("m", 20, 9)), Config()).facts)
    assert bare == {"Model": "m", "Data": "lab", "Answered": "1000 of 1000 items, 1000 clips"}
    odd = {**result("m", 20, 9), "model": {"name": "m", "adapter": [1], "pooling": {"a": 1}},
           "environment": {"packages": 3, "hardware": ["x"]}}  # fmt: skip
    assert dict(card(of_json(odd), Config()).facts) == bare


@pytest.mark.parametrize(
    ("plan", "words"),
    [("uniform-12", "12"), ("events-5x4", "20"), ("1fps-16", "16"), ("fps-2", "2 a second"),
     ("of another version", "")],
)  # fmt: skip
def test_frames_are_those_of_a_clip(plan: str, words: str) -> None:
    assert frames_in_words(document(plan=plan)) == words
    assert frames_in_words(of_json(result("m", 1, 1))) == ""


def test_sizes_are_numbers_where_they_are_known() -> None:
    assert (parameters("1.3B"), parameters("86 M"), parameters("large")) == (
        1_300_000_000, 86_000_000, None
    )  # fmt: skip
    assert model_size("clip-tiny", load_config(None)) == 4_168_321
    assert model_size("none-such", Config()) is None
    assert [size_in_words(one) for one in (None, 4_168_321, 151_277_313)] == ["", "4.2 M", "151 M"]
