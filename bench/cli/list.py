"""`bench list`: what is there, what is ready to run, and what is missing with its remedy."""

from __future__ import annotations

import json
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from bench.cli.models import model_rows, models_table
from bench.cli.options import Options
from bench.errors import BenchError, printable

if TYPE_CHECKING:
    from bench.config import Config


ABOUT = ("data", "licence")  # of a task: printed below the table
READY = "ready"
WIDEST = 80  # columns
GUIDE = "`bench data guide TASK` says where a task's data come from and how they are laid out."


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
    click.echo(_table(rows, min(get_terminal_size().columns, WIDEST)))


def _table(rows: list[dict[str, Any]], width: int) -> str:
    """What is ready first; below, each thing that is wrong once, then what is said of the data."""
    from tabulate import tabulate

    def said(line: str) -> str:
        return fill(printable(line), width, subsequent_indent="  ", break_on_hyphens=False)

    wrong: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] != READY:
            why = row["status"].removeprefix(f"task '{row['task']}': ")
            wrong.setdefault(why, []).append(_name(row))
    shown = [
        {key: printable(value) for key, value in row.items() if key not in ABOUT}
        | {"status": READY if row["status"] == READY else "see below"}
        for row in sorted(rows, key=lambda row: row["status"] != READY)
    ]
    parts = [tabulate(shown, headers="keys", disable_numparse=True)]
    parts += [said(f"{', '.join(names)}: {why}") for why, names in wrong.items()]
    for row in rows:
        if about := ". ".join(f"{key}: {row[key]}" for key in ABOUT if row.get(key)):
            parts.append(said(f"{row['task']} {about}."))
    if rows and "data" in rows[0]:
        parts.append(said(GUIDE))
    return "\n\n".join(parts)


def _name(row: dict[str, Any]) -> str:
    """What a row is about: a task, or a source and its task."""
    names = [row["task"]] if "data" in row else [row["source"], row["task"]]
    return " ".join(name for name in names if name != "-")


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
