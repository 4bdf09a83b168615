"""Features as they come from a model or a store: held, checked, and looked at for a collapse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.contracts import Adapter, normalise
from bench.errors import BenchError
from bench.files.tensor_store import TensorStore

LEAST_SPREAD = 1e-4  # see `collapsed`


class StoredFeatures(Mapping[str, np.ndarray]):
    """Clip id -> frame features float32 [T, D], of which only so many bytes are held in memory.

    What is beyond `most` bytes is read from the store whenever it is asked for, so that a set of
    any size can be walked through.
    """

    def __init__(self, store: TensorStore, most: int) -> None:
        self._store, self._room = store, most
        self._keys: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._held: dict[str, np.ndarray] = {}

    def add(self, clip: str, key: str, features: np.ndarray) -> None:
        """Note that the store has a clip's features under `key`."""
        self._keys[clip], self._shapes[clip] = key, features.shape
        if features.nbytes <= self._room:
            self._room -= features.nbytes
            self._held[clip] = features

    def key(self, clip: str) -> str:
        """What the store has the clip's features under."""
        return self._keys[clip]

    def __getitem__(self, clip: str) -> np.ndarray:
        if clip in self._held:
            return self._held[clip]
        key, (count, dim) = self._keys[clip], self._shapes[clip]
        if (found := self._store.get(key)) and is_valid(found[0], count, dim):
            return found[0]["features"]
        raise BenchError(f"{self._store.path(key)} vanished or changed during the run; run again")

    def __contains__(self, clip: object) -> bool:
        return clip in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def checked(adapter: Adapter, features: np.ndarray, count: int) -> np.ndarray:
    """The features as float32, or BenchError where the adapter broke its contract."""
    features = np.asarray(features)
    if features.shape != (count, adapter.embed_dim):
        raise BenchError(
            f"{adapter.name}: features of shape {list(features.shape)} where "
            f"[{count}, {adapter.embed_dim}] was promised; fix the adapter or its embed_dim"
        )
    if not np.isfinite(features).all():
        raise BenchError(
            f"{adapter.name}: NaN or infinite features; check its weights, or run in float32"
        )
    return features.astype(np.float32, copy=False)


def collapsed(features: np.ndarray) -> str:
    """What is wrong with vectors [N, D] that cannot tell N things apart; empty where nothing is.

    The spread is the mean squared distance of normalised vectors from their mean: 0 for equal ones,
    1 for unrelated ones. CLIP's images come to 0.3 or more.
    """
    if not features.any(axis=-1).all():
        return f"{int((~features.any(axis=-1)).sum())} of {len(features)} features are zero"
    unit = normalise(features)
    spread = float(np.mean(np.square(unit - unit.mean(axis=0)).sum(axis=-1)))
    if len(features) > 1 and spread < LEAST_SPREAD:
        return f"all {len(features)} features are nearly the same (spread {spread:.1e})"
    return ""


def is_valid(arrays: dict[str, np.ndarray], count: int, dim: int) -> bool:
    """Whether kept features are float32 [count, dim] and finite; else they are made again."""
    found = arrays.get("features")
    if found is None or found.dtype != np.float32:
        return False
    return found.shape == (count, dim) and bool(np.isfinite(found).all())
