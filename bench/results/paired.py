"""Two results compared: paired bootstrap differences on the same items."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import registry
from bench.capabilities import Bounds, SharesItems
from bench.config import Config, RunConfig
from bench.contracts import Task
from bench.errors import DataError
from bench.files.untrusted import well_formed
from bench.results.comparison import Evidence, apart, comparable
from bench.results.document import Document
from bench.results.files import load, load_predictions

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Difference:
    """One metric of two runs: `difference` is second less first, `better` which way that counts."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    better: str


@dataclass(frozen=True)
class Comparison:
    """The differences of two `documents` on `items` that both answered.

    `common` says that these are not all that each answered. `unknown` are the metrics that kept
    lines do not give on them. `remarks` must be read with the numbers.
    """

    documents: list[Document]
    rows: list[Difference]
    items: int
    common: bool
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def compared(paths: tuple[Path, Path], run: RunConfig) -> Comparison:
    """Every metric's difference, computed from the kept lines with `run.resamples` and `run.seed`.

    Runs that answered other items of the same list are compared on those that both answered.
    DataError where the runs do not compare.
    """
    documents = [load(path) for path in paths]
    _check(paths, documents, whole=False)
    lines = [load_predictions(*both) for both in zip(paths, documents, strict=True)]
    items = [{line["item"] for line in part} for part in lines]
    common = items[0] != items[1]
    _check(paths, documents, whole=not common)
    task = registry.task_class(documents[0].task)
    bounds = _common(task, paths, lines) if common else [(part, part) for part in lines]
    numbers = []
    for path, both in zip(paths, bounds, strict=True):
        with well_formed(path, "run it again"):
            numbers.append(_numbers(task, both, run))
    (values, draws), (others, other_draws) = numbers
    rows = [
        _difference(name, values[name], others[name], draws[name], other_draws[name], task)
        for name in draws if name in other_draws
    ]  # fmt: skip
    measured = [name for name in documents[0].metrics if name in documents[1].metrics]
    unknown = [name for name in measured if common and not (name in draws and name in other_draws)]
    if not rows:
        raise DataError(
            f"{paths[1]}: its kept lines and those of {paths[0]} do not give the ranks among the "
            "videos that both answered; run both on the same videos (features are kept)"
        )
    count = task.score(bounds[0][0], resamples=1, seed=run.seed).answered
    found = Comparison(documents, rows, count, common, unknown)
    found.remarks.extend([*_coverage_remarks(found), *_edits(paths, documents, run)])
    return found


def _check(paths: tuple[Path, Path], documents: list[Document], whole: bool) -> None:
    if problem := comparable(documents[0], documents[1], whole):
        raise DataError(f"{paths[1]}: {problem} in {paths[0]}; not comparable")


def _common(task: type[Task], paths: tuple[Path, Path], lines: list[Lines]) -> list[Bounds]:
    """Both runs' lines on what both answered."""
    if not isinstance(task, SharesItems):
        raise DataError(
            f"{paths[1]}: other items than {paths[0]}; compare runs of the same coverage"
        )
    with well_formed(f"{paths[0]} or {paths[1]}", "run both again"):
        try:
            found = list(task.common(*lines))
        except ValueError as error:
            raise DataError(f"{paths[1]}: {error} than {paths[0]}; not comparable") from error
    if not found[0][0]:
        raise DataError(f"{paths[1]}: no item that {paths[0]} answered too; not comparable")
    return found


def _numbers(
    task: type[Task], bounds: Bounds, run: RunConfig
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics and their draws; only those that the lowest and the highest ranks give alike."""
    sides = bounds[:1] if bounds[0] is bounds[1] else bounds
    values = [task.score(lines, resamples=1, seed=run.seed).metrics for lines in sides]
    draws = [task.draws(lines, resamples=run.resamples, seed=run.seed) for lines in sides]
    known = [
        name for name in values[0]
        if name in draws[0] and np.array_equal(draws[0][name], draws[-1][name])
        and values[0][name] == values[-1][name]
    ]  # fmt: skip
    return {name: values[0][name] for name in known}, {name: draws[0][name] for name in known}


def _difference(
    name: str, first: float, second: float, one: np.ndarray, two: np.ndarray, task: type[Task]
) -> Difference:
    from bench.metrics.bootstrap import p_value

    differ, low, high = apart(one, two)
    gain = (second > first) == task.metrics[name].higher_is_better
    better = ("second" if gain else "first") if differ else "-"
    return Difference(name, first, second, second - first, low, high, p_value(two - one), better)


def _coverage_remarks(found: Comparison) -> list[str]:
    """What the items mean for the numbers."""
    one, two = found.documents
    if not found.common:
        return [f"both are {one.covered}: no numbers of the full set"] if one.partial else []
    answered = " and ".join(f"{d.name} {d.coverage.answered}" for d in found.documents)
    remarks = [
        f"compared on the {found.items} of {one.coverage.expected} items that both answered "
        f"({answered}): every number is of these alone, and ranks are among these alone"
    ]
    if one.source.fingerprint != two.source.fingerprint:
        remarks.append(
            "their data differ, as a limit or missing videos make them; whether the videos that "
            "both answered are the same files is not known"
        )
    if one.coverage.support != two.coverage.support:
        remarks.append(f"they learned from {one.coverage.support} and {two.coverage.support} clips")
    if found.unknown:
        remarks.append(
            f"left out: {', '.join(found.unknown)}: kept lines do not give them among fewer videos"
        )
    return remarks


def _edits(paths: tuple[Path, Path], documents: list[Document], run: RunConfig) -> list[str]:
    """Where a document says otherwise than its lines, and which rules count."""
    pairs = list(zip(paths, documents, strict=True))
    evidence = Evidence(pairs, Config(run=run))
    remarks = [
        f"{path}: edited: {edit}; what its lines give is compared"
        for path, document in pairs
        for edit in evidence.checked(document)[1]
    ]
    kept, now = documents[0].task_version, registry.task_class(documents[0].task).version
    if kept != now:
        remarks.append(f"both are of task version {kept}; the numbers here are by version {now}")
    return remarks
