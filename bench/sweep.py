"""An ablation grid run cell by cell: train, evaluate, keep. What is on disk is never done again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import distributed, registry
from bench.atomic import write_text
from bench.cache import digest
from bench.errors import BenchError
from bench.reading import fitting
from bench.results import SWEEPS, covered, is_toy, load, load_predictions, save, slug
from bench.training.plan import TrainingPlan, plan_training
from leaderboards.ablations import COLUMNS, MEAN, SCHEMA, Cell, Grid, geometric_mean

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
        return [
            (cell, None if cell.base else plan_training(
                self.model, self.source, {**self.common, **cell.set}, self.config))
            for cell in self.grid.rows
        ]  # fmt: skip

    @property
    def folder(self) -> Path:
        """Where this model's and source's cells and tables are kept."""
        found, _ = registry.source_for("vidsitu", self.source, self.config)
        return self.config.run.output / SWEEPS / slug(self.model) / slug(found.name)

    @property
    def file(self) -> Path:
        """The record of this grid, of these common settings and this seed."""
        extra = [f"{key}-{value}" for key, value in sorted(self.common.items())]
        extra += [f"seed-{self.config.run.seed}"] if self.config.run.seed else []
        return self.folder / ".".join([self.name, *map(slug, extra), "json"])

    def run(self, bar: Bar) -> dict[str, Any]:
        """Run what is missing and write the record after every cell; returns it.

        Of several processes the main one keeps the record, the others return an empty one.
        BenchError when a training was stopped: the same command goes on there.
        """
        with distributed.process_group(self.config.run.torch_device):
            return self._cells(bar)

    def _cells(self, bar: Bar) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        record: dict[str, Any] = {}
        for cell, plan in self.plans():
            bar.warn(f"{self.name}: {self.grid.first} {cell.name}")
            path = self._cell(plan, bar)
            if path is None:
                continue
            document = load(path)
            rows.append(_row(cell, plan, document, path, self.folder))
            record = {
                "schema": SCHEMA, "kind": "sweep", "grid": self.name, "model": self.model,
                "source": document["source"]["name"], "protocol": document["protocol"],
                "toy": is_toy(document["protocol"]), "common": self.common,
                "seed": self.config.run.seed, "rows": rows,
            }  # fmt: skip
            write_text(self.file, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        return record

    def _cell(self, plan: TrainingPlan | None, bar: Bar) -> Path | None:
        """Train and evaluate; the result's file, which the main process alone writes.

        Grids share cells of the same settings: one folder for each.
        """
        from bench.engine import evaluate

        if plan is None:
            folder, name = self.folder / "base", registry.base_model(self.model, self.config)
            label = name
        else:
            identity = digest("cell", asdict(plan.settings), plan.built, self.config.run.seed)
            folder = self.folder / identity[:16]
            trained = plan.run(folder, bar)
            if trained.stopped:
                raise BenchError(f"stopped by {trained.stopped}; the same command goes on there")
            name, label = f"{self.model}@{trained.folder}", f"{self.model} {identity[:8]}"
        found, _ = registry.source_for("vidsitu", self.source, self.config)
        if distributed.is_main():
            registry.prepare_source("vidsitu", found, bar.to)
        distributed.barrier()
        adapter = registry.load_adapter(name, self.config)
        adapter.name = label
        result = evaluate(adapter, registry.load_task("vidsitu", found), self.config.run, bar)
        return save(result, folder / "results") if distributed.is_main() else None


def _row(
    cell: Cell, plan: TrainingPlan | None, document: dict[str, Any], path: Path, base: Path
) -> dict[str, Any]:
    metrics = {name: document["metrics"][name] for name in COLUMNS if name != MEAN}
    log = path.parents[3] / "log.jsonl"
    return {
        "name": cell.name,
        "set": cell.set,
        "metrics": {**metrics, MEAN: geometric_mean_of(document, path)},
        "coverage": covered(document),
        "training": asdict(plan.settings) if plan else None,
        "result": str(path.relative_to(base)),
        "log": str(log.relative_to(base)) if plan else None,
    }


def geometric_mean_of(document: dict[str, Any], path: Path) -> dict[str, float]:
    """The geometric mean with the interval of its own draws."""
    from bench.metrics.bootstrap import interval

    value = geometric_mean({name: entry["value"] for name, entry in document["metrics"].items()})
    settings = document["settings"]
    with fitting(path, "remove it, and run the sweep again"):
        draws = registry.task_class("vidsitu").draws(
            load_predictions(path, document), resamples=settings["resamples"], seed=settings["seed"]
        )
    low, high = interval(geometric_mean(draws))
    return {"value": value, "low": low, "high": high}
