"""`bench train`: adapt a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import FilePath, Options, complete, setting
from bench.errors import printable

if TYPE_CHECKING:
    from bench.training.state import Trained


@click.command()
@click.option("--model", required=True, shell_complete=complete("model"),
              help="A model of a trainable family, such as srlclip-b32.")  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="A training setting, or model.KEY; may be repeated.")  # fmt: skip
@click.option("--init", type=FilePath(file_okay=False), metavar="FOLDER",
              help="Start from the weights of a trained folder of the same model settings, such as "
                   "RESULTS/train/MODEL/model.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True),
              help="Stop after this time, with a checkpoint and the model so far.")  # fmt: skip
@click.option("--output", type=FilePath(file_okay=False),
              help="Folder of checkpoints, log and model; else RESULTS/train/MODEL.")  # fmt: skip
@click.option("--wandb", "project", help="Also log to this Weights & Biases project.")
@click.pass_obj
def train(
    options: Options,
    model: str,
    source: str | None,
    overrides: tuple[str, ...],
    init: Path | None,
    seed: int | None,
    device: str | None,
    max_minutes: float | None,
    output: Path | None,
    project: str | None,
) -> None:
    """Train a model on the task that its recipe names, such as semantic roles.

    Interrupted? Run the same command again: it resumes from the last checkpoint, to the same bits.
    With more epochs (--set epochs=N) a finished training continues, unless its schedule is cosine.
    Under torchrun the batch is shared among the processes.
    """
    from bench import distributed
    from bench.progress import Bar
    from bench.results.files import TRAININGS, slug
    from bench.training.plan import plan_training

    config = options.for_work(seed=seed, device=device)
    folder = output or config.run.output / TRAININGS / slug(model)
    plan = plan_training(model, source, dict(map(setting, overrides)), config, init)
    with Bar(options.quiet or not distributed.is_main()) as bar:
        trained = plan.run(folder, bar, max_minutes, project)
    if distributed.is_main():
        _tell(model, trained)
    if trained.stopped.startswith("SIG"):
        sys.exit(130)


def _tell(model: str, trained: Trained) -> None:
    for failure in trained.failures[:10]:
        line = f"left out {failure.clip}: {failure.kind}: {failure.reason}"
        click.echo(printable(line), err=True)
    if len(trained.failures) > 10:
        click.echo(f"... and {len(trained.failures) - 10} more videos left out", err=True)
    if trained.stopped:
        click.echo(f"stopped by {trained.stopped}; run the same command again to resume", err=True)
    names = ", ".join(f"{name} {trained.held_out[name]:.1f}" for name in trained.criterion
                      if trained.held_out)  # fmt: skip
    best = f", best held-out {names} in epoch {trained.best_epoch}" if names else ""
    click.echo(f"{trained.folder} ({trained.epochs} epochs{best})")
    click.echo(f"evaluate it: bench run --model {model}@{trained.folder} --task ...", err=True)
