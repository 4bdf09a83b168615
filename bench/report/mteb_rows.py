"""MTEB's result files as published rows of the boards on its lists (docs/mteb.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import registry
from bench.capabilities import InMTEB, MTEBTask
from bench.errors import BenchError, DataError
from bench.files.untrusted import read_json, shown
from bench.report.reference import ReferenceRow
from bench.results.document import finite

METRICS = {"R@1": "recall_at_1", "R@5": "recall_at_5", "R@10": "recall_at_10"}
PREFIX = {"t2v": "", "v2t": "v2t/"}
LARGEST = 16 << 20


def rows_in(folder: Path) -> tuple[dict[str, list[ReferenceRow]], list[BenchError]]:
    """The rows of each task that MTEB's results below `folder` give, and what was not readable.

    A model's files of one revision are one row. DataError where there is none at all.
    """
    found: dict[str, list[ReferenceRow]] = {}
    refused: list[BenchError] = []
    for name in registry.task_names(InMTEB):
        for (place, protocol), metrics in _metrics(name, folder, refused).items():
            row = ReferenceRow(
                model=_model(place), metrics=metrics, source="MTEB result files",
                table=_revision(place), protocol=protocol, split=protocol.partition("/")[2],
                level="leaderboard",
            )  # fmt: skip
            found.setdefault(name, []).append(row)
    if not found:
        raise next(iter(refused), DataError(
            f"{folder}: no results of MTEB on a list of ours, such as "
            "results/ORG__MODEL/REVISION/MSRVTTT2V.json"
        ))  # fmt: skip
    return found, refused


def _metrics(
    task: str, folder: Path, refused: list[BenchError]
) -> dict[tuple[Path, str], dict[str, float]]:
    """The metrics in each folder of files, and of which protocol they are."""
    made: dict[tuple[Path, str], dict[str, float]] = {}
    for one in registry.offering(task, InMTEB).mteb_tasks():
        for path in sorted(folder.rglob(f"{one.name}.json")):
            try:
                scores = _scores(path, one)
            except BenchError as error:
                refused.append(error)
                continue
            prefix = PREFIX[one.direction]
            values = {
                prefix + ours: round(100 * scores[theirs], 1) for ours, theirs in METRICS.items()
            }  # as rows are published
            made.setdefault((path.parent, one.protocol), {}).update(values)
    return made


def _scores(path: Path, task: MTEBTask) -> dict[str, Any]:
    """The scores of the split `test`. DataError names what is not a result of MTEB's `task`."""
    remedy = "take a file as MTEB wrote it, or move it away"
    data = read_json(path, remedy, largest=LARGEST)
    try:
        revision, (scores,) = data["dataset_revision"], data["scores"]["test"]
        numbers = [scores[name] for name in METRICS.values()]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a result of {task.name}; {remedy}") from error
    if not finite(*numbers) or not all(0 <= number <= 1 for number in numbers):
        raise DataError(f"{path}: {shown(numbers)} are no recalls from 0 to 1; {remedy}")
    if revision != task.revision:
        raise DataError(
            f"{path}: revision {shown(revision)} of {task.dataset}, and the list is that of "
            f"{task.revision}; its numbers are of other data"
        )
    return dict(scores)


def _model(place: Path) -> str:
    """`ORG/MODEL` of `ORG__MODEL/REVISION`, and the name of an experiment."""
    if place.parent.name == "experiments":
        return f"{_model(place.parent.parent)} ({place.name})"
    return place.parent.name.replace("__", "/", 1) or place.name


def _revision(place: Path) -> str:
    found = place.parent.parent if place.parent.name == "experiments" else place
    return f"revision {found.name[:12]}"
