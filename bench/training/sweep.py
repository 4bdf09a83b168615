"""An ablation grid run cell by cell: train, evaluate, keep. What is on disk is never done again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import distributed, registry
from bench.errors import BenchError
from bench.files.atomic import check_writable, write_text
from bench.files.tensor_store import digest
from bench.files.untrusted import well_formed
from bench.metrics.bootstrap import Replicates, bounds
from bench.metrics.differences import over_seeds, paired, tied
from bench.results.document import Document
from bench.results.files import SWEEPS, load, load_predictions, save, slug, stem
from bench.results.replicates import replicates_of
from bench.training.grids import MEAN, SCHEMA, Cell, Grid, geometric_mean
from bench.training.plan import TrainingPlan, plan_training

if TYPE_CHECKING:
    from bench.config import Config
    from bench.contracts import Adapter
    from bench.progress import Bar


@dataclass(frozen=True)
class Sweep:
    """A grid on one model and source; `common` are settings of every cell."""

    name: str
    grid: Grid
    model: str
    source: str | None
    common: dict[str, Any]
    config: Config

    def plans(self) -> list[tuple[Cell, TrainingPlan | None]]:
        """Every cell with its training, None for the model before training. UsageError."""
        return [(cell, self._plan(cell)) for cell in self.grid.rows]

    def _plan(self, cell: Cell) -> TrainingPlan | None:
        if cell.base:
            return None
        settings = {**self.common, **cell.set}
        return plan_training(self.model, self.source, settings, self.config)

    @property
    def folder(self) -> Path:
        """Where this model's and source's cells and tables are kept."""
        found, _ = registry.source_for(self.grid.task, self.source, self.config)
        return self.config.run.output / SWEEPS / slug(self.model) / slug(found.name)

    @property
    def file(self) -> Path:
        """The record of this grid, of these common settings and this seed."""
        extra = [f"{key}-{value}" for key, value in sorted(self.common.items())]
        extra += [f"seed-{self.config.run.seed}"] if self.config.run.seed else []
        return self.folder / f"{stem(self.name, *extra)}.json"

    def run(self, bar: Bar) -> dict[str, Any]:
        """Run what is missing; returns the record, an empty one where `records` has none."""
        record: dict[str, Any] = {}
        for so_far in self.records(bar):
            record = so_far
        return record

    def records(self, bar: Bar) -> Iterator[dict[str, Any]]:
        """Run what is missing; the record, written anew, after every cell.

        Of several processes the main one alone has it. BenchError when a training was stopped: the
        same command resumes it.
        """
        with distributed.process_group(self.config.run.torch_device):
            yield from self._cells(bar)

    def _check(self, plans: list[tuple[Cell, TrainingPlan | None]]) -> None:
        """Raise what would else stop a later cell: of models, data and the folder."""
        check_writable(self.folder)
        for task in self.grid.tasks:
            found, _ = registry.source_for(task, self.source, self.config)
            if not registry.is_undrawn(task, found):
                registry.load_task(task, found)
        if not all(plan for _, plan in plans):
            registry.load_adapter(registry.base_model(self.model, self.config), self.config)
        for built in {digest(p.built): p.built for _, p in plans if p is not None}.values():
            registry.load_trainable(self.model, self.config, built)

    def _cells(self, bar: Bar) -> Iterator[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        runs: list[dict[int, Replicated]] = []  # of every row, by seed
        plans = self.plans()
        self._check(plans)  # all, before the first is trained
        for cell, plan in plans:
            bar.warn(f"{self.name}: {self.grid.first} {cell.name}")
            seeds = [self.config.run.seed + seed for seed in cell.seeds]
            paths = [self._cell(cell, seed, bar) for seed in seeds]
            found = [[(path, load(path)) for path in of_seed] for of_seed in paths if of_seed]
            if not found:
                continue  # the main process alone keeps results
            row = _row(cell, seeds, plan, found, self.folder)
            made = replicated(found, self.config.run.resamples, self.config.run.seed)
            runs.append(dict(zip(seeds, made, strict=True)))
            row["metrics"] = summary(made, self.grid.measured)
            if self.grid.columns and len(runs) > 1:
                row["differences"] = _differences(runs[0], runs[-1], self.grid.measured)
            rows.append(row)
            marks(rows, [[*one.values()] for one in runs], self.grid.measured)
            document = found[0][0][1]
            record = {
                "schema": SCHEMA, "kind": "sweep", "grid": self.name, "model": self.model,
                "source": document.source.name, "protocol": document.protocol,
                "toy": document.toy, "common": self.common,
                "seed": self.config.run.seed, "rows": rows,
            }  # fmt: skip
            write_text(self.file, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
            yield record

    def _cell(self, cell: Cell, seed: int, bar: Bar) -> list[Path]:
        """Train and evaluate; the results' files, a task each, which the main process alone writes.

        Grids share cells of the same settings: one folder for each.
        """
        config = replace(self.config, run=replace(self.config.run, seed=seed))
        plan = replace(self, config=config)._plan(cell)
        if plan is None:
            folder = self.folder / (f"base-{seed}" if seed else "base")
            name = label = registry.base_model(self.model, config)
        else:
            identity = digest("cell", plan.settings.recipe(), plan.built, seed)
            folder = self.folder / identity[:16]
            trained = plan.run(folder, bar)
            if trained.stopped:
                raise BenchError(
                    f"stopped by {trained.stopped}; run the same command again to resume"
                )
            name, label = f"{self.model}@{trained.folder}", f"{self.model} {identity[:8]}"
        adapter = registry.load_adapter(name, config)
        adapter.name = label
        return [path for task in self.grid.tasks
                if (path := self._evaluated(task, adapter, config, folder, bar))]  # fmt: skip

    def _evaluated(
        self, task: str, adapter: Adapter, config: Config, folder: Path, bar: Bar
    ) -> Path | None:
        """Evaluate on one task; its result's file, which the main process alone writes."""
        from bench.engine import evaluate

        found, _ = registry.source_for(task, self.source, config)
        if distributed.is_main():
            registry.prepare_source(task, found, bar.to)
        distributed.barrier()
        result = evaluate(adapter, registry.load_task(task, found), config.run, bar)
        return save(result, folder / "results") if distributed.is_main() else None


Found = list[list[tuple[Path, Document]]]  # result files of one cell: by seed, a task each
Replicated = dict[str, Replicates]  # of one run, by metric


def _row(
    cell: Cell, seeds: list[int], plan: TrainingPlan | None, found: Found, base: Path
) -> dict[str, Any]:
    paths = [path for of_seed in found for path, _ in of_seed]
    documents = [document for of_seed in found for _, document in of_seed]
    return {
        "name": cell.name,
        "set": cell.set,
        "seeds": seeds,
        "coverage": "; ".join(dict.fromkeys(document.covered for document in documents)),
        "partial": any(document.partial for document in documents),
        "training": asdict(plan.settings) if plan else None,
        "results": [str(path.relative_to(base)) for path in paths],
        "logs": list(dict.fromkeys(
            str((path.parents[3] / "log.jsonl").relative_to(base)) for path in paths if plan
        )),
    }  # fmt: skip


def replicated(found: Found, resamples: int, seed: int) -> list[Replicated]:
    """Every run's metrics in each bootstrap resample, of VidSitu with their geometric mean.

    Metrics of all tasks but the first have the task's name before them. For a `seed` all cells draw
    the same clusters. DataError for lines that changed.
    """
    runs = []
    for of_seed in found:
        run: Replicated = {}
        for place, (path, document) in enumerate(of_seed):
            with well_formed(path, "remove it, and run the sweep again"):
                task = registry.task_class(document.task)
                one = replicates_of(task, load_predictions(path, document), resamples, seed)
                one |= _mean(one)
            prefix = f"{document.task}/" if place else ""
            run |= {prefix + name: each for name, each in one.items()}
        runs.append(run)
    return runs


def _mean(one: Replicated) -> Replicated:
    """The geometric mean of a run's metrics, where it has those that are in it."""
    if not {"Vb@1", "CIDEr"} <= one.keys():
        return {}
    values = {name: each.value for name, each in one.items()}
    drawn = {name: each.values for name, each in one.items()}
    mean = replace(
        next(iter(one.values())), value=geometric_mean(values),
        values=geometric_mean(drawn), mean=None, errors=None,
    )  # fmt: skip
    return {MEAN: mean}


def _shared(columns: Iterable[str], *runs: Replicated) -> list[str]:
    """Of the columns and the geometric mean those that all runs have."""
    return [name for name in dict.fromkeys([*columns, MEAN]) if all(name in one for one in runs)]


def summary(runs: list[Replicated], columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metrics `columns` and the geometric mean of one cell, as the mean over its runs.

    The interval is over videos, and over training seeds where there are several.
    """
    metrics = {}
    for name in _shared(columns, *runs):
        each = [run[name] for run in runs]
        low, high = over_seeds(each) if len(each) > 1 else bounds(each[0])
        value = float(np.mean([one.value for one in each]))
        metrics[name] = {"value": value, "low": low, "high": high}
    return metrics


def _differences(
    first: dict[int, Replicated], runs: dict[int, Replicated], columns: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Each metric less the first row's of the same seeds; no bounds where nothing can be tested."""
    seeds = [seed for seed in runs if seed in first]
    found = {}
    for name in _shared(columns, *first.values(), *runs.values()):
        one = paired([first[seed][name] for seed in seeds], [runs[seed][name] for seed in seeds])
        low, high = (bound if np.isfinite(bound) else None for bound in (one.low, one.high))
        found[name] = {"value": one.value, "low": low, "high": high}
    return found


def marks(rows: list[dict[str, Any]], runs: list[list[Replicated]], columns: Sequence[str]) -> None:
    """Note in every row the metrics in which it is statistically tied with the best of all."""
    for row in rows:
        row["tied"] = []
    for name in dict.fromkeys([*columns, MEAN]):
        having = [
            (row, [run[name] for run in of_row])
            for row, of_row in zip(rows, runs, strict=True)
            if not row["partial"] and all(name in run for run in of_row)
        ]
        if len(having) < 2:
            continue
        for (row, _), alike in zip(having, tied([of for _, of in having], True), strict=True):
            row["tied"] += [name] if alike else []
