"""Our adapters inside MTEB, with the mteb package itself: the same moments give the same ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.config import RunConfig
from bench.contracts import Task
from bench.engine import evaluate
from bench.features.turning import Turned
from bench.mteb import Encoder
from bench.results.mteb import retrieval_scores
from tasks.toyworld import write

mteb = pytest.importorskip("mteb", reason="needs the extra srl-bench[mteb]")


def retrieval_task(task: Task, as_bytes: bool = False) -> Any:
    """The videos and captions of our task as a task of MTEB, by its own classes."""
    from datasets import Dataset, Features, Value, Video
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    videos = [
        {"path": None, "bytes": clip.path.read_bytes()} if as_bytes else str(clip.path)
        for clip in task.clips
    ]
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
    import json

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
    task = bench.load_task("msrvtt", str(toy))
    assert check_same_ranks(task, tmp_path) == len(task.texts) > 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mteb_ranks_the_toy_world_as_we_do(tmp_path: Path) -> None:
    write(tmp_path / "toy", tasks=("msrvtt",))
    task = bench.load_task("msrvtt", str(tmp_path / "toy"))
    assert check_same_ranks(task, tmp_path) == 288
