"""A full-size rehearsal without the real data or weights: `python -m tests.rehearsal DIR`.

Makes 1,000 generated H.264 videos under names of the 1k-A kind, a 1,000-row CSV in the comma
dialect, and a ViT-B/32 checkpoint of random weights; runs the benchmark twice through the command
line and prints the wall time of both runs. Marked as a rehearsal, so that its numbers can never
stand on the board of `msrvtt/1k-A`. What is already there is not made again.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import numpy as np

PAIRS = 1000
FPS, SECONDS, HEIGHT, WIDTH = 25, 6, 240, 320


def main(folder: Path) -> None:
    """Prepare, run twice, print the times."""
    data = folder / "msrvtt"
    (data / "videos").mkdir(parents=True, exist_ok=True)
    ids = sorted(random.Random(0).sample(range(7010, 10000), PAIRS))
    rows = ["key,vid_key,video_id,sentence"]
    rows += [f'ret{i},msr{n},video{n},"scene {n}, seen by a camera"' for i, n in enumerate(ids)]
    (data / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (data / "source.json").write_text(json.dumps({"kind": "rehearsal", "protocol": "rehearsal"}))
    began = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(make_video, [data / "videos" / f"video{n}.mp4" for n in ids], ids))
    print(f"videos made: {time.perf_counter() - began:.0f} s")
    weights = folder / "random-b32.safetensors"
    if not weights.exists():
        make_weights(weights)
    for name in ("cold", "warm"):
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench", "run", "--task", "msrvtt", "--source",
                   str(folder), "--model", f"open_clip:ViT-B-32-quickgelu/{weights}",
                   "--output", str(folder / "results")]  # fmt: skip
        subprocess.run(command, check=True)
        print(f"{name} run: {time.perf_counter() - began:.1f} s", flush=True)


def make_video(path: Path, seed: int) -> None:
    """Coloured squares that drift over a gradient; 6 s of 320 x 240 at 25 frames a second."""
    import av

    if path.exists():
        return
    random_ = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    base = np.stack([(x * a + y * b) % 256 for a, b in random_.uniform(0, 2, (3, 2))], -1)
    temporary = path.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        colour, place, speed = random_.integers(0, 256, 3), random_.uniform(20, 120, 2), 20
        for index in range(FPS * SECONDS):
            frame = base.astype(np.uint8)
            top, left = int(place[0]), int(place[1] + speed * index / FPS)
            frame[top : top + 60, left : left + 60] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    temporary.replace(path)


def make_weights(path: Path, arch: str = "ViT-B-32-quickgelu") -> None:
    """An open_clip model with its own random initialisation, seed 0."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(arch, pretrained=None, load_weights=False)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
