"""Re-ranking by a matching head: the official rule, made once, resumed, a protocol of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.config import RunConfig
from bench.contracts import Adapter, Task
from bench.engine import evaluate
from bench.errors import BenchError, UsageError
from bench.features.extraction import clip_features, text_features
from bench.features.work import Silent, Work
from bench.metrics.reranking import nearest, reranked
from bench.metrics.retrieval import ranks_from_similarity
from bench.results.comparison import comparable
from bench.results.files import save


def full(similarity: np.ndarray, chosen: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The matrix as VAST's evaluation makes it: scores of the best, 0 elsewhere."""
    matrix = np.zeros(similarity.shape, np.float32)
    for row, columns in enumerate(chosen):
        matrix[row, columns] = scores[row, columns]
    return matrix


@pytest.mark.parametrize("captions", [1, 3])
@pytest.mark.parametrize("best", [1, 4, 50])
def test_the_ranks_are_those_of_the_whole_matrix(captions: int, best: int) -> None:
    random = np.random.default_rng(best)
    owner = np.repeat(np.arange(9), captions)[random.permutation(9 * captions)]
    texts, videos = random.normal(size=(len(owner), 5)), random.normal(size=(9, 5))
    similarity, scores = texts @ videos.T, random.random((len(owner), 9)).astype(np.float32)
    of_text, of_video = nearest(texts, videos, best), nearest(videos, texts, best)
    assert set(of_text[0]) == set(np.argsort(-similarity[0])[:best])
    found = reranked(
        owner,
        (of_text, np.take_along_axis(scores, of_text, 1)),
        (of_video, np.take_along_axis(scores.T, of_video, 1)),
    )
    matrix = full(similarity, of_text, scores)
    np.testing.assert_array_equal(found.scores, matrix[np.arange(len(owner)), owner])
    t2v, _ = ranks_from_similarity(matrix, owner)
    _, v2t = ranks_from_similarity(full(similarity.T, of_video, scores.T).T, owner)
    np.testing.assert_array_equal(found.t2v, t2v)
    np.testing.assert_array_equal(found.v2t, v2t)
    firsts = [row[np.argmax(scores[text][row])] for text, row in enumerate(of_text)]
    assert found.t2v_top[:, 0].tolist() == firsts
    assert found.t2v_top.shape[1] == min(best, 9)
    np.testing.assert_array_equal(found.t2v[found.scores == 0], 9)  # not among the best: last


def test_odd_scores_are_refused() -> None:
    chosen = np.zeros((1, 1), np.int64)
    for odd in (-0.1, np.nan):
        with pytest.raises(ValueError, match="NaN, infinity or less than 0"):
            reranked(np.array([0]), (chosen, np.array([[odd]])), (chosen, np.array([[0.5]])))


class Matcher(Adapter):
    """Features are colours and letters; the matching head looks closer, with its own noise."""

    name, embed_dim, image_size, fingerprint = "matcher", 3, 16, "matcher-1"
    rerank_top, matching = 5, "itm"

    def __init__(self) -> None:
        self.conditions = self.pairs = self.clips = 0

    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        self.clips += len(clips)
        return clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[1 + text.count(c) for c in "abc"] for text in texts], np.float32)

    def condition(self, clips: np.ndarray) -> np.ndarray:
        self.conditions += len(clips)
        return clips[:, :, ::5, ::5].reshape(len(clips), -1, 3).astype(np.float32) / 255

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        self.pairs += len(pairs)
        assert pairs.dtype == np.int64
        return np.array([
            0.5 + 0.5 * np.sin(len(texts[text]) * 7 + conditions[clip].sum() * 11)
            for text, clip in pairs.tolist()
        ])  # fmt: skip


def test_a_run_re_ranks_the_best_of_the_features(task: Task, run: RunConfig) -> None:
    adapter = Matcher()
    plain = evaluate(Matcher(), task, run)
    result = evaluate(adapter, task, run, rerank=True)
    assert adapter.clips == 0  # the features are those of the plain run
    work = Work(Matcher(), task, run, Silent())
    features, texts = clip_features(work), text_features(work)
    videos = np.stack([adapter.pool(features[clip.id]) for clip in task.clips])
    words = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    best = nearest(words, videos, 5)
    lines = [line for line in result.predictions if line["direction"] == "t2v"]
    for line, row in zip(lines, best, strict=True):
        assert {name for name, _ in line["top"]} == {task.clips[at].id for at in row}
        inside = line["target"] in [name for name, _ in line["top"]]
        assert line["rank"] <= 5 if inside else line["rank"] == len(task.clips)
    assert result.metrics != plain.metrics
    encoded = result.document.encoded or {}
    assert encoded["pairs"] == adapter.pairs and adapter.conditions <= len(task.clips)
    assert encoded["frames"] == 12 * adapter.conditions and encoded["texts"] == 0
    seconds = result.document.seconds or {}
    assert "encode pairs" in seconds
    assert sum(seconds.values()) <= 2 * seconds["total"] + 1e-6  # each second in one stage
    asked = 2 * 5 * len(task.clips)
    assert adapter.pairs < asked  # what both directions chose is matched once


def test_it_is_a_protocol_of_its_own(task: Task, run: RunConfig, tmp_path: Path) -> None:
    plain, again = (evaluate(Matcher(), task, run, rerank=rerank) for rerank in (False, True))
    assert again.document.protocol == "msrvtt/toy, re-ranked-itm-5"
    assert comparable(plain.document, again.document).startswith("protocol msrvtt/toy, re-ranked")
    paths = [save(one, tmp_path / "results") for one in (plain, again)]
    assert [path.name for path in paths] == ["matcher.json", "matcher.re-ranked-itm-5.json"]


def test_a_second_run_matches_nothing(task: Task, run: RunConfig) -> None:
    first, again = evaluate(Matcher(), task, run, rerank=True), Matcher()
    second = evaluate(again, task, run, rerank=True)
    assert second.predictions == first.predictions
    assert again.conditions == again.pairs == again.clips == 0


def test_an_interrupted_run_ends_in_the_same_bits(task: Task, run: RunConfig) -> None:
    whole = evaluate(Matcher(), task, run, rerank=True)
    other = dataclasses.replace(run, cache=run.cache_folder / "other")

    class Interrupted(Matcher):
        def rerank(self, *given: object) -> np.ndarray:
            if self.conditions == 7:
                raise KeyboardInterrupt
            return super().rerank(*given)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), task, other, rerank=True)
    resumed, total = Matcher(), Matcher()
    evaluate(total, task, dataclasses.replace(run, cache=run.cache_folder / "x"), rerank=True)
    assert evaluate(resumed, task, other, rerank=True).predictions == whole.predictions
    assert resumed.conditions == total.conditions - 6


def test_other_texts_are_matched_anew(task: Task, run: RunConfig) -> None:
    """Of the same features, so that the same pairs are asked for."""
    first = evaluate(Matcher(), task, run, rerank=True)
    task.texts = [f"{text} zz" for text in task.texts]
    fresh = dataclasses.replace(run, cache=run.cache_folder / "fresh")
    second = evaluate(Matcher(), task, run, rerank=True)
    assert second.predictions == evaluate(Matcher(), task, fresh, rerank=True).predictions
    assert [line["rank"] for line in second.predictions] != [
        line["rank"] for line in first.predictions
    ]


def test_damaged_scores_are_made_again(task: Task, run: RunConfig) -> None:
    whole = evaluate(Matcher(), task, run, rerank=True)
    kept = sorted((run.cache_folder / "matches").rglob("*.safetensors"))
    kept[0].write_bytes(b"x")
    again = Matcher()
    assert evaluate(again, task, run, rerank=True).predictions == whole.predictions
    assert again.conditions == 1


def test_a_head_that_breaks_its_contract(task: Task, run: RunConfig) -> None:
    class Loud(Matcher):
        def rerank(self, *given: object) -> np.ndarray:
            return 3 * super().rerank(*given)  # type: ignore[arg-type]

    class Blind(Matcher):
        def condition(self, clips: np.ndarray) -> np.ndarray:
            return super().condition(clips) * np.float32("nan")

    with pytest.raises(BenchError, match="some beyond 0 and 1"):
        evaluate(Loud(), task, run, rerank=True)
    with pytest.raises(BenchError, match="not finite"):
        evaluate(Blind(), task, run, rerank=True)


def test_who_cannot_is_refused(toy: Path, toy_vidsitu: Path, task: Task, run: RunConfig) -> None:
    done = CliRunner().invoke(cli, ["run", "--task", "msrvtt", "--model", "clip-tiny", "--source",
                                    str(toy), "--rerank"])  # fmt: skip
    assert done.exit_code == 2 and "'clip-tiny' has no matching head" in done.output
    vidsitu = bench.load_task("vidsitu", str(toy_vidsitu))
    with pytest.raises(UsageError, match="task 'vidsitu' ranks nothing again"):
        evaluate(Matcher(), vidsitu, run, rerank=True)
