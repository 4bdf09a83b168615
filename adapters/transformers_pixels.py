"""What the processor of a transformers folder does to pixels, by its own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.published import MEAN, STD
from adapters.transformers_kinds import Kind
from bench.errors import MissingWeights, UsageError, plain
from bench.files.untrusted import read_json, well_formed
from bench.video.preprocessing import Preprocessing

REMEDY = "give a folder as transformers saves it"
INTERPOLATION = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
IMAGES = ("image_processor", "preprocessor_config.json")
VIDEOS = ("video_processor", "video_preprocessor_config.json")


@dataclass(frozen=True)
class Pixels:
    """How pictures become what a model reads; mean and deviation are of RGB in 0..1.

    `source` is the file that says so, empty where the kind's defaults are assumed. `frames` is how
    many of a video the processor takes, where it says one number.
    """

    rule: Preprocessing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""
    frames: int | None = None


def pixels_of(folder: Path, model_type: str, kind: Kind, image_size: int | None) -> Pixels:
    """UsageError for a processor that cannot be honoured; a video processor must be there."""
    written, source = _written(folder, *(VIDEOS if kind.video_processor else IMAGES))
    if kind.video_processor and not source:
        raise MissingWeights(f"{folder}: no {VIDEOS[1]}, which says how frames are read; {REMEDY}")
    where = f"{folder / source}"
    for key in ("do_resize", "do_rescale"):
        if written.get(key) is False:
            raise UsageError(f"{where}: pictures that are not resized or not scaled to 0..1")
    scale = written.get("rescale_factor", 1 / 255)
    if not isinstance(scale, int | float) or abs(255 * scale - 1) > 1e-6:
        raise UsageError(f"{where}: pictures scaled by {scale!r} instead of 1/255")
    siglip, side = model_type == "siglip", image_size or 0
    size = written.get("size", {"height": side, "width": side} if siglip else side)
    rule = _rule(written, size, image_size, where)
    if image_size and rule.size != image_size:
        raise UsageError(
            f"{folder}: its processor makes {rule}, and the model reads {image_size} pixels; "
            f"correct {source or IMAGES[1]}"
        )
    mean = written.get("image_mean", [0.5] * 3 if siglip else MEAN)
    std = written.get("image_std", [0.5] * 3 if siglip else STD)
    if written.get("do_normalize") is False:
        mean, std = [0.0] * 3, [1.0] * 3
    with well_formed(folder / source, REMEDY):
        frames = int(written["num_frames"]) if "num_frames" in written else None
        return Pixels(rule, _three(mean), _three(std), source, frames)


def _three(values: Any) -> tuple[float, ...]:
    """ValueError for another number of values than RGB has."""
    found = tuple(map(float, values))
    if len(found) != 3:
        raise ValueError(f"{len(found)} values where RGB has three")
    return found


def _rule(
    written: Mapping[str, Any], size: Any, image_size: int | None, where: str
) -> Preprocessing:
    how = INTERPOLATION.get(written.get("resample", 3), "unknown")
    crop = written.get("crop_size") if written.get("do_center_crop", True) else None
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else None
    try:
        if isinstance(size, Mapping) and edge is None:
            side, other = int(size["height"]), int(size["width"])
            if side != other or (crop and _side(crop) != side):
                raise ValueError(f"pictures of {size}, cropped to {crop}")
            return Preprocessing(side, "squash", how)
        side = int(edge or size)
        if written.get("do_center_crop") is False:
            raise ValueError(f"a shortest side of {side} that is not cropped to a square")
        square = _side(crop) if crop else image_size or side
        return Preprocessing(square, "shortest", how, side if side != square else None, "floor")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: {plain(error)}") from error


def _side(crop: Any) -> int:
    return int(crop["height"] if isinstance(crop, Mapping) else crop)


def _written(folder: Path, part: str, own: str) -> tuple[dict[str, Any], str]:
    """What the folder says of a processor, and the file's name; its own file wins."""
    found, source = dict[str, Any](), ""
    for name in ("processor_config.json", own):
        if not (folder / name).is_file():
            continue
        written = read_json(folder / name, REMEDY, largest=1 << 20)
        with well_formed(folder / name, REMEDY):
            if name != own and part not in written:
                continue
            written = dict(written.get(part, written))
        found |= {key: value for key, value in written.items() if value is not None}
        source = name
    return found, source
