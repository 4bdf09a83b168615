"""`bench.metrics.retrieval.ranks_from_features` by torch: where an accelerator makes the products.

The same rule, and so the same ranks: products in float64, rounded to float32, a tie behind its
equals. The float32 scores of a query and the places of what it ranks are joined to one integer, of
which the largest are the best answers in the order that ties stand in.
"""

from __future__ import annotations

import numpy as np
import torch

_PLACES = 0xFFFFFFFF


class DeviceRanks:
    """Blocks of whole groups of captions come in; ranks and best answers add up.

    `texts` float32 [M, D], `videos` [N, D]; `queried` [G] are the videos that have a caption,
    `best_own` float32 [G] the score of the best of each.
    """

    def __init__(
        self,
        device: str,
        texts: np.ndarray,
        videos: np.ndarray,
        queried: np.ndarray,
        best_own: np.ndarray,
        top: int,
    ) -> None:
        self._device, self._top, self._texts = device, top, texts
        self._columns = self._on(videos).double().T
        self._queried, self._best_own = self._on(queried), self._on(best_own)
        self._ahead = torch.zeros(len(queried), dtype=torch.int64, device=device)
        self._best = torch.empty((len(queried), 0), dtype=torch.int64, device=device)

    def _on(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def add(
        self, rows: np.ndarray, own: np.ndarray, owner: np.ndarray, sizes: np.ndarray, first: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ranks [B], and best videos [B, k] with their scores, of the texts of some groups.

        The texts `rows` [B], their `own` scores and `owner` [B]; `sizes` [g] captions a group, the
        first of which is group `first`.
        """
        block = (self._on(self._texts[rows]).double() @ self._columns).float()
        ranks = self._ranks(block, self._on(own), self._on(owner))
        best = _keys(block, 0).topk(min(self._top, block.shape[1]), dim=1).values
        groups = block[:, self._queried]
        if sizes.max() > 1:
            of = torch.repeat_interleave(self._on(sizes))[:, None].expand_as(groups)
            groups = torch.full((len(sizes), groups.shape[1]), -torch.inf, device=self._device) \
                .scatter_reduce(0, of, groups, "amax")  # fmt: skip
        groups = groups.T
        places = torch.arange(first, first + len(sizes), device=self._device)
        self._ahead[places] -= (groups[places, places - first] >= self._best_own[places]).long()
        self._ahead += (groups >= self._best_own[:, None]).sum(dim=1)
        keys = torch.cat([self._best, _keys(groups, first)], dim=1)
        self._best = keys.topk(min(self._top, keys.shape[1]), dim=1).values
        return (ranks.cpu().numpy(), *_opened(best))

    @staticmethod
    def _ranks(block: torch.Tensor, own: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        """1 + the other columns that are at least the own score; the own is left out by place."""
        at_own = block.gather(1, owner[:, None])[:, 0] >= own
        return 1 + (block >= own[:, None]).sum(dim=1) - at_own.long()

    def groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every group, when all are in: rank [G], best groups [G, k] and their scores."""
        return (1 + self._ahead.cpu().numpy(), *_opened(self._best))


def _keys(scores: torch.Tensor, first: int) -> torch.Tensor:
    """int64 of each score float32 [R, C] and its place, counted from `first`.

    Larger for the larger score, of equal ones for the earlier place.
    """
    bits = (scores + 0.0).view(torch.int32)  # -0.0 is 0.0
    rising = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() << 32
    places = torch.arange(first, first + scores.shape[1], device=scores.device)
    return rising | (_PLACES - places)


def _opened(keys: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Places int64 and scores float32 of keys."""
    places = _PLACES - (keys & _PLACES)
    rising = (keys >> 32).int()
    bits = torch.where(rising < 0, rising ^ 0x7FFFFFFF, rising)
    return places.cpu().numpy(), bits.view(torch.float32).cpu().numpy()
