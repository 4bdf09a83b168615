"""What the commands share: global options, names in lists, shell completion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bench.config import Config

INCOMPLETE = 3  # exit code: done, but some items failed


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


def complete(kind: str) -> Callable[..., list[CompletionItem]]:
    """Shell completion of comma-separated `task` or `model` names."""

    def names_of(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from bench import registry
        from bench.config import load_config

        done, comma, part = incomplete.rpartition(",")
        known = registry.task_names() if kind == "task" else registry.model_names(load_config())
        return [CompletionItem(done + comma + name) for name in known if name.startswith(part)]

    return names_of


def names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    """A comma-separated list without repeats, in the order given."""
    found = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not found:
        raise click.BadParameter("give at least one name")
    return found
