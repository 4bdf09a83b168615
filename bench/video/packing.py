"""How frames lie on disk: raw, read at the disk's speed, or lossless WebP, about half the size.

Both give the same pixels bit for bit. What the choice costs is in docs/performance.md.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

FORMS = ("raw", "webp")


def packed(frames: np.ndarray, form: str) -> dict[str, np.ndarray]:
    """Frames uint8 [T, H, W, 3] as the arrays of a store's entry."""
    if form == "raw":
        return {"frames": frames}
    pictures = [_webp(frame) for frame in frames]
    ends = np.cumsum([len(picture) for picture in pictures])
    return {"webp": np.frombuffer(b"".join(pictures), np.uint8), "ends": ends}


def unpacked(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """The frames of a store's entry, whatever its form; None where it holds none."""
    if "webp" not in arrays:
        return arrays.get("frames")
    try:
        parts = np.split(arrays["webp"], arrays["ends"][:-1])
        return np.stack([_pixels(part.tobytes()) for part in parts])
    except (OSError, ValueError, TypeError, KeyError, IndexError, Image.DecompressionBombError):
        return None  # damaged, or of other hands


def _pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture), formats=("WEBP",)))


def _webp(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    # The quickest of its levels: slower ones save little more.
    Image.fromarray(frame).save(out, "WEBP", lossless=True, method=0, quality=0)
    return out.getvalue()
