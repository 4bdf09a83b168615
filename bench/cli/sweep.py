"""`bench sweep`: an ablation grid, trained and evaluated by one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.options import FilePath, Options, complete, screen_format, setting


@click.command()
@click.argument("grid")
@click.option("--model", required=True, shell_complete=complete("model"),
              help="A model of a trainable family, such as srlclip-l14.")  # fmt: skip
@click.option("--source", help="A source in bench.yaml, 'toy', or a folder with the data.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="A setting of every training, as for `train`; may be repeated.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--output", type=FilePath(file_okay=False), help="Results folder.")
@click.option("--format", "format_", type=click.Choice(["rich", "md", "latex", "csv", "json"]),
              help="By default a table on a terminal, md elsewhere.")  # fmt: skip
@click.pass_obj
def sweep(
    options: Options,
    grid: str,
    model: str,
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    output: Path | None,
    format_: str | None,
) -> None:
    """Run an ablation: GRID is supp-1, supp-2, supp-3 or losses, of the paper, or parts, ours.

    Trains every row, evaluates it, and prints the table beside the published one, with
    the geometric mean that the paper selects by; `parts` switches off one part of the method a row,
    and shows what becomes of it. Interrupted? Run the same command again: trained
    rows are kept, and grids share the rows that they have in common.
    """
    from bench import distributed
    from bench.progress import Bar
    from bench.report.ablations import grid_boards
    from bench.report.text import render
    from bench.training.grids import grid as published
    from bench.training.sweep import Sweep

    config = options.for_work(seed=seed, device=device, output=output)
    common = dict(map(setting, overrides))
    record: dict[str, Any] = {}
    try:
        with Bar(options.quiet or not distributed.is_main()) as bar:
            for so_far in Sweep(grid, published(grid), model, source, common, config).records(bar):
                record = so_far
    finally:  # the rows that are done are printed, though a later one failed
        if record:
            click.echo(render(grid_boards(record), format_ or screen_format()))
