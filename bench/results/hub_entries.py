"""Results as the hub's `.eval_results/*.yaml`, by huggingface_hub's own writer (docs/mteb.md)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError, UsageError
from bench.files.atomic import write_text
from bench.results.document import Document
from bench.results.exports import whole_result
from bench.results.files import stem
from bench.results.mteb import mteb_tasks, ranks_of, retrieval_scores


@dataclass(frozen=True)
class Benchmark:
    """A data set on the hub and the task of its `eval.yaml` that a result is an answer to."""

    dataset: str
    task: str
    revision: str | None = None


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
    plan = document.settings.plan if document.settings else None
    notes = [document.protocol, *([f"frames {plan}"] if plan else []),
             f"srl-bench {version('srl-bench')}"]  # fmt: skip
    values = _primary(document, benchmark) if benchmark else _of_mteb(document, lines, path)
    return eval_result_entries_to_yaml([
        EvalResultEntry(
            dataset_id=where.dataset, task_id=where.task, dataset_revision=where.revision,
            value=value, date=document.started or None, notes="; ".join([what, *notes]),
        )
        for where, value, what in values
    ])  # fmt: skip


Values = list[tuple[Benchmark, float, str]]  # each with what it is


def _primary(document: Document, benchmark: Benchmark) -> Values:
    found = document.metrics[document.primary]
    return [(benchmark, round(found.value, 4), document.primary + found.bounds)]


def _of_mteb(document: Document, lines: list[dict[str, Any]], path: Path) -> Values:
    """In percent, under both ids that MTEB gives a task of one subset and one split."""
    try:
        tasks = mteb_tasks(document)
    except UsageError as error:
        remedy = "say --dataset OWNER/NAME and --task-id of its eval.yaml"
        raise UsageError(f"{path}: {error}; or {remedy}") from error
    return [
        (Benchmark(task.dataset, name, task.revision), round(100 * score, 3), "NDCG@10")
        for task in tasks
        for score in [retrieval_scores(ranks_of(lines, task))["main_score"]]
        for name in (f"{task.name}_default_test", task.name)
    ]
