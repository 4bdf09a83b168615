"""From a picture to the square of pixels that a model reads: its published resizing, bit for bit.

What `torchvision` and `open_clip` (and, with `crop="floor"`, `transformers`) do to a PIL image,
what mmcv does with OpenCV, and what torchvision does to tensors without antialiasing, up to the
rounding to bytes: without importing torch into every decoding process. Mean and standard deviation
are the adapter's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from bench.video.resizing import opencv_bilinear, torch_bilinear

INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
RESIZES, CROPS = ("shortest", "squash", "longest"), ("round", "floor")
PLAIN = {"opencv": opencv_bilinear, "torch": torch_bilinear}  # bilinear without antialiasing


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become `size` pixels square.

    `resize` scales the shortest side to `scaled` (by default `size`) and crops the centre, squashes
    to the square, or scales the longest side and pads with black. `crop` is how half a pixel is
    rounded, `sides` how the other side's length is: down, or to the nearest as mmcv does. `library`
    is whose resizing it is: `pillow`, which always antialiases but for `nearest`, or, bilinear and
    with `antialias=False`, `opencv` or `torch`. ValueError for a rule that is none of these.
    """

    size: int
    resize: str = "shortest"
    interpolation: str = "bicubic"
    scaled: int | None = None
    crop: str = "round"
    sides: str = "down"
    library: str = "pillow"
    antialias: bool = True

    def __post_init__(self) -> None:
        if self.resize not in RESIZES or self.crop not in CROPS:
            raise ValueError(f"no way to resize: '{self.resize}', crop '{self.crop}'")
        if self.sides not in ("down", "nearest"):
            raise ValueError(f"sides '{self.sides}' is none of down, nearest")
        self._check_library()
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise ValueError(f"interpolation '{self.interpolation}' is none of {known}")
        if self.size < 1 or (self.scaled is not None and self.scaled < self.size):
            raise ValueError(f"{self.size} pixels of {self.scaled} cannot be cropped")

    def _check_library(self) -> None:
        if self.library not in ("pillow", *PLAIN):
            raise ValueError(f"library '{self.library}' is none of pillow, {', '.join(PLAIN)}")
        if self.library == "pillow" and not self.antialias:
            raise ValueError("Pillow antialiases always (but for nearest, which has no need of it)")
        if self.library in PLAIN and (self.antialias or self.interpolation != "bilinear"):
            raise ValueError(f"of {self.library}: bilinear with antialias=False, nothing else")

    @property
    def key(self) -> int | str:
        """Its part of a frame's key; for OpenAI's rule the size alone, as it always was."""
        if self == Preprocessing(self.size):
            return self.size
        key = f"{self.size} {self.resize} {self.interpolation} {self.scaled or ''} {self.crop}"
        new = "" if self.library == "pillow" else f" {self.library}"  # since then
        return key + new + ("" if self.sides == "down" else f" {self.sides}")

    def __str__(self) -> str:
        name = f"{self.interpolation} antialiased"
        if self.library != "pillow":
            name = f"{self.interpolation} not antialiased ({self.library})"
        elif self.interpolation == "nearest":
            name = "nearest"
        if self.resize == "squash":
            return f"squashed to {self.size} x {self.size} {name}"
        if self.resize == "longest":
            return f"longest side {self.size} {name}, padded with black"
        return f"shortest side {self.scaled or self.size} {name}, centre crop {self.size}"

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture, RGB of any shape, as `size` x `size`."""
        if self.resize == "squash":
            return self._resized(image, (self.size, self.size))
        return self._padded(image) if self.resize == "longest" else self._cropped(image)

    def _cropped(self, image: Image.Image) -> Image.Image:
        size, side = self.size, self.scaled or self.size
        image = self._resized(image, self._scaled(*image.size, side))
        if image.size == (size, size):
            return image
        half = (lambda n: n // 2) if self.crop == "floor" else (lambda n: round(n / 2.0))
        left, top = (half(n - size) for n in image.size)
        return image.crop((left, top, left + size, top + size))

    def _scaled(self, width: int, height: int, side: int) -> tuple[int, int]:
        """The picture's sides when the shortest one is `side`."""
        if self.sides == "nearest":  # mmcv's: by the factor, half a pixel up
            factor = side / min(width, height)
            return int(width * factor + 0.5), int(height * factor + 0.5)
        if width <= height:
            return side, int(side * height / width)
        return int(side * width / height), side

    def _padded(self, image: Image.Image) -> Image.Image:
        ratio = max(image.size) / self.size
        width, height = (round(side / ratio) for side in image.size)
        scaled = self._resized(image, (max(1, width), max(1, height)))
        square = Image.new("RGB", (self.size, self.size))
        square.paste(scaled, ((self.size - scaled.width) // 2, (self.size - scaled.height) // 2))
        return square

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        if size == image.size:
            return image
        if self.library in PLAIN:
            return Image.fromarray(PLAIN[self.library](np.asarray(image), *size))
        return image.resize(size, INTERPOLATIONS[self.interpolation])


def as_preprocessing(pixels: int | Preprocessing) -> Preprocessing:
    """A size alone is OpenAI's rule: the shortest side by bicubic, and the centre."""
    return pixels if isinstance(pixels, Preprocessing) else Preprocessing(pixels)
