"""One training, checked before anything is loaded, then run."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import distributed, progress, registry
from bench.capabilities import Trains
from bench.config import Config
from bench.contracts import Source
from bench.errors import UsageError
from bench.files import locks
from bench.files.atomic import check_writable
from bench.settings import settings_from
from bench.training.settings import TrainSettings

if TYPE_CHECKING:  # what imports torch
    from bench.progress import Bar
    from bench.training.state import Trained


def training_sets(task: str, source: Source, settings: TrainSettings, seed: int) -> tuple[Any, Any]:
    """Training and held-out set of a task. UsageError for one that cannot be trained on."""
    return registry.offering(task, Trains).training_sets(
        source, settings.negatives, settings.share, settings.hold_out, seed
    )


@dataclass(frozen=True)
class TrainingPlan:
    """Recipe, model settings and data of one training."""

    model: str
    task: str
    settings: TrainSettings
    built: dict[str, Any]
    source: Source
    fallback: bool
    config: Config
    init: Path | None = None  # a trained folder whose weights it starts from

    def run(
        self,
        folder: Path,
        bar: Bar,
        max_minutes: float | None = None,
        project: str | None = None,
    ) -> Trained:
        """Train into `folder`, resuming what it holds; raises as `bench.training.loop`."""
        from bench.training.log import check_project
        from bench.training.loop import Job
        from bench.training.loop import train as run_training

        check_project(project)
        check_writable(folder)
        if self.init and self.init.resolve() == (folder / "model").resolve():
            raise UsageError(f"--init {self.init}: this training would replace it; give --output")
        if self.fallback:
            bar.warn(registry.FALLBACK.format(task=self.task))
        with progress.waiting(f"loading {self.model}"):
            trainable = registry.load_trainable(self.model, self.config, self.built, self.init)
        run = self.config.run

        def waiting() -> None:
            bar.warn(f"{folder}: another training works in it; waiting for it to end")

        # Two would write checkpoints over each other's: the later one goes on where the first ends.
        lock = (
            locks.locked(folder / "training", waiting) if distributed.is_main() else nullcontext()
        )
        with distributed.process_group(trainable.device), lock:
            if distributed.is_main():
                registry.prepare_source(self.task, self.source, bar.to)
            distributed.barrier()
            with progress.waiting(f"reading the files of {self.task}"):
                data, held_out = training_sets(self.task, self.source, self.settings, run.seed)
            job = Job(run, folder, trainable.device, bar, max_minutes, project)
            return run_training(trainable.model, data, held_out, self.settings, job)


def plan_training(
    model: str,
    source: str | None,
    overrides: dict[str, Any],
    config: Config,
    init: Path | None = None,
) -> TrainingPlan:
    """The recipe and the model's settings with `overrides` in place of bench.yaml's.

    UsageError for an unknown model, source or setting.
    """
    known = registry.model_config(model, config).settings
    recipe, built = dict(known.get("training") or {}), dict(known.get("settings") or {})
    for key, value in overrides.items():
        target = built if key.startswith("model.") else recipe
        target[key.removeprefix("model.").strip()] = value
    task = registry.trained_on(model, config, recipe.pop("task", None))
    settings = settings_from(TrainSettings, recipe, f"training of '{model}'")
    settings.check(f"training of '{model}'")
    found, fallback = registry.source_for(task, source, config)
    return TrainingPlan(model, task, settings, built, found, fallback, config, init)
