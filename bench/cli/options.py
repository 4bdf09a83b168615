"""What the commands share: global options, names in lists, shell completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bench.config import Config

INCOMPLETE = 3  # exit code: done, but some items failed


class FilePath(click.Path):
    """A path on the command line, with `~` and `$NAME` expanded where the shell left them."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(path_type=Path, **rules)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """The expanded path, checked as `click.Path` does."""
        from bench.files.paths import expanded

        try:
            value = expanded(str(value))
        except UsageError as error:
            self.fail(str(error), parameter, context)
        return super().convert(value, parameter, context)


@dataclass
class Options:
    """What stands before the command's name."""

    config: Path | None
    quiet: bool
    debug: bool

    def load(self, **overrides: Any) -> Config:
        """The configuration, with the command line's own values in place of bench.yaml's."""
        from bench.config import load_config

        config = load_config(self.config)
        given = {key: value for key, value in overrides.items() if value is not None}
        return replace(config, run=replace(config.run, **given))

    def for_work(self, **overrides: Any) -> Config:
        """`load` for what computes: device and decoder are checked to be there. UsageError."""
        from importlib.util import find_spec

        from bench.compute import check_device
        from bench.config import CHECKS

        if (device := overrides.get("device")) is not None:
            try:
                CHECKS["device"](device)
            except ValueError as error:
                raise UsageError(f"--device must be {error}, not {device!r}") from error
        config = self.load(**overrides)
        check_device(config.run.device)
        if config.run.decoder == "decord" and not find_spec("decord"):
            raise UsageError("run.decoder: decord is not installed; install it, or choose auto")
        return config


def complete(kind: str) -> Callable[..., list[CompletionItem]]:
    """Shell completion of names: `task` and `model` by commas, `source`, `grid`, or `result`.

    Where no name fits, the shell offers folders for a source and files for a result.
    """

    def names_of(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        done, comma, part = "", "", incomplete
        if kind in ("task", "model"):
            done, comma, part = incomplete.rpartition(",")
        try:
            known = _known(kind, context)
        except BenchError:  # of bench.yaml: the command itself will say
            known = []
        named = [CompletionItem(done + comma + name) for name in known if name.startswith(part)]
        paths = {"source": "dir", "result": "file"}
        # The shell tries paths where no name is left.
        return [*([CompletionItem(incomplete, type=paths[kind])] if kind in paths else []), *named]

    return names_of


def _known(kind: str, context: click.Context) -> list[str]:
    """All names of a kind. Nothing heavy is imported: the shell waits."""
    from bench import registry
    from bench.config import load_config

    if kind == "task":
        return registry.task_names()
    if kind == "grid":
        from bench.training.grids import grids
        from bench.training.protocol_sweep import NAME

        return [*grids(), NAME]
    config = load_config(context.find_root().params.get("config"))
    if kind == "model":
        return registry.model_names(config)
    if kind == "source":
        return [*config.sources, *registry.generated_names()]
    from bench.results.files import find_all

    folder = config.run.output
    return list(map(str, find_all(folder))) if folder.is_dir() else []


# Options that say what becomes of a result, and not what it is.
REPORTING = {"output", "quiet", "debug", "allow_missing", "as_json", "profiled"}


def command_line(**instead: Any) -> list[str]:
    """The running command with the options that were given, as a result records it.

    Those of environment variables are among them. Parameters of `instead` have these values.
    """
    from click.core import ParameterSource

    from bench.results.request import recorded

    context: click.Context | None = click.get_current_context()
    parts: list[str] = []
    while context is not None:
        words = [str(context.info_name)] if context.parent else ["bench"]
        for parameter in context.command.params:
            name = str(parameter.name)
            given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
            if name not in REPORTING and (name in instead or given):
                words += _words(parameter.opts[-1], instead.get(name, context.params.get(name)))
        parts = [*words, *parts]
        context, instead = context.parent, {}
    return [recorded(word) for word in parts]


def _words(option: str, value: Any) -> list[str]:
    """An option as it is written: once with its value, alone as a flag, or each of a tuple."""
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    if isinstance(value, tuple):
        return [word for one in value for word in (option, str(one))]
    return [option, ",".join(value) if isinstance(value, list) else str(value)]


def names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    """A comma-separated list without repeats, in the order given; None where none was given."""
    if value is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not found:
        raise click.BadParameter("give at least one name")
    return found


def screen_format() -> str:
    """How boards are printed: for eyes on a terminal, as markdown into a file or a pipe."""
    import sys

    return "rich" if sys.stdout.isatty() else "md"


def setting(text: str) -> tuple[str, Any]:
    """Key and value of a `--set KEY=VALUE`; the value is read as YAML. UsageError if it is none."""
    import yaml

    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: KEY=VALUE is expected")
    try:
        return key.strip(), _number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: the value cannot be read") from error


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; a person means the number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def task_settings(overrides: Sequence[str], tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`--set TASK.KEY=VALUE` by task. UsageError for a task that is not run."""
    found: dict[str, dict[str, Any]] = {task: {} for task in tasks}
    for text in overrides:
        key, value = setting(text)
        task, dot, name = key.partition(".")
        if not dot or task not in found:
            raise UsageError(f"--set {text}: TASK.KEY=VALUE is expected, of {', '.join(tasks)}")
        found[task][name] = value
    return found
