"""What `bench list` and `bench data check` say of packages that do not work and of odd files."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import registry
from bench.capabilities import Trains
from bench.cli.main import cli
from bench.config import load_config
from bench.errors import BenchError
from bench.video.heads import not_a_video

POINTS = """[bench.tasks]
raises = faulty_package:Thing
nowhere = bench.errors:Nope
absent = not_installed_at_all:X
no_task = bench.errors:nearest
leaves = faulty_exit:X
msrvtt = bench.errors:nearest
[bench.adapters]
raises = faulty_package:Thing
text = bench.errors:__doc__
careless = faulty_problem:careless
[bench.sources]
faulty = faulty_package:write
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package of somebody's, none of whose entry points works."""
    where = tmp_path / "site" / "bad-1.0.dist-info"
    where.mkdir(parents=True)
    (where / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-package\nVersion: 1.0\n")
    (where / "entry_points.txt").write_text(POINTS)
    for name, code in (
        ("faulty_package", "raise RuntimeError('no\\nluck')"),
        ("faulty_exit", "raise SystemExit(3)"),
        ("faulty_problem", "def careless(): 1 / 0\ncareless.problem = lambda run, name: 1 / 0"),
    ):
        (where.parent / f"{name}.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path, str(where.parent)])


def rows(*arguments: str, code: int = 0) -> list[dict[str, str]]:
    done = CliRunner().invoke(cli, (*arguments, "--json"))
    assert done.exit_code == code, done.output
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("faulty")
def test_a_package_that_does_not_work_is_one_line_by_its_name() -> None:
    tasks = {row["task"]: row["status"] for row in rows("list", "tasks")}
    for name, why in (
        ("raises", "RuntimeError: no luck"),
        ("nowhere", "has no attribute 'Nope'"),
        ("absent", "No module named 'not_installed_at_all'"),
        ("no_task", "is no task"),
        ("leaves", "SystemExit"),
    ):
        assert f"task '{name}' of package bad-package" in tasks[name] and why in tasks[name]
    assert "packages bad-package and srl-bench; uninstall all but one" in tasks["msrvtt"]
    assert tasks["lsmdc"] == tasks["vidsitu"] == "ready"
    models = {row["model"]: row["status"] for row in rows("list", "models")}
    assert "bad-package" in models["raises"] and "bad-package" in models["text"]
    assert "ZeroDivisionError" in models["careless"] and models["clip-tiny"] == "ready"
    sources = rows("list", "sources")
    assert ["bad-package" in row["status"] for row in sources] == [
        row["source"] == "faulty" for row in sources
    ]
    drawn = {row["task"] for row in sources if row["source"] == "toy"}
    assert {"lsmdc", "vidsitu", "probes"} <= drawn and not drawn & {"msrvtt", "vatex"}


@pytest.mark.usefixtures("faulty")
def test_other_commands_do_without_a_package_that_does_not_work() -> None:
    assert registry.task_names(Trains) == ["vidsitu"]
    assert registry.load_adapter("clip-tiny", load_config()).name == "clip-tiny"
    done = CliRunner().invoke(cli, ["report", "--published"])
    assert done.exit_code == 0 and "vidsitu" in done.output
    with pytest.raises(BenchError, match="of package bad-package"):
        registry.task_class("raises")


@pytest.fixture
def source(toy: Path, tmp_path: Path) -> Path:
    """A copy of the small MSRVTT that a test may damage, as source `lab`."""
    shutil.copytree(toy / "msrvtt", tmp_path / "data")
    (tmp_path / "bench.yaml").write_text("sources: {lab: {msrvtt: {root: data}}}\n")
    return tmp_path / "data"


def test_lists_count_the_videos_that_are_missing(source: Path) -> None:
    videos = sorted((source / "videos").iterdir())
    (status,) = [row["status"] for row in rows("list", "sources") if row["source"] == "lab"]
    assert status == "ready"
    videos[0].unlink()
    (status,) = [row["status"] for row in rows("list", "sources") if row["source"] == "lab"]
    assert status.startswith(f"1 of {len(videos)} videos missing; `bench data check msrvtt`")
    shutil.rmtree(source / "videos")
    (status,) = [row["status"] for row in rows("list", "tasks") if row["task"] == "msrvtt"]
    assert status.startswith(f"{len(videos)} of {len(videos)} videos missing")


def test_a_check_names_its_files_finds_wrong_ones_and_shows_samples(source: Path) -> None:
    videos = sorted((source / "videos").iterdir())
    for path, content in zip(videos, (b"", b"\n<!DOCTYPE html><html>"), strict=False):
        path.write_bytes(content)
    found: Any = rows("data", "check", "msrvtt", code=3)
    assert found["annotations"] == str(source / "MSRVTT_JSFUSION_test.csv")
    assert found["video folder"] == str(source / "videos")
    assert [(row["what"], row["count"], row["first"]) for row in found["problems"]] == [
        ("empty file", 1, videos[0].stem), ("web page instead of a video", 1, videos[1].stem),
    ]  # fmt: skip
    lines = Path(found["annotations"]).read_text().splitlines()
    of = {line.split(",")[2]: line.split(",", 3)[3].rpartition(",")[0] for line in lines}
    for sample in found["samples"]:
        assert sample["text"] == of[sample["id"]].strip()
    assert len({sample["text"] for sample in found["samples"]}) == 3
    assert Path(found["samples"][0]["file"]).parent == source / "videos"
    text = CliRunner().invoke(cli, ["data", "check", "msrvtt"]).stdout
    for seen in (found["annotations"], "web page", found["samples"][2]["file"]):
        assert str(seen) in text


def test_a_check_of_situations_shows_their_verbs_and_finds_wrong_files(
    toy_vidsitu: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(toy_vidsitu, tmp_path / "data"))
    first = min(root.rglob("*.mp4"))
    first.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    found: Any = rows("data", "check", "vidsitu", "--source", str(root), code=3)
    assert any("Git LFS" in row["what"] and row["first"] == first.stem for row in found["problems"])
    for sample in found["samples"]:
        assert sample["text"].count(".") == 5 and Path(sample["file"]).stem == sample["id"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf  <HTML><head>", "web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "web page"),
        (b'{"error": "not found"}', "text"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"PK\x03\x04 zip", "archive"),
        (b"\0" * 4096, "zeros"),
        (b"\0\0\0\x20ftypisom", ""),
        (b"\x1aE\xdf\xa3", ""),
        (b"RIFF\x10\0\0\0AVI ", ""),
    ],
)
def test_what_a_file_is_by_its_first_bytes(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    found = not_a_video(tmp_path / "a.mp4")
    assert says in found if says else not found
    assert not not_a_video(tmp_path)  # a folder of frames


def test_models_say_what_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "site" / "video-1.0.dist-info"
    where.mkdir(parents=True)
    (where / "METADATA").write_text("Metadata-Version: 2.1\nName: video\nVersion: 1.0\n")
    points = "[bench.adapters]\nseen = video_models:Seen\nheard = video_models:Heard\n"
    (where / "entry_points.txt").write_text(points)
    (where.parent / "video_models.py").write_text(
        "from bench.contracts import Adapter\n"
        "class Seen(Adapter):\n"
        "    name, embed_dim, image_size, fingerprint = 'seen', 1, 8, 'x'\n"
        "    def encode_clips(self, clips): ...\n"
        "    def encode_texts(self, texts): ...\n"
        "class Heard(Seen):\n"
        "    inputs = frozenset({'frames', 'subtitles', 'audio'})\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(where.parent)])
    reads = {row["model"]: row["reads"] for row in rows("list", "models")}
    assert reads["clip-tiny"] == "frames" and reads["transformers"] == "frames or clips"
    assert reads["seen"] == "clips" and reads["heard"] == "clips, audio, subtitles"
    assert reads["vast"] == "clips" and reads["vast-audio"] == "clips, audio"


def test_what_can_run_stands_first() -> None:
    """A newcomer sees the two models that ship before some thirty whose weights are elsewhere."""
    found: Any = rows("list", "models")
    states = [row["status"] == "ready" for row in found]
    assert states == sorted(states, reverse=True) and 2 <= sum(states) < len(states)


@pytest.mark.parametrize("columns", [60, 80])
def test_models_are_listed_by_family_in_few_columns(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = CliRunner().invoke(cli, ["list", "models"]).output.splitlines()
    assert max(map(len, shown)) <= columns
    places = [shown.index(f"{family}:") for family in ("open_clip", "srl_clip", "vast")]
    assert places == sorted(places)
    cells = {line.split()[0]: line.split()[1:] for line in shown[2:] if line}
    assert cells["clip-tiny"][-2:] == ["frames", "here"] and cells["clip-tiny"][:2] == ["4.2", "M"]
    assert cells["clip-b32"] == ["151", "M", "the", "task's", "frames", "605", "MB"]
    assert cells["tvtsv2-b32"] == ["180", "M", "middles-12", "clips", "unknown"]
    assert cells["srlclip-b32"][-2:] == ["to", "train"] and "vast" in cells
    found: Any = {row["model"]: row for row in rows("list", "models")}
    assert found["vast"]["frames"] == "parts-16, parts-32" and found["vast"]["weights"] == "missing"
    assert found["clip-b32"]["parameters"] == 151277313


@pytest.mark.usefixtures("faulty")
def test_what_is_wrong_but_for_missing_weights_is_said_below_the_table() -> None:
    shown = " ".join(CliRunner().invoke(cli, ["list", "models"]).output.split())
    for says in ("raises: adapter family 'raises' of package bad-package", "ZeroDivisionError",
                 "transformers: transformers needs a folder"):  # fmt: skip
        assert says in shown
    assert "no weights 'openai'" not in shown


def test_a_model_is_shown_with_all_that_is_known_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    done = CliRunner().invoke(cli, ["show-model", "vast-audio"])
    words = " ".join(done.output.split())
    for says in ("adapter vast", "variant: tva", "1,396,600,000", "512 dimensions",
                 "reads clips, audio", "msrvtt: parts-16", "lsmdc: parts-32", "texts of 40 tokens",
                 "at most 40 tokens", "weights not here", "download unknown", "licence unknown",
                 "MIT", "arXiv 2305.18500", "linked in the README"):  # fmt: skip
        assert says in words, says
    known: Any = json.loads(CliRunner().invoke(cli, ["show-model", "clip-tiny", "--json"]).stdout)
    assert known["status"] == "ready" and known["download"] == "none is needed"
    assert "MB)" in known["weights"] and known["published"][0].startswith("nothing")
    assert "shortest side 64 bicubic" in known["pixels"]
    wrong = CliRunner().invoke(cli, ["show-model", "clip-b23"])
    assert wrong.exit_code == 2 and "did you mean 'clip-b32'" in wrong.output
    family = CliRunner().invoke(cli, ["show-model", "transformers:nowhere"])
    assert family.exit_code == 1 and "nowhere: no such folder" in family.output


def test_lists_are_readable_on_narrow_terminals(tmp_path: Path) -> None:
    """No line is too long, what is ready stands first, and what is wrong of many is said once."""
    (tmp_path / "bench.yaml").write_text(
        "sources: {lab: {msrvtt: {root: /gone}, lsmdc: {root: /gone}, nonsense: {root: /}}}\n"
    )
    for columns in (60, 80, 200):
        for what in ("tasks", "sources", "models"):
            done = CliRunner().invoke(cli, ["list", what], env={"COLUMNS": str(columns)})
            assert done.exit_code == 0
            assert max(map(len, done.output.splitlines())) <= min(columns, 100), what
    shown = CliRunner().invoke(cli, ["list", "tasks"], env={"COLUMNS": "60"}).output
    words, lines = " ".join(shown.split()), shown.splitlines()
    assert words.count("no source is configured for it") == 1
    assert "ssv2, vatex, youcook2: no source" in words
    assert words.count("/gone: no such folder") == 1 and "lsmdc, msrvtt: /gone" in words
    assert "bench data guide TASK" in words
    states = [line.split()[2] for line in lines[2 : lines.index("")]]
    assert states == sorted(states) and set(states) == {"ready", "see"}  # below
    sources = " ".join(CliRunner().invoke(cli, ["list", "sources"]).output.split())
    assert "lab msrvtt, lab lsmdc: /gone" in sources and "lab nonsense: unknown task" in sources
