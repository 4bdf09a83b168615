"""What a head sees of videos: a model's frames, events and videos, or objects that lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.capabilities import ContextualizesFrames, ReadsFeatures
from bench.contracts import Adapter, Features, Progress, normalise
from bench.errors import BenchError
from tasks.vidsitu.annotations import EVENTS, FRAMES
from tasks.vidsitu.head.models import VideoFeatures
from tasks.vidsitu.head.settings import MODEL, NO_STAGE_ONE, HeadSettings
from tasks.vidsitu.head.videowhisperer import relative_boxes

AT_ONCE = 64  # videos that are contextualised together


@dataclass(frozen=True)
class VideosOnDisk:
    """Videos whose objects are read whenever they are taken: those of a training split are 30 GB.

    `events` float32 [B, P, C] of the videos called `names`; objects have `dim` numbers.
    """

    names: Sequence[str]
    events: torch.Tensor
    adapter: ReadsFeatures
    dim: int

    @property
    def dims(self) -> tuple[int, int]:
        """The widths of objects and events."""
        return self.dim, self.events.shape[-1]

    def take(self, places: torch.Tensor, device: str) -> VideoFeatures:
        """Those of the videos at `places`, on `device`."""
        read = [self.adapter.objects(self.names[place]) for place in places.tolist()]
        objects, boxes, sizes = (
            torch.from_numpy(np.stack(part)).to(device) for part in zip(*read, strict=True)
        )
        events = self.events[places].to(device)
        return VideoFeatures(objects, events, events.mean(1), relative_boxes(boxes, sizes))


Videos = VideoFeatures | VideosOnDisk


def videos_of(
    names: Sequence[str],
    features: Features,
    adapter: Adapter,
    settings: HeadSettings,
    progress: Progress,
) -> Videos:
    """What the head is to see of the named videos.

    Every file of objects is read once, so that a broken one is named before anything is trained.
    """
    if not (isinstance(adapter, ReadsFeatures) and adapter.has_objects):
        return video_features(names, features, adapter, settings.stage_one == MODEL)
    events = torch.from_numpy(np.stack([features.clips[name] for name in names]))
    progress.start("objects", len(names))
    for name in names:
        dim = adapter.objects(name)[0].shape[-1]
        progress.advance()
    return VideosOnDisk(names, events, adapter, dim)


def video_features(
    names: Sequence[str], features: Features, adapter: Adapter, encoded: bool = False
) -> VideoFeatures:
    """Frames of the named videos, and events and videos: the model's own, or the frames' means.

    With `encoded`, the frames too are as the model's video module encodes them.
    """
    frames = frames_of(names, features)
    own = own_features(frames, adapter, encoded)
    if own is None:
        if encoded:
            raise BenchError(NO_STAGE_ONE.format(model=adapter.name))
        own = _means(frames)
    return VideoFeatures(*map(torch.from_numpy, (own[2] if encoded else frames, *own[:2])))


def own_features(
    frames: np.ndarray, adapter: Adapter, encoded: bool = False
) -> tuple[np.ndarray, ...] | None:
    """Frames [V, P, T, D] -> events [V, P, C], videos [V, C] and, `encoded`, frames [V, P, T, C].

    None without a video module. BenchError where they are not finite.
    """
    contextualize: Callable[[np.ndarray], tuple[np.ndarray, ...] | None] = adapter.contextualize
    if encoded:
        if not isinstance(adapter, ContextualizesFrames):
            return None
        contextualize = adapter.contextualize_frames
    parts = []
    for at in range(0, len(frames), AT_ONCE):
        part = contextualize(frames[at : at + AT_ONCE])
        if part is None:
            return None
        parts.append(part)
    found = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
    if not all(np.isfinite(part).all() for part in found):
        raise BenchError(f"{adapter.name}: NaN or infinite contextualised features; check it")
    return found


def frames_of(names: Sequence[str], features: Features) -> np.ndarray:
    """Frame features [V, P, T, D] of the named videos; each is read once.

    A video model's one feature of an event stands for each of its frames: the head is the same for
    every model, and sees that nothing moves from one to the next.
    """
    clips = np.stack([features.clips[name] for name in names])
    frames = clips.reshape(len(names), len(EVENTS), -1, clips.shape[-1])
    return np.repeat(frames, FRAMES, axis=2) if frames.shape[2] == 1 else frames


def _means(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frame features [V, P, T, D] -> the means [V, P, D] and [V, D] of the normalised ones."""
    unit = normalise(frames)
    return unit.mean(axis=2), unit.mean(axis=(1, 2))
