"""The dual softmax against its plain formula on the whole matrix; ties, blocks, temperatures."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.dual_softmax import DualSoftmax
from bench.metrics.retrieval import ranks_from_features


def unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    found = random.normal(size=shape).astype(np.float32)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=axis, keepdims=True)


def plain(texts: np.ndarray, videos: np.ndarray, temperature: float) -> list[np.ndarray]:
    """What texts rank by, and what videos rank by, both [texts, videos], as the formula is said."""
    similarity = texts.astype(np.float64) @ videos.T.astype(np.float64)
    return [similarity * softmax(temperature * similarity, axis) for axis in (0, 1)]


def worst_rank(row: np.ndarray, own: int) -> int:
    return 1 + sum(row[other] >= row[own] for other in range(len(row)) if other != own)


@pytest.mark.parametrize("captions", [1, 3])
@pytest.mark.parametrize("temperature", [1.0, 20.0, 100.0])
def test_it_is_the_plain_formula(captions: int, temperature: float) -> None:
    random = np.random.default_rng(int(temperature) + captions)
    owner = np.repeat(np.arange(12), captions)[random.permutation(12 * captions)]
    videos, texts = unit(random, 12, 6), unit(random, len(owner), 6)
    by_text, by_video = plain(texts, videos, temperature)
    found = ranks_from_features(texts, videos, owner, temperature=temperature, top=12)
    rows = np.arange(len(owner))
    assert np.abs(found.scores - by_text[rows, owner]).max() < 1e-6
    np.testing.assert_allclose(
        found.t2v_top_scores, -np.sort(-by_text, axis=1), rtol=1e-4, atol=1e-300
    )
    np.testing.assert_allclose(np.take_along_axis(by_text, found.t2v_top, 1), found.t2v_top_scores,
                               rtol=1e-4, atol=1e-300)  # fmt: skip
    assert found.t2v.tolist() == [worst_rank(by_text[row], owner[row]) for row in rows]
    groups = np.stack([by_video[owner == video].max(axis=0) for video in range(12)])
    np.testing.assert_allclose(found.v2t_scores, np.diagonal(groups), rtol=1e-4)
    assert found.v2t.tolist() == [worst_rank(groups[:, video], video) for video in range(12)]
    assert found.v2t_top[:, 0].tolist() == groups.argmax(axis=0).tolist()
    # Neither direction is the other's, nor what was there before.
    without = ranks_from_features(texts, videos, owner)
    assert temperature < 20 or (without.t2v != found.t2v).any()
    assert np.abs(by_text - by_video).max() > 1e-3


def test_blocks_of_any_size_give_the_same() -> None:
    random = np.random.default_rng(0)
    owner = random.integers(0, 40, 150)
    texts, videos = unit(random, 150, 5), unit(random, 40, 5)
    whole = ranks_from_features(texts, videos, owner, temperature=100.0)
    for size in (1, 5_000, 20_000):
        one = ranks_from_features(texts, videos, owner, chunk_bytes=size, temperature=100.0)
        for name in ("t2v", "v2t", "t2v_top", "v2t_top"):
            np.testing.assert_array_equal(getattr(one, name), getattr(whole, name))


@pytest.mark.parametrize("size", [1, 64 << 20])
def test_ties_rank_behind_their_equals(size: int) -> None:
    """Equal features stay equal, whatever they are weighed by."""
    random = np.random.default_rng(3)
    videos = np.repeat(unit(random, 4, 7), 3, axis=0)
    texts = np.repeat(unit(random, 4, 7), 3, axis=0)
    for temperature in (1.0, 100.0):
        found = ranks_from_features(texts, videos, np.arange(12), size, temperature=temperature)
        assert set(found.t2v % 3) == set(found.v2t % 3) == {0}
    alike = np.ones((12, 7), np.float32) / np.float32(7**0.5)
    found = ranks_from_features(alike, alike, np.arange(12), size, temperature=100.0)
    assert set(found.t2v) == set(found.v2t) == {12}  # a collapsed model scores as nothing


def test_small_scores_stay_apart() -> None:
    """Beyond what float32 can hold: ranks far down are no ties at 0."""
    videos = np.eye(2, dtype=np.float32)[[0, 0, 0]]
    angles = np.array([0.0, 1.0, 1.5])
    videos = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    texts = np.stack([videos[0], videos[0] * np.float32(0.999)])
    found = ranks_from_features(texts, videos, np.array([1, 2]), temperature=300.0)
    assert found.t2v.tolist() == [2, 3] and (found.t2v_top_scores > 0).all()


def test_a_video_that_is_near_to_everything_counts_less() -> None:
    """What it is for: here every text's nearest video is the hub, and no longer is."""
    hub, others = np.ones(4) / 2, np.eye(4)
    texts = 0.7 * hub + 0.45 * others
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    videos = np.concatenate([others, hub[None]])
    assert set(ranks_from_features(texts, videos, np.arange(4)).t2v) == {2}
    assert set(ranks_from_features(texts, videos, np.arange(4), temperature=50.0).t2v) == {1}


@pytest.mark.parametrize("temperature", [0.0, -1.0, 301.0, float("nan"), float("inf")])
def test_odd_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="a temperature above 0 and up to 300"):
        DualSoftmax.over([], 1, 1, temperature)
