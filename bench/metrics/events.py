"""Whether features tell events apart, without a head: by what text and by what event comes first.

A module that gives all events of a video much the same vector scores about 20 % in `own-five`, and
nothing when they are equal, whatever its losses say.
"""

from __future__ import annotations

import numpy as np

from bench.metrics.retrieval import metrics_of_ranks, ranks_from_features

Ranks = dict[str, np.ndarray]  # "all", "own", "hard": int [V, P] from 1
OWN, VERB_ROLE, ROLE_SWAP = "own-five", "verb-role", "role-swap"
VC = "vc/"  # stands before the metrics of contextualised events
EVENT_METRICS = ("R@1", "R@5", "R@10", "MdR", "MnR", OWN, VERB_ROLE)


def event_ranks(events: np.ndarray, texts: np.ndarray, hard: np.ndarray) -> Ranks:
    """Ranks of V videos of P events: features and texts [V, P, D], `hard` negatives [V, P, N, D].

    All are normalised. `all`: an event's place for its own text among the V * P events; `own`:
    among the P of its video; `hard`, where N > 0: its own text's among that and its N negatives.
    A tie ranks behind its equals. ValueError for NaN and infinity.
    """
    videos, places, dim = events.shape
    flat = events.reshape(-1, dim)
    ranking = ranks_from_features(texts.reshape(-1, dim), flat, np.arange(len(flat)))
    # Formed in float64 and rounded, as there: equal features tie exactly.
    own = _product("vpd,vqd->vpq", texts, events)
    score = np.diagonal(own, axis1=1, axis2=2)
    ranks = {"all": ranking.t2v.reshape(videos, places), "own": _ahead(own, score)}
    if hard.shape[2]:
        ranks["hard"] = 1 + _ahead(_product("vpnd,vpd->vpn", hard, events), score)
    return ranks


def event_metrics(ranks: Ranks) -> dict[str, float]:
    """R@k (percent), MdR and MnR among all events, and the percent of events that come first among
    the own video's (`own-five`) and whose text beats all of its negatives (`verb-role`)."""
    firsts = {OWN: ranks["own"], VERB_ROLE: ranks.get("hard")}
    return metrics_of_ranks(ranks["all"].ravel()) | {
        name: 100.0 * float(np.mean(found == 1))
        for name, found in firsts.items()
        if found is not None
    }


def role_swap(events: np.ndarray, texts: np.ndarray, swaps: np.ndarray) -> dict[str, float]:
    """The percent of events whose own text beats its role-swap (chance 50), all [V, P, D]; `swaps`
    are zero for events that have none. Empty where no event has one. A tie is no hit."""
    which = swaps.any(axis=-1)
    if not which.any():
        return {}
    own, swapped = (_product("nd,nd->n", each[which], events[which]) for each in (texts, swaps))
    return {ROLE_SWAP: 100.0 * float(np.mean(own > swapped))}


def _ahead(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """How many of `scores` [..., K] are at least `own` [...]."""
    ahead: np.ndarray = (scores >= own[..., None]).sum(axis=-1)
    return ahead


def _product(form: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.einsum(form, one.astype(np.float64), other.astype(np.float64))
    return found.astype(np.float32)
