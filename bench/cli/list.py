"""`bench list`: what is there, what is ready to run, and what is missing with its remedy."""

from __future__ import annotations

import json
from textwrap import fill
from typing import TYPE_CHECKING

import click

from bench.cli.options import Options
from bench.errors import BenchError, plain, printable

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
    rows = {"tasks": _task_rows, "models": _model_rows, "sources": _source_rows}[what](config)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
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


def _model_rows(config: Config) -> list[dict[str, str]]:
    from bench import registry

    rows = []
    for name in registry.model_names(config):
        family = registry.model_config(name, config).adapter
        status = registry.model_problem(name, config) or "ready"
        if name not in config.models:
            status = f"family: {status}" if status != "ready" else _family_status(name, config)
        reads = _reads(name, config)
        rows.append({"model": name, "adapter": family, "reads": reads, "status": status})
    return sorted(rows, key=lambda row: row["status"] != "ready")  # what can run stands first


def _reads(name: str, config: Config) -> str:
    """What a model encodes, `frames` or `clips`, and reads beside; empty where its class is none.

    `frames or clips` where that is a setting's doing.
    """
    from bench import registry
    from bench.contracts import Adapter

    try:
        kind = registry.model_factory(registry.model_config(name, config))
    except BenchError:
        return ""
    if not (isinstance(kind, type) and issubclass(kind, Adapter)):
        return ""
    ways = {"frames": "encode_frames", "clips": "encode_clips"}
    own = [what for what, call in ways.items() if getattr(kind, call) is not getattr(Adapter, call)]
    return ", ".join([" or ".join(own), *sorted(kind.inputs - {"frames"})])


def _family_status(name: str, config: Config) -> str:
    """`ready`, or what the family's class asks for that no name in bench.yaml has given."""
    from bench import registry

    try:
        registry.load_adapter(name, config)
    except BenchError as error:
        return f"family: {error}"
    except Exception as error:  # of another package's code
        return f"family: fails: {type(error).__name__}: {plain(error)}"
    return "ready"


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
