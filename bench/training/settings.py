"""The recipe of a training: the paper's numbers, ours where it is silent (docs/method.md 5)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from bench.settings import require


@dataclass(frozen=True)
class TrainSettings:
    """Learning rate, epochs, batch, lambda and negatives are published; the others are our choice.

    `role_swaps` is how often an event's role-swap negative, agent and patient exchanged, counts in
    the denominators of the event losses. The four losses and `share` are the published ablations;
    `natural_negatives` False leaves the other events of a video out of the denominators.
    `learning_rate_contextualizer` None means the same rate. `hold_out` is the share of videos kept
    from training for validation. `keep` says which epoch becomes the model: the `best` by
    `criterion`, or the `last`.
    """

    aliases: ClassVar[dict[str, str]] = {  # the names that other trainers have for them
        "gradient_checkpointing": "checkpoint_gradients",
        "gradient_accumulation_steps": "accumulate",
        "max_grad_norm": "clip_gradient",
        "train_fraction": "share",
    }

    learning_rate: float = 1e-6
    learning_rate_contextualizer: float | None = None
    epochs: int = 40
    batch_videos: int = 20
    lambda_video: float = 0.25
    negatives: int = 4
    role_swaps: int = 0
    natural_negatives: bool = True
    clip_event: bool = True
    vc_event: bool = True
    clip_video: bool = True
    vc_video: bool = True
    share: float = 1.0
    hold_out: float = 0.05
    keep: str = "best"
    weight_decay: float = 0.2
    warmup_steps: int = 0
    schedule: str = "constant"
    accumulate: int = 1
    clip_gradient: float = 0.0
    checkpoint_gradients: bool = False

    def recipe(self) -> dict[str, Any]:
        """Every setting, as what a training is known by. One that came later and is off is not
        part of it, so that what was trained before still is what it was."""
        off = [] if self.role_swaps else ["role_swaps"]
        return {name: value for name, value in asdict(self).items() if name not in off}

    def check(self, where: str) -> None:
        """UsageError for a value that no training can have."""
        rules = {
            "schedule": self.schedule in ("constant", "cosine"),
            "keep": self.keep in ("best", "last"),
            "epochs": self.epochs >= 1,
            "batch_videos": self.batch_videos >= 2,
            "accumulate": self.accumulate >= 1,
            "share": 0 < self.share <= 1,
            "hold_out": 0 <= self.hold_out < 1,
            "clip_event": self.trains_clip or self.trains_contextualizer,
        }
        require(self, rules, where)

    @property
    def plans_ahead(self) -> bool:
        """Whether a step depends on how many there will be: no training continues a shorter one."""
        return self.schedule != "constant"

    @property
    def trains_clip(self) -> bool:
        """Whether a loss is on the mean of frames."""
        return self.clip_event or self.clip_video

    @property
    def trains_contextualizer(self) -> bool:
        """Whether a loss is on the contextualizer's outputs."""
        return self.vc_event or self.vc_video

    @property
    def criterion(self) -> tuple[str, ...]:
        """The held-out metrics whose mean `keep: best` goes by: R@1 of what is trained."""
        names = {"R@1": self.trains_clip, "vc/R@1": self.trains_contextualizer}
        return tuple(name for name, is_trained in names.items() if is_trained)

    def rate(self, step: int, steps: int, base: float | None = None) -> float:
        """The learning rate of step `step` (from 0) of `steps`; `base` in place of its own."""
        import math

        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        decay = 0.5 * (1 + math.cos(math.pi * step / steps)) if self.schedule == "cosine" else 1.0
        return (self.learning_rate if base is None else base) * warm * decay
