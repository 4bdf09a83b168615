"""A result tells what was read, cut and left out; a document that cannot be true is refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
import leaderboards
from bench.config import RunConfig
from bench.contracts import Scores, Task
from bench.engine import evaluate
from bench.errors import BenchError, DataError
from bench.features import extraction
from bench.features.extraction import decoding_workers
from bench.features.validation import collapsed, is_valid
from bench.features.work import Silent, Work
from bench.files.tensor_store import TensorStore
from bench.results.document import Document, of_json
from bench.results.files import Result, environment, find_all, load, load_predictions, save
from bench.results.schema import PAGE, with_schema
from tests.guess import Guess


class Watched(Guess):
    """Counts its loads; texts of more than six words are cut."""

    def __init__(self) -> None:
        super().__init__("watched", 0)
        self.loads = 0

    def prepare(self) -> None:
        self.loads += 1

    def count_truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text.split()) > 6 for text in texts)


@pytest.fixture
def task(toy: Path) -> Task:
    return bench.load_task("msrvtt", str(toy))


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=tmp_path / "own", resamples=20, workers=2, decoder="auto")


def test_a_result_tells_what_was_read_and_cut(task: Task, run: RunConfig) -> None:
    model = Watched()
    task.texts.append("a second caption")  # of the first video
    task.owners.append(task.owners[0])  # type: ignore[attr-defined]
    task.expected += 1
    data = evaluate(model, task, replace(run, seed=3, batch_frames=24)).data
    cut = sum(len(text.split()) > 6 for text in task.texts)
    assert 0 < cut < len(task.texts) != len(task.clips)
    assert data["texts"] == {"count": len(task.texts), "truncated": cut}
    assert data["settings"]["decoder"] == "auto"
    # Which decoder "auto" took, not that it was left to choose.
    assert [name.split()[0] for name in data["settings"]["decoders"]] in (["PyAV"], ["decord"])
    assert data["settings"]["seed"] == 3 and data["coverage"]["limit"] is None
    assert model.loads == 1
    evaluate(model, task, run)
    assert model.loads == 1  # all is kept: a warm run needs no model


def test_other_moments_of_the_frames_leave_a_trace(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(Guess("guess", 0), task, run).data
    real = extraction._take

    def later(decoded: Any, count: int) -> Any:
        return [(clip, replace(found, times=found.times + 0.1)) for clip, found
                in real(decoded, count)]  # fmt: skip

    monkeypatch.setattr(extraction, "_take", later)
    second = evaluate(Guess("guess", 0), task, replace(run, cache=run.cache_folder / "b")).data
    assert first["metrics"] == second["metrics"]
    assert first["settings"]["timestamps"] != second["settings"]["timestamps"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_task_whose_metric_is_no_number_ends_the_run(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    real = task.score
    for spoil in (
        lambda scores: replace(scores, metrics={**scores.metrics, "R@1": bad}),
        lambda scores: replace(scores, intervals={**scores.intervals, "R@1": (0.0, bad)}),
    ):

        def score(*args: Any, spoil: Callable[[Scores], Scores] = spoil, **others: Any) -> Scores:
            return spoil(real(*args, **others))

        monkeypatch.setattr(task, "score", score)
        with pytest.raises(BenchError, match="NaN or infinite; fix the task"):
            evaluate(Guess("guess", 0), task, run)


def test_texts_keep_their_order_over_chunks(
    task: Task, run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lengths(Guess):
        def encode_texts(self, texts: Any) -> np.ndarray:
            return np.array([[len(text)] * 8 for text in texts], np.float32)

    monkeypatch.setattr(extraction, "TEXTS_AT_ONCE", 5)
    work = Work(Lengths("lengths", 0), task, run, Silent())
    found = extraction.text_features(work)
    assert found[:, 0].tolist() == [len(text) for text in task.texts]


def test_decoding_takes_the_workers_asked_for_and_shares_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert decoding_workers(RunConfig()) == 8 and decoding_workers(RunConfig(workers=3)) == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert decoding_workers(RunConfig()) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert decoding_workers(RunConfig()) == 1


def test_kept_features_are_taken_only_as_promised() -> None:
    good = np.ones((4, 8), np.float32)
    assert is_valid({"features": good}, 4, 8)
    assert not is_valid({"features": good}, 5, 8)
    assert not is_valid({"features": good[:, :7]}, 4, 8)
    assert not is_valid({"features": good.astype(np.float64)}, 4, 8)
    assert not is_valid({}, 4, 8)
    bad = good.copy()
    bad[2, 3] = np.nan
    assert not is_valid({"features": bad}, 4, 8)


def test_a_collapse_is_of_directions() -> None:
    """A large common part, or one long vector, is none; zeros and equal directions are."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(20, 8)).astype(np.float32)
    assert collapsed(vectors) == "" and collapsed(vectors + 3) == ""
    long = vectors.copy()
    long[0] *= 1e6
    assert collapsed(long) == ""
    vectors[3] = 0
    assert collapsed(vectors) == "1 of 20 features are zero"
    same = np.ones((20, 8), np.float32) * np.arange(1, 21, dtype=np.float32)[:, None]
    assert "nearly the same" in collapsed(same)


@pytest.fixture
def document(kept: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(find_all(kept / "results")[0].read_text())
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(schema=99), "schema 99, this version reads 1"),
        (lambda d: d["coverage"].update(answered=10**6), "more answered than expected"),
        (lambda d: d["metrics"]["R@1"].update(value=10**400), "Number out of range"),
        (lambda d: d["metrics"]["R@1"].update(value=True), "Expected `float`, got `bool`"),
        (lambda d: d["metrics"]["R@1"].update(low=None), "an interval of one bound"),
        (lambda d: d["metrics"]["R@1"].pop("high"), "missing required field `high`"),
        (lambda d: d["metrics"].pop(d["primary"]), "primary metric has no value"),
        (lambda d: d["chance"].update({"no such": 1.0}), "chance of no known metric"),
        (lambda d: d["chance"].update({"R@1": 10**4000}), "Number out of range"),
        (lambda d: d["coverage"].update(support="x"), "Expected `int`, got `str`"),
        (lambda d: d["source"].update(fingerprint={}), "Expected `str \\| null`, got `object`"),
        (lambda d: d.update(seconds={"total": "x"}), "Expected `float`, got `str`"),
        (lambda d: d["settings"].update(resamples=10**12), "Expected `int` <= 1000000 - at"),
        (lambda d: d["predictions"].update(file=""), "file has no name"),
        (lambda d: d["predictions"].update(file="/"), "file has no name"),
        (lambda d: d["predictions"].update(file=".."), "file has no name"),
        (lambda d: d["predictions"].update(file="a\0b"), "file has no name"),
        (lambda d: d.update(warnings=[3]), "got `int` - at `.\\.warnings"),
    ],
)
def test_what_cannot_be_true_is_refused(
    document: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    change(document)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=says):
        load(path)


def test_a_whole_run_is_of_the_full_set(document: dict[str, Any]) -> None:
    """Not of the videos that a limit left."""
    whole = of_json(document)
    assert not whole.partial and whole.complete
    coverage = {**document["coverage"], "clips": 5, "answered": 5}
    limited = of_json({**document, "coverage": coverage})
    assert limited.partial and limited.complete
    lost = of_json({**document, "coverage": {**coverage, "broken": 1}})
    assert lost.partial and not lost.complete


def test_other_things_below_a_results_folder_are_no_results(tmp_path: Path) -> None:
    for name in ("msrvtt/toy/a.json", "train/m/model/card.json", "sweep/m/toy/losses.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find_all(tmp_path) == [tmp_path / "msrvtt" / "toy" / "a.json"]


def test_lines_lie_beside_their_document_and_each_names_its_item(
    document: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "here" / "result.json"
    path.parent.mkdir()

    def keep(where: Path, text: str) -> Document:
        where.write_text(text)
        told = {"file": "../lines.jsonl", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return of_json({**document, "predictions": told})

    outside = keep(tmp_path / "lines.jsonl", '{"item": "a"}\n')
    with pytest.raises(DataError, match="no such file"):
        load_predictions(path, outside)
    beside = keep(path.parent / "lines.jsonl", '{"item": "a"}\n')
    assert load_predictions(path, beside) == [{"item": "a"}]
    with pytest.raises(DataError, match="lines of another version"):
        load_predictions(path, keep(path.parent / "lines.jsonl", '{"rank": 1}\n'))


def test_a_store_makes_again_what_is_not_sound(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    store.put("key", {"features": np.zeros(3, np.float32)}, {})
    made = {"features": np.ones(3, np.float32)}
    found = store.kept("key", lambda: made, lambda arrays: bool(arrays["features"].any()))
    assert found["features"].all()
    again = store.get("key")
    assert again is not None and again[0]["features"].all()


def test_the_documented_schema_is_the_codes(kept: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_schema(page) == page, "run `make schema`"
    schema = json.loads(page.split("<!-- schema -->\n```json\n")[1].split("\n```")[0])
    named = schema["$defs"]["Document"]["properties"].keys()
    for path in find_all(kept / "results"):  # a field that a run writes is documented
        assert json.loads(path.read_text()).keys() <= named


def test_results_of_every_kept_version_open() -> None:
    """Those in the repository were written by older code."""
    kept = find_all(Path(leaderboards.__file__).parent / "results")
    assert len(kept) == 15
    for path in kept:
        assert load(path).schema == 1


def test_other_data_of_one_name_goes_beside(document: dict[str, Any], tmp_path: Path) -> None:
    """Again and again to the same file, also when the first one is gone."""

    def keep(data: str | None, **limit: int) -> str:
        coverage = {**document["coverage"], **limit}
        source = {"name": "lab", "fingerprint": data}
        one = of_json({**document, "source": source, "coverage": coverage})
        return save(Result(one, [{"item": data}]), tmp_path).name

    name = document["model"]["name"]
    assert keep("a") == keep("a") == f"{name}.json"
    beside = keep("b")
    assert re.fullmatch(rf"{name}\.data-[0-9a-f]{{8}}\.json", beside) and keep("b") == beside
    assert keep("c") not in (beside, f"{name}.json") and keep(None).startswith(f"{name}.data-")
    assert keep("a", limit=3) == f"{name}.limit3.json" != keep("b", limit=3)
    folder = tmp_path / document["task"] / "lab"
    for file, data in ((f"{name}.json", "a"), (beside, "b")):
        one = load(folder / file)
        assert one.source.fingerprint == data
        assert load_predictions(folder / file, one) == [{"item": data}]
    (folder / f"{name}.json").unlink()
    assert keep("b") == beside and keep("d") == f"{name}.json"
    (folder / f"{name}.json").write_text("{}")  # no result: nothing to keep
    assert keep("e") == f"{name}.json"


def test_chance_is_among_the_videos_that_could_be_read(toy: Path, run: RunConfig) -> None:
    task = bench.load_task("msrvtt", str(toy), 6)
    task.clips[0] = replace(task.clips[0], path=None)
    chance = evaluate(Guess("guess", 0), task, run).document.chance
    assert task.chance["R@1"] == pytest.approx(100 / 6)
    assert chance["R@1"] == pytest.approx(100 / 5) and chance["MdR"] == 3


def test_a_result_names_the_commit_of_the_harness() -> None:
    """In a checkout, whatever folder one stands in."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    found = environment()["git_commit"]
    assert found and re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)
