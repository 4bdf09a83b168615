"""An ablation grid run cell by cell: train, evaluate, keep. What is on disk is never done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import distributed, registry
from bench.errors import BenchError, DataError
from bench.files.atomic import check_writable, write_text
from bench.files.tensor_store import digest
from bench.files.untrusted import well_formed
from bench.results.document import Document
from bench.results.files import SWEEPS, load, load_predictions, save, slug, stem
from bench.training.grids import MEAN, SCHEMA, Cell, Grid, geometric_mean
from bench.training.plan import TrainingPlan, plan_training

if TYPE_CHECKING:
    from bench.config import Config
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
        found, _ = registry.source_for(self.grid.task, self.source, self.config)
        if not registry.is_undrawn(self.grid.task, found):
            registry.load_task(self.grid.task, found)
        if not all(plan for _, plan in plans):
            registry.load_adapter(registry.base_model(self.model, self.config), self.config)
        for built in {digest(p.built): p.built for _, p in plans if p is not None}.values():
            registry.load_trainable(self.model, self.config, built)

    def _cells(self, bar: Bar) -> Iterator[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        first: dict[int, tuple[Path, Document]] = {}  # the first row's results, by seed
        plans = self.plans()
        self._check(plans)  # all, before the first is trained
        for cell, plan in plans:
            bar.warn(f"{self.name}: {self.grid.first} {cell.name}")
            seeds = [self.config.run.seed + seed for seed in cell.seeds]
            paths = [self._cell(cell, seed, bar) for seed in seeds]
            found = [(path, load(path)) for path in paths if path is not None]
            if not found:
                continue  # the main process alone keeps results
            row = _row(cell, seeds, plan, found, self.folder)
            shown = summary(found, self.grid.measured, self.config.run.seed)
            row["metrics"] = shown[0]
            if self.grid.columns and first:
                same = [first[seed] for seed in seeds if seed in first]
                other = summary(same, self.grid.measured, self.config.run.seed)
                row["differences"] = _differences(shown, other)
            first = first or dict(zip(seeds, found, strict=True))
            rows.append(row)
            document = found[0][1]
            record = {
                "schema": SCHEMA, "kind": "sweep", "grid": self.name, "model": self.model,
                "source": document.source.name, "protocol": document.protocol,
                "toy": document.toy, "common": self.common,
                "seed": self.config.run.seed, "rows": rows,
            }  # fmt: skip
            write_text(self.file, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
            yield record

    def _cell(self, cell: Cell, seed: int, bar: Bar) -> Path | None:
        """Train and evaluate; the result's file, which the main process alone writes.

        Grids share cells of the same settings: one folder for each.
        """
        from bench.engine import evaluate

        config = replace(self.config, run=replace(self.config.run, seed=seed))
        plan = replace(self, config=config)._plan(cell)
        if plan is None:
            folder = self.folder / (f"base-{seed}" if seed else "base")
            name = label = registry.base_model(self.model, config)
        else:
            identity = digest("cell", asdict(plan.settings), plan.built, seed)
            folder = self.folder / identity[:16]
            trained = plan.run(folder, bar)
            if trained.stopped:
                raise BenchError(
                    f"stopped by {trained.stopped}; run the same command again to resume"
                )
            name, label = f"{self.model}@{trained.folder}", f"{self.model} {identity[:8]}"
        found, _ = registry.source_for(self.grid.task, self.source, config)
        if distributed.is_main():
            registry.prepare_source(self.grid.task, found, bar.to)
        distributed.barrier()
        adapter = registry.load_adapter(name, config)
        adapter.name = label
        result = evaluate(adapter, registry.load_task(self.grid.task, found), config.run, bar)
        return save(result, folder / "results") if distributed.is_main() else None


Found = list[tuple[Path, Document]]  # result files of one cell, a seed each
Summary = tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]  # metrics, and their draws


def _row(
    cell: Cell, seeds: list[int], plan: TrainingPlan | None, found: Found, base: Path
) -> dict[str, Any]:
    coverages = dict.fromkeys(document.covered for _, document in found)
    paths = [path for path, _ in found]
    return {
        "name": cell.name,
        "set": cell.set,
        "seeds": seeds,
        "coverage": "; ".join(coverages),
        "partial": any(document.partial for _, document in found),
        "training": asdict(plan.settings) if plan else None,
        "results": [str(path.relative_to(base)) for path in paths],
        "logs": [str((path.parents[3] / "log.jsonl").relative_to(base)) for path in paths]
        if plan
        else [],
    }


def summary(found: Found, columns: tuple[str, ...], seed: int) -> Summary:
    """Metrics `columns` and the geometric mean of one cell, as the mean over its runs, with the
    interval of that mean; and its value in each bootstrap resample of the videos.

    For a `seed` all cells draw the same videos. DataError for lines that changed.
    """
    from bench.metrics.bootstrap import interval

    runs = []
    for path, document in found:
        remedy = "remove it, and run the sweep again"
        if not document.settings:
            raise DataError(f"{path}: no settings are kept with it; {remedy}")
        with well_formed(path, remedy):
            draws = registry.task_class(document.task).draws(
                load_predictions(path, document),
                resamples=document.settings.resamples, seed=seed,
            )  # fmt: skip
            both = (document.values, draws)
            runs.append(tuple(one | {MEAN: geometric_mean(one)} for one in both))
    names = [name for name in dict.fromkeys([*columns, MEAN]) if all(name in v for v, _ in runs)]
    means = {name: np.mean([draws[name] for _, draws in runs], axis=0) for name in names}
    metrics = {}
    for name in names:
        low, high = interval(means[name])
        value = float(np.mean([values[name] for values, _ in runs]))
        metrics[name] = {"value": value, "low": low, "high": high}
    return metrics, means


def _differences(one: Summary, other: Summary) -> dict[str, dict[str, float]]:
    """Each metric of `one` less that of `other`, with the interval of paired draws."""
    from bench.results.comparison import apart

    found = {}
    for name in sorted(one[0].keys() & other[0].keys()):
        _, low, high = apart(other[1][name], one[1][name])
        value = one[0][name]["value"] - other[0][name]["value"]
        found[name] = {"value": value, "low": low, "high": high}
    return found
