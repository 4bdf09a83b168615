"""`python -m tests.perf.gpu FOLDER [--only NAME ...] [--small]`: what a GPU gives, about 8 minutes.

For a machine with an NVIDIA GPU, in the repository's root. Every part's figures go to
FOLDER/gpu.json as soon as they are there; copied to tests/perf/gpu.json they are the page's section
"On a GPU". Weights are random (tests/systems/full_size.py), videos generated. `--small` goes
through everything in small, also without a GPU, to see that it works; `--page` writes the section.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import PRECISIONS
from tests.perf.table import ROOT, Figure, median, page

# Model -> frames of a clip as it was published, of frame models the task's 12.
MODELS = {"clip-b32": 12, "clip-l14": 12, "tvtsv2-b32": 12, "tvtsv2-b16": 12, "vifi-clip-b16": 32,
          "clip4clip-b32-seq": 12, "bt-adapter-l14": 12, "tvtsv2-h14": 12, "vast": 16}  # fmt: skip
ROUNDS = 7
AREA = "On a GPU"
KEPT = Path(__file__).with_name("gpu.json")


class Bench:
    """Where things are, on what they are measured, and how much of it."""

    def __init__(self, folder: Path, small: bool) -> None:
        import torch

        self.folder, self.small, self.torch = folder, small, torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.models = {"clip-b32": 12} if small else MODELS

    def adapter(self, model: str, device: str, **run: Any) -> Any:
        """A model of full size with random weights, loaded."""
        from bench.config import load_config
        from bench.registry import load_adapter
        from tests.systems.full_size import prepared, write_config

        prepared(self.folder, model, self.device)
        config = load_config(write_config(self.folder, device))
        adapter = load_adapter(model, replace(config, run=replace(config.run, **run)))
        adapter.prepare()
        return adapter

    def timed(self, work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
        """Seconds of each round, after one that is not counted; the device has finished."""
        found = []
        for _ in range(rounds + 1):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - began)
        return found[1:]

    def wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def free(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.empty_cache()


def pixels(count: int, size: int) -> np.ndarray:
    """Smooth random pictures uint8 [N, S, S, 3]: noise alone would look alike to any model."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return coarse.repeat(-(-size // 8), 1).repeat(-(-size // 8), 2)[:, :size, :size].copy()


def encoder(adapter: Any, frames: int, clips: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The adapter's call on frames in the host's memory, and the model's alone on the device."""
    import torch

    seen = pixels(frames * clips, adapter.image_size)
    video = seen.reshape(clips, frames, *seen.shape[1:])
    model = adapter._load()
    if adapter.is_video_model:
        ready = adapter._scaled(torch.from_numpy(seen)).unflatten(0, (clips, frames))
        run = (lambda x: model.video_features(adapter.variant, {"v": model.vision_tokens(x)})) \
            if hasattr(model, "vision_tokens") else model.encode_video  # fmt: skip
        call = lambda: adapter.encode_clips(video)  # noqa: E731
    else:
        ready, run = adapter._scaled(torch.from_numpy(seen)), model.encode_image
        call = lambda: adapter.encode_frames(seen)  # noqa: E731

    def bare() -> Any:
        with torch.inference_mode(), adapter._autocast():
            return run(ready)

    return call, bare


def numbers(bench: Bench) -> Iterator[Figure]:
    """Features of the CPU against the device's, in each precision."""
    from bench.contracts import normalise

    for model, frames in bench.models.items():
        if model in ("tvtsv2-h14", "vast"):
            continue  # minutes a clip on a CPU
        frames = min(frames, 12)
        found = {}
        for device, precision in [("cpu", "float32"), *((bench.device, one) for one in PRECISIONS)]:
            adapter = bench.adapter(model, device, precision=precision)
            call, _ = encoder(adapter, frames, 2)
            found[device if precision == "float32" else precision] = normalise(call())
            del adapter
            bench.free()
        reference = found.pop("cpu")
        said = ", ".join(
            f"{'float32' if name == bench.device else name} {np.abs(one - reference).max():.1e} "
            f"({1 - (one * reference).sum(1).min():.0e})" for name, one in found.items()
        )  # fmt: skip
        yield Figure(AREA, f"{model}, features against the CPU's float32", said, "")


def rates(bench: Bench) -> Iterator[Figure]:
    """Frames a second of the adapter and of a whole extraction against the bare forward pass."""
    for model, frames in bench.models.items():
        adapter = bench.adapter(model, bench.device)
        clips = max(1, 96 // frames)
        call, bare = encoder(adapter, frames, clips)
        ours, limit = bench.timed(call), bench.timed(bare)
        count = frames * clips
        what = f"{model}, {adapter.precision}"
        yield Figure(
            AREA, f"{what}: adapter, {count} frames from the host",
            median([count / one for one in ours], "frames/s"),
            f"{median([count / one for one in limit], 'frames/s')}: bare forward",
            [b / a for a, b in zip(ours, limit, strict=True)],
        )  # fmt: skip
        yield from _extraction(bench, model, adapter, count / statistics.median(limit))
        del adapter, call, bare
        bench.free()


def _extraction(bench: Bench, model: str, adapter: Any, limit: float) -> Iterator[Figure]:
    """Whole `clip_features`: from video files, and from stored frames."""
    import bench as harness
    from bench.config import RunConfig
    from bench.features.extraction import clip_features
    from bench.features.work import Silent, Work
    from tests.perf import videos

    wanted = 4 if bench.small else 64 if model in ("tvtsv2-h14", "vast", "bt-adapter-l14") else 384
    task = harness.load_task("msrvtt", str(videos.source(bench.folder, videos.SMALL, wanted)))
    cache = bench.folder / "extraction"
    setup = adapter.published.get("msrvtt") if adapter.is_video_model else None
    found = {}
    for name in ("from video files", "from stored frames"):
        shutil.rmtree(cache / "features", ignore_errors=True)
        work = Work(adapter, task, RunConfig(cache=cache, device=bench.device), Silent(), setup)
        began = time.perf_counter()
        with work.as_set_up():
            clip_features(work)
        spent = time.perf_counter() - began
        found[name] = work.encoded["frames"] / spent
        yield Figure(AREA, f"{model}: features of {wanted} clips {name}",
                     f"{found[name]:,.0f} frames/s", f"{limit:,.0f} frames/s: bare forward",
                     [found[name] / limit])  # fmt: skip
    shutil.rmtree(cache, ignore_errors=True)


def steps(bench: Bench) -> Iterator[Figure]:
    """A training step of the published batch, 20 videos of 20 frames, and its memory."""
    import torch

    from bench.training.data import Batch
    from bench.training.forward import batch_loss
    from bench.training.settings import TrainSettings
    from tests.training_cost import trainable

    for arch in ["clip-tiny"] if bench.small else ["ViT-B-32-quickgelu", "ViT-L-14-quickgelu"]:
        options = argparse.Namespace(folder=bench.folder / "training", arch=arch)
        model, _ = trainable(options)
        model.to(bench.device).train(True)
        videos, dim = 2 if bench.small else 20, model.embed_dim
        seen = pixels(videos * 20, model.preprocessing.size)
        frames = torch.from_numpy(seen).unflatten(0, (videos, 20))
        texts = torch.nn.functional.normalize(torch.randn(videos, 5, 5, dim), dim=-1)
        batch = Batch(frames, texts[:, :, 0], texts[:, :, 1:], torch.arange(videos * 5).view(-1, 5))
        parameters = [one for one in model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-6)
        for precision, checkpointing in (("bfloat16", False), ("bfloat16", True),
                                         ("float16", False), ("float32", False)):  # fmt: skip
            if bench.small and precision == "float16":
                continue  # a minute on a CPU
            model.checkpoint_gradients(checkpointing)
            what = f"{arch}, {precision}{', checkpointing' if checkpointing else ''}"
            try:
                yield _step(bench, model, batch, optimizer, precision, what, batch_loss,
                            TrainSettings())  # fmt: skip
            except torch.OutOfMemoryError:
                bench.free()
                yield Figure(AREA, f"a training step of 20 videos, {what}", "out of memory", "")
        del model, optimizer, parameters
        bench.free()


def _step(
    bench: Bench, model: Any, batch: Any, optimizer: Any, precision: str, what: str,
    batch_loss: Any, settings: Any,
) -> Figure:  # fmt: skip
    from bench.compute import autocast

    frames = batch.frames.to(bench.device).flatten(0, 1)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch_loss(model, batch, settings, bench.device, precision)["total"].backward()
        optimizer.step()

    def bare() -> None:
        with autocast(bench.device, precision):
            features = model.frame_features(frames).unflatten(0, (len(batch.frames), 5, -1))
            events, whole = model.contextualize(features)
        (events.float().sum() + whole.float().sum() + features.float().sum()).backward()
        optimizer.zero_grad(set_to_none=True)

    rounds = 1 if bench.small else 4
    limit = bench.timed(bare, rounds)
    bench.free()
    if bench.device == "cuda":
        bench.torch.cuda.reset_peak_memory_stats()
    ours = bench.timed(step, rounds)
    peak = bench.torch.cuda.max_memory_reserved() / 2**30 if bench.device == "cuda" else 0
    return Figure(
        AREA, f"a training step of {len(batch.frames)} videos, {what}",
        f"{median(ours)}, {peak:.1f} GiB",
        f"{median(limit)}: bare forward and backward",
        [b / a for a, b in zip(ours, limit, strict=True)], 1 / 1.15,
        note=f"{'within' if peak < 12 else 'beyond'} the 12 GB and "
        f"{'within' if peak < 48 else 'beyond'} the 48 GB of the paper's cards; the batch is sent "
        "from the host in the step.",
    )  # fmt: skip


def ranks(bench: Bench) -> Iterator[Figure]:
    """Ranks of large sets on the device: equal to the CPU's, and how long they take."""
    from bench.contracts import normalise
    from bench.metrics import retrieval

    chooser = np.random.default_rng(0)

    def features(size: int) -> tuple[np.ndarray, np.ndarray]:
        texts = chooser.standard_normal((size, 512), np.float32)
        videos = normalise(texts + chooser.standard_normal((size, 512), np.float32) * 3)
        return normalise(texts), videos

    size = 2000 if bench.small else 12_000
    retrieval.MANY = 1
    device = "cpu:0" if bench.device == "cpu" else bench.device
    texts, videos = features(size)
    quarter = size // 4
    texts[:quarter], videos[:quarter] = texts[:7].repeat(quarter, 0)[:quarter], videos[0]
    began = time.perf_counter()
    expected = retrieval.ranks_from_features(texts, videos, np.arange(size))
    spent = time.perf_counter() - began
    found = retrieval.ranks_from_features(texts, videos, np.arange(size), device=device)
    same = {name: int((getattr(found, name) != value).sum()) for name, value in
            vars(expected).items()}  # fmt: skip
    yield Figure(AREA, f"ranks, {size:,} x {size:,}, a quarter of them ties",
                 f"values that differ from the CPU's: {sum(same.values())}",
                 f"{spent:.1f} s on the CPU", met=not any(same.values()))  # fmt: skip
    for size in [4000] if bench.small else [25_000, 100_000]:
        texts, videos = features(size)
        spent = bench.timed(
            lambda t=texts, v=videos, n=size: retrieval.ranks_from_features(  # type: ignore[misc]
                t, v, np.arange(n), device=device), 2)  # fmt: skip
        rate = size * size / statistics.median(spent) / 1e6
        yield Figure(AREA, f"ranks and tops both ways, {size:,} x {size:,}", median(spent),
                     f"{rate:,.0f} million pairs/s")  # fmt: skip


def decoding(bench: Bench) -> Iterator[Figure]:
    """Clips a second of decoding processes, to be held against the rates of the models."""
    from bench.contracts import Clip
    from tests.perf import videos

    count = 8 if bench.small else 192
    root = videos.source(bench.folder, videos.SMALL, count)
    clips = [Clip(str(n), root / f"msrvtt/videos/video{n}.mp4") for n in range(count)]
    for workers in [2] if bench.small else [1, 4, 8, 16]:
        chosen = clips if workers >= 4 else clips[: len(clips) // 4]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_decoded, chosen[:workers]))
            began = time.perf_counter()
            list(pool.map(_decoded, chosen, chunksize=2))
            spent = time.perf_counter() - began
        yield Figure(AREA, f"decoding with {workers} processes, 320 x 240, 12 frames of 15 s",
                     f"{12 * len(chosen) / spent:,.0f} frames/s", "")  # fmt: skip


def _decoded(clip: Any) -> int:
    from bench.video import Uniform, decode
    from bench.video.preprocessing import Preprocessing

    return len(decode(clip, Uniform(12), Preprocessing(224)).frames)


PARTS = {"ranks": ranks, "decoding": decoding, "rates": rates, "steps": steps, "numbers": numbers}


def section() -> str:
    """The page's section of what is kept in tests/perf/gpu.json."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    figures = [Figure(**one) for one in kept["figures"]]
    head = (
        f"## {AREA}\n\nMeasured {kept['date']} on one {kept['card']} with 16 cores, torch "
        f"{kept['torch']}, weights random, by `python -m tests.perf.gpu`. `from the host`: frames "
        "in the host's memory are sent, encoded, and their features come back. `from video files` "
        "and `from stored frames` are whole extractions of 384 or 64 clips: they decode, read "
        "and write, and hash the weights once. Features against the CPU's: the largest difference "
        "of an element of a normalised feature, and the largest 1 - cosine."
    )
    return page(figures, head).replace(f"\n\n## {AREA}\n\n|", "\n\n|")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.page:
        path = ROOT / "docs/performance.md"
        kept, _, _ = path.read_text(encoding="utf-8").partition(f"\n## {AREA}")
        path.write_text(kept.rstrip("\n") + "\n\n" + section(), encoding="utf-8")
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder.resolve(), given.small)
    card = bench.torch.cuda.get_device_name(0) if bench.device == "cuda" else "no GPU"
    found: dict[str, Any] = {"card": card, "torch": bench.torch.__version__,
                             "date": time.strftime("%Y-%m-%d"), "figures": []}  # fmt: skip
    began = time.perf_counter()
    for name in given.only:
        try:
            for figure in PARTS[name](bench):
                found["figures"].append(asdict(figure))
                print(f"{time.perf_counter() - began:5.0f} s  {' | '.join(figure.cells())}  "
                      f"{figure.note}", flush=True)  # fmt: skip
                (given.folder / "gpu.json").write_text(json.dumps(found, indent=1))
        except Exception:  # the other parts are still to be measured
            traceback.print_exc()


if __name__ == "__main__":
    main()
