"""Our adapters inside MTEB, with the mteb package itself: the same moments give the same ranks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Task
from bench.engine import evaluate
from bench.errors import BenchError, DataError, UsageError
from bench.features.mteb import Encoder, encoder
from bench.features.turning import Turned
from bench.results.mteb import retrieval_scores
from tasks.toyworld import write
from tests.guess import Guess

mteb = pytest.importorskip("mteb", reason="needs the extra mteb: not with the oldest scipy")


def retrieval_task(task: Task) -> Any:
    """The videos and captions of our task as a task of MTEB, by its own classes."""
    from datasets import Dataset, Features, Value, Video
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    videos = [str(clip.path) for clip in task.clips]
    ids = [clip.id for clip in task.clips]
    owners = task.owners

    class Toy(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="ToyT2V", description="The toy world.", type="Any2AnyRetrieval",
            dataset={"path": "toy/toy", "revision": "1"}, eval_langs=["eng-Latn"],
            eval_splits=["test"], main_score="ndcg_at_10", category="t2v",
            modalities=["video", "text"], reference=None, date=None, domains=None,
            task_subtypes=[], license=None, annotations_creators=None, dialect=[],
            sample_creation=None, bibtex_citation="",
        )  # fmt: skip

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:
            texts = {"id": [str(i) for i in range(len(owners))], "text": task.texts}
            corpus = Dataset.from_dict(
                {"id": ids, "video": videos},
                features=Features({"id": Value("string"), "video": Video()}),
            )
            self.dataset = {"default": {"test": RetrievalSplitData(
                queries=Dataset.from_dict(texts), corpus=corpus, top_ranked=None,
                relevant_docs={str(i): {owner: 1} for i, owner in enumerate(owners)},
            )}}  # fmt: skip
            self.data_loaded = True

    return Toy()


def ranked(model: Any, task: Any, folder: Path) -> tuple[dict[str, float], list[dict[str, float]]]:
    """MTEB's scores, and for each query the score of every video."""
    result = mteb.evaluate(
        model, task, cache=None, overwrite_strategy="always", prediction_folder=folder,
        encode_kwargs={"batch_size": 7}, show_progress_bar=False,
    )  # fmt: skip
    (path,) = folder.rglob("*predictions.json")
    kept = json.loads(path.read_text())["default"]["test"]
    return result.task_results[0].scores["test"][0], [kept[str(i)] for i in range(len(kept))]


def check_same_ranks(task: Task, tmp_path: Path, plan: str | None = None) -> int:
    """Ranks and scores of MTEB's run and of ours, each with a cache of its own; the queries."""
    turned = Turned(plan=plan)
    runs = [RunConfig(cache=tmp_path / name, workers=1, threads=1, resamples=50) for name in "ab"]
    ours = evaluate(bench.load_adapter("clip-tiny"), task, runs[0], turned=turned)
    model = Encoder(bench.load_adapter("clip-tiny"), turned, runs[1])
    scores, found = ranked(model, retrieval_task(task), tmp_path / "predictions")
    lines = [line for line in ours.predictions if line["direction"] == "t2v"]
    for line, each in zip(lines, found, strict=True):
        own = each[line["target"]]
        assert line["rank"] == sum(score >= own for score in each.values()), line["item"]
        assert abs(line["score"] - own) < 1e-6
        assert all(abs(score - each[name]) < 1e-6 for name, score in line["top"])
    exported = retrieval_scores(np.array([line["rank"] for line in lines]))
    assert {name: round(scores[name], 6) for name in exported} == exported
    assert exported["recall_at_1"] == pytest.approx(ours.metrics["R@1"] / 100, abs=1e-5)
    return len(lines)


def test_mteb_ranks_as_we_do(toy: Path, tmp_path: Path) -> None:
    task = bench.load_task("msrvtt", str(toy), limit=12)
    assert check_same_ranks(task, tmp_path) == 12


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mteb_ranks_the_toy_world_as_we_do(tmp_path: Path) -> None:
    write(tmp_path / "toy", tasks=("msrvtt",))
    task = bench.load_task("msrvtt", str(tmp_path / "toy"))
    assert check_same_ranks(task, tmp_path) == 288


def guess(tmp_path: Path, **turned: Any) -> Encoder:
    run = RunConfig(cache=tmp_path / "cache", workers=1, threads=1)
    return Encoder(Guess("guess", 0), Turned(**turned), run)


def loader(**columns: Any) -> Any:
    """What MTEB hands over, as far as it is read."""
    from datasets import Dataset, Features, Value, Video

    kinds = {name: Video() if name == "video" else Value("string") for name in columns}
    return SimpleNamespace(dataset=Dataset.from_dict(columns, features=Features(kinds)))


def test_videos_in_the_data_set_itself_are_read_as_files_are(toy: Path, tmp_path: Path) -> None:
    clips = [clip.path for clip in bench.load_task("msrvtt", str(toy), limit=3).clips if clip.path]
    model = guess(tmp_path)
    files = model.encode(loader(video=[str(path) for path in clips]))
    content = loader(video=[{"path": None, "bytes": path.read_bytes()} for path in clips])
    assert (model.encode(content) == files).all() and files.shape == (3, 8)
    assert np.allclose(np.linalg.norm(files, axis=1), 1) and len({*map(bytes, files)}) == 3
    kept = list((tmp_path / "cache" / "mteb").iterdir())
    assert len(kept) == 3
    kept[0].write_bytes(b"cut off")  # by a full disk, or a hand
    assert (model.encode(content) == files).all()


def test_a_video_that_cannot_be_read_is_named(toy: Path, tmp_path: Path) -> None:
    good = bench.load_task("msrvtt", str(toy), limit=1).clips[0].path
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    with pytest.raises(DataError, match=r"1 of 2 videos cannot be read.*bad\.mp4: broken"):
        guess(tmp_path).encode(loader(video=[str(good), str(bad)]))
    with pytest.raises(DataError, match="item 0 of the data set has no video"):
        guess(tmp_path).encode(loader(video=[None]))


def test_items_are_a_text_or_a_video(tmp_path: Path) -> None:
    for columns in ({"text": ["a"], "video": ["b.mp4"]}, {"audio": ["c"]}, {"id": ["d"]}):
        with pytest.raises(BenchError, match="a text or a video each is read"):
            guess(tmp_path).encode(loader(**columns))
    with pytest.raises(DataError, match="the Video feature of datasets is read"):
        columns = loader(title=["a.mp4"]).dataset.rename_column("title", "video")
        guess(tmp_path).encode(SimpleNamespace(dataset=columns))


def test_models_of_sound_or_of_stored_features_are_refused(tmp_path: Path) -> None:
    class Hears(Guess):
        inputs = frozenset({"frames", "audio"})

    with pytest.raises(UsageError, match=r"'a' reads audio, and MTEB's video tasks give pictures"):
        encoder(Hears("a", 0))
    with pytest.raises(UsageError, match="reads at most 77 tokens"):
        encoder("clip-tiny", Turned(context=99))


def test_the_meta_tells_what_is_turned(tmp_path: Path) -> None:
    from mteb.models.models_protocols import EncoderProtocol

    model = encoder("clip-tiny", Turned(frames=8, plan="linspace", context=32))
    assert isinstance(model, EncoderProtocol)
    meta, plain = model.mteb_model_meta, encoder("clip-tiny").mteb_model_meta
    assert (meta.name, meta.max_tokens, meta.embed_dim) == ("srl-bench/clip-tiny", 32, 128)
    assert meta.experiment_name == "protocol_8-frames+linspace+32-tokens"
    assert plain.experiment_name is None and plain.max_tokens == 77
    assert plain.revision == bench.load_adapter("clip-tiny").fingerprint


def test_frames_are_turned(toy: Path, tmp_path: Path) -> None:
    videos = loader(video=[str(bench.load_task("msrvtt", str(toy), limit=1).clips[0].path)])
    plain, few = (model.encode(videos) for model in (guess(tmp_path), guess(tmp_path, frames=2)))
    assert (plain != few).any()


def test_similarities_are_cosines(tmp_path: Path) -> None:
    first, second = np.float32([[3, 0], [1, 1]]), np.float32([[2, 0], [0, 5]])
    root = 2**-0.5
    found = guess(tmp_path).similarity(first, second).numpy()
    assert np.allclose(found, [[1, 0], [root, root]])
    assert np.allclose(guess(tmp_path).similarity_pairwise(first, second).numpy(), [1, root])


def test_the_pages_example_runs(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mteb.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.+?)```", page, re.DOTALL)
    assert block
    task = bench.load_task("msrvtt", str(toy), limit=4)
    monkeypatch.setattr(mteb, "get_tasks", lambda tasks: [retrieval_task(task)])
    exec(compile(block[1], "docs/mteb.md", "exec"), {})
    (found,) = (tmp_path / "mteb-results").rglob("ToyT2V.json")
    assert found.parents[1].name == "srl-bench__clip-tiny"
