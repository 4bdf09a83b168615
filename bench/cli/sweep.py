"""`bench sweep`: an ablation grid, trained and evaluated by one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import FilePath, Options, complete, screen_format, setting
from bench.cli.output import BY_ENDING, TABLES, format_of, written
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.config import Config
    from bench.progress import Bar


@click.command()
@click.argument("grid", shell_complete=complete("grid"))
@click.option("--model", required=True, shell_complete=complete("model"),
              help="A model of a trainable family, such as srlclip-l14; for protocol, "
                   "any.")  # fmt: skip
@click.option("--task", help="For protocol: a retrieval task.", shell_complete=complete("task"))
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="A setting of every training, as for `train`; may be repeated.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of everything random.")
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--output", type=FilePath(),
              help=f"Results folder; or a file for the table, {BY_ENDING}.")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["rich", *TABLES]),
              help="By default that of --output; printed: a table on a terminal, else "
                   "md.")  # fmt: skip
@click.pass_obj
def sweep(
    options: Options,
    grid: str,
    model: str,
    task: str | None,
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    output: Path | None,
    format_: str | None,
) -> None:
    """Run an ablation: GRID is supp-1, supp-2, supp-3 or losses, of the paper; parts, swaps: ours.

    GRID protocol trains nothing: it turns one part of the task's protocol a row (frames, plan, mean
    of frames, text length, precision, rescoring) and shows how far each moves the model's numbers,
    paired, with intervals, in a table and a plot. `--task` names the task.

    The others train every row, evaluate it, and print the table beside the published one, with
    the geometric mean that the paper selects by; `parts` switches off one part of the method a row,
    and shows what becomes of it. Interrupted? Run the same command again: trained
    rows are kept, and grids share the rows that they have in common.
    """
    from bench import distributed
    from bench.files.atomic import check_writable
    from bench.progress import Bar
    from bench.report.ablations import grid_boards
    from bench.report.text import render
    from bench.training.protocol_sweep import NAME

    if (task is None) == (grid == NAME) or (grid == NAME and overrides):
        raise UsageError(
            f"the grid {NAME} needs --task and no --set; the others have their own task"
        )
    kind = format_of(output, format_, TABLES)
    if kind is not None and output is not None:
        check_writable(output)
    folder = output if kind is None else None
    config = options.for_work(seed=seed, device=device, output=folder)
    record: dict[str, Any] = {}
    try:
        with Bar(options.quiet or not distributed.is_main()) as bar:
            for so_far in _records(grid, model, task, source, overrides, config, bar):
                record = so_far
    finally:  # the rows that are done are printed, though a later one failed
        if record and kind is None:
            click.echo(render(grid_boards(record), format_ or screen_format()))
        elif record and output is not None and distributed.is_main():
            written(output, render(grid_boards(record), str(kind)))


def _records(
    grid: str,
    model: str,
    task: str | None,
    source: str | None,
    overrides: tuple[str, ...],
    config: Config,
    bar: Bar,
) -> Iterator[dict[str, Any]]:
    """The record of the sweep, after every row; of a protocol's with its plot beside it."""
    from bench.files.atomic import write_text
    from bench.report.charts import standalone
    from bench.report.protocols import protocol_chart
    from bench.training.grids import grid as published
    from bench.training.protocol_sweep import ProtocolSweep
    from bench.training.sweep import Sweep

    if task is None:
        common = dict(map(setting, overrides))
        yield from Sweep(grid, published(grid), model, source, common, config).records(bar)
        return
    one = ProtocolSweep(model, task, source, config)
    for record in one.records(bar):
        if any(row["differences"] for row in record["rows"]):
            write_text(one.file.with_suffix(".svg"), standalone(protocol_chart(record)))
        yield record
    bar.warn(f"wrote {one.file} and its plot, .svg")
