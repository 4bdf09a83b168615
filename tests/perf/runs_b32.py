"""Whole processes with ViT-B/32, whose own cost on a CPU hides nearly everything else."""

from __future__ import annotations

from pathlib import Path

from tests.perf import videos
from tests.perf.runs import of_model
from tests.perf.table import Figure

NOTE = (
    "the model's own forward passes, which both sides need, are nearly all of our time on a CPU "
    "(see Encoding): what is left to win is their decoding. Their single-video batches of 12 are "
    "also the quickest on this CPU."
)


def figures(folder: Path, quick: bool) -> list[Figure]:
    """Cold, second model and warm; nothing in the quick pass, for it is slow."""
    if quick:
        return []
    shapes = [(videos.SMALL, 32), (videos.LARGE, 16)]
    return of_model(folder, "ViT-B/32", videos.random_b32(folder), shapes, 3, NOTE)
