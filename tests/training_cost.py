"""What a training step costs: `python -m tests.training_cost DIR [--arch ARCH] [--videos N]`.

Measures, on this machine and with random weights of a real architecture: seconds and peak memory of
a full published batch (20 videos of 20 frames), with and without gradient checkpointing, each in a
process of its own; how a step divides; and a step that reads frames and texts from the stores
against one that decodes the videos and encodes the texts anew, interleaved.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any


def main() -> None:
    """Print a line of JSON a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="ViT-B-32-quickgelu")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mode", choices=["all", "step", "stores"], default="all")
    parser.add_argument("--checkpointing", action="store_true")
    options = parser.parse_args()
    if options.mode == "step":
        print(json.dumps(measure_step(options)), flush=True)
    elif options.mode == "stores":
        print(json.dumps(measure_stores(options)), flush=True)
    else:
        command = [sys.executable, "-m", "tests.training_cost", str(options.folder),
                   "--arch", options.arch, "--videos", str(options.videos),
                   "--repeats", str(options.repeats)]  # fmt: skip
        for extra in (["--mode", "step"], ["--mode", "step", "--checkpointing"],
                      ["--mode", "stores"]):  # fmt: skip
            subprocess.run([*command, *extra], check=True)


def trainable(options: argparse.Namespace) -> tuple[Any, Any]:
    """The published model on a base of random weights (or, for clip-tiny, the shipped ones)."""
    from adapters.srl_clip import SRLCLIPAdapter
    from bench.config import RunConfig

    run = RunConfig(cache=options.folder / "cache", device="cpu")
    pretrained = "shipped"
    if options.arch != "clip-tiny":
        pretrained = str(options.folder / f"{options.arch}.safetensors")
        if not Path(pretrained).exists():
            from tests.rehearsal import make_weights

            options.folder.mkdir(parents=True, exist_ok=True)
            make_weights(Path(pretrained), options.arch)
    model, _ = SRLCLIPAdapter.untrained("cost", run, {}, arch=options.arch, pretrained=pretrained)
    return model, run


def measure_step(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds by part of a forward and backward pass, median of a few, and the peak memory."""
    import torch

    from bench.training.losses import Texts, srl_loss, visual_features
    from bench.training.settings import TrainSettings

    model, _ = trainable(options)
    model.train(True)
    model.checkpoint_gradients(options.checkpointing)
    videos, dim = options.videos, model.clip.visual.output_dim
    size = model.preprocessing.size
    frames = torch.randint(0, 256, (videos * 20, size, size, 3), dtype=torch.uint8)
    texts, negatives = torch.randn(videos, 5, dim), torch.randn(videos, 5, 4, dim)
    ids = torch.arange(videos * 5).reshape(videos, 5)
    texts = Texts(*(torch.nn.functional.normalize(x, dim=-1) for x in (texts, negatives)), ids)
    parts: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        parts.setdefault(name, []).append(time.perf_counter() - began)
        return result

    for _ in range(options.repeats):
        features = timed("image encoder, forward", lambda: model.frame_features(frames))
        kept = features.detach().requires_grad_()
        grouped = kept.unflatten(0, (videos, 5, 4))
        contextual = timed("contextualizer, forward", lambda g=grouped: model.contextualize(g))
        visual = visual_features(grouped, contextual)
        terms = timed("loss", lambda v=visual: srl_loss(v, texts, model.logit_scale,
                                                        TrainSettings()))  # fmt: skip
        timed("loss and contextualizer, backward", terms["total"].backward)
        timed("image encoder, backward", lambda f=features, k=kept: f.backward(k.grad))
    medians = {name: round(statistics.median(times), 2) for name, times in parts.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "arch": options.arch, "videos": videos, "frames": videos * 20,
        "checkpointing": options.checkpointing, "threads": torch.get_num_threads(),
        "seconds": medians, "step": round(sum(medians.values()), 2), "peak MiB": round(peak),
    }  # fmt: skip


def measure_stores(options: argparse.Namespace) -> dict[str, Any]:
    """A step from the stores against a plain loop's, in turn, on the toy world's videos."""
    import numpy as np
    import torch

    from bench.contracts import Source
    from bench.features.work import Silent
    from bench.training.data import Batch, prepare
    from bench.training.forward import batch_loss
    from bench.training.settings import TrainSettings
    from bench.video import decode
    from tasks.toyworld import write
    from tasks.vidsitu.training import training_sets

    model, run = trainable(options)
    model.train(True)
    scale = max(0.01, (options.videos + 1) / 600)
    root = write(options.folder / f"toy-{options.videos}", tasks=("vidsitu",), scale=scale)
    data, _ = training_sets(Source("toy", root), 4, 1.0, 0.0, 0)
    short = slice(0, options.videos)
    data = replace(data, clips=data.clips[short], prompts=data.prompts[short],
                   negatives=data.negatives[short])  # fmt: skip
    prepared, _ = prepare(data, model, run, Silent())

    def plain() -> Batch:
        frames = [decode(clip, data.plan, model.preprocessing).frames for clip in data.clips]
        texts = [text for video in data.prompts for text in video]
        hard = [text for video in data.negatives for event in video for text in event]
        features = torch.from_numpy(model.encode_texts([*texts, *hard]))
        encoded = torch.nn.functional.normalize(features, dim=-1)
        shape = (len(data.clips), data.events)
        return Batch(torch.from_numpy(np.stack(frames)), encoded[: len(texts)].unflatten(0, shape),
                     encoded[len(texts) :].unflatten(0, (*shape, 4)),
                     torch.arange(len(texts)).unflatten(0, shape))  # fmt: skip

    seconds: dict[str, list[float]] = {"stores": [], "plain": []}
    for _ in range(options.repeats):
        for name, read in (("stores", lambda: prepared.batch(range(len(prepared)))),
                           ("plain", plain)):  # fmt: skip
            began = time.perf_counter()
            batch_loss(model, read(), TrainSettings(), "cpu", "float32")["total"].backward()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "arch": options.arch, "videos": len(prepared),
        "seconds": {name: round(value, 2) for name, value in medians.items()},
        "plain / stores": round(medians["plain"] / medians["stores"], 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
