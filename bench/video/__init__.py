"""From videos to squares of pixels: plans, the packet scan, decoding and the store of frames."""

from bench.video.container import VideoError
from bench.video.decode import DecodedFrames, decode
from bench.video.preprocessing import Preprocessing
from bench.video.sampling import (
    Centres,
    FirstOfSecond,
    Linspace,
    Middles,
    Parts,
    PerEvent,
    PerSecond,
    Seconds,
    Steps,
    Uniform,
    frame_indices,
    parse_plan,
)
from bench.video.scan import Scan, scan
from bench.video.store import FrameStore

__all__ = [
    "Centres",
    "DecodedFrames",
    "FirstOfSecond",
    "FrameStore",
    "Linspace",
    "Middles",
    "Parts",
    "PerEvent",
    "PerSecond",
    "Preprocessing",
    "Scan",
    "Seconds",
    "Steps",
    "Uniform",
    "VideoError",
    "decode",
    "frame_indices",
    "parse_plan",
    "scan",
]
