"""The README's examples run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bench
from bench.contracts import Source
from bench.errors import DataError

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def example(mark: str) -> dict[str, Any]:
    """The names that the Python block after `<!-- mark -->` defines."""
    block = re.search(rf"<!-- {mark} -->\n```python\n(.+?)```", README, re.DOTALL)
    assert block, mark
    names: dict[str, Any] = {}
    exec(compile(block[1], f"README.md ({mark})", "exec"), names)
    return names


def test_the_adapter_and_the_task(toy: Path, tmp_path: Path) -> None:
    task_class = example("task example")["Captions"]
    videos = sorted((toy / "msrvtt" / "videos").iterdir())
    colours = ["red", "blue", "green"]
    lines = [f"{path.stem}\ta {colours[i % 3]} thing {i}" for i, path in enumerate(videos)]
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    source = Source("mine", tmp_path, videos=videos[0].parent)
    task = task_class.load(source)
    result = bench.evaluate(example("adapter example")["ColourWords"](), task)
    assert result.data["protocol"] == f"captions/{len(videos)} items"
    assert result.data["coverage"]["answered"] == len(videos)
    (tmp_path / "captions.tsv").write_text("video1 no tab")
    try:
        task_class.load(source)
    except DataError as error:
        assert "captions.tsv:1: no tab" in str(error)


def test_every_file_the_readme_links_to_is_there() -> None:
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", README):
        assert (root / target).exists(), target
