"""`bench score`: the official numbers of anybody's prediction file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import INCOMPLETE, FilePath, Options, command_line, complete
from bench.cli.output import BY_ENDING, TABLES, format_of, table
from bench.errors import printable

if TYPE_CHECKING:
    from bench.results.document import Document


def _also(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    chosen = [name.strip().upper() for name in value.split(",") if name.strip()]
    for name in chosen:
        if name not in ("METEOR", "SPICE"):
            raise click.BadParameter(f"METEOR or SPICE are expected, not {name}")
    return chosen


@click.command()
@click.option("--task", required=True, shell_complete=complete("task"),
              help="The task whose official rules count.")  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--predictions", required=True, type=FilePath(dir_okay=False),
              help="The official format, as JSON or plain pickle.")  # fmt: skip
@click.option("--kind", type=click.Choice(["verbs", "roles", "evrel"]),
              help="What is predicted; by default seen from the file.")  # fmt: skip
@click.option("--also", default="", callback=_also, metavar="METEOR,SPICE",
              help="Metrics of roles that need Java, which no official number does.")  # fmt: skip
@click.option("--output", type=FilePath(dir_okay=False),
              help=f"Also write a table here, {BY_ENDING}, the whole result document.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option("--allow-missing", is_flag=True, help="Exit 0 although videos lack predictions.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def score(
    options: Options,
    task: str,
    source: str | None,
    predictions: Path,
    kind: str | None,
    also: list[str],
    output: Path | None,
    seed: int | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Score a prediction file by a task's official rules, with 95 % intervals."""
    from msgspec.structs import replace

    from bench import registry
    from bench.capabilities import ScoresFiles
    from bench.files.atomic import check_writable, write_text
    from bench.progress import Bar, waiting
    from bench.results.document import to_json

    format_ = format_of(output, None, TABLES)
    config = options.load(seed=seed)
    scorer = registry.offering(task, ScoresFiles)
    found, fallback = registry.source_for(task, source, config)
    if fallback:
        click.echo(registry.FALLBACK.format(task=task), err=True)
    if output is not None:
        check_writable(output)
    run = config.run
    with Bar(options.quiet) as bar:
        registry.prepare_source(task, found, bar.to)
        with waiting(f"scoring {predictions}"):
            scored = scorer.score_file(found, predictions, kind, run.resamples, run.seed, also)
    document = replace(scored, command=command_line(source=source or found.name))
    for warning in document.warnings:
        click.echo(printable(warning), err=True)
    text = json.dumps(to_json(document), indent=2)
    if output is not None:
        kept = text if format_ in (None, "json") else _as(format_, document)
        write_text(output, kept + "\n")
    click.echo(text if as_json else _table(document))
    missing = document.coverage.missing
    if missing:
        click.echo(f"{missing} videos lack a prediction and count as wrong", err=True)
    if not document.complete and not allow_missing:
        sys.exit(INCOMPLETE)


def _as(format_: str, document: Document) -> str:
    """A line a metric, with its bounds in columns of their own."""
    digits = str if format_ == "csv" else "{:.2f}".format
    rows = [
        [name, *(None if bound is None else digits(bound)
                 for bound in (one.value, one.low, one.high))]
        for name, one in document.metrics.items()
    ]  # fmt: skip
    return table(["metric", "value", "low", "high"], rows, format_)


def _table(document: Document) -> str:
    from tabulate import tabulate

    rows = [
        [name, f"{one.value:.2f}", "" if one.low is None else f"[{one.low:.2f}, {one.high:.2f}]"]
        for name, one in document.metrics.items()
    ]  # fmt: skip
    title = f"{document.protocol}, {document.kind}: {document.name}, {document.covered} videos"
    return f"{title}\n\n" + tabulate(
        rows, headers=["metric", "value", "95 % interval"], colalign=("left", "right", "left"),
        disable_numparse=True,
    )  # fmt: skip
