"""Train the small video model of the toy world: `python -m tests.pretrain_video FOLDER`.

CLIP4Clip's head `seqTransf`, two blocks, on the frozen clip-tiny, as one would fine-tune on
MSRVTT's training split: on captioned clips of the toy world drawn with another seed than the one
that is evaluated. FOLDER keeps those clips. Nothing is chosen by the test videos: the number of
steps is by clips of a third seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, normalize

import bench
from adapters.clip4clip_model import CLIP4Clip, pooled
from adapters.clip_base import architecture
from adapters.weights import SHIPPED
from bench.config import load_config
from bench.features.extraction import clip_features, text_features
from bench.features.work import Silent, Work
from bench.files.atomic import atomic_path
from bench.metrics.retrieval import metrics_of_ranks, ranks_from_features
from tasks.toyworld import write

ARCH, FILE = "clip-tiny", "clip4clip-tiny.safetensors"
LAYERS, POSITIONS, TEMPERATURE = 2, 32, 0.05
GROUP = 12  # clips that are alike, one after the other


@dataclass
class Captioned:
    """Frame features [N, 12, D] of clips and the features [N, D] of their captions."""

    frames: torch.Tensor
    texts: torch.Tensor

    @classmethod
    def drawn(cls, folder: Path, seed: int, scale: float) -> Captioned:
        """Of clips drawn below `folder`."""
        root = write(folder / f"toy-{seed}", tasks=("msrvtt",), seed=seed, scale=scale)
        task, adapter = bench.load_task("msrvtt", str(root)), bench.load_adapter(ARCH)
        run = load_config().run
        work = Work(adapter, task, run, Silent())
        clips, texts = clip_features(work), text_features(work)
        frames = np.stack([clips[owner] for owner in task.owners])
        return cls(torch.from_numpy(frames), normalize(torch.from_numpy(texts), dim=-1))


def head(spread: float) -> CLIP4Clip:
    """CLIP4Clip on clip-tiny with a head that is not trained; only the head is to be.

    `spread` is the standard deviation of features: of smaller positions nothing would be seen.
    """
    model = CLIP4Clip(architecture(ARCH), LAYERS, POSITIONS)
    model.clip.requires_grad_(False)
    for name, value in model.named_parameters():
        if name.startswith("transformerClip.") and value.ndim > 1:
            torch.nn.init.normal_(value, std=0.02)
    torch.nn.init.normal_(model.frame_position_embeddings.weight, std=spread)
    return model


def video(model: CLIP4Clip, frames: torch.Tensor) -> torch.Tensor:
    """Video features [N, D] of frame features [N, T, D]."""
    mask = torch.ones(frames.shape[:2])
    return pooled(model.sequence(frames, mask), mask)


def train(data: Captioned, held_out: Captioned, steps: int, seed: int, rate: float) -> CLIP4Clip:
    """`steps` of five groups of alike clips, of all twelve frames and of every third in turn."""
    torch.manual_seed(seed)
    model, choose = head(float(data.frames.std())), np.random.default_rng(seed)
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.1, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / 50, 0.5 + 0.5 * math.cos(math.pi * k / steps))
    )
    groups = np.arange(len(data.texts)).reshape(-1, GROUP)
    target = torch.arange(5 * GROUP)
    for step in range(1, steps + 1):
        chosen = groups[choose.choice(len(groups), 5, replace=False)].ravel()
        frames = data.frames[chosen][:, (step % 3) :: 3] if step % 2 else data.frames[chosen]
        logits = video(model, frames) @ data.texts[chosen].T / TEMPERATURE
        loss = cross_entropy(logits, target) + cross_entropy(logits.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps:
            click.echo(
                f"step {step}: loss {loss.item() / 2:.3f}, held out {recall(model, held_out)}"
            )
    return model


def recall(model: CLIP4Clip, data: Captioned) -> str:
    """R@1 of held-out clips by all frames and by every third, beside the mean of frames."""
    found = []
    with torch.inference_mode():
        mean = normalize(normalize(data.frames, dim=-1).mean(1), dim=-1)
        for videos in (video(model, data.frames), video(model, data.frames[:, 1::3]), mean):
            ranks = ranks_from_features(data.texts.numpy(), videos.numpy(), np.arange(len(mean)))
            found.append(f"{metrics_of_ranks(ranks.t2v)['R@1']:.1f}")
    return "R@1 {} of 12 frames, {} of 4, {} without the head".format(*found)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--steps", default=400, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--rate", default=3e-4, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=SHIPPED, help="A folder.")
def main(folder: Path, steps: int, seed: int, rate: float, output: Path) -> None:
    """Train the head and write it alone, in half precision."""
    torch.set_num_threads(1)
    data = Captioned.drawn(folder, seed=101, scale=6)
    model = train(data, Captioned.drawn(folder, seed=102, scale=1), steps, seed, rate)
    state = {name: value.detach().half() for name, value in model.state_dict().items()
             if not name.startswith("clip.")}  # fmt: skip
    with atomic_path(output / FILE) as temporary:
        save_file(state, temporary)
    click.echo(f"wrote {output / FILE}")


if __name__ == "__main__":
    main()
