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
from bench.features.extraction import clip_features, decoding_workers
from bench.features.work import Silent, Work
from bench.registry import load_adapter
from bench.video import Uniform, decode
from tests.perf import videos
from tests.perf.table import Figure, interleaved, median, seconds

FRAMES = 12
NOTE = (
    "{clips} videos of 320 x 240 and 15 s with empty stores: starting the decoding processes, "
    "cropping and writing both stores are in our time. Of what decoders and encoder take together, "
    "decoding is {share:.0f} %, and both share the cores: the next line sets ours against the two "
    "one after the other, the most that any order of the work could reach."
)
BATCHES = (12, 16, 24, 48)


def figures(folder: Path, quick: bool) -> list[Figure]:
    """ViT-B/32, where the encoder limits, clip-tiny, where the decoders do, and neither."""
    rounds, few, many = (1, 4, 4) if quick else (5, 64, 128)
    shape = videos.SHORT if quick else videos.SMALL
    fast = load_adapter("clip-tiny", config(folder))
    with _decoders() as pool:
        found = _measured("clip-tiny", fast, _task(folder, shape, many), folder, rounds, pool)
        found += _measured("a model that costs nothing", Free(), _task(folder, shape, many),
                           folder, rounds, pool)  # fmt: skip
        if quick:
            return found
        slow = load_adapter(videos.random_b32(folder), config(folder))
        found = [
            *_measured("ViT-B/32", slow, _task(folder, shape, few), folder, rounds, pool), *found
        ]  # fmt: skip
    return [*found, *_ways_of_inference(slow, rounds)]


class Free(Adapter):
    """Features at no cost, so that only the harness and the decoders are left."""

    name, fingerprint, embed_dim, image_size = "free", "free", 8, 224

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return np.ones((len(frames), self.embed_dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), self.embed_dim), np.float32)


def _task(folder: Path, shape: videos.Shape, count: int) -> Task:
    return bench.load_task("msrvtt", str(videos.source(folder, shape, count)))


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


def _measured(
    name: str, adapter: Any, task: Task, folder: Path, rounds: int, pool: ProcessPoolExecutor
) -> list[Figure]:
    """End to end against the bare encoder, the bare decoders, and both on the same cores."""
    workers = decoding_workers(RunConfig())
    best = max(BATCHES, key=lambda size: size / _bare(adapter, size))
    batches = max(1, FRAMES * len(task.clips) // best)
    parts = [task.clips[at::workers] for at in range(workers)]

    def decoders() -> float:
        return 1 / sum(pool.map(_decode_rate, parts, [adapter.image_size] * workers))

    decoders()  # imports
    ours, encoder, decoding = [], [], []
    for _ in range(rounds):
        ours.append(_end_to_end(adapter, task, folder) / FRAMES / len(task.clips))
        encoder.append(_bare(adapter, best, batches) / batches / best)
        decoding.append(decoders())
    both = [one + two for one, two in zip(encoder, decoding, strict=True)]
    slower, limit, goal = (
        (encoder, f"bare forward, batch {best}", 0.95)
        if statistics.median(encoder) > statistics.median(decoding)
        else (decoding, f"{workers} decoders alone, summed", 0.9)
    )
    middle = statistics.median
    return [
        Figure(
            "Encoding", f"{name}, end to end", rate(ours), f"{rate(slower)}: {limit}",
            [b / a for a, b in zip(ours, slower, strict=True)], goal,
            note=NOTE.format(clips=len(task.clips), share=100 * middle(decoding) / middle(both)),
            extra={f"{name} frames": 1 / middle(ours), "decode_workers": float(workers),
                   f"{name} decoding": middle(decoding) * FRAMES},
        ),
        Figure(
            "Encoding", f"{name}, the same against both on the same cores", rate(ours),
            f"{rate(both)}: decoders and encoder one after the other",
            [b / a for a, b in zip(ours, both, strict=True)],
        ),
    ]  # fmt: skip


def rate(times: Sequence[float]) -> str:
    """Seconds a frame as frames a second."""
    return median([1 / value for value in times], "frames/s")


def _bare(adapter: Any, size: int, batches: int = 2) -> float:
    """Seconds of `batches` forward passes on pixels that are ready."""
    import torch

    if isinstance(adapter, Free):
        return 1e-9
    model = adapter._load()
    pixels = torch.randn(size, 3, adapter.image_size, adapter.image_size)
    with torch.inference_mode():
        model.encode_image(pixels)
        return seconds(lambda: [model.encode_image(pixels) for _ in range(batches)])


def _decoders() -> ProcessPoolExecutor:
    """Processes that only decode, as many as a run has."""
    return ProcessPoolExecutor(decoding_workers(RunConfig()), mp_context=get_context("spawn"))


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
    frames = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)
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
