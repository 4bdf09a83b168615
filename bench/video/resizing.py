"""Bilinear resizing without antialiasing, as OpenCV and as PyTorch do it, in numpy.

Neither library is imported: decoding processes start faster, and OpenCV need not be installed.
"""

from __future__ import annotations

import numpy as np

BITS = 11  # of OpenCV's fixed-point weights


def opencv_bilinear(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, C] -> uint8 [height, width, C]: `cv2.resize` with INTER_LINEAR, bit for bit.

    Its rule for bytes: weights of 11 bits, and four of the 19 bits of a row's sum dropped before
    the columns are summed. Equal to OpenCV 4.14 and 5.0; its mean of four where both sides are
    halved is the same number.
    """
    tall, wide = image.shape[:2]
    places, part = _places(wide, width)
    left, right = _neighbours(places, wide)
    near, far = (weight[:, None] for weight in _fixed(part))
    pixels = image.astype(np.int32)
    rows = (pixels[:, left] * near + pixels[:, right] * far) >> 4
    places, part = _places(tall, height)
    upper, lower = _neighbours(places, tall)
    near, far = (weight[:, None, None] for weight in _fixed(part))
    total = (rows[upper] * near >> 16) + (rows[lower] * far >> 16)
    return ((total + 2) >> 2).astype(np.uint8)


def _places(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel made, the one before its centre in the source, and how far behind it that is.

    In float32, as OpenCV has it.
    """
    centres = (np.arange(target) + 0.5) * (1 / (target / source)) - 0.5
    exact = centres.astype(np.float32)
    places = np.floor(exact)
    return places.astype(np.int64), exact - places


def _neighbours(places: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray]:
    return places.clip(0, source - 1), (places + 1).clip(0, source - 1)


def _fixed(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the nearer and the farther neighbour, int32."""
    one = np.float32(1 << BITS)
    return np.rint((1 - part) * one).astype(np.int32), np.rint(part * one).astype(np.int32)


def torch_bilinear(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, C] -> uint8: `interpolate(mode="bilinear", antialias=False)`, then rounded.

    PyTorch's on floats, `align_corners=False`. Bytes are what the frame store keeps: half a step of
    255 at most is lost to the float that the model was published with.
    """
    rows = _blended(image.astype(np.float64), height)
    columns = _blended(rows.swapaxes(0, 1), width).swapaxes(0, 1)
    return np.rint(columns).astype(np.uint8)


def _blended(values: np.ndarray, target: int) -> np.ndarray:
    """The first axis at `target` places."""
    source = len(values)
    centres = ((np.arange(target) + 0.5) * (source / target) - 0.5).clip(0)
    places = centres.astype(np.int64)
    part = (centres - places)[:, None, None]
    before, after = _neighbours(places, source)
    blended: np.ndarray = values[before] * (1 - part) + values[after] * part
    return blended
