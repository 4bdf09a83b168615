"""`bench list`: what is there, what is ready to run, and what is missing with its remedy."""

from __future__ import annotations

import json
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from bench.cli.models import model_rows, models_table
from bench.cli.options import Options
from bench.errors import BenchError, printable

if TYPE_CHECKING:
    from bench.config import Config


ABOUT = ("data", "licence")  # of a task: printed below the table


@click.command("list")
@click.argument("what", type=click.Choice(["tasks", "models", "sources"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(options: Options, what: str, as_json: bool) -> None:
    """Show what is there, what is ready to run, and what is missing with its remedy."""
    config = options.load()
    rows: list[dict[str, Any]] = {
        "tasks": _task_rows, "models": model_rows, "sources": _source_rows,
    }[what](config)  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if what == "models":
        click.echo(models_table(rows))
        return
    from tabulate import tabulate

    shown = [{key: printable(row[key]) for key in row if key not in ABOUT} for row in rows]
    widths = [60 if key == "status" else None for key in (shown[0] if shown else ())]
    click.echo(tabulate(shown, headers="keys", maxcolwidths=widths))
    for row in rows:
        if about := ". ".join(f"{key}: {row[key]}" for key in ABOUT if row.get(key)):
            line = printable(f"{row['task']} {about}.")
            click.echo("\n" + fill(line, 80, subsequent_indent="  "))


def _task_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in registry.task_names():
        row = {"task": name, "source": "-", "status": "", "data": "", "licence": ""}
        try:
            kind = registry.task_class(name)
            row |= {"data": kind.citation, "licence": kind.licence}
            source, _ = registry.source_for(name, None, config)
            row |= {"source": source.name}
            row["status"] = registry.source_problem(name, source) or "ready"
        except BenchError as error:  # a package that does not work must not hide the others
            row["status"] = str(error)
        rows.append(row)
    return rows


def _source_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in [*config.sources, *registry.generated_names()]:
        if name not in config.sources and (fault := registry.generator_problem(name, config)):
            rows.append({"source": name, "task": "-", "status": fault})
            continue
        # A task that cannot be imported is named once, by `bench list tasks`.
        drawn = [task for task in registry.task_names(object) if registry.draws(name, task)]
        for task in config.sources.get(name, drawn):
            problem = "unknown task"
            if task in registry.task_names():
                source, _ = registry.source_for(task, name, config)
                problem = registry.source_problem(task, source) or "ready"
            rows.append({"source": name, "task": task, "status": problem})
    return rows
