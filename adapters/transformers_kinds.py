"""Which models of Hugging Face's transformers are read from a folder, and what config.json says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.errors import BenchError, UsageError

NAFLEX = (
    "SigLIP 2 with patches in a number that follows the picture's shape (NaFlex), where frames are "
    "kept as squares; take one of a fixed resolution, such as siglip2-b16, or its folder, whose "
    "model_type is 'siglip'"
)
Config = Mapping[str, Any]
POSITIONS = "max_position_embeddings"


@dataclass(frozen=True)
class Kind:
    """A model_type: the release of transformers that it came with, how it is padded, and its input.

    `longest` pads texts to the longest of a call, for a model whose attention leaves pads out.
    """

    since: tuple[int, int] = (4, 48)
    clips: bool = False
    longest: bool = False
    video_processor: bool = False


KINDS = {
    "clip": Kind(),
    "siglip": Kind(),  # SigLIP 2 of a fixed resolution too
    "metaclip_2": Kind((4, 56)),
    "altclip": Kind(longest=True),
    "xclip": Kind(clips=True),
    "videoprism": Kind((5, 13), clips=True, video_processor=True),
    "pe_video": Kind((5, 0), clips=True, longest=True, video_processor=True),
    "pe_audio_video": Kind((5, 0), clips=True, longest=True, video_processor=True),
}


@dataclass(frozen=True)
class Sizes:
    """What a configuration says: `positions` tokens of a text, `frames` of a clip.

    `image_size` None is known once the weights are read, `frames` None is any number.
    """

    embed_dim: int
    positions: int
    image_size: int | None = None
    frames: int | None = None


def kind_of(model_type: str, where: object) -> Kind:
    """UsageError for a model that is not read, BenchError where transformers is too old for it."""
    if model_type == "siglip2":
        raise UsageError(f"{where}: {NAFLEX}")
    if (kind := KINDS.get(model_type)) is None:
        raise UsageError(f"{where}: a model of type '{model_type}'; known: {', '.join(KINDS)}")
    installed = version("transformers")
    if tuple(map(int, installed.split(".")[:2])) < kind.since:
        wanted = ".".join(map(str, kind.since))
        raise BenchError(
            f"{where}: transformers {installed} has no '{model_type}'; it came with {wanted}: "
            f"pip install 'transformers>={wanted}'"
        )
    return kind


def sizes(config: Config) -> Sizes:
    """The sizes in config.json, which leaves out what is its class's default."""
    kind, text = config["model_type"], config["text_config"]
    if kind.startswith("pe_"):
        _ = config["video_config"] if kind == "pe_video" else config["audio_video_config"]
        return Sizes(int(text.get("hidden_size", 1024)),
                     int(text.get(POSITIONS, 8192)))  # fmt: skip
    vision = config["vision_config"]
    if kind == "videoprism":
        side = _square(vision.get("image_size", 288))
        return Sizes(int(vision.get("hidden_size", 768)), int(text.get(POSITIONS, 64)), side,
                     int(vision.get("num_frames", 16)))  # fmt: skip
    side = _square(vision.get("image_size", 224))
    if kind == "siglip":
        return Sizes(int(vision.get("hidden_size", 768)), int(text.get(POSITIONS, 64)), side)
    if kind == "altclip":  # RoBERTa's first position is the one after its pad's number
        positions = int(text.get(POSITIONS, 514)) - int(text.get("pad_token_id", 1)) - 1
        return Sizes(int(config.get("projection_dim", 768)), positions, side)
    frames = int(vision.get("num_frames", 8)) if kind == "xclip" else None
    return Sizes(int(config.get("projection_dim", 512)), int(text.get(POSITIONS, 77)), side,
                 frames)  # fmt: skip


def _square(side: Any) -> int:
    """ValueError for an oblong."""
    sides = {int(one) for one in side} if isinstance(side, list) else {int(side)}
    if len(sides) != 1:
        raise ValueError(f"pictures of {side} pixels; only squares are read")
    return sides.pop()
