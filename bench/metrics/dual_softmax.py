"""Similarity rescored by a dual softmax: each query's scores are weighed by all the other queries.

With cosines S [texts, videos] and temperature T, a text ranks videos by the first, a video ranks
texts by the second:

    S * exp(T S) / sum over texts of exp(T S)        S * exp(T S) / sum over videos of exp(T S)

So a video that is near to every text counts less. The formula is CAMoE's (arXiv 2109.04290), whose
loss multiplies by the number of texts, which changes no rank. As evaluations of CLIP4Clip's kind
have it, each direction has its softmax over its own queries, of logits: T = 100, CLIP's scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TEMPERATURE = 100.0  # CLIP's own logit scale, where training clamps it
HIGHEST = 300.0  # beyond it a float64 would take small scores for 0, and tie them


@dataclass(frozen=True)
class DualSoftmax:
    """`texts` float64 [M] and `videos` [N] are the logarithms of the sums of a text, of a video."""

    temperature: float
    texts: np.ndarray
    videos: np.ndarray

    @classmethod
    def over(
        cls,
        blocks: Iterable[tuple[np.ndarray, np.ndarray]],
        texts: int,
        videos: int,
        temperature: float = TEMPERATURE,
    ) -> DualSoftmax:
        """Of blocks of the similarity: the rows that each holds, and float32 [rows, N].

        Every row is in one block. ValueError for a temperature that is not above 0, or too high.
        """
        check_temperature(temperature)
        of_texts = np.empty(texts)
        largest, total = np.full(videos, -np.inf), np.zeros(videos)
        for rows, block in blocks:
            logits = temperature * block.astype(np.float64)
            highest = logits.max(axis=1)
            of_texts[rows] = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
            before, largest = largest, np.maximum(largest, logits.max(axis=0))
            total = total * np.exp(before - largest) + np.exp(logits - largest).sum(axis=0)
        return cls(temperature, of_texts, largest + np.log(total))

    def of_texts(self, block: np.ndarray) -> np.ndarray:
        """Similarity float32 [rows, N] -> what the texts rank videos by, float64."""
        return self._weighed(block, self.videos)

    def of_videos(self, block: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Similarity float32 [rows, N] of these texts -> what videos rank them by, float64."""
        return self._weighed(block, self.texts[rows][:, None])

    def of_pairs(self, similarity: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both scores, float64 [M], of each text with its own video."""
        return self._weighed(similarity, self.videos[owner]), self._weighed(similarity, self.texts)

    def _weighed(self, similarity: np.ndarray, sums: np.ndarray) -> np.ndarray:
        exact = similarity.astype(np.float64)
        found: np.ndarray = exact * np.exp(self.temperature * exact - sums)
        return found


def check_temperature(value: float) -> None:
    """ValueError for a temperature that is not above 0, or too high."""
    if not 0 < value <= HIGHEST:
        raise ValueError(f"a temperature above 0 and up to {HIGHEST:g}, not {value:g}")
