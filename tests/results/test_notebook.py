"""Results in a notebook, and the notebook of the documentation, whose cells run here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

import bench
from bench.contracts import Task
from bench.errors import BenchError, DataError
from bench.results.files import Result, find_all

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
# Runs the code cells in order, and prints what a notebook would show of each.
CELLS = """
import ast, json, sys
names = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            print(shown._repr_html_() if hasattr(shown, "_repr_html_") else repr(shown))
"""


@pytest.fixture
def result(kept: Path) -> Result:
    return bench.load_result(find_all(kept / "results")[0])


def test_the_package_shows_its_functions_and_nothing_private() -> None:
    assert dir(bench) == ["evaluate", "load_adapter", "load_result", "load_task"]
    assert all(callable(getattr(bench, name)) for name in dir(bench))


def test_what_a_cell_shows_is_short(result: Result, toy: Path) -> None:
    one = result.document.metrics["R@1"]
    value = f"R@1 {one.value:.1f} [{one.low:.1f}, {one.high:.1f}], 24/24"
    assert repr(result) == f"<Result guess-0 on msrvtt/toy: {value}>"
    assert "R@10" in str(result)  # as `print` shows it, all of them
    task = bench.load_task("msrvtt", str(toy), 5)
    assert repr(task) == "<MSRVTT msrvtt/toy: 5 videos>"


def test_no_task_of_ours_shows_its_thousands_of_texts() -> None:
    from bench import registry

    for name in registry.task_names():
        assert registry.task_class(name).__repr__ is Task.__repr__, name


def test_the_boards_row_as_html(result: Result) -> None:
    shown = result._repr_html_()
    assert "msrvtt/toy (toy world: not comparable with published numbers)" in shown
    head = re.findall("<th>(.*?)</th>", shown)
    assert head == ["model", "R@1 ↑", "R@5 ↑", "R@10 ↑", "MdR ↓", "MnR ↓", "v2t/R@1 ↑",
                    "v2t/R@10 ↑", "coverage"]  # fmt: skip
    cells = re.findall("<td>(.*?)</td>", shown)
    one = result.document.metrics["MdR"]
    assert cells[0] == "guess-0" and cells[-1] == "24/24"
    assert cells[4] == f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]"
    # Of a task that is not installed all metrics; without an interval the value alone.
    bare = {name: replace(value, low=None, high=None)
            for name, value in result.document.metrics.items()}  # fmt: skip
    other = Result(replace(result.document, task="absent", metrics=bare), [])._repr_html_()
    assert "v2t/MnR ↓" in other and "[" not in other


def test_foreign_text_is_escaped(result: Result) -> None:
    model = {**result.document.model, "name": "<script>alert(1)</script>\x1b[31m"}
    document = replace(result.document, model=model, protocol="<b>&", task="absent")
    shown = Result(document, [])._repr_html_()
    assert "<script" not in shown and "<b>" not in shown and "\x1b" not in shown
    assert "&lt;script&gt;alert(1)" in shown and "&lt;b&gt;&amp;" in shown
    assert "\x1b" not in repr(Result(document, []))


def test_a_result_is_saved_and_loaded(result: Result, tmp_path: Path) -> None:
    path = result.save("mine")
    assert path == Path("mine/msrvtt") / result.document.source.name / "guess-0.json"
    again = bench.load_result(str(path))
    assert again.metrics == result.metrics and again.predictions == result.predictions
    path.with_name("guess-0.predictions.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="changed since"):
        bench.load_result(path)
    data = json.loads(path.read_text())
    del data["predictions"]  # as of a scored file
    path.write_text(json.dumps(data))
    assert bench.load_result(path).predictions == []


def test_a_table_needs_pandas(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BenchError, match="needs pandas: pip install pandas"):
        result.to_frame()
    given: list[Any] = []
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=given.extend))
    result.to_frame()
    one = result.document.metrics["R@1"]
    assert len(given) == len(result.metrics)
    assert given[0] == {
        "model": "guess-0", "protocol": "msrvtt/toy", "metric": "R@1", "value": one.value,
        "low": one.low, "high": one.high, "unit": "%", "higher_is_better": True,
    }  # fmt: skip


def test_pandas_own_table(result: Result) -> None:
    pandas = pytest.importorskip("pandas")
    bare = {**result.document.metrics,
            "MdR": replace(result.document.metrics["MdR"], low=None, high=None)}  # fmt: skip
    found = Result(replace(result.document, metrics=bare), []).to_frame().set_index("metric")
    assert (
        isinstance(found, pandas.DataFrame) and found.loc["R@1", "value"] == result.metrics["R@1"]
    )
    assert pandas.isna(found.loc["MdR", "low"]) and found["low"].dtype == float


def test_the_notebook_runs(toy: Path, own_cache: Path, tmp_path: Path) -> None:
    """Its cells in order, in a process of its own; on a small toy world, which is drawn already."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    assert not re.search(r"/(home|root|tmp|Users|work)/", text)
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    shutil.copytree(toy, own_cache / "srl-bench" / "toy")
    done = subprocess.run([sys.executable, "-c", CELLS, str(NOTEBOOK)], capture_output=True,
                          text=True, cwd=tmp_path, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[0] == "<MSRVTT msrvtt/toy: 24 videos>" and "24/24" in shown[1]
    assert shown[1].startswith("<table>")
    assert shown[-1] == "True"
    assert (tmp_path / "results" / "msrvtt" / "toy" / "clip-tiny.limit96.json").is_file()
