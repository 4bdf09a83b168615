"""The README's examples run as written, and the pages name files that exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

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


def test_the_video_adapter(toy: Path) -> None:
    adapter = example("video adapter example")["MotionWords"]()
    clips = np.zeros((2, 4, 32, 32, 3), np.uint8)
    for moment in range(4):
        clips[0, moment, 9, 4 + 2 * moment] = clips[1, moment, 20 - moment, 5] = 255
    right, up = adapter.encode_clips(clips)
    names = ["left", "right", "up", "down"]
    assert (names[right.argmax()], names[up.argmax()]) == ("right", "up")
    task = bench.load_task("msrvtt", str(toy))
    plain, published = (bench.evaluate(adapter, task, protocol=p) for p in ("task", "published"))
    assert plain.document.encoded == {"frames": 12 * len(task.clips), "texts": len(task.texts)}
    assert published.document.encoded == {"frames": 8 * len(task.clips), "texts": len(task.texts)}
    assert published.document.protocol == "msrvtt/toy, published" and published.complete


ROOT = Path(__file__).parents[1]


def test_the_models_example(tmp_path: Path) -> None:
    """docs/models.md: a file with settings of its own, here of the small architecture."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.+?)```", page, re.DOTALL)
    assert block
    shutil.copy(ROOT / "adapters" / "tiny" / "clip-tiny.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "bench.yaml").write_text(block[1].replace("ViT-B-16", "clip-tiny"))
    found = bench.load_adapter("mine", tmp_path / "bench.yaml").describe()["preprocessing"]
    assert (
        found
        == "squashed to 64 x 64 bicubic antialiased, mean 0.5/0.5/0.5, std 0.5/0.5/0.5 (settings)"
    )


def test_every_file_that_contributing_names_is_there() -> None:
    """The answers to "where is what" move with the code."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:bench|tasks|adapters|leaderboards|tests)/[\w./]*)`", text))
    assert len(named) > 20 and not [path for path in named if not (ROOT / path).exists()]


def test_the_tree_in_the_readme_has_every_room() -> None:
    tree = README.split("## Where is what")[1].split("## Limits")[0]
    shown = set(re.findall(r"^ {0,2}(\w+)/ ", tree, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "bench").iterdir() if (path / "__init__.py").is_file()}
    assert rooms | {"bench", "adapters", "tasks", "leaderboards", "tests"} == shown


def test_there_is_no_corridor() -> None:
    """Few modules stand in bench itself, none is long, and none names a dataset."""
    modules = list((ROOT / "bench").glob("*.py"))
    assert len(modules) <= 14
    code = [path for room in ("bench", "adapters", "tasks") for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in code if len(path.read_text().splitlines()) > 400]
    names = re.compile(r"""["'](?:vidsitu|msrvtt|lsmdc)\b""")
    # The package's docstring has an example of use.
    found = [path for path in (ROOT / "bench").rglob("*.py") if names.search(path.read_text())]
    assert found == [ROOT / "bench" / "__init__.py"]
    assert not [path for path in (ROOT / "leaderboards").rglob("*.py") if path.read_text().strip()]
    for path in (ROOT / "bench" / "results").glob("*.py"):
        assert "bench.report" not in path.read_text()


def test_every_file_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
