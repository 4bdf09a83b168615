"""What a board says of its measured rows together: runs pooled over training seeds, the best, ties
with it, and how small a difference could have been seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from bench.files.tensor_store import digest
from bench.metrics.bootstrap import Replicates
from bench.metrics.differences import FEWEST, over_seeds, paired, tied
from bench.report.tables import Row, ranked
from bench.results.comparison import comparable
from bench.results.document import Document, Value, to_json
from bench.results.replicates import Found

# What differs between a model's runs of several seeds, in what its adapter says of its training.
_OF_A_RUN = ("seed", "seconds", "best_epoch", "held_out", "stopped", "texts")
Entry = tuple[Row, list[Document]]  # a row, and the results it is made of


class Backing(Protocol):
    """What stands behind results; see `bench.results.comparison.Evidence`."""

    def replicates(self, document: Document) -> Found | None: ...
    def stale(self, document: Document) -> list[str]: ...
    def checked(self, document: Document) -> tuple[dict[str, Value], list[str]]: ...


def has_mark(metric: str) -> bool:
    """Whether ties are looked for: a median of ranks hardly ever differs, whatever the models."""
    return metric.rpartition("/")[2] != "MdR"


def marked(
    pairs: list[tuple[Row, Document]], higher: dict[str, bool], primary: str,
    backing: Backing | None,
) -> tuple[list[Row], tuple[str, ...]]:  # fmt: skip
    """Measured rows of one board with their marks, and what is to be said below it."""
    entries = pooled([(row, [document]) for row, document in pairs], backing)
    entries.sort(key=lambda entry: by_value(entry[0], higher, primary))
    rows = ranked([row for row, _ in entries], higher)
    entries = [(row, documents) for row, (_, documents) in zip(rows, entries, strict=True)]
    marks: list[dict[str, bool]] = [{} for _ in rows]
    for name in filter(has_mark, higher):
        for place, alike in _tested(name, higher[name], entries, backing).items():
            marks[place][name] = alike
    compared = {name for name in higher if sum(name in row.values for row in rows) > 1}
    made = [
        replace(
            row,
            tied=tuple(n for n in row.values if n not in row.best and one.get(n)),
            untested=tuple(
                n for n in row.values
                if n in compared and has_mark(n) and n not in row.best and n not in one
            ),
        )
        for row, one in zip(rows, marks, strict=True)
    ]  # fmt: skip
    return made, _detectable(primary, higher.get(primary, True), entries, backing)


def by_value(row: Row, higher: dict[str, bool], primary: str) -> tuple[float, str]:
    """What rows are sorted by: the primary metric, then the name."""
    sign = -1 if higher[primary] else 1
    worst = float("inf")  # of a result whose lines do not give it
    return sign * row.values.get(primary, sign * worst), row.model


# --- several seeds --------------------------------------------------------------------------------


def pooled(entries: list[Entry], backing: Backing | None) -> list[Entry]:
    """Runs of one model that differ in their seeds alone as one row: means, with their spread."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[_recipe(entry[1][0])].append(entry)
    made: list[Entry] = []
    for group in groups.values():
        documents = [document for _, of_row in group for document in of_row]
        distinct = len({_seeds(document) for document in documents}) == len(documents)
        alike = all(not comparable(documents[0], other) for other in documents[1:])
        several = len(group) > 1 and distinct and alike
        made += [(_pooled([row for row, _ in group], documents, backing), documents)] if (
            several
        ) else group  # fmt: skip
    return made


def _recipe(document: Document) -> str:
    """What a model's runs have in common whatever their seeds."""
    model = {**to_json(document)["model"], "name": document.name.partition("@")[0]}
    model.pop("fingerprint", None)
    adapter = model.get("adapter")
    if isinstance(adapter, dict) and isinstance(training := adapter.get("training"), dict):
        steady = {name: one for name, one in training.items() if name not in _OF_A_RUN}
        model["adapter"] = {**adapter, "training": steady}
    return digest(model, document.task_settings)


def _seeds(document: Document) -> tuple[Any, Any]:
    """Of the task's own training, and of the model's."""
    adapter = document.model.get("adapter")
    training = adapter.get("training") if isinstance(adapter, dict) else None
    seed = training.get("seed") if isinstance(training, dict) else None
    return (document.settings.seed if document.settings else None), str(seed)


def _pooled(rows: list[Row], documents: list[Document], backing: Backing | None) -> Row:
    shared = [name for name in rows[0].values if all(name in row.values for row in rows)]
    each = {name: [row.values[name] for row in rows] for name in shared}
    spread = {name: float(np.std(values, ddof=1)) for name, values in each.items()}
    runs = _runs(documents, backing)
    primary = documents[0].primary
    varied = [
        column for column in zip(*map(_seeds, documents), strict=True) if len(set(column)) > 1
    ]
    seeds = ", ".join("/".join(map(str, dict.fromkeys(one))) for one in zip(*varied, strict=True))
    said = f"; sd over seeds: {primary} {spread[primary]:.1f}" if primary in spread else ""
    return replace(
        rows[0],
        model=f"{documents[0].name.partition('@')[0]} ({len(rows)} seeds)",
        values={name: float(np.mean(values)) for name, values in each.items()},
        bounds={
            name: over_seeds([run[name] for run in runs])
            for name in shared if runs and all(name in run for run in runs)
        },
        spread=spread,
        differences={
            name: float(np.mean([row.differences[name] for row in rows]))
            for name in rows[0].differences if all(name in row.differences for row in rows)
        },
        remark=f"{rows[0].remark}; mean of {len(rows)} runs, seeds {seeds}{said}",
        provenance="+".join(row.provenance for row in rows),
        flagged=any(row.flagged for row in rows),
    )  # fmt: skip


# --- ties with the best ---------------------------------------------------------------------------


def _runs(documents: Sequence[Document], backing: Backing | None) -> list[Found]:
    """The replicates of every run; none where one keeps no predictions."""
    found = [backing.replicates(one) if backing else None for one in documents]
    return [one for one in found if one is not None] if all(found) else []


def _tested(
    name: str, higher: bool, entries: list[Entry], backing: Backing | None
) -> dict[int, bool]:
    """By place: whether a row cannot be told from the best; absent where that was not tested."""
    having = _comparable(name, entries, backing)
    if len(having) < 2:
        return {}
    return dict(zip(having, tied(list(having.values()), higher), strict=True))


def _comparable(
    name: str, entries: list[Entry], backing: Backing | None
) -> dict[int, list[Replicates]]:
    """The runs of the rows that can be tested in a metric, beside the best one; by place."""
    best = next((place for place, (row, _) in enumerate(entries) if name in row.best), None)
    if best is None:
        return {}
    found = {}
    for place, (_, documents) in enumerate(entries):
        runs = _runs(documents, backing)
        if not runs or not all(name in run for run in runs):
            continue
        if any(comparable(entries[best][1][0], one) for one in documents):
            continue
        found[place] = [run[name] for run in runs]
    if best not in found:
        return {}
    size = found[best][0].clusters
    return {place: runs for place, runs in found.items() if runs[0].clusters == size}


def _detectable(
    primary: str, higher: bool, entries: list[Entry], backing: Backing | None
) -> tuple[str, ...]:
    """The smallest difference to the best that these data could have shown."""
    having = _comparable(primary, entries, backing)
    if len(having) < 2:
        return ()
    if (clusters := next(iter(having.values()))[0].clusters) < FEWEST:
        return (f"No difference can be tested: {clusters} independent groups of videos.",)
    best = next(runs for place, runs in having.items() if primary in entries[place][0].best)
    pairs = [runs for runs in having.values() if runs is not best and _pair(runs, best)]
    if not pairs:
        return ()
    least = max(paired(runs, best).detectable for runs in pairs)
    return (
        f"Differences to the best below {least:.1f} in {primary} would most often have been missed "
        "(80 % power: 2.80 standard errors of the paired difference).",
    )


def _pair(one: list[Replicates], other: list[Replicates]) -> bool:
    """Whether two rows' runs can be paired by seed."""
    return not {len(one), len(other)} - {1, max(len(one), len(other))}
