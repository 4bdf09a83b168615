"""From a picture to the square of pixels that a model reads: its published resizing, bit for bit.

What `torchvision` and `open_clip` (and, with `crop="floor"`, `transformers`) do to a PIL image,
without importing torch into every decoding process. Mean and standard deviation are the adapter's.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
RESIZES, CROPS = ("shortest", "squash", "longest"), ("round", "floor")


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become `size` pixels square.

    `resize` scales the shortest side to `scaled` (by default `size`) and crops the centre, squashes
    to the square, or scales the longest side and pads with black. `crop` is how half a pixel is
    rounded. ValueError for a rule that is none of these.
    """

    size: int
    resize: str = "shortest"
    interpolation: str = "bicubic"
    scaled: int | None = None
    crop: str = "round"

    def __post_init__(self) -> None:
        if self.resize not in RESIZES or self.crop not in CROPS:
            raise ValueError(f"no way to resize: '{self.resize}', crop '{self.crop}'")
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise ValueError(f"interpolation '{self.interpolation}' is none of {known}")
        if self.size < 1 or (self.scaled is not None and self.scaled < self.size):
            raise ValueError(f"{self.size} pixels of {self.scaled} cannot be cropped")

    @property
    def key(self) -> int | str:
        """Its part of a frame's key; for OpenAI's rule the size alone, as it always was."""
        if self == Preprocessing(self.size):
            return self.size
        return f"{self.size} {self.resize} {self.interpolation} {self.scaled or ''} {self.crop}"

    def __str__(self) -> str:
        name = f"{self.interpolation} antialiased"
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
        width, height = image.size
        if width <= height:
            image = self._resized(image, (side, int(side * height / width)))
        else:
            image = self._resized(image, (int(side * width / height), side))
        if image.size == (size, size):
            return image
        half = (lambda n: n // 2) if self.crop == "floor" else (lambda n: round(n / 2.0))
        left, top = (half(n - size) for n in image.size)
        return image.crop((left, top, left + size, top + size))

    def _padded(self, image: Image.Image) -> Image.Image:
        ratio = max(image.size) / self.size
        width, height = (round(side / ratio) for side in image.size)
        scaled = self._resized(image, (max(1, width), max(1, height)))
        square = Image.new("RGB", (self.size, self.size))
        square.paste(scaled, ((self.size - scaled.width) // 2, (self.size - scaled.height) // 2))
        return square

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        return (
            image if size == image.size else image.resize(size, INTERPOLATIONS[self.interpolation])
        )


def as_preprocessing(pixels: int | Preprocessing) -> Preprocessing:
    """A size alone is OpenAI's rule: the shortest side by bicubic, and the centre."""
    return pixels if isinstance(pixels, Preprocessing) else Preprocessing(pixels)
