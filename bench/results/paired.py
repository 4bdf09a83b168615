"""Results compared on the same items: paired differences over clusters and training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from bench import registry
from bench.capabilities import Bounds, SharesItems
from bench.config import Config, RunConfig
from bench.contracts import Task
from bench.errors import DataError
from bench.files.untrusted import well_formed
from bench.metrics.bootstrap import Replicates
from bench.results.comparison import Evidence, comparable
from bench.results.document import Document
from bench.results.files import load, load_predictions
from bench.results.replicates import Found, replicates_of

Lines = list[dict[str, Any]]
ONE_SEED = (
    "one run a side: the test is over videos and holds for these weights only; for training seeds "
    "give several runs a side, bench compare A0 A1 A2 -- B0 B1 B2"
)


@dataclass(frozen=True)
class Difference:
    """One metric of two sides: `difference` is second less first, `better` which way that counts.

    `holm` is p corrected for all metrics that are compared, `detectable` the smallest difference
    that such data would have shown. Bounds are infinite where nothing can be tested.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    holm: float
    detectable: float
    better: str


@dataclass(frozen=True)
class Comparison:
    """The differences of two sides, each the `documents` of a model's runs, on the `items` that all
    answered.

    `common` says that these are not all that each answered. `unknown` are the metrics that kept
    lines do not give on them. `remarks` must be read with the numbers.
    """

    documents: tuple[list[Document], list[Document]]
    rows: list[Difference]
    items: int
    common: bool
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, str]:
        """What the two sides are called: a model, and how many runs of it."""
        one, two = (
            " and ".join(dict.fromkeys(document.name for document in side))
            + (f" ({len(side)} runs)" if len(side) > 1 else "")
            for side in self.documents
        )
        return one, two


def compared(
    first: Sequence[Path], second: Sequence[Path], run: RunConfig, across: bool = False
) -> Comparison:
    """Every metric's difference, computed from the kept lines with `run.resamples` and `run.seed`.

    Each side are one model's results, of several training seeds or of one; one result beside
    several is held against each of them. Two results that answered other items of the same list are
    compared on those that both answered. With `across`, protocols and settings of the task, such as
    another head, may differ, and a remark says how. DataError where they do not compare.
    """
    paths = [*first, *second]
    documents = [load(path) for path in paths]
    for path, document in zip(paths[1:], documents[1:], strict=True):
        _check((paths[0], path), (documents[0], document), len(paths) > 2, across)
    lines = [load_predictions(*both) for both in zip(paths, documents, strict=True)]
    _check_runs(first, documents[: len(first)], second, documents[len(first) :])
    items = [{line["item"] for line in part} for part in lines]
    common = any(one != items[0] for one in items[1:])
    if common and len(paths) > 2:
        raise DataError(f"{paths[1]}: other items than {paths[0]}; runs of several seeds must "
                        "answer the same items")  # fmt: skip
    if common and documents[0].rescored:
        raise DataError(
            f"{paths[1]}: other items than {paths[0]}, and a dual softmax scores each query by all "
            "that were answered: ranks among some are not known; run both on the same videos"
        )
    _check((paths[0], paths[-1]), (documents[0], documents[-1]), not common, across)
    task = registry.task_class(documents[0].task)
    bounds = _common(task, (paths[0], paths[1]), lines) if common else [(p, p) for p in lines]
    found = [_replicates(task, path, both, run) for path, both in zip(paths, bounds, strict=True)]
    sides = documents[: len(first)], documents[len(first) :]
    rows = _differences(found[: len(first)], found[len(first) :], task, run.seed)
    measured = [name for name in documents[0].metrics if name in documents[-1].metrics]
    unknown = [name for name in measured if common and not all(name in one for one in found)]
    if not rows:
        raise DataError(
            f"{paths[1]}: its kept lines and those of {paths[0]} do not give the ranks among the "
            "videos that both answered; run both on the same videos (features are kept)"
        )
    count = task.score(bounds[0][0], resamples=1, seed=run.seed).answered
    made = Comparison(sides, rows, count, common, unknown)
    clusters = next(iter(found[0].values())).clusters
    made.remarks.extend([
        *_seed_remarks(sides), *_cluster_remarks(clusters), *_coverage_remarks(made),
        *_edits(paths, documents, run), *_across(paths, documents),
    ])  # fmt: skip
    return made


def _check_runs(
    first: Sequence[Path], ones: list[Document], second: Sequence[Path], twos: list[Document]
) -> None:
    """DataError for numbers of runs that cannot be paired, and for one that is given twice."""
    from bench.metrics.differences import pairable

    if not pairable(first, second):
        raise DataError(
            f"{len(first)} results beside {len(second)}: give as many on both sides, or one alone"
        )
    for paths, documents in ((first, ones), (second, twos)):
        seen: dict[str, Path] = {}
        for path, document in zip(paths, documents, strict=True):
            if (same := seen.setdefault(document.lines, path)) is not path:
                raise DataError(f"{path}: the same predictions as {same}; give each run once")


def _check(
    paths: tuple[Path, Path], documents: tuple[Document, Document], whole: bool, across: bool
) -> None:
    first, second = documents
    if across:
        first = structs.replace(first, protocol=second.protocol)
    if problem := comparable(first, second, whole):
        unless = ", but with --across" if problem.startswith("protocol") else ""
        raise DataError(f"{paths[1]}: {problem} in {paths[0]}; not comparable{unless}")
    if not across and (settings := _other_settings(*documents)):
        raise DataError(
            f"{paths[1]}: other settings of the task than in {paths[0]}: {settings}; --across "
            "compares them all the same"
        )


def _other_settings(first: Document, second: Document) -> str:
    """The settings of the task that differ, as `key two, but one`; empty where none does.

    A scored file has none: how its answers were made is not known.
    """
    ones, twos = first.task_settings, second.task_settings
    if first.kind or second.kind:
        return ""
    keys = [key for key in {**ones, **twos} if ones.get(key) != twos.get(key)]
    return ", ".join(
        f"{key} {twos.get(key, 'as by default')}, but {ones.get(key, 'as by default')}"
        for key in keys
    )


def _across(paths: Sequence[Path], documents: list[Document]) -> list[str]:
    """What differs of protocols and settings, where that was asked for; of several runs once."""
    found: dict[str, str] = {}
    for path, document in zip(paths[1:], documents[1:], strict=True):
        differing = [_other_settings(documents[0], document)]
        if document.protocol != documents[0].protocol:
            differing.append(f"protocol {document.protocol}, but {documents[0].protocol}")
        if said := ", ".join(filter(None, differing)):
            remark = f"{path}: {said} in {paths[0]}: the difference is of all together"
            found.setdefault(said, remark)
    return list(found.values())


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


def _replicates(task: type[Task], path: Path, bounds: Bounds, run: RunConfig) -> Found:
    """Metrics in every resample; only those that the lowest and the highest ranks give alike."""
    with well_formed(path, "run it again"):
        found = replicates_of(task, bounds[0], run.resamples, run.seed)
        if bounds[0] is bounds[1]:
            return found
        highest = replicates_of(task, bounds[1], run.resamples, run.seed)
    return {
        name: one for name, one in found.items()
        if one.value == highest[name].value and np.array_equal(one.values, highest[name].values)
    }  # fmt: skip


def _differences(
    ones: list[Found], twos: list[Found], task: type[Task], seed: int
) -> list[Difference]:
    """Of every metric that all have; p corrected for all of them."""
    from bench.metrics.differences import holm, paired

    names = [name for name in ones[0] if all(name in one for one in (*ones, *twos))]
    sides = {name: ([one[name] for one in ones], [two[name] for two in twos]) for name in names}
    found = {name: paired(*both, seed) for name, both in sides.items()}
    corrected = dict(zip(names, holm([found[name].p for name in names]), strict=True))
    rows = []
    for name, estimate in found.items():
        gain = (estimate.value > 0) == task.metrics[name].higher_is_better
        better = ("second" if gain else "first") if estimate.apart else "-"
        rows.append(Difference(
            name, _mean(sides[name][0]), _mean(sides[name][1]), estimate.value, estimate.low,
            estimate.high, estimate.p, corrected[name], estimate.detectable, better,
        ))  # fmt: skip
    return rows


def _mean(runs: list[Replicates]) -> float:
    return float(np.mean([run.value for run in runs]))


def _seed_remarks(sides: tuple[list[Document], list[Document]]) -> list[str]:
    """Which randomness of training the numbers hold for."""
    if all(len(side) == 1 for side in sides):
        return [ONE_SEED]
    return [
        f"{side[0].name} is one run: what is said of it holds for its weights only"
        for side in sides if len(side) == 1
    ]  # fmt: skip


def _cluster_remarks(clusters: int) -> list[str]:
    from bench.metrics.differences import FEWEST

    if clusters >= FEWEST:
        return []
    return [
        f"only {clusters} independent groups of videos: nothing can be tested with fewer than "
        f"{FEWEST}"
    ]


def _coverage_remarks(found: Comparison) -> list[str]:
    """What the items mean for the numbers."""
    (one, *_), (*_, two) = found.documents
    if not found.common:
        return [f"both are {one.covered}: no numbers of the full set"] if one.partial else []
    answered = " and ".join(f"{d.name} {d.coverage.answered}" for d in (one, two))
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


def _edits(paths: Sequence[Path], documents: list[Document], run: RunConfig) -> list[str]:
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
