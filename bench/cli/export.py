"""`bench export`: a trained model, predictions or results, in formats of other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.cli.export_results import FORMATS
from bench.cli.options import INCOMPLETE, FilePath, Options, complete, task_settings
from bench.errors import BenchError, UsageError


class _Export(click.Command):
    """The names of `FORMATS` are commands of their own; all else is this one's."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if not args or args[0] not in FORMATS:
            return super().make_context(info_name, args, parent, **extra)
        if parent and parent.auto_envvar_prefix:
            name = args[0].replace("-", "_").upper()
            extra["auto_envvar_prefix"] = f"{parent.auto_envvar_prefix}_EXPORT_{name}"
        return FORMATS[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@click.command(cls=_Export)
@click.argument("task", required=False, shell_complete=complete("task"))
@click.option("--model", required=True, shell_complete=complete("model"),
              help="A model, such as srlclip-tiny or srlclip-b32@FOLDER.")  # fmt: skip
@click.option("--output", required=True, type=FilePath(dir_okay=False),
              help="The file to write: .safetensors; predictions .json or .pkl.")  # fmt: skip
@click.option("--split", help="TASK only: the split to answer, such as testvb or testsrl.")
@click.option("--kind", type=click.Choice(["verbs", "roles"]),
              help="TASK only: what to write; by default what the split asks for.")  # fmt: skip
@click.option("--source", shell_complete=complete("source"),
              help="TASK only: a source in bench.yaml, 'toy', or a folder.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="TASK only: seed of the head.")
@click.option("--set", "overrides", multiple=True, metavar="TASK.KEY=VALUE",
              help="TASK only: a setting of the task; may be repeated.")  # fmt: skip
@click.option("--device", help="auto, cpu, cuda, cuda:N or mps.")
@click.pass_obj
def export(
    options: Options,
    task: str | None,
    model: str,
    output: Path,
    split: str | None,
    kind: str | None,
    source: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    device: str | None,
) -> None:
    """Write a trained model as a plain open_clip checkpoint, for any other tool.

    With TASK: answer a split, hidden ones too, and write the predictions in the official
    format, ready for the leaderboard. Exit code 3 where videos could not be read.

    `bench export mteb RESULT... --output DIR` and `bench export hf-eval RESULT --output DIR` write
    results for other leaderboards; their --help says how.
    """
    if task is None:
        if split or kind or source or overrides:
            raise UsageError("--split, --kind, --source and --set need a TASK")
        _export_model(options, model, output)
    elif split is None:
        raise UsageError(f"bench export {task} needs --split, such as testvb")
    else:
        lost = _export_answers(
            options, task, model, output, split, kind, source, seed, overrides, device
        )
        if lost:
            click.echo(f"{len(lost)} videos could not be read, the first {lost[0]}; they got the "
                       "most frequent verbs and no roles", err=True)  # fmt: skip
            sys.exit(INCOMPLETE)


def _export_model(options: Options, model: str, output: Path) -> None:
    from bench import registry
    from bench.capabilities import Exportable
    from bench.files.atomic import check_writable

    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: checkpoints are written as .safetensors; name it so")
    check_writable(output)
    adapter = registry.load_adapter(model, options.load(device="cpu"))
    if not isinstance(adapter, Exportable):
        raise BenchError(f"model '{model}' ({type(adapter).__name__}) cannot be exported")
    click.echo(f"{adapter.export(output)}/{output}")


def _export_answers(
    options: Options,
    name: str,
    model: str,
    output: Path,
    split: str,
    kind: str | None,
    source: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    device: str | None,
) -> list[str]:
    """Answer the split and write it; returns the clips without an answer."""
    from bench import registry
    from bench.capabilities import ExportsPredictions
    from bench.engine import answers
    from bench.features.protocol import check_inputs
    from bench.features.work import Work
    from bench.files.atomic import check_writable
    from bench.progress import Bar

    config = options.for_work(device=device, seed=seed)
    exporter = registry.offering(name, ExportsPredictions).exporter()
    settings = task_settings(overrides, [name])[name]
    found, fallback = registry.source_for(name, source, config, settings)
    check_writable(output)
    adapter = registry.load_adapter(model, config)
    with Bar(options.quiet) as bar:
        if fallback:
            bar.warn(registry.FALLBACK.format(task=name))
        registry.prepare_source(name, found, bar.to)
        task = exporter.load(found, split)
        exporter.check(task, kind, output)
        check_inputs(adapter, task)
        lines, _ = answers(Work(adapter, task, config.run, bar))
    lost: list[str] = exporter.write(task, lines, kind, output)
    click.echo(output)
    return lost
