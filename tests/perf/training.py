"""A training step that reads its batch from the stores, against the bare forward and backward."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tests.perf.table import Figure, interleaved, median, seconds
from tests.training_cost import trainable


def figures(folder: Path, quick: bool) -> list[Figure]:
    """SRL-CLIP on ViT-B/32 (quick: on clip-tiny), a few videos a step, on the CPU."""
    import torch

    from bench.contracts import Source
    from bench.features.work import Silent
    from bench.training.data import prepare
    from bench.training.forward import batch_loss
    from bench.training.settings import TrainSettings
    from tasks.toyworld import write
    from tasks.vidsitu.training import training_sets

    videos, rounds = (2, 1) if quick else (2, 5)
    arch = "clip-tiny" if quick else "ViT-B-32-quickgelu"
    model, run = trainable(argparse.Namespace(folder=folder, arch=arch))
    model.train(True)
    root = write(folder / "toy-training", tasks=("vidsitu",), scale=0.02)
    data, _ = training_sets(Source("toy", root), 4, 1.0, 0.0, 0)
    short = slice(0, 2 * videos)
    data = replace(data, clips=data.clips[short], prompts=data.prompts[short],
                   negatives=data.negatives[short])  # fmt: skip
    prepared, _ = prepare(data, model, run, Silent())
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-6)
    places = [list(range(videos))]

    def step() -> None:
        (batch,) = prepared.batches(places)
        optimizer.zero_grad(set_to_none=True)
        batch_loss(model, batch, TrainSettings(), "cpu", "float32")["total"].backward()
        optimizer.step()

    frames = prepared.batch(places[0]).frames.flatten(0, 1)

    def bare() -> None:
        features = model.frame_features(frames).unflatten(0, (videos, 5, -1))
        events, whole = model.contextualize(features)
        (events.sum() + whole.sum() + features.sum()).backward()

    step()
    ours, limit = interleaved(lambda: seconds(step), lambda: seconds(bare), rounds)
    return [
        Figure(
            "Training", f"a step of {videos} videos, {arch}", median(ours),
            f"{median(limit)}: forward and backward of image encoder and contextualizer",
            [b / a for a, b in zip(ours, limit, strict=True)], 1 / 1.15,
            note="our step reads frames from the store and texts from memory, takes all four "
            "losses with their negatives, and moves the weights.",
        )
    ]  # fmt: skip
