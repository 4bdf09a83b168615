"""What boards say of a model beside its numbers: how many frames it saw, how large it is."""

from __future__ import annotations

import re

from bench import registry
from bench.config import Config
from bench.errors import BenchError, UsageError
from bench.results.document import Document

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9}


def frames_in_words(document: Document) -> str:
    """How many frames of a clip, the most where that depends on its length, or how many a second.

    Empty where the result does not say.
    """
    from bench.video.sampling import parse_plan, usual_counts

    settings = document.settings
    if not settings or not settings.plan:
        return ""
    if match := re.fullmatch(r"fps-(\d+)", settings.plan):
        return f"{match[1]} a second"
    try:
        return str(usual_counts(parse_plan(settings.plan)).stop - 1)
    except UsageError:  # of another version, or edited
        return ""


def parameters(text: str) -> int | None:
    """How many `1.3B` or `86 M` are; None for other words."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMB])", text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else None


def model_size(name: str, config: Config) -> int | None:
    """The parameters of a model, as its family says; None where that is not known here."""
    try:
        found = registry.model_card(name, config)
    except BenchError:
        return None
    return found.parameters if found else None


def size_in_words(parameters: int | None) -> str:
    """Such as `4.2 M` or `151 M`."""
    if parameters is None:
        return ""
    return f"{parameters / 1e6:.0f} M" if parameters >= 1e7 else f"{parameters / 1e6:.1f} M"
