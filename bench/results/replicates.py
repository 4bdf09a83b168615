"""The bootstrap replicates of a result's metrics, made from its prediction lines, and as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bench.contracts import Task
from bench.metrics.bootstrap import Mean, Replicates

Found = dict[str, Replicates]


def replicates_of(
    task: type[Task], lines: Iterable[dict[str, Any]], resamples: int, seed: int
) -> Found:
    """Every metric of `lines` in each resample of their clusters; paired for the same seed."""
    lines = list(lines)
    if sample := task.sample(lines):
        return sample.replicates(resamples, seed)
    # A task that gives nothing but its draws: only how many clusters it drew is known.
    values = task.score(lines, resamples=1, seed=seed).metrics
    clusters = len({task.cluster(line) for line in lines})
    return {
        name: Replicates(values[name], drawn, clusters)
        for name, drawn in task.draws(lines, resamples=resamples, seed=seed).items()
        if name in values
    }


def packed(found: Found) -> dict[str, np.ndarray]:
    """As arrays for a store: what tests between runs need, not what one run's interval does."""
    arrays: dict[str, np.ndarray] = {}
    for name, one in found.items():
        arrays[f"{name}:values"] = one.values
        arrays[f"{name}:value"] = np.array([one.value, one.clusters])
        if one.mean is not None:
            arrays[f"{name}:mean"] = np.stack([one.mean.total, one.mean.count])
    return arrays


def unpacked(arrays: dict[str, np.ndarray]) -> Found:
    """What `packed` was given. ValueError or KeyError for arrays that are none of its."""
    found: Found = {}
    for name in sorted(key.removesuffix(":values") for key in arrays if key.endswith(":values")):
        value, clusters = arrays[f"{name}:value"]
        mean = arrays.get(f"{name}:mean")
        found[name] = Replicates(
            float(value), arrays[f"{name}:values"].copy(), int(clusters),
            None if mean is None else Mean(*mean.copy()),
        )  # fmt: skip
    return found
