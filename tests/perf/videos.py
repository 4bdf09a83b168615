"""Generated videos of the real datasets' shapes, as sources that `bench run` reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.rehearsal import make_weights

DISTINCT = 4  # videos that are encoded; the others are copies, which cost as much to decode
FPS = 25


@dataclass(frozen=True)
class Shape:
    """`small` is MSRVTT's usual 320 x 240 of 15 s, `large` 720p of 8 s, `short` a tiny one."""

    name: str
    width: int
    height: int
    length: int


SMALL, LARGE, SHORT = (
    Shape("small", 320, 240, 15),
    Shape("large", 1280, 720, 8),
    Shape("short", 160, 120, 2),
)


def source(folder: Path, shape: Shape, count: int) -> Path:
    """A source of `count` pairs in MSRVTT's format below `folder`; made once."""
    root = folder / f"{shape.name}-{count}"
    if (root / "done").exists():
        return root
    videos = root / "msrvtt" / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    rows = ["key,vid_key,video_id,sentence"]
    for number in range(count):
        path = videos / f"video{number}.mp4"
        if number < DISTINCT:
            write_video(path, shape, number)
        else:
            shutil.copy(videos / f"video{number % DISTINCT}.mp4", path)
        rows.append(f'ret{number},msr{number},video{number},"scene {number}, seen by a camera"')
    table = root / "msrvtt" / "MSRVTT_JSFUSION_test.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    card = {"kind": "rehearsal", "protocol": "rehearsal"}
    (root / "msrvtt" / "source.json").write_text(json.dumps(card))
    (root / "done").touch()
    return root


def write_video(path: Path, shape: Shape, seed: int) -> None:
    """A drifting textured picture with grain: x264's default settings, groups of 250 frames."""
    import av

    chooser = np.random.default_rng(seed)
    y, x = np.mgrid[: shape.height, : shape.width]
    waves = [127 + 60 * np.sin(x * a + y * b) for a, b in chooser.uniform(0, 0.15, (3, 2))]
    base = np.stack(waves, -1) + chooser.normal(0, 12, (shape.height, shape.width, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
        for number in range(shape.length * FPS):
            picture = np.roll(base, (number // 3, number), (0, 1))
            picture += chooser.normal(0, 3, (shape.height, shape.width, 1))
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def random_b32(folder: Path) -> str:
    """The name of a ViT-B/32 with random weights, made once; `seed` gives a second model."""
    path = folder / "random-b32.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_weights(path)
    return f"open_clip:ViT-B-32-quickgelu/{path}"
