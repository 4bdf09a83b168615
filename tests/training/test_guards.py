"""What must not pass unnoticed: a bad gradient, a stale best, other data, clocks that differ."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench import distributed
from bench.config import RunConfig
from bench.contracts import Clip
from bench.errors import BenchError, UsageError
from bench.features.work import Silent
from bench.training import checkpoints, loop
from bench.training.data import prepare
from bench.training.protocols import TrainingSet
from bench.training.settings import TrainSettings
from bench.training.state import Trained
from bench.video import Preprocessing
from bench.video.sampling import PerEvent

EVENTS, FRAMES, DIM = 2, 2, 16


class Tiny(nn.Module):
    """Two linear layers on images of 8 pixels; a text's feature is drawn from its hash."""

    preprocessing, embed_dim, fingerprint = Preprocessing(8), DIM, "tiny"
    files = ("w.safetensors",)

    def __init__(self, poison: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tower, self.contextualizer = nn.Linear(192, DIM), nn.Linear(DIM, DIM)
        self.poison = poison
        self.register_buffer("logit_scale", torch.tensor(3.0))

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.tower(frames.flatten(1).float() / 255)
        if features.requires_grad:
            features.register_hook(lambda gradient: gradient * self.poison)
        return features

    def contextualize(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        events = self.contextualizer(features.mean(2))
        return events, events.mean(1)

    contextual = True

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        seeds = [int(hashlib.md5(text.encode()).hexdigest()[:8], 16) for text in texts]
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.randn(DIM, generator=draw) for draw in draws]).numpy()

    def count_truncated(self, texts: list[str]) -> int:
        return sum(len(text) > 4 for text in texts)

    def describe(self) -> dict[str, Any]:
        return {}

    def checkpoint_gradients(self, on: bool) -> None: ...

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.named_parameters())

    def trainable_state(self) -> dict[str, torch.Tensor]:
        return {name: value.detach() for name, value in self.named_parameters()}

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        self.load_state_dict(state, strict=False)

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        checkpoints.write(folder / "w.safetensors", self.trainable_state(), card)


def drawn(root: Path, first: int, count: int) -> TrainingSet:
    """`count` clips of four random frames, as folders of images."""
    names = [f"c{number}" for number in range(first, first + count)]
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(int(name[1:]))
        for number in range(1, 5):
            picture = Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8))
            picture.save(root / name / f"{name}_{number:06}.jpg")
    prompts = [[f"{name} {event}" for event in range(EVENTS)] for name in names]
    hard = [[[f"not {text}"] for text in video] for video in prompts]
    clips = [Clip(name, root / name, frames_fps=2.0) for name in names]
    return TrainingSet("drawn", clips, PerEvent(FRAMES, EVENTS), EVENTS, FRAMES, prompts, hard)


def trained(
    root: Path, model: Tiny | None = None, held_out: int = 3, word: str = "",
    minutes: float | None = None, **changes: Any,
) -> Trained:  # fmt: skip
    data = drawn(root, 0, 4)
    data = replace(data, prompts=[[word + text for text in video] for video in data.prompts])
    recipe = {"epochs": 2, "batch_videos": 2, "learning_rate": 1e-2, **changes}
    run = RunConfig(cache=root / "cache", device="cpu", workers=1)
    return loop.train(
        model or Tiny(),
        data,
        drawn(root, 100, held_out),
        TrainSettings(**recipe),
        loop.Job(run, root / "out", "cpu", Silent(), minutes),
    )


@pytest.mark.parametrize("held_out", [0, 3])
def test_a_gradient_that_is_no_number_reaches_neither_weights_nor_checkpoint(
    tmp_path: Path, held_out: int
) -> None:
    with pytest.raises(BenchError, match=r"the gradient is nan at step 1;.*last\.safetensors"):
        trained(tmp_path, Tiny(float("nan")), held_out, epochs=1)
    assert not (tmp_path / "out" / checkpoints.LAST).exists()
    assert not (tmp_path / "out" / "model").exists()


def test_the_best_epoch_of_an_earlier_training_is_not_taken(tmp_path: Path) -> None:
    trained(tmp_path)
    out = tmp_path / "out"
    (out / checkpoints.LAST).unlink()  # as the refusal of another training advises
    trained(tmp_path, held_out=0, learning_rate=5e-2)
    made, last = (
        checkpoints.read(out / "model" / "w.safetensors"),
        checkpoints.read(out / checkpoints.LAST),
    )
    assert made is not None and last is not None
    assert torch.equal(made[0]["tower.weight"], last[0]["model.tower.weight"])


def test_other_texts_of_as_many_videos_are_another_training(tmp_path: Path) -> None:
    trained(tmp_path, minutes=1e-9)
    with pytest.raises(UsageError, match="content: "):
        trained(tmp_path, word="in other words ")


@pytest.mark.parametrize("name", ["model", "model/thesis.tex", "model/w.safetensors/x"])
def test_what_is_no_model_of_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    """Seen before the training; nothing is written."""
    foreign = tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    if name.endswith("/x"):
        (tmp_path / "out" / "model" / ".hidden").write_text("")
    with pytest.raises(BenchError, match=r"out/model: would be replaced, and .* move it away"):
        trained(tmp_path)
    assert foreign.read_text() == "mine"
    assert not (tmp_path / "out" / checkpoints.LAST).exists()
    foreign.unlink()
    if name == "model/thesis.tex":
        trained(tmp_path, epochs=1)
        trained(tmp_path / "2", epochs=1)


def test_frames_are_read_without_asking_after_the_video(tmp_path: Path) -> None:
    data = drawn(tmp_path, 0, 2)
    run = RunConfig(cache=tmp_path / "cache", workers=1)
    prepared, _ = prepare(data, Tiny(), run, Silent())
    for picture in (tmp_path / "c0").iterdir():
        picture.unlink()
    assert prepared.batch([0, 1]).frames.shape == (2, 4, 8, 8, 3)
    prepared.store.root.rename(tmp_path / "gone")
    with pytest.raises(BenchError, match="frames of c0 vanished"):
        prepared.batch([0])


def test_a_batch_that_processes_cannot_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 4)
    with pytest.raises(UsageError, match="batch_videos 2 cannot be shared evenly by 4"):
        trained(tmp_path)


@pytest.mark.slow
def test_processes_whose_clocks_differ_save_at_the_same_step(tmp_path: Path) -> None:
    """The main process always finds a checkpoint due, the other never."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1",
                   "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # fmt: skip
    drawn(tmp_path, 0, 4)
    done = subprocess.run([*launch, __file__, str(tmp_path)], env=environment, timeout=60,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


if __name__ == "__main__":
    loop.SAVE_EVERY = 0.0 if distributed.is_main() else 1e9
    with distributed.process_group("cpu"):
        trained(Path(sys.argv[1]), held_out=0)
