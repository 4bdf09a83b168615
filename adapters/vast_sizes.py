"""The sizes of a VAST, read from the shapes of a checkpoint's tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.beats import BEATsSizes
from adapters.vast_settings import TASKS, VASTSettings
from bench.errors import BenchError

Shapes = Mapping[str, Sequence[int]]
VISUAL, BERT, AUDIO = "vision_encoder.visual", "multimodal_encoder.bert", "audio_encoder"


@dataclass(frozen=True)
class VASTSizes:
    """Widths, layers and rows. `audio` is None where the tasks read no sound."""

    patch: int
    image_size: int
    vision_width: int
    vision_layers: int
    vision_hidden: int
    vision_rows: int
    vocabulary: int
    width: int
    layers: int
    hidden: int
    positions: int
    embed_dim: int
    audio: BEATsSizes | None = None
    audio_rows: int = 0

    @classmethod
    def of(cls, shapes: Shapes, tasks: Sequence[str], settings: VASTSettings) -> VASTSizes:
        """BenchError where a tensor that the tasks need is not there or has another rank."""
        width, _, patch, _ = _shape(shapes, f"{VISUAL}.patch_embed.proj.weight", 4)
        places = _shape(shapes, f"{VISUAL}.pos_embed", 3)[1] - 1
        side = math.isqrt(places)
        if side * side != places:
            raise BenchError(f"{VISUAL}.pos_embed has {places} patches, which are no square")
        embeddings = f"{BERT}.embeddings"
        vocabulary, text_width = _shape(shapes, f"{embeddings}.word_embeddings.weight", 2)
        audible = any("a" in TASKS[task] for task in tasks)
        return cls(
            patch=patch,
            image_size=side * patch,
            vision_width=width,
            vision_layers=_layers(shapes, f"{VISUAL}.blocks"),
            vision_hidden=_shape(shapes, f"{VISUAL}.blocks.0.mlp.fc1.weight", 2)[0],
            vision_rows=_shape(shapes, "vision_frame_embedding", 3)[1],
            vocabulary=vocabulary,
            width=text_width,
            layers=_layers(shapes, f"{BERT}.encoder.layer"),
            hidden=_shape(shapes, f"{BERT}.encoder.layer.0.intermediate.dense.weight", 2)[0],
            positions=_shape(shapes, f"{embeddings}.position_embeddings.weight", 2)[0],
            embed_dim=_shape(shapes, "contra_head_t.linear.weight", 2)[0],
            audio=_audio(shapes, settings.audio_distance) if audible else None,
            audio_rows=_shape(shapes, "audio_frame_embedding", 3)[1] if audible else 0,
        )


def _audio(shapes: Shapes, distance: int) -> BEATsSizes:
    encoder = f"{AUDIO}.encoder"
    embed, _, patch, _ = _shape(shapes, f"{AUDIO}.patch_embedding.weight", 4)
    width, per_group, kernel = _shape(shapes, f"{encoder}.pos_conv.0.weight_v", 3)
    buckets, heads = _shape(
        shapes, f"{encoder}.layers.0.self_attn.relative_attention_bias.weight", 2
    )
    return BEATsSizes(
        patch=patch,
        embed=embed,
        width=width,
        heads=heads,
        layers=_layers(shapes, f"{encoder}.layers"),
        hidden=_shape(shapes, f"{encoder}.layers.0.fc1.weight", 2)[0],
        kernel=kernel,
        groups=width // per_group,
        buckets=buckets,
        distance=distance,
    )


def _shape(shapes: Shapes, name: str, rank: int) -> list[int]:
    if name not in shapes:
        raise BenchError(f"it lacks {name}")
    found = [int(side) for side in shapes[name]]
    if len(found) != rank or not all(found):
        raise BenchError(f"{name} has shape {found}")
    return found


def _layers(shapes: Shapes, prefix: str) -> int:
    numbers = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    found = {int(match[1]) for name in shapes if (match := numbers.match(name))}
    if not found:
        raise BenchError(f"it lacks {prefix}.0")
    return max(found) + 1
