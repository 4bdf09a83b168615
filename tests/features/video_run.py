"""`python -m tests.features.video_run DATA CACHE OUT`: a video model's run in processes of its own.

Each group of clips takes a moment, so that the run can be killed between two.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

import bench
from bench import distributed
from bench.config import RunConfig
from bench.engine import evaluate
from tests.features.test_video_models import Motion


class Slow(Motion):
    def encode_clips(self, clips: np.ndarray) -> np.ndarray:
        time.sleep(0.2)
        return super().encode_clips(clips)


def main(data: str, cache: str, out: str) -> None:
    task = bench.load_task("msrvtt", data)
    run = RunConfig(cache=Path(cache), workers=1, resamples=20, batch_frames=24)
    adapter = Slow()
    with distributed.process_group("cpu"):
        result = evaluate(adapter, task, run)
    said = {"frames": adapter.frames, "predictions": result.predictions}
    Path(f"{out}.{distributed.rank()}").write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
