"""Whether numbers of results that the cache has kept can be ours; others are computed again."""

from __future__ import annotations

import numpy as np

ANSWERED = "answered"  # what the number of items is called beside the metrics


def are_draws(kept: dict[str, np.ndarray], resamples: int) -> bool:
    """Whether they are a finite number of every resample for some metrics."""
    return bool(kept) and all(_numbers(one, resamples) for one in kept.values())


def are_scores(kept: dict[str, np.ndarray]) -> bool:
    """Whether they are value, low and high of some metrics, and how many items were answered.

    Where there is no interval both bounds are NaN.
    """
    others = dict(kept)
    answered = others.pop(ANSWERED, None)
    if not others or answered is None or not _numbers(answered, 1):
        return False
    unbounded = [one.shape == (3,) and bool(np.isnan(one[1:]).all()) for one in others.values()]
    return answered[0] >= 0 and float(answered[0]).is_integer() and all(
        _numbers(one[:1] if lone else one, 1 if lone else 3)
        for one, lone in zip(others.values(), unbounded, strict=True)
    )  # fmt: skip


def _numbers(found: np.ndarray, count: int) -> bool:
    """Whether it is float64 [count], all finite."""
    return found.shape == (count,) and found.dtype == np.float64 and bool(np.isfinite(found).all())
