"""docs/scaling.md: what the full datasets cost, worked out from the measured figures per item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.perf.table import Figure

FEATURES = 512  # dimensions, ViT-B/32's
# Assumptions that were not measured here; each is named on the page.
GPU_FRAMES = (
    2500.0  # ViT-B/32 frames/s of one GPU: an assumption, on the low side for a current one
)
CORES = 8  # cores a GPU that decode


@dataclass(frozen=True)
class Dataset:
    """How many clips, and how many frames of each are looked at."""

    name: str
    clips: int
    frames: int


DATASETS = (
    Dataset("MSRVTT 1k-A", 1_000, 12),
    Dataset("LSMDC test", 1_000, 12),
    Dataset("VidSitu, 29k clips", 29_000, 20),
    Dataset("10 million clips", 10_000_000, 20),
)


def page(figures: Sequence[Figure]) -> str:
    """The page as markdown."""
    from tabulate import tabulate

    told: dict[str, float] = {}
    for figure in figures:  # of several figures with one name the last, that is the largest, counts
        told |= figure.extra
    measured = [
        ["decoding 12 frames of 320 x 240, 15 s, one core", _ms(_decode_seconds(told))],
        ["ViT-B/32 on this CPU, all cores, one frame", _ms(1 / told["ViT-B/32 frames"])],
        ["a clip's features, written", _ms(told["feature_write"])],
        ["a clip's features, found, read and pooled", _ms(told["clip_seconds"])],
        ["a clip's 12 frames of 224 x 224, raw", f"{told['raw_bytes'] / 2**20:.2f} MiB"],
        ["the same as lossless WebP, toy world", f"{told['webp_bytes'] / 2**20:.2f} MiB"],
        ["memory for each further clip of a run", f"{told['clip_bytes'] / 1024:.2f} KiB"],
    ]
    rows = [_row(dataset, gpus, told) for dataset in DATASETS for gpus in (1, 8, 64)]
    head = ["dataset", "GPUs", "decoding", "encoding", "first run", "again, warm", "frames, raw",
            "features", "memory"]  # fmt: skip
    tables = [
        tabulate(part, columns, tablefmt="github", disable_numparse=True)
        for part, columns in ((measured, ["measured here", "figure"]), (rows, head))
    ]
    template = Path(__file__).with_name("scaling.template.md").read_text(encoding="utf-8")
    return template.format(
        measured=tables[0], table=tables[1], gpu=f"{GPU_FRAMES:,.0f}", cores=CORES
    )


def _decode_seconds(told: dict[str, float]) -> float:
    """CPU seconds to decode a clip of 12 frames; measured is the time of all workers together."""
    return told["decode_workers"] * told["ViT-B/32 decoding"]


def _row(dataset: Dataset, gpus: int, told: dict[str, float]) -> list[str]:
    # Decoding grows with a clip's length rather than with its frames: a clip counts as one of 15 s.
    decoding = dataset.clips * _decode_seconds(told) / (CORES * gpus)
    encoding = dataset.clips * dataset.frames / (GPU_FRAMES * gpus)
    warm = dataset.clips * told["clip_seconds"]
    frames = dataset.clips * told["raw_bytes"] * dataset.frames / 12
    features = dataset.clips * (dataset.frames * FEATURES * 4 + 1024)
    return [
        dataset.name, str(gpus), _time(decoding), _time(encoding), _time(max(decoding, encoding)),
        _time(warm), _size(frames), _size(features), _size(dataset.clips * told["clip_bytes"]),
    ]  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2g} ms" if seconds < 1 else f"{seconds:.2g} s"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _size(count: float) -> str:
    for unit in ("MiB", "GiB", "TiB"):
        count /= 1024 if unit != "MiB" else 2**20
        if count < 1000:
            break
    return f"{count:.2g} {unit}" if count < 10 else f"{count:.0f} {unit}"
