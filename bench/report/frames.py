"""Frames to look at: of chosen clips, at the moments that models saw, as small pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import DataError, printable

if TYPE_CHECKING:
    from bench.config import Config
    from bench.results.document import Document

SIZE = 144  # pixels of a shown frame


def frames_of(
    config: Config, document: Document, source: str | None, clips: Collection[str]
) -> dict[str, np.ndarray]:
    """Clip -> uint8 [T, SIZE, SIZE, 3] at the moments that the models saw; absent if unreadable.

    `source` is the result's own unless given. DataError where it holds other data than the result.
    """
    from bench import registry
    from bench.contracts import Failure
    from bench.features.extraction import decoding_limits
    from bench.video import FrameStore, parse_plan

    found, _ = registry.source_for(document.task, source or _known(document, config), config)
    task = registry.load_task(document.task, found)
    if task.fingerprint != document.source.fingerprint:
        raise DataError(f"{found.root}: not the data of the results; give theirs with --source")
    settings = document.settings
    plan = parse_plan(settings.plan) if settings and settings.plan else task.plan
    store = FrameStore(config.run.cache_folder / "frames", SIZE, plan, config.run.decoder)
    wanted = [clip for clip in task.clips if clip.id in clips]
    decoded = store.fill(wanted, *decoding_limits(config.run))
    return {clip.id: got.frames for clip, got in decoded if not isinstance(got, Failure)}


def _known(document: Document, config: Config) -> str | None:
    """The source that the result names, where it is one by name."""
    from bench import registry

    name = document.source.name
    return name if name in config.sources or name in registry.generated_names() else None


def strip(frames: np.ndarray) -> bytes:
    """Frames [T, H, W, 3] side by side, as WebP: half of what JPEG takes, and pages carry many."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(out, "WEBP", quality=65, method=6)
    return out.getvalue()


def evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """`count` frames, evenly from all, the first and the last among them; all of fewer."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return frames[places]


def picture(frames: np.ndarray, words: str) -> str:
    """`strip` as an HTML image that carries its own data; `words` say what is seen."""
    data = base64.b64encode(strip(frames)).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/webp;base64,{data}">'


def markdown_cell(text: str) -> str:
    """Foreign text for a markdown table: nothing in it is markup."""
    escaped = html.escape(printable(text), quote=False).replace("\\", "\\\\")
    return "".join("\\" + c if c in "|*_`[]~$" else c for c in escaped)
