"""`python -m tests.faults.reranking`: a run that re-ranks, by a slow matching head."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import bench
from bench.config import load_config
from bench.engine import evaluate
from bench.results.files import save
from tests.bench.test_reranking import Matcher


class Slow(Matcher):
    """A tenth of a second a clip."""

    def rerank(self, texts: Sequence[str], conditions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        time.sleep(0.1 * len(conditions))
        return super().rerank(texts, conditions, pairs)


if __name__ == "__main__":
    config = load_config(Path("bench.yaml"))
    task = bench.load_task("msrvtt", str(config.sources["world"]["msrvtt"].root))
    save(evaluate(Slow(), task, config.run, rerank=True), config.run.output)
