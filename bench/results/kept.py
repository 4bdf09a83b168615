"""Whether numbers of results that the cache has kept can be ours; others are computed again."""

from __future__ import annotations

import numpy as np

ANSWERED = "answered"  # what the number of items is called beside the metrics


def are_replicates(kept: dict[str, np.ndarray], resamples: int) -> bool:
    """Whether they are what `bench.results.replicates.packed` gives.

    That is of some metrics a finite number for every resample, the value and how many clusters
    there are, and of a mean what each cluster adds to it.
    """
    names = {key.rpartition(":")[0] for key in kept}
    known = {f"{name}:{part}" for name in names for part in ("values", "value", "mean")}
    return bool(names) and kept.keys() <= known and all(
        _is_metric(kept, name, resamples) for name in names
    )  # fmt: skip


def _is_metric(kept: dict[str, np.ndarray], name: str, resamples: int) -> bool:
    values, value = kept.get(f"{name}:values"), kept.get(f"{name}:value")
    if values is None or value is None or not _numbers(values, resamples) or not _numbers(value, 2):
        return False
    clusters, mean = value[1], kept.get(f"{name}:mean")
    if clusters < 1 or not float(clusters).is_integer():
        return False
    return mean is None or (
        mean.shape == (2, int(clusters)) and _numbers(mean.reshape(-1), 2 * int(clusters))
    )


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
