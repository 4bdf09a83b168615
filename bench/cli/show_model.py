"""`bench show-model`: what is known of a model, whether its weights are here or not.

A command of its own, since `bench list` has kinds of things and `bench show` results.
"""

from __future__ import annotations

import json
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from bench.cli.models import frames_of, reads_of, setup_in_words
from bench.cli.options import Options, complete
from bench.errors import printable

if TYPE_CHECKING:
    from bench.capabilities import Card
    from bench.config import ModelConfig

UNKNOWN = "unknown"


@click.command("show-model")
@click.argument("name", shell_complete=complete("model"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show_model(options: Options, name: str, as_json: bool) -> None:
    """Show what is known of the model NAME: sizes, frames, pixels, weights, licence, paper.

    Nothing is loaded or fetched; what is not known is said to be unknown.
    """
    from bench import registry

    config = options.load()
    model = registry.model_config(name, config)
    card = registry.model_card(name, config)
    facts: dict[str, Any] = {"model": name, **_settings(model)}
    if card is not None:
        facts |= _facts(card)
    facts["status"] = registry.model_problem(name, config) or "ready"
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = min(get_terminal_size().columns, 100)
    for key, value in facts.items():
        for said in value if isinstance(value, list) else [value]:
            click.echo(_line(key, UNKNOWN if said in (None, "") else printable(str(said)), width))


def _settings(model: ModelConfig) -> dict[str, Any]:
    named = ", ".join(f"{key}: {value}" for key, value in model.settings.items())
    return {"adapter": model.adapter, "settings": named or "none"}


def _facts(card: Card) -> dict[str, Any]:
    """In the order in which they are printed; what has several values is a list."""
    from bench.report.facts import size_in_words

    size = f"{card.parameters:,} ({size_in_words(card.parameters)})" if card.parameters else None
    return {
        "architecture": card.architecture,
        "parameters": size,
        "embedding": card.embed_dim and f"{card.embed_dim} dimensions",
        "reads": reads_of(card),
        "frames": frames_of(card),
        "pixels": card.pixels(),
        "texts": card.context_length and f"at most {card.context_length} tokens, ends included",
        "published": [
            f"{'any task' if task == '*' else task}: {setup_in_words(setup)}"
            for task, setup in card.published.items()
        ] or ["nothing: --protocol published is refused" if card.embed_dim else UNKNOWN],
        "weights": f"{card.weights} ({_size(card.weights)})" if card.weights else "not here",
        "download": "none is needed" if card.weights else card.download,
        "code": card.code,
        "licence": card.licence,
        "citation": card.citation,
        "source": card.source,
    }  # fmt: skip


def _size(weights: Path) -> str:
    """Of a file, or of those in a folder, in megabytes."""
    files = [weights] if weights.is_file() else [one for one in weights.iterdir() if one.is_file()]
    return f"{sum(one.stat().st_size for one in files) / 1e6:,.1f} MB"


def _line(key: str, value: str, width: int) -> str:
    first, *rest = wrap(value, max(20, width - 14), break_on_hyphens=False, break_long_words=False)
    return "\n".join([f"{key:13} {first}", *(" " * 14 + line for line in rest)])
