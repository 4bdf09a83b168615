"""A made-up result on a list of MTEB, as `bench run` keeps one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.results.document import Coverage, Data, Document, Reading, Settings, valued
from bench.results.files import Result, save
from tasks.msrvtt import MSRVTT

ITEMS = 60


def similarities(count: int) -> np.ndarray:
    """Texts [N] and videos [N]; the ground-truth video scores somewhat higher."""
    generator = np.random.default_rng(0)
    return generator.standard_normal((count, count)) + 2 * np.eye(count)


def kept(folder: Path, protocol: str = "msrvtt/mteb-879", expected: int = ITEMS,
         departures: tuple[str, ...] = ()) -> Path:  # fmt: skip
    """A result of random similarities on a list of that name, as `bench run` keeps one."""
    scores = similarities(ITEMS)
    names = [f"video{7010 + i}" for i in range(ITEMS)]
    lines: list[dict[str, Any]] = []
    for direction, found in (("t2v", scores), ("v2t", scores.T)):
        ranks = (found >= found.diagonal()[:, None]).sum(axis=1)
        lines += [
            {"item": f"{direction} {i}", "direction": direction, "query": i, "target": names[i],
             "rank": int(ranks[i]), "score": float(found[i, i]), "top": []}
            for i in range(ITEMS)
        ]  # fmt: skip
    made = MSRVTT.score(lines, resamples=50, seed=0)
    document = Document(
        task="msrvtt", task_version=1, protocol=", ".join([protocol, *departures]),
        source=Data("lab", "f"), model={"name": "clip-x", "fingerprint": "ab12"},
        metrics=valued(made.metrics, made.intervals),
        metric_info={name: Reading(one.unit, one.higher_is_better)
                     for name, one in MSRVTT.metrics.items()},
        primary="R@1", chance={}, warnings=[], started="2026-11-28T01:46:32+00:00",
        coverage=Coverage(expected, ITEMS, expected, expected - ITEMS, 0), seconds={"total": 2.5},
        settings=Settings(50, 0, 2, plan="uniform-12", departures=list(departures)),
    )  # fmt: skip
    return save(Result(document, lines), folder)
