"""What a board says of its measured rows together: runs pooled over training seeds, the best, ties
with it, and how small a difference could have been seen."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bench.files.tensor_store import digest
from bench.metrics.bootstrap import Replicates
from bench.metrics.differences import FEWEST, over_seeds, pairable, paired, tied
from bench.report.tables import Lead, Row, ranked
from bench.results.comparison import comparable
from bench.results.document import Document, Value, to_json
from bench.results.replicates import Found

# What differs between a model's runs of several seeds, in what its adapter says of its training.
_OF_A_RUN = ("seed", "seconds", "best_epoch", "held_out", "stopped", "texts")


@dataclass(frozen=True)
class Entry:
    """A row, the results it is made of, and their replicates, where every one keeps predictions."""

    row: Row
    documents: list[Document]
    runs: list[Found]


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
) -> tuple[list[Row], tuple[str, ...], Lead | None]:  # fmt: skip
    """Measured rows of one board with their marks, what is to be said below it, and the lead."""
    entries = pooled([Entry(row, [one], _runs(one, backing)) for row, one in pairs])
    entries.sort(key=lambda entry: by_value(entry.row, higher, primary))
    rows = ranked([entry.row for entry in entries], higher)
    entries = [replace(entry, row=row) for entry, row in zip(entries, rows, strict=True)]
    marks: list[dict[str, bool]] = [{} for _ in rows]
    for name in filter(has_mark, higher):
        for place, alike in _tested(name, higher[name], entries).items():
            marks[place][name] = alike
    compared = {name for name in higher if sum(name in row.values for row in rows) > 1}
    made = [
        replace(
            row,
            rank=_rank(row, rows, higher[primary], primary),
            tied=tuple(n for n in row.values if n not in row.best and one.get(n)),
            untested=tuple(
                n for n in row.values
                if n in compared and has_mark(n) and n not in row.best and n not in one
            ),
        )
        for row, one in zip(rows, marks, strict=True)
    ]  # fmt: skip
    entries = [replace(entry, row=row) for entry, row in zip(entries, made, strict=True)]
    return made, _detectable(primary, entries), _lead(entries, higher[primary], primary)


def _rank(row: Row, rows: list[Row], up: bool, primary: str) -> int | None:
    """How many of `rows` are better in the primary metric, and one; None without a value."""
    if primary not in row.values:
        return None
    own = row.values[primary]
    others = [one.values[primary] for one in rows if primary in one.values]
    return 1 + sum(value > own if up else value < own for value in others)


def _runs(document: Document, backing: Backing | None) -> list[Found]:
    found = backing.replicates(document) if backing else None
    return [] if found is None else [found]


def by_value(row: Row, higher: dict[str, bool], primary: str) -> tuple[float, str]:
    """What rows are sorted by: the primary metric, then the name."""
    sign = -1 if higher[primary] else 1
    worst = float("inf")  # of a result whose lines do not give it
    return sign * row.values.get(primary, sign * worst), row.model


# --- several seeds --------------------------------------------------------------------------------


def pooled(entries: list[Entry]) -> list[Entry]:
    """Runs of one model that differ in their seeds alone as one row: means, with their spread.

    What answers alike whatever its seed, as a model does that nothing is trained for, is one run.
    """
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[_recipe(entry.documents[0])].append(entry)
    made: list[Entry] = []
    for group in groups.values():
        documents = [document for entry in group for document in entry.documents]
        differ = all(
            len(set(map(identity, documents))) == len(documents) for identity in (_seeds, _answers)
        )
        alike = all(not comparable(documents[0], other) for other in documents[1:])
        made += [_pooled(group)] if len(group) > 1 and differ and alike else group
    return made


def _answers(document: Document) -> str:
    """What tells a run's predictions from another's."""
    return document.lines or digest(to_json(document))


def _recipe(document: Document) -> str:
    """What a model's runs have in common whatever their seeds."""
    model = {**to_json(document)["model"], "name": document.name.partition("@")[0]}
    model.pop("fingerprint", None)
    adapter = model.get("adapter")
    if isinstance(adapter, dict) and isinstance(training := adapter.get("training"), dict):
        steady = {name: one for name, one in training.items() if name not in _OF_A_RUN}
        model["adapter"] = {**adapter, "training": steady}
    return digest(model, document.task_settings)


def _seeds(document: Document) -> tuple[Any, ...]:
    """Of the task's own training, and of the model's, where there is one."""
    adapter = document.model.get("adapter")
    training = adapter.get("training") if isinstance(adapter, dict) else None
    seed = training.get("seed") if isinstance(training, dict) else None
    return (document.settings.seed if document.settings else None), str(seed)


def _pooled(group: list[Entry]) -> Entry:
    rows = [entry.row for entry in group]
    documents = [document for entry in group for document in entry.documents]
    # Where one kept no predictions, nothing can be said of all.
    runs = [run for entry in group for run in entry.runs] if all(e.runs for e in group) else []
    shared = [name for name in rows[0].values if all(name in row.values for row in rows)]
    each = {name: [row.values[name] for row in rows] for name in shared}
    spread = {name: float(np.std(values, ddof=1)) for name, values in each.items()}
    primary = documents[0].primary
    varied = [
        column for column in zip(*map(_seeds, documents), strict=True) if len(set(column)) > 1
    ]
    seeds = ", ".join("/".join(map(str, dict.fromkeys(one))) for one in zip(*varied, strict=True))
    said = f"; sd over seeds: {primary} {spread[primary]:.1f}" if primary in spread else ""
    row = replace(
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
    return Entry(row, documents, runs)


# --- ties with the best ---------------------------------------------------------------------------


def _tested(name: str, higher: bool, entries: list[Entry]) -> dict[int, bool]:
    """By place: whether a row is statistically tied with the best; absent if not tested."""
    having = _comparable(name, entries)
    if len(having) < 2:
        return {}
    return dict(zip(having, tied(list(having.values()), higher), strict=True))


def _comparable(name: str, entries: list[Entry]) -> dict[int, list[Replicates]]:
    """The runs of the rows that can be tested in a metric, beside the best one; by place."""
    best = next((place for place, entry in enumerate(entries) if name in entry.row.best), None)
    if best is None:
        return {}
    found = {}
    for place, entry in enumerate(entries):
        if not entry.runs or not all(name in run for run in entry.runs):
            continue
        if any(comparable(entries[best].documents[0], one) for one in entry.documents):
            continue
        found[place] = [run[name] for run in entry.runs]
    if best not in found:
        return {}
    size = found[best][0].clusters
    return {place: runs for place, runs in found.items() if runs[0].clusters == size}


def _lead(entries: list[Entry], up: bool, primary: str) -> Lead | None:
    """What can be said of the best of sorted entries; None where none has the primary metric."""
    having = [place for place, entry in enumerate(entries) if primary in entry.row.values]
    if not having:
        return None
    first = entries[having[0]]
    unit = first.documents[0].metric_info[primary].unit
    if len(having) == 1:
        return Lead(primary, unit, first.row.model)
    second = entries[having[1]]
    gap = first.row.values[primary] - second.row.values[primary]
    tested = _comparable(primary, entries)
    runs = [tested.get(place, []) for place in having[:2]]
    bounds = None
    if all(runs) and pairable(*runs) and runs[0][0].clusters >= FEWEST:
        found = paired(runs[1], runs[0])
        bounds = (found.low, found.high) if up else (-found.high, -found.low)
    rows = [entry.row for entry in entries]
    return Lead(
        primary, unit, first.row.model, second.row.model, gap if up else -gap, bounds,
        tied=tuple(row.model for row in rows if primary in row.tied),
        untested=tuple(row.model for row in rows if primary in row.untested),
    )  # fmt: skip


def _detectable(primary: str, entries: list[Entry]) -> tuple[str, ...]:
    """The smallest difference to the best that these data could have shown."""
    having = _comparable(primary, entries)
    if len(having) < 2:
        return ()
    if (clusters := next(iter(having.values()))[0].clusters) < FEWEST:
        return (f"No difference can be tested: {clusters} independent groups of videos.",)
    best = next(runs for place, runs in having.items() if primary in entries[place].row.best)
    pairs = [runs for runs in having.values() if runs is not best and pairable(runs, best)]
    if not pairs:
        return ()
    least = max(paired(runs, best).detectable for runs in pairs)
    return (
        f"Differences to the best below {least:.1f} in {primary} would most often have been missed "
        "(80 % power: 2.80 standard errors of the paired difference).",
    )
