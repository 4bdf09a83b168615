"""What training needs of a model and of a dataset; it knows neither by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from bench.contracts import Clip, Plan
from bench.video.preprocessing import Preprocessing


@dataclass(frozen=True)
class TrainingSet:
    """Clips of P events with T frames each, and their texts.

    `prompts` is [video][event], `negatives` [video][event][N]: hard negative texts of that event,
    equally many for each; `swaps` [video][event] each event's role-swap negative, agent and patient
    exchanged, empty where it has none, or nothing at all.
    `plan` gives P * T moments, event after event.
    """

    name: str
    clips: list[Clip]
    plan: Plan
    events: int
    frames: int
    prompts: list[list[str]]
    negatives: list[list[list[str]]]
    swaps: list[list[str]] = field(default_factory=list)


class Trainable(Protocol):
    """A torch module to train; `adapters.srl_model.SRLModel` is one."""

    preprocessing: Preprocessing
    embed_dim: int  # of text features, and of frames'
    files: Collection[str]  # what `save` may write

    @property
    def fingerprint(self) -> str:
        """Hash of all that text features depend on: weights, tokenizer's path, precision."""

    @property
    def contextual(self) -> bool:
        """Whether there is a contextualizer."""

    @property
    def logit_scale(self) -> torch.Tensor:
        """Logarithm of the inverse temperature."""

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> [N, D], differentiable."""

    def contextualize(self, frame_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, P, T, D] -> events [B, P, D], videos [B, D]."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """M texts -> float32 [M, D] by the frozen text tower, as in evaluation."""

    def count_truncated(self, texts: list[str]) -> int:
        """How many of `texts` are too long to be read whole."""

    def describe(self) -> dict[str, Any]:
        """What the model is, as plain data: part of a checkpoint's identity."""

    def checkpoint_gradients(self, on: bool) -> None:
        """Trade time for memory in the backward pass."""

    def trainable_parameters(self) -> dict[str, torch.nn.Parameter]:
        """What the optimiser may change, in a fixed order; `contextualizer.…` are that module's."""

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Name -> tensor of all that training changes."""

    def load_trainable_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back a `trainable_state`."""

    def train(self, mode: bool = True) -> Any:
        """Switch training mode."""

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the trained model as a folder that its adapter reads."""
