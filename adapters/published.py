"""What a checkpoint's own published configuration says of its inputs and its activation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import DataError, UsageError, nearest
from bench.files.untrusted import read_json, well_formed
from bench.video.preprocessing import INTERPOLATIONS, RESIZES

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
CONFIG = "open_clip_config.json"
OWN = "settings"  # the source of what the user says
SETTINGS = ("mean", "std", "resize_mode", "interpolation")  # open_clip's names
OPENAIS = ("openai", "shipped")  # tags whose rule is OpenAI's: known without importing open_clip


@dataclass(frozen=True)
class Published:
    """Pixels and activation as the weights were trained with.

    `mean` and `std` are of RGB in 0..1. `quick_gelu` None is the architecture's own. `source` says
    where this was read; empty where nothing says it and OpenAI's rule is assumed.
    """

    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    quick_gelu: bool | None = None
    source: str = ""

    def key(self, activation: bool) -> list[Any]:
        """Its part of a fingerprint, of an architecture with or without QuickGELU.

        Nothing for OpenAI's rule with the architecture's own activation.
        """
        same = self.quick_gelu in (None, activation)
        own = replace(self, source="", quick_gelu=None if same else self.quick_gelu)
        return [] if own == Published() else [asdict(own)]


def published(arch: str, tag: str | None, weights: Path, own: dict[str, Any]) -> Published:
    """By open_clip's table for a tag, by a configuration beside the file, by the user's settings.

    Later ones win. UsageError for settings that cannot be, DataError for such a configuration.
    """
    found = Published()
    if tag is not None:
        found = _of_table(arch, tag)
    elif (weights.parent / CONFIG).is_file():
        found = _of_file(weights.parent / CONFIG)
    if not own:
        return found
    try:
        return _with(found, own, OWN)
    except ValueError as error:
        raise UsageError(f"preprocess: {error}") from error


def _of_table(arch: str, tag: str) -> Published:
    if tag in OPENAIS:
        quick_gelu = True if tag == "openai" else None
        return Published(quick_gelu=quick_gelu, source=f"the tag '{tag}'")
    from open_clip.pretrained import get_pretrained_cfg

    known = get_pretrained_cfg(arch, tag) or {}
    if not known:
        return Published()
    facts = {name: known[name] for name in SETTINGS if known.get(name) is not None}
    return _with(Published(), facts | {"quick_gelu": bool(known.get("quick_gelu", False))},
                 "open_clip's table")  # fmt: skip


def _of_file(path: Path) -> Published:
    remedy = "correct it, or move it away"
    config = read_json(path, remedy, largest=1 << 20)
    with well_formed(path, remedy):
        model, pixels = config["model_cfg"], config.get("preprocess_cfg", {})
        facts = {name: pixels[name] for name in SETTINGS if pixels.get(name) is not None}
        activation = bool(model.get("quick_gelu", False))
    try:
        return _with(Published(), facts | {"quick_gelu": activation}, path.name)
    except ValueError as error:
        raise DataError(f"{path}: {error}; {remedy}") from error


def _with(found: Published, facts: dict[str, Any], source: str) -> Published:
    """`found` with `facts` in place of its own. ValueError for one that cannot be."""
    known = (*SETTINGS, "quick_gelu")
    for name, value in facts.items():
        if name not in known:
            raise ValueError(f"unknown '{name}'{nearest(name, list(known))}")
        if name in ("mean", "std"):
            facts = {**facts, name: _three(name, value)}
    for name, choices in (("resize_mode", RESIZES), ("interpolation", INTERPOLATIONS)):
        if facts.get(name, getattr(found, name)) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {facts[name]!r}")
    return replace(found, **facts, source=source)


def _three(name: str, value: Any) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * 3
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(values) != 3 or len(numbers) != 3 or (name == "std" and min(numbers) <= 0):
        raise ValueError(f"{name} must be three numbers, not {value!r}")
    return tuple(map(float, values))
