"""Train the small CLIP of the toy world from scratch: `python -m tasks.toyworld.pretrain`.

It plays the part that OpenAI's CLIP plays for real videos: a model of web photos and their
captions, used as it is. What it learns from, and why it reads verbs in video frames badly, is said
in `tasks.toyworld.photos`. Nothing is chosen by the test videos.
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional

from bench.files.atomic import atomic_path
from tasks.toyworld.photos import caption, take_photos

ARCH = "clip-tiny"
SHIPPED = Path(__file__).parents[2] / "adapters" / "tiny"
MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


def build() -> Any:
    """An untrained clip-tiny."""
    if ARCH not in open_clip.list_models():
        open_clip.add_model_config(SHIPPED / f"{ARCH}.json")
    return open_clip.create_model(ARCH, pretrained=None, load_weights=False)


def encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """open_clip's encode_text [M, D] on tokens cut to the longest text, which is twice as fast.

    Attention is causal, so that the padding behind a text cannot change its feature.
    """
    length = int((tokens != 0).sum(dim=1).max())
    tokens = tokens[:, :length]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    return x[torch.arange(len(x)), tokens.argmax(dim=-1)] @ model.text_projection


def train(steps: int, seed: int, photos: int, batch: int, rate: float) -> Any:
    """`steps` of `batch` photos; the same seed gives the same model on the same machine."""
    torch.manual_seed(seed)
    model = build().train()
    size = model.visual.image_size[0]
    started = time.monotonic()
    pixels, events = take_photos(photos, size, seed)
    click.echo(f"{photos} photos, {pixels.nbytes / 2**20:.0f} MiB, {_since(started)}")
    tokenize = open_clip.get_tokenizer(ARCH)
    rng, pick = random.Random(f"captions {seed}"), np.random.default_rng(seed)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    weights = [value for value in model.parameters() if value.ndim > 1]
    gains = [value for value in model.parameters() if value.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda k: min((k + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * k / steps)),
    )
    target = torch.arange(batch)
    started, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        chosen = pick.choice(photos, batch, replace=False)
        images = torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float().div_(255)
        tokens = tokenize([caption(rng, events[k]) for k in chosen])
        seen = functional.normalize(model.encode_image((images - mean) / std), dim=-1)
        said = functional.normalize(encode_text(model, tokens), dim=-1)
        logits = model.logit_scale.exp() * seen @ said.T
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))  # as OpenAI's CLIP
        total += loss.item() / 2
        if step % 50 == 0 or step == steps:
            done = step % 50 or 50
            click.echo(f"step {step}/{steps}  loss {total / done:.3f}  {_since(started)}")
            total = 0.0
    return model.eval()


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


@click.command()
@click.option("--steps", default=600, show_default=True, help="Optimiser steps.")
@click.option("--seed", default=0, show_default=True, help="Photos, captions and weights.")
@click.option("--photos", default=24000, show_default=True, help="Photos drawn.")
@click.option("--batch", default=160, show_default=True, help="Photos a step.")
@click.option("--rate", default=1e-3, show_default=True, help="Peak learning rate.")
@click.option("--threads", default=2, show_default=True, help="CPU threads.")
@click.option("--output", type=click.Path(path_type=Path), default=SHIPPED, help="A folder.")
def main(
    steps: int, seed: int, photos: int, batch: int, rate: float, threads: int, output: Path
) -> None:
    """Train clip-tiny and write clip-tiny.safetensors (half precision)."""
    torch.set_num_threads(threads)
    model = train(steps, seed, photos, batch, rate)
    state = {key: value.detach().half().contiguous() for key, value in model.state_dict().items()}
    with atomic_path(output / f"{ARCH}.safetensors") as temporary:
        save_file(state, temporary)
    click.echo(f"wrote {output / ARCH}.safetensors")


if __name__ == "__main__":
    main()
