"""Seeded simulations of intervals and tests, by the functions that results and boards use.

Each gives how many per cent of its repetitions did what is counted, such as an interval that holds
the truth. `expected` is what a review of these methods found in simulations of its own, with the
Monte Carlo error of both. The populations are invented: log-normal ranks, hits that come in groups,
verbs by Zipf's law whose recall falls with their rarity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.metrics.bootstrap import Mean, Replicates, Sample, bounds
from bench.metrics.differences import paired, tied
from bench.metrics.resampling import macro, rank_statistics

RESAMPLES = 999
Random = np.random.Generator


@dataclass(frozen=True)
class Simulation:
    """`once` says whether a repetition did what is counted; `expected` per cent, of so many."""

    what: str
    expected: float
    of: int
    repetitions: int
    once: Callable[[Random], bool]

    def percent(self, repetitions: int) -> float:
        """In how many per cent of the repetitions."""
        random = np.random.default_rng([ord(letter) for letter in self.what])
        return 100.0 * float(np.mean([self.once(random) for _ in range(repetitions)]))

    def allowed(self, repetitions: int) -> float:
        """How far from `expected` chance alone may lead: three Monte Carlo errors of both."""
        share = min(max(self.expected, 1.0), 99.0) / 100
        return 300 * math.sqrt(share * (1 - share) * (1 / self.of + 1 / repetitions))


def _replicates(values: np.ndarray, random: Random, **kind: bool) -> Replicates:
    mean = Mean(values.astype(float), np.ones(len(values)), **kind)
    return _of(Sample(len(values), {"m": mean}), random)["m"]


def _of(sample: Sample, random: Random) -> dict[str, Replicates]:
    return sample.replicates(RESAMPLES, int(random.integers(1 << 31)))


def _holds(found: Replicates, truth: float) -> bool:
    low, high = bounds(found)
    return low <= truth <= high


# --- coverage -------------------------------------------------------------------------------------


def _share(share: float, items: int) -> Callable[[Random], bool]:
    def once(random: Random) -> bool:
        hits = 100 * (random.random(items) < share)
        return _holds(_replicates(hits, random, share=True), 100 * share)

    return once


def _mean_rank(items: int) -> Callable[[Random], bool]:
    """Ranks in a gallery of as many: 34 % first, 78 % among ten, and a long tail."""

    def ranks(random: Random, count: int) -> np.ndarray:
        found = np.rint(np.exp(random.normal(1.083, 1.644, count)))
        return np.clip(found, 1, items).astype(int)

    truth = float(ranks(np.random.default_rng(0), 4_000_000).mean())

    def once(random: Random) -> bool:
        drawn = rank_statistics(ranks(random, items), np.arange(items), items)
        return _holds(_of(Sample(items, {"MnR": drawn["MnR"]}), random)["MnR"], truth)

    return once


def _grouped_share(share: float, correlation: float) -> Callable[[Random], bool]:
    """24 groups of twelve; hits of a group are correlated."""
    total = 1 / correlation - 1

    def once(random: Random) -> bool:
        each = random.beta(share * total, (1 - share) * total, 24)
        hits = 100.0 * random.binomial(12, each)
        mean = Mean(hits, np.full(24, 12.0), share=True)
        return _holds(_of(Sample(24, {"m": mean}), random)["m"], 100 * share)

    return once


def _macro_recall(videos: int) -> Callable[[Random], bool]:
    """Recall over verbs of more than nine events, for the verbs as they are."""
    share = np.arange(1, 1501) ** -0.9
    share /= share.sum()
    recall = 0.15 + 0.6 * (share / share[0]) ** 0.25

    def once(random: Random) -> bool:
        counts = np.stack([
            np.bincount(row, minlength=1500) for row in random.choice(1500, (videos, 6), p=share)
        ]).astype(float)  # fmt: skip
        hits = random.binomial(counts.astype(int), recall).astype(float)
        found = _of(Sample(videos, {"m": macro(100 * hits, counts, 9)}), random)["m"]
        return _holds(found, 100 * float(recall[counts.sum(axis=0) > 9].mean()))

    return once


# --- errors of tests ------------------------------------------------------------------------------


def _equal_shares(items: int, correlation: float = 0.7) -> Callable[[Random], bool]:
    """Two models that are right as often, by correlated scores."""

    def once(random: Random) -> bool:
        scores = random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], items)
        hits = 100 * (scores < -0.4125)  # 34 %
        seed = int(random.integers(1 << 31))
        one, two = (
            Sample(items, {"m": Mean(each.astype(float), np.ones(items), share=True)})
            .replicates(RESAMPLES, seed)["m"] for each in hits.T
        )  # fmt: skip
        return paired([one], [two]).apart

    return once


def _equal_groups(correlation: float) -> Callable[[Random], bool]:
    """Differences of 24 groups of twelve around zero, correlated within a group."""

    def once(random: Random) -> bool:
        group = random.normal(0, math.sqrt(correlation), 24)
        total = 12 * group + random.normal(0, math.sqrt(12 * (1 - correlation)), 24)
        count, seed = np.full(24, 12.0), int(random.integers(1 << 31))
        one, two = (
            Sample(24, {"m": Mean(each, count)}).replicates(RESAMPLES, seed)["m"]
            for each in (np.zeros(24), total)
        )
        return paired([one], [two]).apart

    return once


def _equal_methods(items: int, seeds: int) -> Callable[[Random], bool]:
    """Two methods whose trainings differ by 1.5 points, videos by 18 and both together by 20."""

    def once(random: Random) -> bool:
        gaps = random.normal(0, 18, items)[:, None] + random.normal(0, 20, (items, seeds))
        gaps += random.normal(0, 1.5, seeds)
        seed, base = int(random.integers(1 << 31)), np.zeros(items)
        one, *others = (
            Sample(items, {"m": Mean(each, np.ones(items))}).replicates(RESAMPLES, seed)["m"]
            for each in (base, *gaps.T)
        )
        return paired([one], others).apart

    return once


def _equal_models(models: int, items: int = 1000) -> Callable[[Random], bool]:
    """Models that are right as often: some row is set apart from the best."""

    def once(random: Random) -> bool:
        common = random.normal(size=items)
        scores = math.sqrt(0.8) * common + math.sqrt(0.2) * random.normal(size=(models, items))
        hits = 100.0 * (scores < -0.385)  # 35 %
        count = np.ones(items)
        sample = Sample(items, {str(n): Mean(row, count, share=True) for n, row in enumerate(hits)})
        found = _of(sample, random)
        return not all(tied([[one] for one in found.values()], True))

    return once


def simulations() -> Iterator[Simulation]:
    """All, each with what the review found of the method and in how many repetitions."""
    held = "interval holds the truth: "
    yield Simulation(held + "R@1 = 34, 100 videos", 95.3, 1500, 600, _share(0.34, 100))
    yield Simulation(held + "R@1 = 34, 1,000 videos", 95.2, 1000, 400, _share(0.34, 1000))
    yield Simulation(held + "R@1 = 1, 100 videos", 94.5, 1500, 600, _share(0.01, 100))
    yield Simulation(held + "R@10 = 99, 100 videos", 94.5, 1500, 600, _share(0.99, 100))
    yield Simulation(held + "MnR, heavy tail, 100 videos", 93.9, 1500, 600, _mean_rank(100))
    yield Simulation(held + "MnR, heavy tail, 288 videos", 95.9, 1500, 400, _mean_rank(288))
    yield Simulation(held + "Rec@5, given the verbs, 288 videos", 94.0, 300, 300,
                     _macro_recall(288))  # fmt: skip
    yield Simulation(held + "share of 20, 24 groups of 12, ICC .056", 94.3, 1500, 800,
                     _grouped_share(0.2, 0.056))  # fmt: skip
    yield Simulation(held + "share of 73, 24 groups of 12, ICC .12", 94.9, 1500, 800,
                     _grouped_share(0.73, 0.12))  # fmt: skip
    false = "difference found where there is none: "
    yield Simulation(false + "R@1, 100 videos", 4.4, 2000, 800, _equal_shares(100))
    yield Simulation(false + "R@1, 1,000 videos", 5.0, 2000, 400, _equal_shares(1000))
    yield Simulation(false + "24 groups of 12, ICC .12", 4.0, 4000, 800, _equal_groups(0.12))
    yield Simulation(false + "one seed of methods that differ by 1.5, 100 videos", 9.5, 3000, 600,
                     _equal_methods(100, 1))  # fmt: skip
    yield Simulation(false + "three seeds, 100 videos", 3.8, 3000, 600, _equal_methods(100, 3))
    yield Simulation(false + "three seeds, 1,326 videos", 6.5, 3000, 300, _equal_methods(1326, 3))
    # The review found 2.2 of 400. It must be 5: those that differ most are the best and the last.
    yield Simulation(false + "any of 3 equal models on a board", 5.0, 400, 1000, _equal_models(3))
    yield Simulation(false + "any of 10 equal models on a board", 4.0, 400, 600, _equal_models(10))
