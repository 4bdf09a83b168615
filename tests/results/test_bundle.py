"""A result handed in as one file: made whole, checked as far as it can be, foreign ones refused."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

import bench
from bench.cli.main import cli
from bench.config import RunConfig
from bench.engine import evaluate
from bench.errors import BenchError, DataError
from bench.results import bundle
from bench.results.files import Result, load, load_predictions, save
from tests.guess import Guess

Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def result(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    run = RunConfig(cache=folder / "cache", resamples=50)
    made = evaluate(Guess("guess", 0), bench.load_task("msrvtt", str(toy)), run)
    command = ["bench", "run", "--task", "msrvtt", "--model", "guess", "--source", "a b"]
    document = replace(made.document, command=command)
    return save(Result(document, made.predictions), folder / "results")


def parts_of(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, parts: Parts, **how: Any) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def with_lines(parts: Parts, change: Callable[[list[Any]], list[Any]]) -> Parts:
    """The bundle of other lines whose document says that they are its own."""
    lines = change([json.loads(line) for line in parts[bundle.LINES].splitlines()])
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    data = json.loads(parts[bundle.RESULT])
    data["predictions"]["sha256"] = hashlib.sha256(content).hexdigest()
    return {**parts, bundle.LINES: content, bundle.RESULT: json.dumps(data).encode()}


def verify(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(cli, ["verify", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.splitlines()


def state(lines: list[str], what: str) -> str:
    """The state of a check, such as `ok`, and what follows it."""
    (line,) = [line for line in lines if line[15:].split()[:1] == [what] and line[2:3].strip()]
    return line[:15].strip()


def test_a_bundle_has_the_result_its_lines_and_all_that_it_was_made_with(
    result: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(cli, ["bundle", str(result)])
    assert done.exit_code == 0 and "guess.zip" in done.output
    parts = parts_of(tmp_path / "guess.zip")
    assert list(parts) == ["README.md", "result.json", "predictions.jsonl"]
    page = parts["README.md"].decode()
    command = "bench run --task msrvtt --model guess --source 'a b'"
    for said in (command, "bench verify BUNDLE --source DIR", '"resamples": 50', '"torch"', "R@1"):
        assert said in page, said
    document = load(result)
    with bundle.opened(tmp_path / "guess.zip") as path:
        again = load(path)
        assert load_predictions(path, again) == load_predictions(result, document)
    assert replace(again, predictions=document.predictions) == document
    # Unpacked by hand it is a result like any other.
    for name, content in parts.items():
        (tmp_path / name).write_bytes(content)
    assert verify(tmp_path / "result.json")[0] == 0


def test_equal_results_give_equal_bytes(result: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        bundle.write_bundle(result, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    info = zipfile.ZipFile(tmp_path / "a.zip").infolist()[0]
    assert info.date_time[0] == 1980 and info.create_system == 3


def test_what_is_no_longer_whole_is_not_bundled(result: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / result.name
    copy.parent.mkdir()
    copy.write_bytes(result.read_bytes())
    with pytest.raises(DataError, match="no such file"):
        bundle.write_bundle(copy, tmp_path / "x.zip")
    lines = result.with_name("guess.predictions.jsonl").read_bytes()
    copy.with_name("guess.predictions.jsonl").write_bytes(lines + b"\n")
    with pytest.raises(DataError, match="changed since"):
        bundle.write_bundle(copy, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
    done = CliRunner().invoke(cli, ["bundle", str(result), "--output", "x.tar"])
    assert done.exit_code == 2 and "a bundle is a .zip file" in done.output


def test_a_reviewer_is_told_what_was_checked_and_what_not(
    result: Path, toy: Path, tmp_path: Path
) -> None:
    bundle.write_bundle(result, tmp_path / "x.zip")
    code, lines = verify(tmp_path / "x.zip", "--source", toy)
    assert code == 0 and max(map(len, lines[1:-1])) <= 80
    states = {what: state(lines, what) for what in ("numbers", "data", "questions", "model")}
    assert states == {"numbers": "ok", "data": "ok", "questions": "ok", "model": "not checked"}
    assert state(lines, "origin") == "not checked"
    assert lines[-1] == "to repeat it: bench run --task msrvtt --model guess --source 'a b'"
    code, lines = verify(tmp_path / "x.zip")  # without the data
    assert code == 0 and state(lines, "numbers") == "ok"
    assert state(lines, "data") == state(lines, "questions") == "not checked"
    (tmp_path / "without").mkdir()
    for wrong in ("nowhere", "without"):
        code, lines = verify(tmp_path / "x.zip", "--source", wrong)
        assert code == 1 and len(lines) == 1 and lines[0].startswith("error: "), lines
    # A plain result is compared with the source as well.
    code, lines = verify(result, "--source", toy)
    assert code == 0 and lines[0].endswith("metrics equal")


def test_other_data_are_seen(result: Path, toy: Path, tmp_path: Path) -> None:
    import shutil

    bundle.write_bundle(result, tmp_path / "x.zip")
    other = Path(shutil.copytree(toy, tmp_path / "other"))
    video = next((other / "msrvtt" / "videos").iterdir())
    video.write_bytes(video.read_bytes() + b"\0")
    code, lines = verify(tmp_path / "x.zip", "--source", other)
    assert code == 3 and state(lines, "data") == "differs" and "changed" in "\n".join(lines)
    assert state(lines, "questions") == "ok"  # the file is another, the questions are the same
    code, lines = verify(result, "--source", other)
    assert code == 3 and "stale: the data changed" in lines[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # Another ground truth for each, the rank kept: the numbers follow from these lines.
        (lambda lines: [{**line, "text": "a dog"} for line in lines], "the first 't2v 0'"),
        (lambda lines: [{**line, "item": f"{line['item']}x"} for line in lines], "'t2v 0x'"),
        (lambda lines: [*lines[:-1], lines[-2]], "1 of"),
    ],
)
def test_forged_questions_are_seen(
    result: Path, toy: Path, tmp_path: Path, change: Callable[[list[Any]], list[Any]], says: str
) -> None:
    bundle.write_bundle(result, tmp_path / "x.zip")
    zipped(tmp_path / "y.zip", with_lines(parts_of(tmp_path / "x.zip"), change))
    code, lines = verify(tmp_path / "y.zip", "--source", toy)
    assert state(lines, "questions") == "differs" and says in "\n".join(lines)
    assert code in (1, 3)


def test_forged_numbers_are_seen(result: Path, tmp_path: Path) -> None:
    bundle.write_bundle(result, tmp_path / "x.zip")
    parts = parts_of(tmp_path / "x.zip")
    data = json.loads(parts[bundle.RESULT])
    data["metrics"]["R@1"].update(value=99.0, high=99.5)
    forged = zipped(tmp_path / "y.zip", {**parts, bundle.RESULT: json.dumps(data).encode()})
    code, lines = verify(forged, tmp_path / "x.zip")
    assert code == 1 and [line.split()[:2] for line in lines if "numbers" in line[:26]] == [
        ["differs", "numbers"], ["ok", "numbers"]
    ]  # fmt: skip
    data["task_version"] = 99
    older = zipped(tmp_path / "z.zip", {**parts, bundle.RESULT: json.dumps(data).encode()})
    code, lines = verify(older)
    assert code == 3 and state(lines, "numbers") == "not checked" and "now 1" in "\n".join(lines)


def test_models_of_known_names_alone_are_compared(result: Path, tmp_path: Path) -> None:
    """By fingerprint; a name that is a path is never opened."""
    own = bench.load_adapter("clip-tiny")
    one = load(result)
    lines = load_predictions(result, one)

    def told(**model: Any) -> tuple[int, str, str]:
        known = {"precision": own.describe()["precision"], **model}
        path = save(Result(replace(one, model=known), lines), tmp_path / "out")
        bundle.write_bundle(path, tmp_path / "x.zip")
        code, found = verify(tmp_path / "x.zip")
        return code, state(found, "model"), "\n".join(found)

    assert told(name="clip-tiny", fingerprint=own.fingerprint)[:2] == (0, "ok")
    assert told(name="clip-tiny", fingerprint="0" * 32)[:2] == (3, "differs")
    # Of another precision it is another one, here as there.
    assert told(name="clip-tiny", fingerprint=own.fingerprint, precision="bfloat16")[0] == 3
    (tmp_path / "evil.safetensors").write_text("")
    for name in ("open_clip:clip-tiny/./evil.safetensors", "srlclip-tiny@.", "nobody"):
        assert told(name=name, fingerprint="x")[1] == "not checked"
    code, kind, said = told(name="clip-b32", fingerprint="x")  # its weights are not here
    assert (code, kind) == (0, "not checked") and "openai" in said


def _crafted(tmp_path: Path, good: Parts) -> dict[str, tuple[bytes, str]]:
    """Foreign files by what is wrong with them, and what is said."""

    def made(parts: Parts, **how: Any) -> bytes:
        return zipped(tmp_path / "made.zip", parts, **how).read_bytes()

    fine = made(good)
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in (*good, bundle.RESULT):
            archive.writestr(name, good[name])
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(200):
            archive.writestr(f"{number}.txt", "")
    lying = fine.replace(  # the list of files says that the lines are short
        len(good[bundle.LINES]).to_bytes(4, "little"), (100).to_bytes(4, "little")
    )
    data = json.loads(good[bundle.RESULT])
    elsewhere = {**data, "predictions": {**data["predictions"], "file": "/etc/passwd"}}
    shell = {**data, "command": ["rm", "-r", "x"]}
    return {
        "empty": (b"", "not a zip"),
        "no zip": (b"x" * 1000, "not a zip"),
        "cut": (fine[:-400], "not a zip"),
        "spoiled": (fine.replace(good[bundle.LINES][:40], b"x" * 40), "CRC"),
        "a path": (made({**good, "../../x": b""}), "other files"),
        "a name twice": (twice.getvalue(), "other files"),
        "lines absent": (made({k: v for k, v in good.items() if k != bundle.LINES}), "other files"),
        "many files": (many.getvalue(), "too many files"),
        "another packing": (made(good, compression=zipfile.ZIP_LZMA), "another way"),
        "a comment": (fine[:-2] + b"\1\0x", "not a zip"),
        "a lying size": (lying, "no bundle of a result"),
        "no result": (made({**good, bundle.RESULT: b"[]"}), "result.json: not a result"),
        "no JSON": (made({**good, bundle.RESULT: b"{"}), "result.json: not readable as JSON"),
        "other lines": (made({**good, bundle.LINES: b'{"item": "a"}\n'}), "changed since"),
        "a foreign file": (made({**good, bundle.RESULT: json.dumps(elsewhere).encode()}),
                           "names other predictions"),
        "a foreign command": (made({**good, bundle.RESULT: json.dumps(shell).encode()}),
                              "the command is none of bench"),
    }  # fmt: skip


def test_damaged_and_hostile_bundles_get_one_line(result: Path, tmp_path: Path) -> None:
    bundle.write_bundle(result, tmp_path / "good.zip")
    for what, (content, says) in _crafted(tmp_path, parts_of(tmp_path / "good.zip")).items():
        path = tmp_path / "bad.zip"
        path.write_bytes(content)
        code, lines = verify(path)
        assert code == 1 and len(lines) == 1, (what, lines)
        assert says in lines[0] and lines[0].startswith(f"error: {path}"), (what, lines)
        assert "/srl-bench-" not in lines[0], what  # no temporary folder is named


def test_no_more_is_unpacked_than_a_bundle_may_hold(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.write_bundle(result, tmp_path / "x.zip")
    parts = {**parts_of(tmp_path / "x.zip"), bundle.LINES: b" " * 2_000_000}
    packed = zipped(tmp_path / "y.zip", parts, compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(bundle, "LARGEST", 1_000_000)
    assert packed.stat().st_size < 100_000
    with pytest.raises(DataError, match="more than 1000000 bytes"), bundle.opened(packed):
        raise AssertionError
    monkeypatch.setattr(bundle, "LARGEST", 1000)
    with pytest.raises(BenchError, match="at most 1000 are read"), bundle.opened(packed):
        raise AssertionError
    with pytest.raises(DataError, match="a bundle has at most 1000"):
        bundle.write_bundle(result, tmp_path / "z.zip")
