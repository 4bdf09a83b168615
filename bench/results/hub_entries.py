"""Results as the hub's `.eval_results/*.yaml`, by huggingface_hub's own writer (docs/mteb.md)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.errors import BenchError, UsageError
from bench.files.atomic import write_text
from bench.results.document import Document
from bench.results.exports import whole_result
from bench.results.files import stem
from bench.results.mteb import mteb_tasks, retrieval_scores


@dataclass(frozen=True)
class Benchmark:
    """A data set on the hub and the task of its `eval.yaml` that a result is an answer to."""

    dataset: str
    task: str


def export(path: Path, folder: Path, benchmark: Benchmark | None = None) -> Path:
    """Write the entries of a result below `folder`, the model's repository; returns the file.

    With `benchmark` it is the primary metric; without, MTEB's main scores of its lists, under the
    ids that MTEB gives them. DataError and UsageError as of `whole_result` and `mteb_tasks`.
    """
    document, lines = whole_result(path)
    entries = _entries(document, lines, benchmark, path)
    name = stem(*document.protocol.replace("†", "").split(", "))
    target = folder / ".eval_results" / f"{name}.yaml"
    write_text(target, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
    return target


def _entries(
    document: Document, lines: list[dict[str, Any]], benchmark: Benchmark | None, path: Path
) -> list[dict[str, Any]]:
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError as error:
        raise BenchError(
            f"huggingface_hub {version('huggingface_hub')} has no EvalResultEntry; install a newer "
            "one: pip install -U huggingface_hub"
        ) from error

    def entry(dataset: str, task: str, value: float, what: str, revision: str | None) -> Any:
        notes = [what, document.protocol, f"frames {document.settings.plan}" if document.settings
                 and document.settings.plan else "", f"srl-bench {version('srl-bench')}"]  # fmt: skip
        return EvalResultEntry(
            dataset_id=dataset, task_id=task, value=value, dataset_revision=revision,
            date=document.started or None, notes="; ".join(filter(None, notes)),
        )  # fmt: skip

    if benchmark:
        value = document.metrics[document.primary]
        bounds = "" if value.low is None else f" [{value.low:.1f}, {value.high:.1f}]"
        made = [entry(benchmark.dataset, benchmark.task, round(value.value, 4),
                      document.primary + bounds, None)]  # fmt: skip
        return eval_result_entries_to_yaml(made)
    try:
        tasks = mteb_tasks(document)
    except UsageError as error:
        remedy = "say --dataset OWNER/NAME and --task-id of its eval.yaml"
        raise UsageError(f"{path}: {error}; or {remedy}") from error
    made = []
    for task in tasks:
        ranks = np.array([line["rank"] for line in lines if line["direction"] == task.direction])
        value = round(100 * retrieval_scores(ranks)["main_score"], 3)
        for name in (f"{task.name}_default_test", task.name):
            made.append(entry(task.dataset, name, value, "NDCG@10", task.revision))
    return eval_result_entries_to_yaml(made)
