"""`bench train`: adapt a model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.options import Options, complete, setting

if TYPE_CHECKING:
    from bench.config import Config
    from bench.contracts import Source
    from bench.progress import Bar
    from bench.training.loop import Trained
    from bench.training.settings import TrainSettings


@click.command()
@click.option("--model", required=True, shell_complete=complete("model"),
              help="A model of a trainable family, such as srlclip-b32.")  # fmt: skip
@click.option("--source", help="A source in bench.yaml, 'toy', or a folder with the data.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="A training setting, or model.KEY; may be repeated.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True),
              help="Stop after this time, with a checkpoint and the model so far.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of checkpoints, log and model; else RESULTS/train/MODEL.")  # fmt: skip
@click.option("--wandb", "project", help="Also log to this Weights & Biases project.")
@click.pass_obj
def train(
    options: Options,
    model: str,
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    max_minutes: float | None,
    output: Path | None,
    project: str | None,
) -> None:
    """Train a model on VidSitu's semantic roles.

    Interrupted? Run the same command again: it goes on at the last checkpoint, to the same bits.
    Under torchrun the batch is shared among the processes.
    """
    from bench import distributed
    from bench.progress import Bar
    from bench.results import TRAININGS, slug

    config = options.load(seed=seed, device=device)
    folder = output or config.run.output / TRAININGS / slug(model)
    plan = plan_training(model, source, dict(map(setting, overrides)), config)
    with Bar(options.quiet or not distributed.is_main()) as bar:
        trained = plan.run(folder, bar, max_minutes, project)
    if distributed.is_main():
        _tell(model, trained)
    if trained.stopped.startswith("SIG"):
        sys.exit(130)


@dataclass(frozen=True)
class TrainingPlan:
    """One training, checked before anything is loaded: recipe, model settings, data."""

    model: str
    settings: TrainSettings
    built: dict[str, Any]
    source: Source
    fallback: bool
    config: Config

    def run(
        self,
        folder: Path,
        bar: Bar,
        max_minutes: float | None = None,
        project: str | None = None,
    ) -> Trained:
        """Train into `folder`, going on from what it holds; raises as `bench.training.loop`."""
        from bench import distributed, registry
        from bench.training.loop import train as run_training

        if self.fallback:
            bar.warn(registry.FALLBACK.format(task="vidsitu"))
        trainable = registry.load_trainable(self.model, self.config, self.built)
        run = self.config.run
        with distributed.process_group(trainable.device):
            if distributed.is_main():
                registry.prepare_source("vidsitu", self.source, bar.to)
            distributed.barrier()
            data, held_out = registry.training_sets("vidsitu", self.source, self.settings, run.seed)
            return run_training(
                trainable.model, data, held_out, self.settings, run, folder, bar,
                trainable.device, max_minutes, project,
            )  # fmt: skip


def plan_training(
    model: str, source: str | None, overrides: dict[str, Any], config: Config
) -> TrainingPlan:
    """The recipe and the model's settings with `overrides` in place of bench.yaml's.

    UsageError for an unknown model, source or setting.
    """
    from bench import registry
    from bench.settings import settings_from
    from bench.training.settings import TrainSettings

    known = registry.model_config(model, config).settings
    recipe, built = dict(known.get("training") or {}), dict(known.get("settings") or {})
    for key, value in overrides.items():
        target = built if key.startswith("model.") else recipe
        target[key.removeprefix("model.").strip()] = value
    settings = settings_from(TrainSettings, recipe, f"training of '{model}'")
    settings.check(f"training of '{model}'")
    found, fallback = registry.source_for("vidsitu", source, config)
    return TrainingPlan(model, settings, built, found, fallback, config)


def _tell(model: str, trained: Any) -> None:
    for failure in trained.failures[:10]:
        click.echo(f"left out {failure.clip}: {failure.kind}: {failure.reason}", err=True)
    if len(trained.failures) > 10:
        click.echo(f"... and {len(trained.failures) - 10} more videos left out", err=True)
    if trained.stopped:
        click.echo(f"stopped by {trained.stopped}; the same command goes on from here", err=True)
    best = f", best held-out R@1 {trained.held_out['R@1']:.1f}" if trained.held_out else ""
    click.echo(f"{trained.folder} ({trained.epochs} epochs{best})")
    click.echo(f"evaluate it: bench run --model {model}@{trained.folder} --task ...", err=True)
