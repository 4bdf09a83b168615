"""Features of a task's clips that an adapter has on disk: looked for, and read when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.capabilities import ReadsFeatures
from bench.contracts import Failure
from bench.features.work import Work
from bench.progress import waiting


class FeaturesOnDisk(Mapping[str, np.ndarray]):
    """Clip id -> features [T, D], read from the adapter's files at each access."""

    def __init__(self, adapter: ReadsFeatures, keys: dict[str, str]) -> None:
        self._adapter, self._keys = adapter, keys

    def key(self, clip: str) -> str:
        """What tells the clip's features from others: see `bench.contracts.Features.identity`."""
        return self._keys[clip]

    def __getitem__(self, clip: str) -> np.ndarray:
        if clip not in self._keys:
            raise KeyError(clip)
        return self._adapter.features(clip)

    def __contains__(self, clip: object) -> bool:
        return clip in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def features_on_disk(work: Work, adapter: ReadsFeatures) -> FeaturesOnDisk:
    """Those of every clip that has its files; a clip that lacks one is noted as missing."""
    found = {}
    with waiting("looking through the features on disk"):
        for clip in work.clips:
            if lacking := adapter.missing(clip.id):
                work.failures.append(Failure(clip.id, "missing", f"no {lacking}"))
            else:
                found[clip.id] = adapter.identity(clip.id)
    return FeaturesOnDisk(adapter, found)
