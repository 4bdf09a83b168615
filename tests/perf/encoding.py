"""Encoding end to end against the bare encoder, and against the decoders alone."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench.config import RunConfig
from bench.contracts import Adapter, Clip, Task
from bench.encoding import Silent, Work, clip_features, decoding_workers
from bench.registry import load_adapter
from bench.video import Uniform, decode
from tests.perf import videos
from tests.perf.table import Figure, interleaved, median, seconds

FRAMES = 12
BATCHES = (12, 24, 48, 96)


def figures(folder: Path, quick: bool) -> list[Figure]:
    """ViT-B/32, where the encoder limits, and clip-tiny, where the decoders do."""
    count, rounds = (4, 1) if quick else (32, 3)
    source = videos.source(folder, videos.SHORT if quick else videos.SMALL, count)
    task = bench.load_task("msrvtt", str(source))
    slow = None if quick else load_adapter(videos.random_b32(folder), config(folder))
    fast = load_adapter("clip-tiny", config(folder))
    found = [_by_decoders(fast, task, folder, rounds)]
    if slow is not None:
        found = [_by_encoder(slow, task, folder, rounds), *found, *_ways_of_inference(slow, rounds)]
    return found


def config(folder: Path) -> Any:
    """The defaults with a cache of our own."""
    from bench.config import load_config

    return load_config(write_config(folder))


def write_config(folder: Path) -> Path:
    """A bench.yaml in `folder` that keeps everything below it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.yaml"
    path.write_text("run: {cache: cache, device: cpu}\n")
    return path


def _end_to_end(adapter: Adapter, task: Task, folder: Path) -> float:
    """Seconds from video files to kept features, with empty stores; the model is loaded before."""
    cache = folder / "fresh"
    shutil.rmtree(cache, ignore_errors=True)
    run = RunConfig(cache=cache, device="cpu")
    adapter.prepare()
    spent = seconds(lambda: clip_features(Work(adapter, task, run, Silent())))
    shutil.rmtree(cache, ignore_errors=True)
    return spent


def _by_encoder(adapter: Any, task: Task, folder: Path, rounds: int) -> Figure:
    best = max(BATCHES, key=lambda size: size / _bare(adapter, size))
    frames = FRAMES * len(task.clips)
    batches = max(1, frames // best)

    def bare() -> float:
        return _bare(adapter, best, batches) / batches / best

    ours, limit = interleaved(lambda: _end_to_end(adapter, task, folder) / frames, bare, rounds)
    return Figure(
        "Encoding", "ViT-B/32, end to end", rate(ours),
        f"{rate(limit)}: bare forward, batch {best}",
        [b / a for a, b in zip(ours, limit, strict=True)], 0.95,
        note=f"{len(task.clips)} videos of 320 x 240 and 15 s with empty stores: starting the "
        "decoding processes, decoding and writing both stores are in our time.",
        extra={"frames_per_second": 1 / statistics.median(ours)},
    )  # fmt: skip


def rate(times: Sequence[float]) -> str:
    """Seconds a frame as frames a second."""
    return median([1 / value for value in times], "frames/s")


def _bare(adapter: Any, size: int, batches: int = 2) -> float:
    """Seconds of `batches` forward passes on pixels that are ready."""
    import torch

    model = adapter._load()
    pixels = torch.randn(size, 3, adapter.image_size, adapter.image_size)
    with torch.inference_mode():
        model.encode_image(pixels)
        return seconds(lambda: [model.encode_image(pixels) for _ in range(batches)])


def _by_decoders(adapter: Adapter, task: Task, folder: Path, rounds: int) -> Figure:
    workers = decoding_workers(RunConfig())
    frames = FRAMES * len(task.clips)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = [task.clips[at::workers] for at in range(workers)]

        def alone() -> float:
            return 1 / sum(pool.map(_decode_rate, parts, [adapter.image_size] * workers))

        alone()  # imports
        ours, limit = interleaved(
            lambda: _end_to_end(adapter, task, folder) / frames, alone, rounds
        )
    return Figure(
        "Encoding", "clip-tiny, end to end", rate(ours),
        f"{rate(limit)}: {workers} decoders alone, summed",
        [b / a for a, b in zip(ours, limit, strict=True)], 0.9,
        extra={"decode_per_second": 1 / statistics.median(limit) / FRAMES,
               "decode_workers": float(workers)},
    )  # fmt: skip


def _decode_rate(clips: Sequence[Clip], size: int) -> float:
    """Frames a second of one process that decodes and crops, and keeps nothing."""
    began = time.perf_counter()
    for clip in clips:
        decode(clip, Uniform(FRAMES), size)
    return FRAMES * len(clips) / (time.perf_counter() - began)


def _ways_of_inference(adapter: Any, rounds: int) -> list[Figure]:
    """What PyTorch offers on a CPU, each against the way that is used."""
    import torch

    model = adapter._load()
    frames = np.random.default_rng(0).integers(0, 256, (48, 224, 224, 3), dtype=np.uint8)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    compiled = torch.compile(model.encode_image)

    def way(name: str, forward: Any) -> Figure:
        with torch.inference_mode():
            usual = model.encode_image(pixels)
            try:
                other = forward(pixels).float()
            except Exception as error:  # a backend that does not work here is a finding, too
                return Figure("Inference on the CPU", name, "fails", "", note=type(error).__name__)
            theirs, ours = interleaved(
                lambda: seconds(lambda: forward(pixels)),
                lambda: seconds(lambda: model.encode_image(pixels)),
                rounds,
            )
        apart = 1 - torch.nn.functional.cosine_similarity(usual, other).min().item()
        return Figure(
            "Inference on the CPU", name, median(theirs), f"{median(ours)}: as used",
            [b / a for a, b in zip(theirs, ours, strict=True)],
            note=f"largest distance of a feature from the usual one: 1 - cosine = {apart:.1e}.",
        )  # fmt: skip

    def channels_last(x: Any) -> Any:
        return model.encode_image(x.contiguous(memory_format=torch.channels_last))

    def half(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model.encode_image(x)

    def one_thread(x: Any) -> Any:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        found = model.encode_image(x)
        torch.set_num_threads(threads)
        return found

    return [
        way("channels-last pixels", channels_last),
        way("bfloat16 autocast (`run.precision: bfloat16`)", half),
        way("torch.compile", compiled),
        way("one thread", one_thread),
    ]
