"""`bench data guide`: every set has one, the loaders agree, and the page is made from it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bench import registry
from bench.cli.guide import GENERAL, as_text, guide_of
from bench.cli.main import cli
from tasks.sources import GUIDES
from tests.guides import PAGE, page

OURS = sorted(yaml.safe_load(GUIDES.read_text(encoding="utf-8")))


def printed(*arguments: str, columns: int = 80) -> str:
    done = CliRunner().invoke(cli, ["data", "guide", *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_task_of_ours_has_one() -> None:
    ours = {
        name for name in registry.task_names()
        if registry.task_class(name).__module__.startswith("tasks.")
    }  # fmt: skip
    assert set(OURS) == ours


@pytest.mark.parametrize("task", OURS)
def test_it_fits_the_terminal_and_says_all(task: str) -> None:
    shown = printed(task)
    assert max(map(len, shown.splitlines())) <= 80
    assert max(map(len, printed(task, columns=200).splitlines())) <= 80
    kind = registry.task_class(task)
    flat = " ".join(shown.split())
    for said in (kind.citation, kind.licence, f"bench data check {task} ", "frames_fps", GENERAL):
        assert " ".join(said.split()) in flat
    for heading in ("From", "Size", "Files", "Videos"):
        assert re.search(rf"^{heading} ", shown, re.MULTILINE), heading
    narrow = [len(line) for line in printed(task, columns=60).splitlines() if "/" not in line]
    assert max(narrow) <= 60  # but for an address, which is kept whole


@pytest.mark.parametrize("task", OURS)
def test_it_names_every_file_that_the_loader_looks_for(task: str) -> None:
    kind: Any = registry.task_class(task)
    text = " ".join(guide_of(task, kind)["files"])
    names = [*getattr(kind, "files", ()), *getattr(kind, "class_files", ())]
    for name in names:
        assert f"`{name.format(split=1)}`" in text


def test_the_page_is_made_from_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make guides`"


def test_an_address_too_long_for_a_line_loses_its_https_alone() -> None:
    address = "https://example.org/" + "a" * 40
    shown = as_text("one", {"from": [f"at {address}."]}, 60)
    assert "         example.org/" + "a" * 40 + "." in shown.splitlines()
    assert address in as_text("one", {"from": [f"at {address}."]}, 80)


PACKAGE = """
from pathlib import Path
from tasks.retrieval import RetrievalTask

class Captions(RetrievalTask):
    name = "captions"
    files = ("captions.tsv",)
    published = "mine"

class Guided(Captions):
    name = "guided"
    citation = "Somebody, 2026"
    guides = Path(__file__).with_name("guided.yaml")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's package with two tasks; the file of the second one's guide."""
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    points = "captions = its_tasks:Captions\nguided = its_tasks:Guided\n"
    (info / "entry_points.txt").write_text(f"[bench.tasks]\n{points}")
    (tmp_path / "its_tasks.py").write_text(PACKAGE)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "its_tasks", raising=False)
    return tmp_path / "guided.yaml"


@pytest.mark.usefixtures("package")
def test_a_task_without_a_guide_says_so() -> None:
    done = CliRunner().invoke(cli, ["data", "guide", "captions"])
    assert done.exit_code == 0 and "bench data check captions" in done.stdout
    assert "task 'captions' comes without a guide to its data" in done.stderr
    assert "comes without" not in CliRunner().invoke(cli, ["data", "guide", "msvd"]).stderr


def test_a_package_brings_its_own(package: Path) -> None:
    package.write_text("guided:\n  title: Mine\n  from: My cupboard\n  files: [a, b]\n")
    shown = printed("guided")
    assert shown.startswith("Mine (guided)\n\nFrom     My cupboard\nPaper    Somebody, 2026\n")
    assert "Files    a\n         b\n" in shown
    for text, why in (
        ("guided: {form: x}", ":1: unknown heading 'form' (did you mean 'from'?)"),
        ("guided:\n  from: 3", ":2: 'from' must be a text or a list of texts"),
        ("guided: [x]", ":1: the guide to 'guided' must be a mapping"),
        ("guided: {files: [}", "correct the YAML"),
    ):
        package.write_text(text)
        done = CliRunner().invoke(cli, ["data", "guide", "guided"])
        assert done.exit_code == 2 and f"error: {package}" in done.stderr, done.output
        assert why in done.stderr, done.stderr


def test_missing_files_point_to_it(tmp_path: Path) -> None:
    for task in ("msvd", "vidsitu", "velociti"):
        done = CliRunner().invoke(cli, ["data", "check", task, "--source", str(tmp_path)])
        assert f"`bench data guide {task}` says where to get it" in done.stderr
