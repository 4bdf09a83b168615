"""What is known of a VAST before torch is imported: its tasks, and what no shape says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RELEASED = (
    "VAST's own, pretrain_vast/ckpt/model_step_N.pt, is linked in the README of "
    "github.com/TXH-mercury/VAST"
)
# Task -> what it reads of a video, in the order of its contrastive head and of its condition.
TASKS: Mapping[str, str] = {"tv": "v", "ta": "a", "tva": "va", "tvs": "vs", "tvas": "vas"}


@dataclass(frozen=True)
class VASTSettings:
    """What no tensor's shape says, and what must be known before a file is read.

    The defaults are the released model's. `vision_frames` and `audio_segments` are the largest
    numbers of frames and segments of a clip in the configuration of the evaluation's training set
    (max_vision_sample_num, 8 for MSRVTT, and max_audio_sample_num).
    """

    image_size: int = 224
    embed_dim: int = 512
    vision_heads: int = 16
    text_heads: int = 12
    vision_frames: int = 8
    audio_segments: int = 1
    audio_distance: int = 800
