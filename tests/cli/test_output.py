"""One grammar: formats by the ending of --output, results by file or folder, --open, completion."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import webbrowser
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from bench.cli.main import cli
from bench.cli.output import format_of, table
from bench.errors import UsageError


@pytest.fixture
def files(kept: Path, toy: Path, tmp_path: Path) -> list[str]:
    """Three results of one task in `results`, the results folder of bench.yaml, with its source."""
    shutil.copytree(kept / "results", tmp_path / "results")
    found = sorted(Path("results").rglob("*.json"))
    name = json.loads(found[0].read_text())["source"]["name"]
    Path("bench.yaml").write_text(f"sources: {{{name}: {{msrvtt: {{root: {toy}}}}}}}\n")
    return list(map(str, found))


def bench(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


# --- formats -------------------------------------------------------------------------------------


def test_the_report_is_written_by_its_ending(files: list[str]) -> None:
    for name, format_ in (("r.md", "md"), ("r.tex", "latex"), ("r.csv", "csv"), ("r.json", "json")):
        assert bench("report", "--output", name).stdout == f"{name}\n"
        shown = bench("report", "--format", format_).stdout
        text = Path(name).read_text()
        assert text.endswith(shown) and (text == shown or format_ == "md")
    assert Path("r.md").read_text().startswith("Best measured in bold")
    bench("report", "--output", "R.HTML", "--gallery", "0")
    assert Path("R.HTML").read_text().startswith("<!doctype html>")
    bench("report", "--output", "boards", "--format", "md")
    bench("report", "--output", "boards.2026")  # no ending of a file: a folder, as ever
    Path("old.md").mkdir()
    bench("report", "--output", "old.md")  # a folder that is there stays one
    assert all(
        Path(folder, "msrvtt.md").is_file() for folder in ("boards", "boards.2026", "old.md")
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--output", "r.pdf"), "files can be .html, .md, .tex, .csv, .json"),
        (("--output", "r.html", "--format", "csv"), "r.html is named as html; leave --format out"),
        (("--output", "r.md", "--format", "html"), "r.md is named as md"),
        (("--output", "boards", "--format", "csv"), "name it boards.csv"),
        (("--output", "boards", "--format", "rich"), "is for the terminal"),
        (("--output", "r.csv", "--open"), "--open shows a page"),
        (("--open",), "--open shows a page"),
    ],
)
def test_what_contradicts_itself_is_refused(
    files: list[str], arguments: tuple[str, ...], says: str
) -> None:
    done = bench("report", *arguments, code=2)
    assert says in done.stderr and not list(Path().glob("r.*")) and not Path("boards").exists()


def test_a_comparison_is_written_by_its_ending(files: list[str]) -> None:
    both = files[:2]
    printed = json.loads(bench("compare", *both, "--json").stdout)
    for name in ("c.json", "c.csv", "c.md", "c.tex"):
        assert bench("compare", *both, "--output", name).stdout.endswith(f"{name}\n")
    assert json.loads(Path("c.json").read_text()) == printed
    rows = list(csv.DictReader(io.StringIO(Path("c.csv").read_text())))
    for row, one in zip(rows, printed["differences"], strict=True):
        assert row["metric"] == one["metric"] and float(row["difference"]) == one["difference"]
        assert float(row["first: guess-0"]) == one["first"] and float(row["p"]) == one["p"]
        assert (float(row["low"]), float(row["high"])) == (one["low"], one["high"])
        assert float(row["Holm's p"]) == one["holm"] and float(row["seen"]) == one["detectable"]
    assert "| first: guess-0 " in Path("c.md").read_text()
    assert r"\toprule" in Path("c.tex").read_text() and "v2t/R@10" in Path("c.tex").read_text()
    for name in ("c.html", "c", "c.txt"):
        assert "name it so" in bench("compare", *both, "--output", name, code=2).stderr


def test_a_score_is_written_by_its_ending(toy_vidsitu: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "p.json"
    verbs = {"pred_vbs_ev": [["run.01"] * 5] * 5, "pred_scores_ev": [[0.2] * 5] * 5}
    split = json.loads(next(toy_vidsitu.rglob("vseg_split_valid_lb.json")).read_text())
    rows = [{"ann_idx": n, **verbs} for n in range(len(split))]
    predictions.write_text(json.dumps(rows))
    given = ("score", "--task", "vidsitu", "--source", str(toy_vidsitu), "--predictions",
             str(predictions), "--kind", "verbs")  # fmt: skip
    for name in ("s.json", "s", "s.csv", "s.md"):
        bench(*given, "--output", name)
    document = json.loads(Path("s.json").read_text())
    assert document["metrics"] and json.loads(Path("s").read_text())["metrics"]
    found = {row["metric"]: row for row in csv.DictReader(io.StringIO(Path("s.csv").read_text()))}
    for name, one in document["metrics"].items():
        assert float(found[name]["value"]) == one["value"]
        assert found[name]["low"] == ("" if one["low"] is None else str(one["low"]))
    assert "| Vb@1 " in Path("s.md").read_text()
    assert "files can be" in bench(*given, "--output", "s.html", code=2).stderr


def test_bounds_have_columns_of_their_own() -> None:
    from bench.cli.score import _as

    metrics = {"Vb@1": SimpleNamespace(value=10.126, low=9.5, high=None)}
    document: Any = SimpleNamespace(metrics=metrics)
    assert _as("csv", document) == "metric,value,low,high\nVb@1,10.126,9.5,"
    assert "".join(_as("md", document).splitlines()[-1].split()) == "|Vb@1|10.13|9.50||"


def test_a_sweep_writes_a_table_or_into_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli import sweep

    record = {"title": "t"}
    seen: list[Path] = []

    def records(*given: Any) -> list[dict[str, Any]]:
        seen.append(given[5].run.output)
        return [record]

    monkeypatch.setattr(sweep, "_records", records)
    monkeypatch.setattr("bench.report.ablations.grid_boards", lambda one: [])
    common = ("sweep", "supp-1", "--model", "srlclip-tiny")
    assert bench(*common, "--output", "t.json").stdout == "t.json\n"
    assert Path("t.json").read_text() == "[]\n"
    assert bench(*common, "--output", "folder", "--format", "json").stdout == "[]\n"
    assert seen == [Path("results"), Path("folder")]
    assert (
        "leave --format out" in bench(*common, "--output", "t.md", "--format", "csv", code=2).stderr
    )
    assert "files can be" in bench(*common, "--output", "t.html", code=2).stderr


def test_the_format_of_a_name() -> None:
    able = ("md", "csv")
    assert format_of(None, "csv", able) is None
    assert format_of(Path("a.MD"), None, able) == format_of(Path("a.md"), "md", able) == "md"
    assert format_of(Path("a.pdf"), "md", able) is None  # a folder, as --format has it
    with pytest.raises(UsageError, match=r"a\.html: files can be \.md, \.csv"):
        format_of(Path("a.html"), None, able)


def test_foreign_text_is_no_markup_in_tables() -> None:
    assert "a\\|b" in table(["x"], [["a|b"]], "md")
    assert "\\_" in table(["x"], [["a_b"]], "latex") and "a_b" not in table(
        ["x"], [["a_b"]], "latex"
    )
    assert table(["x", "y"], [["a,b", None]], "csv") == 'x,y\n"a,b",'


# --- results -------------------------------------------------------------------------------------


def test_results_are_given_in_one_way(files: list[str]) -> None:
    """By folder or file, as arguments or by --results; without any those of bench.yaml."""
    for command, more in (("report", ("--format", "csv")), ("verify", ())):
        wanted = bench(command, *more).stdout
        assert wanted.count("guess-") == 3
        for given in (("results",), ("--results", "results"), ("results/msrvtt",), tuple(files),
                      (*files[:2], "--results", files[2])):  # fmt: skip
            assert bench(command, *given, *more).stdout == wanted, given
    assert bench("report", "results", files[0], "--format", "csv").stdout.count("guess-0") == 1
    assert bench("report", files[0], "--format", "csv").stdout.count("guess-") == 1
    for given in (tuple(files), ("results",), ("--results", "results"), ()):
        bench("show", *given, "--limit", "1", "--output", "page.md")
        assert Path("page.md").read_text().count("guess-") == 3
    for command in ("report", "verify", "compare"):
        assert "nowhere" in bench(command, "--results", "nowhere", code=1).stderr


def test_a_folder_is_a_side_or_both(files: list[str]) -> None:
    wanted = bench("compare", *files[:2]).stdout
    (Path("two")).mkdir()
    for name in files[:2]:
        for path in Path(name).parent.glob(Path(name).stem + ".*"):
            shutil.copy(path, "two")
    for given in (("two",), ("--results", "two")):
        assert bench("compare", *given).stdout == wanted
    (Path("one")).mkdir()
    for path in Path(files[0]).parent.glob(Path(files[0]).stem + ".*"):
        shutil.copy(path, "one")
    assert bench("compare", "one", files[1]).stdout == wanted
    assert "results: 3 results in it; name the two" in bench("compare", "results", code=2).stderr
    assert "give two results" in bench("compare", code=2).stderr
    Path("empty").mkdir()
    for given in (("compare", "empty", files[0]), ("verify", "empty"),
                  ("show", "empty", "--output", "p.md")):  # fmt: skip
        assert "empty: no results in it" in bench(*given, code=1).stderr


# --- --open --------------------------------------------------------------------------------------


def test_open_shows_the_page(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    done = bench("report", "--output", "r.html", "--gallery", "0", "--open")
    assert opened == [Path("r.html").resolve().as_uri()] and "no browser" not in done.stderr
    bench("show", *files[:2], "--limit", "1", "--output", "s.html", "--open")
    assert opened[1:] == [Path("s.html").resolve().as_uri()]
    bench("report", "--output", "r.html", "--gallery", "0")
    assert len(opened) == 2


def test_open_is_harmless_without_a_browser(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(address: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", missing)
    for display in ("", ":0"):
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.delenv("BROWSER", raising=False)
        done = bench("show", *files[:2], "--limit", "1", "--output", "s.html", "--open")
        assert f"--open: no browser found; open {Path('s.html').resolve()}" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="displays of X and Wayland")
def test_no_browser_of_the_terminal_is_started(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("started"))
    assert "no browser" in bench("show", *files[:2], "--output", "s.html", "--open").stderr


# --- completion ----------------------------------------------------------------------------------


def completed(*words: str) -> list[tuple[str, str]]:
    """What the shell is offered for the last of `words`: kind and value."""
    shell = ShellComplete(cli, {}, "bench", "_BENCH_COMPLETE")
    return [(one.type, one.value) for one in shell.get_completions(list(words[:-1]), words[-1])]


def test_sources_grids_and_results_are_completed(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "bench.yaml").write_text(
        "sources: {lab: {msrvtt: {root: a}}, late: {lsmdc: {root: b}}}"
    )
    commands = [("run",), ("train",), ("score",), ("show",), ("verify",), ("sweep", "supp-1"),
                ("export", "vidsitu")]  # fmt: skip
    if version("click") != "8.2.0":  # the oldest completes nothing below `data`
        commands += [("data", "check", "msrvtt"), ("data", "prompts"), ("data", "pairs", "probes")]
    for command in commands:
        assert completed(*command, "--source", "la") == [
            ("dir", "la"), ("plain", "lab"), ("plain", "late")
        ], command  # fmt: skip
    assert ("plain", "toy") in completed("run", "--source", "")
    grids = {value for _, value in completed("sweep", "")}
    assert {"supp-1", "supp-2", "supp-3", "losses", "parts", "protocol"} <= grids
    assert completed("sweep", "supp") == [("plain", f"supp-{n}") for n in (1, 2, 3)]
    for command in ("report", "verify", "compare", "show"):
        found = completed(command, "results/msrvtt")
        assert found == [("file", "results/msrvtt"), *(("plain", name) for name in files)], command
    assert completed("report", "--results", "x") == [("file", "x")]
    assert ("plain", "msrvtt") in completed("score", "--task", "ms")


def test_completion_reads_the_config_that_is_named_and_bears_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("sources: {mine: {msrvtt: {root: a}}}")
    (tmp_path / "bench.yaml").write_text("sources: [")
    named = completed("--config", str(tmp_path / "other.yaml"), "run", "--source", "mi")
    assert ("plain", "mine") in named
    assert completed("run", "--source", "to") == [("dir", "to")]


def test_a_shell_is_offered_names_before_folders(tmp_path: Path) -> None:
    """Bash forgets what came before a folder, so that this must come first."""
    (tmp_path / "bench.yaml").write_text("sources: {lab: {msrvtt: {root: a}}}")
    words = "bench run --source la"
    done = subprocess.run(
        [sys.executable, "-m", "bench"], capture_output=True, text=True, check=True,
        env={"_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3",
             "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == ["dir,la", "plain,lab"]
