"""Ranks against CLIP4Clip's evaluator (tests/golden) and against brute force."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.metrics import retrieval
from bench.metrics.bootstrap import interval, p_value, rank_draws, resample_weights
from bench.metrics.retrieval import (
    metrics_of_ranks,
    ranks_from_features,
    ranks_from_similarity,
    retrieval_metrics,
)

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED: dict[str, dict[str, Any]] = json.loads(
    (GOLDEN / "expected" / "retrieval.expected.json").read_text(encoding="utf-8")
)
NAMES = {"R@1": "R1", "R@5": "R5", "R@10": "R10", "MdR": "MR", "MnR": "MeanR"}


def golden(name: str) -> tuple[np.ndarray, np.ndarray]:
    similarity = np.load(GOLDEN / "retrieval" / f"{name}.npy", allow_pickle=False)
    cuts = GOLDEN / "retrieval" / f"{name}.cut_off_points.json"
    if not cuts.is_file():
        return similarity, np.arange(len(similarity))
    ends = json.loads(cuts.read_text())
    # Cumulative counts; some copies name the last caption instead of the one after it.
    ends = [end + (len(similarity) - ends[-1]) for end in ends]
    return similarity, np.repeat(np.arange(len(ends)), np.diff([0, *ends]))


def worst_rank(similarity: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The definition, a row at a time: everything else that is as good stands before."""
    return np.array([
        1 + sum(row[j] >= row[right] for j in range(len(row)) if j != right)
        for row, right in zip(similarity, owner, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("name", [n for n in EXPECTED if "ties" not in n and "nan" not in n])
def test_equal_to_the_official_evaluator_where_nothing_ties(name: str) -> None:
    ours = retrieval_metrics(*golden(name))
    expected = EXPECTED[name]
    # R@k of several captions is divided in float32 there: up to 3e-6 of rounding is theirs.
    several = expected["protocol"] != "one_caption"
    for ours_name, official in NAMES.items():
        assert ours[ours_name] == pytest.approx(
            expected["text_to_video"][official], abs=3e-6 if several else 1e-9
        )
        assert ours[f"v2t/{ours_name}"] == pytest.approx(
            expected["video_to_text"][official], abs=1e-9
        )


@pytest.mark.parametrize("name", [n for n in EXPECTED if "ties" in n])
def test_ties_rank_behind_their_equals(name: str) -> None:
    similarity, owner = golden(name)
    ours = retrieval_metrics(similarity, owner)
    worst = metrics_of_ranks(worst_rank(similarity, owner))
    for ours_name, official in NAMES.items():
        assert ours[ours_name] == pytest.approx(worst[ours_name], abs=1e-12)
        given = EXPECTED[name].get("ties_worst_case", {}).get(official)
        if given is not None:
            assert ours[ours_name] == pytest.approx(given, abs=1e-9)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        retrieval_metrics(*golden("nan_inf_10"))
    good, bad = np.ones((3, 2)), np.ones((3, 2))
    bad[1, 1] = np.nan
    for texts, videos in ((bad, bad), (good, bad), (bad, good)):
        with pytest.raises(ValueError, match="NaN"):
            ranks_from_features(texts, videos, np.arange(3))


def test_one_rank_is_enough_and_none_is_not() -> None:
    assert metrics_of_ranks(np.array([3])) == {
        "R@1": 0.0, "R@5": 100.0, "R@10": 100.0, "MdR": 3.0, "MnR": 3.0
    }  # fmt: skip
    with pytest.raises(ValueError, match="nothing was answered"):
        metrics_of_ranks(np.array([], int))


@pytest.mark.parametrize(
    ("similarity", "owner"),
    [
        (np.zeros((2, 2)), [0]),
        (np.zeros((2, 2)), [0, 2]),
        (np.zeros((2, 2)), [0, -1]),
        (np.zeros(2), [0, 1]),
        (np.zeros((0, 2)), []),
    ],
)
def test_wrong_shapes_are_refused(similarity: np.ndarray, owner: list[int]) -> None:
    with pytest.raises(ValueError):
        retrieval_metrics(similarity, np.array(owner, dtype=int))
    features = np.ones((len(similarity), 4), np.float32)
    if similarity.ndim == 2:
        with pytest.raises(ValueError, match=r"owner|no texts"):
            ranks_from_features(features, features, np.array(owner, dtype=int))


def test_features_of_different_width_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ranks_from_features(np.ones((2, 3)), np.ones((2, 4)), np.arange(2))
    for texts, videos in ((np.ones(3), np.ones((3, 3))), (np.ones((3, 3)), np.ones(3))):
        with pytest.raises(ValueError):
            ranks_from_features(texts, videos, np.arange(3))


def unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    features = random.normal(size=shape).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("chunk_bytes", [1, 5_000, 50_000, 1 << 30])
def test_chunks_change_nothing(chunk_bytes: int) -> None:
    random = np.random.default_rng(0)
    videos = unit(random, 70, 16)
    videos[40] = videos[7]  # a tie, and some videos without any text
    owner = random.integers(0, 60, 300)
    texts = unit(random, 300, 16)
    ranking = ranks_from_features(texts, videos, owner, chunk_bytes)
    whole = ranks_from_features(texts, videos, owner)
    for field in fields(ranking):
        np.testing.assert_array_equal(getattr(ranking, field.name), getattr(whole, field.name))

    similarity = (texts.astype(float) @ videos.T.astype(float)).astype(np.float32)
    t2v, v2t = ranks_from_similarity(similarity, owner)
    np.testing.assert_array_equal(ranking.t2v, t2v)
    np.testing.assert_array_equal(ranking.v2t, v2t)
    np.testing.assert_array_equal(
        ranking.t2v_top, np.argsort(-similarity, axis=1, kind="stable")[:, :10]
    )
    groups = np.stack([similarity[owner == v].max(axis=0) for v in ranking.videos], axis=1)
    best = np.argsort(-groups[ranking.videos], axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(ranking.v2t_top, ranking.videos[best])


@pytest.mark.parametrize("captions", [1, 4])
def test_a_device_comes_to_the_same_ranking(captions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, with ties, duplicates, videos without a text, and few or many a block."""
    random = np.random.default_rng(captions)
    videos = unit(random, 90, 16)
    videos[40:60] = videos[7]
    videos[61] = 0
    owner = random.permutation(np.repeat(np.arange(80), captions))
    texts = videos[owner] + random.normal(size=(len(owner), 16)).astype(np.float32)
    texts[owner == 8] = texts[owner == 7]
    expected = ranks_from_features(texts, videos, owner)
    monkeypatch.setattr(retrieval, "MANY", 1)
    for block in (1, 20_000, 1 << 30):
        monkeypatch.setattr(retrieval, "BLOCK", block)
        # "meta" would fail: another name of the CPU stands for the device.
        found = ranks_from_features(texts, videos, owner, device="cpu:0")
        for field in fields(expected):
            one, other = getattr(found, field.name), getattr(expected, field.name)
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            assert one.dtype == other.dtype


def test_a_ranking_tells_the_scores_it_ranked_by() -> None:
    """Of each query its own answer's, and the best ones with theirs, the highest first."""
    random = np.random.default_rng(3)
    texts, videos = unit(random, 6, 8), unit(random, 4, 8)
    owner = np.array([0, 1, 1, 3, 3, 3])  # the third video has no caption
    found, similarity = ranks_from_features(texts, videos, owner), texts @ videos.T
    np.testing.assert_allclose(found.scores, similarity[np.arange(6), owner], atol=1e-6)
    best = np.sort(similarity, axis=1)[:, ::-1][:, : found.t2v_top.shape[1]]
    np.testing.assert_allclose(found.t2v_top_scores, best, atol=1e-6)
    assert found.videos.tolist() == [0, 1, 3]
    groups = np.stack([similarity[owner == video].max(axis=0) for video in found.videos], axis=1)
    asked = groups[found.videos]  # [videos asked, groups of captions]
    np.testing.assert_allclose(found.v2t_scores, np.diag(asked), atol=1e-6)
    np.testing.assert_allclose(found.v2t_top_scores, np.sort(asked, axis=1)[:, ::-1], atol=1e-6)
    first = found.videos[asked.argmax(axis=1)]
    assert found.v2t_top[:, 0].tolist() == first.tolist()


def test_a_collapsed_model_ranks_last() -> None:
    same = np.full((37, 19), 19**-0.5, np.float32)
    ranking = ranks_from_features(same, same, np.arange(37), chunk_bytes=2_000)
    assert set(ranking.t2v) == set(ranking.v2t) == {37}


def rank_intervals(
    ranks: np.ndarray, clusters: np.ndarray, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    draws = rank_draws(ranks, clusters, resamples, seed)
    return {name: interval(values) for name, values in draws.items()}


def test_intervals_hold_the_value_and_repeat_for_a_seed() -> None:
    ranks = np.random.default_rng(1).geometric(0.2, 400)
    intervals = rank_intervals(ranks, np.arange(400), 500, seed=3)
    assert intervals == rank_intervals(ranks, np.arange(400), 500, seed=3)
    assert intervals != rank_intervals(ranks, np.arange(400), 500, seed=4)
    for name, value in metrics_of_ranks(ranks).items():
        low, high = intervals[name]
        assert low <= value <= high
    # The interval of a share agrees with the binomial's normal one.
    share = float(np.mean(ranks <= 5))
    half = 196 * (share * (1 - share) / 400) ** 0.5
    low, high = intervals["R@5"]
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


def test_captions_of_one_video_are_no_independent_draws() -> None:
    ranks = np.repeat(np.random.default_rng(0).geometric(0.2, 50), 20)
    alone = rank_intervals(ranks, np.arange(1000), 300, seed=0)["MnR"]
    grouped = rank_intervals(ranks, np.repeat(np.arange(50), 20), 300, seed=0)["MnR"]
    assert grouped[1] - grouped[0] > 3 * (alone[1] - alone[0])


def test_many_captions_of_few_videos_stay_in_bounds() -> None:
    import tracemalloc

    ranks = np.random.default_rng(0).geometric(0.2, 50_000)
    tracemalloc.start()
    rank_intervals(ranks, np.arange(50_000) % 5, 200, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 110e6  # a few arrays of 32 MB; all 200 resamples at once need over 160


def test_weighted_medians_are_those_of_the_drawn_samples() -> None:
    ranks = np.array([1, 2, 3, 10, 50])
    weights = np.concatenate(list(resample_weights(5, 200, seed=0, cells=100)))
    assert weights.shape == (200, 5) and (weights.sum(axis=1) == 5).all()
    medians = [np.median(np.repeat(ranks, row.astype(int))) for row in weights]
    low, high = np.percentile(medians, [2.5, 97.5])
    drawn = rank_intervals(ranks, np.arange(5), 200, seed=0)["MdR"]
    assert drawn == (low, high)


def test_p_values() -> None:
    random = np.random.default_rng(0)
    assert p_value(random.normal(size=999)) > 0.5
    assert p_value(random.normal(size=999) + 10) == pytest.approx(0.002)
    assert p_value(np.zeros(99)) == 1


def test_draws_of_two_models_are_paired() -> None:
    """A model that is one rank worse everywhere is worse in every resample, never by more."""
    ranks = np.random.default_rng(0).geometric(0.1, 200)
    one, other = (rank_draws(r, np.arange(200), 200, seed=5)["MnR"] for r in (ranks, ranks + 1))
    np.testing.assert_allclose(other - one, 1)
