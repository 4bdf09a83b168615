"""`bench show`: the results, items and frames asked for, and what qualifies them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli.main import cli
from bench.cli.show import _file_name


@pytest.fixture
def files(kept: Path, toy: Path, tmp_path: Path) -> list[str]:
    """A copy of the kept results, with their source in bench.yaml."""
    shutil.copytree(kept / "results", tmp_path / "results")
    found = sorted((tmp_path / "results").rglob("*.json"))
    name = json.loads(found[0].read_text())["source"]["name"]
    (tmp_path / "bench.yaml").write_text(f"sources: {{{name}: {{msrvtt: {{root: {toy}}}}}}}\n")
    return [str(path) for path in found]


def edit(file: str, **changes: dict[str, object]) -> None:
    document = json.loads(Path(file).read_text())
    for key, value in changes.items():
        document[key].update(value)
    Path(file).write_text(json.dumps(document))


def show(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, ["show", *arguments])
    assert done.exit_code == code, done.output
    return done


def test_the_items_asked_for_with_their_frames(files: list[str]) -> None:
    lines = Path(files[0]).with_suffix(".predictions.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines if '"t2v"' in line][3]
    show(*files[:2], "--item", asked["item"], "--output", "page.md")
    page = Path("page.md").read_text()
    assert page.count("\n## ") == 1 and asked["text"] in page
    assert "toy world: drawn videos" in page
    pictures = list(Path("page").glob("*.webp"))
    assert pictures and all(f"page/{path.name}" in page for path in pictures)
    show(*files[:2], "--limit", "2", "--output", "page.html")
    assert Path("page.html").read_text().count("<h3>") == 2


def test_a_partial_result_is_called_one(files: list[str]) -> None:
    document = json.loads(Path(files[1]).read_text())
    whole = document["coverage"]["expected"]
    edit(files[1], coverage={"answered": whole - 1})
    show(*files[:2], "--limit", "1", "--output", "page.md")
    text = Path("page.md").read_text()
    assert text.count("partial") == 1 and f"guess-1 ({whole - 1}/{whole} partial)" in text


def test_other_data_are_refused(files: list[str], tmp_path: Path) -> None:
    edit(files[1], source={"fingerprint": "other"})
    said = show(*files[:2], "--output", "page.md", code=1).output
    assert "of another task or other data" in said and not Path("page.md").exists()
    # Both alike, and neither of what lies there now.
    said = show(files[1], "--output", "page.md", code=1).output
    assert "not the data of the results" in said and not Path("page.md").exists()


def test_images_of_clips_of_any_name_are_files_of_their_own() -> None:
    names = [f"{clip}.webp" for clip in ("video1", "v_AbC-1", "v_abc-1", "a/b", "c/b", ".", "](x")]
    files = [_file_name(name) for name in names]
    assert files[0] == names[0] and len({file.casefold() for file in files}) == len(names)
    assert all(re.fullmatch(r"[\w+-][\w.+-]*\.webp", file) for file in files)
