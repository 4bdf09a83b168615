"""`bench data`: make the toy world, check a dataset, look at prompts and pairs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import click

from bench.cli.guide import guide
from bench.cli.options import INCOMPLETE, FilePath, Options, complete, names, task_settings
from bench.errors import printable


@click.group()
def data() -> None:
    """Make the toy world, check a dataset, or look at its prompts and pairs."""


data.add_command(guide)


@data.command("toy")
@click.option("--output", type=FilePath(file_okay=False),
              help="Folder to draw into; by default the cache folder.")  # fmt: skip
@click.option("--task", "tasks", callback=names, shell_complete=complete("task"),
              help="Tasks, separated by commas; by default all that it can draw.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.pass_obj
def data_toy(options: Options, output: Path | None, tasks: list[str] | None, seed: int) -> None:
    """Draw the toy world: small real video files in the datasets' own formats."""
    from bench import registry
    from bench.progress import Bar

    folder = output or registry.toy_root(options.load())
    chosen = {} if tasks is None else {"tasks": tasks}
    with Bar(options.quiet) as bar:
        registry.generator(registry.TOY)(folder, seed=seed, progress=bar.to, **chosen)
    click.echo(folder)


@data.command("check")
@click.argument("task", shell_complete=complete("task"))
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def data_check(options: Options, task: str, source: str | None, as_json: bool) -> None:
    """Read a task's files and report what is there and what is wrong.

    Exit code 3 when videos are missing or annotations are odd; 1 when the files cannot be used.
    """
    from bench import registry
    from bench.progress import Bar, waiting

    found, fallback = registry.source_for(task, source, options.load())
    kind = registry.task_class(task)
    if fallback:
        click.echo(registry.FALLBACK.format(task=task), err=True)
    with Bar(options.quiet) as bar:
        registry.prepare_source(task, found, bar.to)
        with waiting(f"reading the files of {task}"):
            result = kind.check(found)
    if as_json:
        problems = [dict(zip(("what", "count", "first"), row, strict=True))
                    for row in result.problems]  # fmt: skip
        samples = [dict(zip(("id", "text", "file"), row, strict=True)) for row in result.samples]
        document = {"task": task, **result.facts, "problems": problems, "missing": result.missing,
                    "remarks": result.remarks, "samples": samples}  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        from tabulate import tabulate

        facts = {"task": task, **result.facts}
        click.echo(tabulate(map(_printable, facts.items()), tablefmt="plain"))
        for remark in result.remarks:
            click.echo(f"remark: {printable(remark)}")
        _table(["problem", "count", "first"], result.problems)
        _table(
            ["sample", "text", "file"],
            [(name, shorten(text, 60), file) for name, text, file in result.samples],
        )
    if result.problems:
        sys.exit(INCOMPLETE)


def _table(head: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
    from tabulate import tabulate

    if rows:
        click.echo("\n" + tabulate(map(_printable, rows), headers=head, disable_numparse=True))


def _printable(row: tuple[Any, ...]) -> list[Any]:
    """Its texts come of foreign files."""
    return [printable(cell) if isinstance(cell, str) else cell for cell in row]


@data.command("prompts")
@click.option("--task", help="A task with training prompts; by default the first.",
              shell_complete=complete("task"))  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "valid"]), default="train", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=2, show_default=True,
              help="The first N segments.")  # fmt: skip
@click.option("--negatives", type=click.IntRange(0), default=4, show_default=True,
              help="Verb-role hard negatives an event.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--format", "format_", type=click.Choice(["text", "md"]), default="text",
              show_default=True)  # fmt: skip
@click.pass_obj
def data_prompts(
    options: Options,
    task: str | None,
    source: str | None,
    split: str,
    limit: int,
    negatives: int,
    seed: int,
    format_: str,
) -> None:
    """Print dense prompts beside their natural, verb-role and role-swap negatives."""
    from bench import registry
    from bench.capabilities import ShowsPrompts
    from bench.progress import Bar

    task = task or registry.task_names(ShowsPrompts)[0]
    shown = registry.offering(task, ShowsPrompts)
    found, fallback = registry.source_for(task, source, options.load())
    with Bar(options.quiet) as bar:
        if fallback:
            bar.warn(registry.FALLBACK.format(task=task))
        registry.prepare_source(task, found, bar.to)
    click.echo(shown.prompts_of(found, split, limit, negatives, seed, format_))


@data.command("pairs")
@click.argument("task", shell_complete=complete("task"))
@click.option("--source", shell_complete=complete("source"),
              help="A source in bench.yaml, 'toy', or a folder with the data.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="TASK.KEY=VALUE",
              help="A setting of the task; may be repeated.")  # fmt: skip
@click.option("--output", type=FilePath(dir_okay=False), help="The JSON file to write.")
@click.pass_obj
def data_pairs(
    options: Options,
    task: str,
    source: str | None,
    overrides: tuple[str, ...],
    output: Path | None,
) -> None:
    """Print a task's pairs of captions as JSON, a row a line, or write them to a file.

    A source in bench.yaml may name that file as the task's annotations: it is read again as it is.
    """
    from bench import registry
    from bench.capabilities import ListsPairs
    from bench.files.atomic import check_writable, write_text
    from bench.progress import Bar

    made = registry.offering(task, ListsPairs)
    found, fallback = registry.source_for(
        task, source, options.load(), task_settings(overrides, [task])[task]
    )
    registry.check_settings(task, found)
    if output is not None:
        check_writable(output)
    with Bar(options.quiet) as bar:
        if fallback:
            bar.warn(registry.FALLBACK.format(task=task))
        registry.prepare_source(task, found, bar.to)
    text = made.pairs_of(found)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(output)
