"""Coreference of entities over a video's events, as VidSitu's evaluator counts it.

A mention is a role of an event, a cluster the mentions of one video that have the identical string.
Pure functions on plain data; fractions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

Mention = tuple[str, str]  # event and role, such as (Ev1, Arg0)
Clusters = list[frozenset[Mention]]
METRICS = ("mentions", "muc", "bcub", "ceafe", "lea", "lea_soft")
_Fraction = tuple[float, float]


def clusters_of(strings: Mapping[Mention, str]) -> Clusters:
    """Mentions grouped by identical string; empty strings are a string as any other."""
    grouped: dict[str, list[Mention]] = defaultdict(list)
    for mention, text in strings.items():
        grouped[text].append(mention)
    return [frozenset(group) for group in grouped.values()]


def coreference_counts(
    key: Clusters, system: Clusters, soft: Mapping[Mention, float]
) -> dict[str, tuple[_Fraction, _Fraction]]:
    """Of one video, metric -> ((precision numerator, denominator), (recall ...)).

    `soft` weights a mention in LEA-soft's precision: its CIDEr on the raw scale.
    """
    in_key, in_system = _places(key), _places(system)
    counts = {"mentions": _mentions(in_key, in_system), "ceafe": _ceafe(key, system)}
    one_way: dict[str, Callable[[Clusters, dict[Mention, int], Clusters], _Fraction]] = {
        "muc": _muc, "bcub": _bcub, "lea": _lea,
    }  # fmt: skip
    for name, count in one_way.items():
        counts[name] = count(system, in_key, key), count(key, in_system, system)
    counts["lea_soft"] = _lea_soft(system, in_key, key, soft), counts["lea"][1]
    return counts


def f1(counts: np.ndarray) -> float:
    """F1 of fractions summed over videos, [videos, 4] as `coreference_counts` orders them."""
    p_num, p_den, r_num, r_den = counts.sum(axis=0)
    precision = p_num / p_den if p_den else 0.0
    recall = r_num / r_den if r_den else 0.0
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _places(clusters: Clusters) -> dict[Mention, int]:
    return {mention: place for place, cluster in enumerate(clusters) for mention in cluster}


def _mentions(
    in_key: dict[Mention, int], in_system: dict[Mention, int]
) -> tuple[_Fraction, _Fraction]:
    common = float(len(in_key.keys() & in_system.keys()))
    return (common, float(len(in_system))), (common, float(len(in_key)))


def _muc(clusters: Clusters, other: dict[Mention, int], _: Clusters) -> _Fraction:
    """Links kept: matched mentions less the clusters of the other side that they fall in."""
    numerator = denominator = 0
    for cluster in clusters:
        found = [other[mention] for mention in cluster if mention in other]
        numerator += len(found) - len(set(found))
        denominator += len(cluster) - 1
    return float(numerator), float(denominator)


def _bcub(clusters: Clusters, other: dict[Mention, int], _: Clusters) -> _Fraction:
    numerator = 0.0
    for cluster in clusters:
        numerator += sum(common**2 for common in _overlaps(cluster, other).values()) / len(cluster)
    return numerator, float(sum(map(len, clusters)))


def _lea(clusters: Clusters, other: dict[Mention, int], others: Clusters) -> _Fraction:
    numerator = sum(len(cluster) * _links(cluster, other, others) for cluster in clusters)
    return float(numerator), float(sum(map(len, clusters)))


def _lea_soft(
    clusters: Clusters, other: dict[Mention, int], others: Clusters, soft: Mapping[Mention, float]
) -> _Fraction:
    numerator = sum(
        sum(soft[mention] for mention in sorted(cluster))
        * len(cluster)
        * _links(cluster, other, others)
        for cluster in clusters
    )
    return float(numerator), float(sum(len(cluster) ** 2 for cluster in clusters))


def _links(cluster: frozenset[Mention], other: dict[Mention, int], others: Clusters) -> float:
    """Share of the cluster's links that the other side has; a singleton's link is to itself."""
    if len(cluster) == 1:
        (mention,) = cluster
        return float(mention in other and len(others[other[mention]]) == 1)
    kept = sum(common * (common - 1) / 2 for common in _overlaps(cluster, other).values())
    return kept / (len(cluster) * (len(cluster) - 1) / 2)


def _overlaps(cluster: frozenset[Mention], other: dict[Mention, int]) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for mention in cluster:
        if mention in other:
            found[other[mention]] += 1
    return found


def _ceafe(key: Clusters, system: Clusters) -> tuple[_Fraction, _Fraction]:
    """The best one-to-one matching of clusters by 2 |c & d| / (|c| + |d|)."""
    from scipy.optimize import linear_sum_assignment

    if not key or not system:
        return (0.0, float(len(system))), (0.0, float(len(key)))
    similarity = np.zeros((len(key), len(system)))
    place = _places(system)
    for row, cluster in enumerate(key):
        for column, common in _overlaps(cluster, place).items():
            similarity[row, column] = 2 * common / (len(cluster) + len(system[column]))
    total = float(similarity[linear_sum_assignment(-similarity)].sum())
    return (total, float(len(system))), (total, float(len(key)))
