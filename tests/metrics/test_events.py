"""Ranks of events on cases whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.events import event_metrics, event_ranks, role_swap


def test_ranks_of_made_up_events() -> None:
    """Two videos of two events in a plane of four directions."""
    axes = np.eye(4, dtype=np.float32)
    texts = axes.reshape(2, 2, 4)
    # Video 0: both events are right; video 1: its two events are exchanged.
    events = np.stack([axes[:2], axes[[3, 2]]])
    hard = np.zeros((2, 2, 3, 4), np.float32)
    hard[0, 0, 1] = 0.5 * axes[0]  # nearly as good
    hard[0, 1, 2] = axes[1]  # as good: a tie ranks the prompt behind it
    ranks = event_ranks(events, texts, hard)
    assert ranks["own"].tolist() == [[1, 1], [2, 2]]
    assert ranks["all"].tolist()[0] == [1, 1] and (ranks["all"][1] == 4).all()
    # An exchanged event's own text scores 0, and so do all three of its negatives.
    assert ranks["hard"].tolist() == [[1, 2], [4, 4]]
    metrics = event_metrics(ranks)
    assert metrics["R@1"] == metrics["own-five"] == 50 and metrics["verb-role"] == 25
    assert metrics["MdR"] == 2.5


def test_equal_events_come_last() -> None:
    random = np.random.default_rng(0)
    texts = random.normal(size=(3, 5, 8)).astype(np.float32)
    events = np.repeat(random.normal(size=(3, 1, 8)).astype(np.float32), 5, axis=1)
    ranks = event_ranks(events, texts, texts[:, :, :0].reshape(3, 5, 0, 8))
    assert (ranks["own"] == 5).all() and "hard" not in ranks
    assert event_metrics(ranks)["own-five"] == 0 and "verb-role" not in event_metrics(ranks)


def test_chance_is_a_fifth() -> None:
    random = np.random.default_rng(0)
    texts, events = random.normal(size=(2, 400, 5, 64)).astype(np.float32)
    hard = random.normal(size=(400, 5, 4, 64)).astype(np.float32)
    metrics = event_metrics(event_ranks(events, texts, hard))
    assert metrics["own-five"] == pytest.approx(20, abs=3)
    assert metrics["verb-role"] == pytest.approx(20, abs=3)


def test_infinity_is_refused() -> None:
    texts = np.ones((2, 5, 4), np.float32)
    with pytest.raises(ValueError, match="NaN or infinity"):
        event_ranks(texts * np.inf, texts, np.ones((2, 5, 1, 4), np.float32))


def test_a_role_swap_is_beaten_by_events_that_have_one() -> None:
    """Those without, of zeros, do not count; a tie is no hit; of none there is no number."""
    events = np.eye(4)[None, :, :]
    texts, swaps = events.copy(), np.zeros((1, 4, 4))
    swaps[0, 0, 1] = 1  # less like the event than its own text
    assert role_swap(events, texts, swaps) == {"role-swap": 100.0}
    swaps[0, 1] = texts[0, 1]
    assert role_swap(events, texts, swaps) == {"role-swap": 50.0}
    texts[0, 0], swaps[0, 0] = [0.6, 0.8, 0, 0], [0.8, 0.6, 0, 0]
    assert role_swap(events, texts, swaps) == {"role-swap": 0.0}
    assert role_swap(events, texts, 0 * swaps) == {}
