"""Results in MTEB's format: what its leaderboard and `mteb.TaskResult` read (docs/mteb.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import registry
from bench.capabilities import InMTEB, MTEBTask
from bench.errors import UsageError
from bench.files.atomic import write_text
from bench.files.untrusted import well_formed
from bench.results.document import Document
from bench.results.exports import whole_result
from bench.results.files import slug
from bench.video.sampling import CHOICES

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)  # k of MTEB's retrieval scores
ORGANISATION = "srl-bench"  # MTEB's names of models have one; ours have none of their own
TURNED = re.compile(rf"published|raw mean|\d+ (frames|tokens)|[\d.]+ fps|{'|'.join(CHOICES)}")


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
    name: str,
    revision: str,
    embed_dim: int | None = None,
    max_tokens: int | None = None,
    departures: Sequence[str] = (),
) -> dict[str, Any]:
    """The fields of MTEB's ModelMeta; None is unknown. `revision` is the adapter's fingerprint.

    With `departures` from our protocol it is one of MTEB's experiments, which have a place of their
    own.
    """
    turned = "+".join(departures).replace(" ", "-")
    unknown = ("loader", "release_date", "languages", "n_parameters", "memory_usage_mb", "license",
               "open_weights", "public_training_code", "public_training_data",
               "training_datasets")  # fmt: skip
    return {
        **dict.fromkeys(unknown),
        "name": f"{ORGANISATION}/{slug(name)}", "revision": revision,
        "embed_dim": embed_dim, "max_tokens": max_tokens,
        "framework": ["PyTorch"], "similarity_fn_name": "cosine", "use_instructions": False,
        "modalities": ["text", "video"],
        "experiment_kwargs": {"protocol": turned} if turned else None,
    }  # fmt: skip


def mteb_tasks(document: Document) -> list[MTEBTask]:
    """MTEB's tasks on the list of a result. UsageError where it would not be MTEB's protocol."""
    task = registry.offering(document.task, InMTEB)
    plain = document.protocol.partition(", ")[0]
    found = [one for one in task.mteb_tasks() if one.protocol == plain]
    if not found:
        known = ", ".join(sorted({one.protocol for one in task.mteb_tasks()}))
        raise UsageError(f"protocol {plain} is not on a list of MTEB; it has {known}")
    # A model chooses its frames and text length in MTEB, too; it scores by similarity alone.
    if odd := [one for one in document.departures if not TURNED.fullmatch(one)]:
        raise UsageError(f"'{odd[0]}' is not of MTEB's protocol; export a run without it")
    return found


def ranks_of(lines: Sequence[dict[str, Any]], task: MTEBTask) -> np.ndarray:
    """The ranks int [N] of the queries that the task asks."""
    return np.array([line["rank"] for line in lines if line["direction"] == task.direction])


def export(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write MTEB's `results/<model>/<revision>/<Task>.json` of results below `folder`.

    All is read and checked before anything is written. DataError for a result whose numbers cannot
    be believed or are partial, UsageError for one of another list or scored another way.
    """
    contents: dict[Path, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        document, lines = whole_result(path)
        try:
            tasks = mteb_tasks(document)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        model = str(document.model.get("fingerprint", "no_revision_available"))
        meta = model_meta(document.name, model, departures=document.departures)
        place = Path("results", meta["name"].replace("/", "__"), slug(model))
        if meta["experiment_kwargs"]:
            place = place.joinpath(
                "experiments", f"protocol_{meta['experiment_kwargs']['protocol']}"
            )
        with well_formed(path, "run it again"):
            made = {task.name: task_result(task, document, ranks_of(lines, task)) for task in tasks}
        for name, content in made.items():
            entry = place / f"{name}.json"
            if entry in contents:
                raise UsageError(
                    f"{path}: {contents[entry][0]} is of the same model and protocol; give one"
                )
            contents[entry] = path, content
        contents.setdefault(place / "model_meta.json", (path, meta))
    written = []
    for entry, (_, content) in contents.items():
        write_text(folder / entry, json.dumps(content, indent=2) + "\n")
        written.append(folder / entry)
    return written
