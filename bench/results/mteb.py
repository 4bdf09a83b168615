"""Results in MTEB's format: what its leaderboard and `mteb.TaskResult` read (docs/mteb.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.files.atomic import write_text
from bench.results.document import Document
from bench.results.files import load_predictions, slug

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)  # k of MTEB's retrieval scores
ORGANISATION = "srl-bench"  # MTEB's names of models have one; ours have none of their own


@dataclass(frozen=True)
class MTEBTask:
    """A task of MTEB that asks the queries of one `direction` of one of our protocols.

    `dataset` is its data on the hub and `revision` that of the data; its split is called `test`,
    its subset `default`, and it is in English.
    """

    name: str
    protocol: str
    direction: str
    dataset: str
    revision: str


def retrieval_scores(ranks: np.ndarray) -> dict[str, float]:
    """MTEB's retrieval scores, as fractions, of queries that have one relevant item each.

    `ranks` int [N] count from 1. With one relevant item NDCG is 1 / log2(1 + rank), average
    precision the reciprocal rank, and both are 0 beyond the first k. What MTEB calls nauc_* needs
    all similarities, and is left out. Rounded as MTEB rounds: mrr to 6 digits, others to 5.
    """
    scores: dict[str, float] = {}
    for k in CUTOFFS:
        within = ranks <= k
        reciprocal = float(np.where(within, 1 / ranks, 0).mean())
        found = float(within.mean())
        gain = float(np.where(within, 1 / np.log2(1 + ranks), 0).mean())
        scores |= {
            f"ndcg_at_{k}": round(gain, 5), f"map_at_{k}": round(reciprocal, 5),
            f"recall_at_{k}": round(found, 5), f"precision_at_{k}": round(found / k, 5),
            f"mrr_at_{k}": round(reciprocal, 6), f"hit_rate_at_{k}": round(found, 5),
        }  # fmt: skip
    return {**scores, "accuracy": scores["recall_at_1"], "main_score": scores["ndcg_at_10"]}


def task_result(task: MTEBTask, document: Document, ranks: np.ndarray) -> dict[str, Any]:
    """The content of `<Task>.json`. No version of MTEB: it was not what ran."""
    scores = {**retrieval_scores(ranks), "hf_subset": "default", "languages": ["eng-Latn"]}
    when = datetime.fromisoformat(document.started).timestamp() if document.started else None
    seconds = document.seconds or {}
    return {
        "dataset_revision": task.revision, "task_name": task.name, "mteb_version": None,
        "scores": {"test": [scores]}, "evaluation_time": seconds.get("total"),
        "kg_co2_emissions": None, "date": when, "evaluation_phases": None,
    }  # fmt: skip


def model_meta(
    name: str, revision: str, embed_dim: int | None = None, max_tokens: int | None = None
) -> dict[str, Any]:
    """The fields of MTEB's ModelMeta; None is unknown. `revision` is the adapter's fingerprint."""
    unknown = ("loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "license",
               "open_weights", "public_training_code", "public_training_data",
               "training_datasets")  # fmt: skip
    return {
        **dict.fromkeys(unknown),
        "name": f"{ORGANISATION}/{slug(name)}", "revision": revision,
        "embed_dim": embed_dim, "max_tokens": max_tokens,
        "framework": ["PyTorch"], "similarity_fn_name": "cosine", "use_instructions": False,
        "modalities": ["text", "video"],
    }  # fmt: skip
