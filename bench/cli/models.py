"""What is said of models: their rows in `bench list models`, and the table of them."""

from __future__ import annotations

from itertools import groupby
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, plain, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.capabilities import Card
    from bench.config import Config
    from bench.contracts import Setup

FAMILY = "family: "  # how the status begins of a family that asks for settings
NARROW = 76  # columns below which long names are broken
LEGEND = (
    "size: parameters of all towers. frames: as the task has them, or, with --protocol "
    "published, by the model's own plan. weights: here, to be trained, or how large the download "
    "is; unknown where that was not read. `bench show-model NAME` says more, and where weights "
    "are found."
)


def model_rows(config: Config) -> list[dict[str, Any]]:
    """A row for each model and family, those that can run first."""
    from bench import registry

    rows = []
    for name in registry.model_names(config):
        family = registry.model_config(name, config).adapter
        status = registry.model_problem(name, config) or "ready"
        if name not in config.models:
            status = f"{FAMILY}{status}" if status != "ready" else _family_status(name, config)
        card = _card(name, config)
        rows.append({
            "model": name, "adapter": family, "reads": _reads(name, card, config),
            "status": status, "parameters": card and card.parameters,
            "frames": frames_of(card) if card else "",
            "weights": ("here" if card.weights else "missing") if card else "",
            "download": card.download if card else "",
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["status"] != "ready")  # what can run stands first


def _card(name: str, config: Config) -> Card | None:
    """None also where its family fails: the status says why."""
    from bench import registry

    try:
        return registry.model_card(name, config)
    except Exception:  # of another package's code too
        return None


def frames_of(card: Card) -> str:
    """The plans that a model was published with, or how many frames of a clip it must have."""
    plans = ", ".join(dict.fromkeys(setup.plan.key for setup in card.published.values()))
    if card.clip_frames is not None:
        return f"exactly {card.clip_frames}" + (f": {plans}" if plans else "")
    if card.clips and card.embed_dim is None:  # nothing of its configuration is here
        return "unknown"
    return plans or "the task's"


def _reads(name: str, card: Card | None, config: Config) -> str:
    """What a model encodes, `frames` or `clips`, and reads beside; empty where its class is none.

    `frames or clips` where that is a setting's doing.
    """
    from bench import registry
    from bench.contracts import Adapter

    if card is not None:
        return reads_of(card)
    try:
        kind = registry.model_factory(registry.model_config(name, config))
    except BenchError:
        return ""
    if not (isinstance(kind, type) and issubclass(kind, Adapter)):
        return ""
    ways = {"frames": "encode_frames", "clips": "encode_clips"}
    own = [what for what, call in ways.items() if getattr(kind, call) is not getattr(Adapter, call)]
    return ", ".join([" or ".join(own), *sorted(kind.inputs - {"frames"})])


def reads_of(card: Card) -> str:
    """`frames` or `clips`, and what is read beside."""
    return ", ".join(["clips" if card.clips else "frames", *sorted(card.inputs - {"frames"})])


def _family_status(name: str, config: Config) -> str:
    """`ready`, or what the family's class asks for that no name in bench.yaml has given."""
    from bench import registry

    try:
        registry.load_adapter(name, config)
    except BenchError as error:
        return f"{FAMILY}{error}"
    except Exception as error:  # of another package's code
        return f"{FAMILY}fails: {type(error).__name__}: {plain(error)}"
    return "ready"


def models_table(rows: list[dict[str, Any]]) -> str:
    """By family, the ready ones first; what is wrong but for missing weights is said below."""
    from tabulate import tabulate

    width = get_terminal_size().columns
    order = list(dict.fromkeys(row["adapter"] for row in rows))
    grouped = sorted(rows, key=lambda row: order.index(row["adapter"]))  # keeps ready ones first
    table, notes = [], []
    for family, of_family in groupby(grouped, lambda row: row["adapter"]):
        found = list(of_family)
        if shown := [row for row in found if not row["status"].startswith(FAMILY)]:
            table += [[f"{printable(family)}:", "", "", "", ""], *map(_cells, shown)]
        notes += [
            f"{row['model']}: {row['status'].removeprefix(FAMILY)}"
            for row in found if row["status"] != "ready" and row["weights"] != "missing"
        ]  # fmt: skip
    widths = [16 if width < NARROW else 24, 7, 11, 10, 8]
    text = tabulate(table, ["model", "size", "frames", "reads", "weights"],
                     maxcolwidths=widths, disable_numparse=True)  # fmt: skip
    said = [fill(printable(note), min(width, 100), subsequent_indent="  ") for note in notes]
    return "\n".join([text, "", fill(LEGEND, min(width, 100)), *([""] if said else []), *said])


def _cells(row: Mapping[str, Any]) -> list[str]:
    from bench.report.facts import size_in_words

    weights = row["weights"]
    if weights == "missing":
        weights = row["download"] or "unknown"
    size = size_in_words(row["parameters"])
    return [printable(row["model"]), size, row["frames"], row["reads"], weights]


def setup_in_words(setup: Setup) -> str:
    """Frames, pixels, texts and remarks of a published evaluation."""
    texts = f"texts of {setup.text_length} tokens" if setup.text_length else "whole texts"
    return "; ".join([f"{setup.plan.key}, {setup.preprocessing}, {texts}", *setup.remarks])
