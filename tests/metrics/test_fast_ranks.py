"""Ranks by float32 first: to the bit those of float64, whatever ties and odd numbers there are."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from bench.metrics import fast_ranks, retrieval
from bench.metrics.fast_ranks import FastBlocks, TooManyOpen
from bench.metrics.retrieval import Ranking, ranks_from_features

Features = tuple[np.ndarray, np.ndarray, np.ndarray]  # texts, videos, owner


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any set is large enough to be ranked by float32 first."""
    monkeypatch.setattr(retrieval, "MANY", 1)


def plain(monkeypatch: pytest.MonkeyPatch, features: Features, top: int = 10) -> Ranking:
    with monkeypatch.context() as patch:
        patch.setattr(retrieval, "MANY", 1 << 60)
        return ranks_from_features(*features, top=top)


def assert_equal(found: Ranking, expected: Ranking) -> None:
    for field in fields(expected):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert one.dtype == other.dtype


def drawn(seed: int) -> Features:
    """Odd sets: ties, duplicates, zeros, several captions, videos without one, any scale."""
    random = np.random.default_rng(seed)
    count, width = int(random.integers(1, 300)), int(random.integers(1, 40))
    videos = random.normal(size=(count, width)).astype(np.float32)
    videos /= np.linalg.norm(videos, axis=1, keepdims=True)
    if count > 20:
        videos[10:15], videos[16] = videos[3], 0
    owner = random.permutation(np.repeat(np.arange(count), random.choice([1, 1, 3])))
    if seed % 3 == 0:
        owner = random.integers(0, count, int(random.integers(1, 400)))
    noise = random.normal(size=(len(owner), width)).astype(np.float32)
    texts = videos[owner] + noise * np.float32(random.choice([0, 0.1, 1]))
    if seed % 5 == 0:
        texts, videos = texts * np.float32(1e8), videos * np.float32(1e-20)
    if seed % 7 == 0:  # of few values: many ties that are none of the same features
        texts, videos = texts.round(1), videos.round(1)
    return texts, videos, owner


@pytest.mark.parametrize("seed", range(36))
def test_odd_sets_have_the_ranks_of_float64(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, random = drawn(seed), np.random.default_rng(seed)
    top = int(random.choice([1, 3, 10]))
    expected = plain(monkeypatch, features, top)
    monkeypatch.setattr(fast_ranks, "COLUMNS", int(random.choice([8, 64, 2040])))
    monkeypatch.setattr(retrieval, "PAIRS", int(random.choice([1, 7, 1024])))
    monkeypatch.setattr(fast_ranks, "OPEN", int(random.choice([1, 50, 1 << 40])))
    monkeypatch.setattr(retrieval, "FAST_BLOCK", int(random.choice([1, 5_000, 1 << 28])))
    assert_equal(ranks_from_features(*features, chunk_bytes=1, top=top), expected)


def near_ties(count: int = 400, width: int = 64) -> Features:
    """Pairs of videos that differ by less than float32's products can be trusted to show."""
    random = np.random.default_rng(1)
    videos = random.normal(size=(count, width)).astype(np.float32)
    videos[1::2] = videos[::2] * (1 + np.float32(2**-23) * random.integers(-2, 3, (count // 2, 1)))
    texts = videos + random.normal(size=videos.shape).astype(np.float32) / 4
    return texts, videos.astype(np.float32), np.arange(count)


def test_what_float32_would_order_wrongly_is_ordered_rightly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The set is one on which float32 alone errs; else this would show nothing."""
    texts, videos, owner = features = near_ties()
    expected = plain(monkeypatch, features)
    alone, _ = retrieval.ranks_from_similarity(texts @ videos.T, owner)
    assert (alone != expected.t2v).sum() > 10
    assert_equal(ranks_from_features(*features), expected)


def test_few_pairs_are_formed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth at most of a set of this size, and no block in the plain way."""
    random = np.random.default_rng(0)
    videos = random.normal(size=(1500, 32)).astype(np.float32)
    features = (videos + random.normal(size=videos.shape).astype(np.float32), videos,
                np.arange(1500))  # fmt: skip
    formed: list[int] = []
    exact = fast_ranks._Products.exact

    def counted(self: fast_ranks._Products, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        formed.append(len(rows))
        return exact(self, rows, places)

    monkeypatch.setattr(fast_ranks._Products, "exact", counted)
    monkeypatch.setattr(retrieval.Blocks, "add", None)
    ranks_from_features(*features)
    assert 0 < sum(formed) < 1500 * 1500 / 10


def test_a_collapsed_model_is_ranked_in_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    same = np.full((300, 19), 19**-0.5, np.float32)
    refused: list[bool] = []
    see = fast_ranks._OfTexts.see

    def seen(self: fast_ranks._OfTexts, scores: np.ndarray, tile: slice) -> None:
        try:
            see(self, scores, tile)
        except TooManyOpen:
            refused.append(True)
            raise

    monkeypatch.setattr(fast_ranks._OfTexts, "see", seen)
    ranking = ranks_from_features(same, same, np.arange(300))
    assert set(ranking.t2v) == set(ranking.v2t) == {300} and refused == [True]
    monkeypatch.setattr(retrieval, "FAST_BLOCK", 150 * 8 * 300)  # two blocks: one is tried
    ranks_from_features(same, same, np.arange(300), chunk_bytes=1)
    assert refused == [True, True]
    assert_equal(ranking, plain(monkeypatch, (same, same, np.arange(300))))


@pytest.mark.parametrize("width", [1, 512, 5000])
def test_float32_products_are_within_their_error(width: int) -> None:
    """Of one sign, where errors add up; of both; and so small that they are lost."""
    random = np.random.default_rng(width)
    texts = random.normal(size=(20, width)).astype(np.float32)
    texts[:10] = np.abs(texts[:10])
    texts[15:] *= np.float32(1e-30)
    videos = np.abs(random.normal(size=(30, width))).astype(np.float32)
    videos[20:] *= np.float32(1e-12)
    products = fast_ranks._Products(texts, videos, np.arange(30))
    off = np.abs(products.block(np.arange(20), slice(0, 30)) -
                 texts.astype(np.longdouble) @ videos.T.astype(np.longdouble))  # fmt: skip
    rounded = products.exact(np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20))
    against = np.abs(products.block(np.arange(20), slice(0, 30)) - rounded.reshape(20, 30))
    for one in (off, against):
        assert (one <= products.errors_of_rows(np.arange(20), slice(0, 30))[:, None]).all()
        assert (one <= products.errors_of_places(np.arange(20), slice(0, 30))).all()


@pytest.mark.parametrize("change", ["float64", "long"])
def test_features_that_the_bound_does_not_hold_for_are_ranked_in_the_plain_way(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, videos, owner = drawn(1)
    if change == "float64":
        texts, videos = texts.astype(float), videos.astype(float)
    else:
        texts = texts * np.float32(1e30)
    monkeypatch.setattr(FastBlocks, "add", None)
    assert_equal(ranks_from_features(texts, videos, owner),
                 plain(monkeypatch, (texts, videos, owner)))  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 8), (300, 2040), (600, 2041), (3, 5)])
def test_counts_are_sums(shape: tuple[int, int]) -> None:
    for mask in (np.random.default_rng(0).random(shape) < 0.5, np.ones(shape, bool)):
        np.testing.assert_array_equal(fast_ranks._count_rows(mask), mask.sum(axis=1))
        np.testing.assert_array_equal(fast_ranks._count_columns(mask), mask.sum(axis=0))
