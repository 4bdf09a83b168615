"""AdamW as the recipe has it: groups, rates, float16's loss scale, no step by a bad gradient."""

from __future__ import annotations

import math
from typing import Any

import torch

from bench import distributed
from bench.errors import UsageError
from bench.training.protocols import Trainable
from bench.training.settings import TrainSettings

CONTEXTUALIZER = "contextualizer."  # how the names of its parameters start
LARGEST_SCALE = math.log(100)  # of a learnt logit scale, as CLIP has it


def parameter_groups(model: Trainable, settings: TrainSettings) -> list[dict[str, Any]]:
    """Weight decay on matrices alone, as CLIP and open_clip have it, and the contextualizer's own
    learning rate. `base` is a group's rate before warm-up and schedule.

    UsageError where the losses have nothing to train.
    """
    own = settings.learning_rate_contextualizer
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.trainable_parameters().items():
        kind = name.startswith(CONTEXTUALIZER), parameter.ndim >= 2
        groups.setdefault(kind, []).append(parameter)
    if not settings.trains_contextualizer and all(contextual for contextual, _ in groups):
        raise UsageError("clip_event and clip_video have nothing to train; set model.weights")
    return [
        {
            "params": parameters,
            "base": own if contextual and own is not None else settings.learning_rate,
            "weight_decay": settings.weight_decay if matrix else 0.0,
        }
        for (contextual, matrix), parameters in groups.items()
    ]


class Optimizer:
    """`adam` and `scaler` of one training; the scaler does nothing but in float16."""

    def __init__(
        self, model: Trainable, settings: TrainSettings, device: str, precision: str
    ) -> None:
        self._model, self._settings = model, settings
        self.adam = torch.optim.AdamW(parameter_groups(model, settings), settings.learning_rate)
        self.scaler = torch.amp.GradScaler(device.partition(":")[0], enabled=precision == "float16")

    def start(self, step: int, steps: int) -> None:
        """Forget the gradients and set the rates of step `step` (from 0) of `steps`."""
        for group in self.adam.param_groups:
            group["lr"] = self._settings.rate(step, steps, group["base"])
        self.adam.zero_grad(set_to_none=True)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a part of the step."""
        self.scaler.scale(loss).backward()

    def move(self) -> float:
        """Change the weights by the gradients of all processes together; returns their norm.

        Where that is not finite the weights stay; in float16 the loss scale is lowered then.
        """
        scale = self._model.logit_scale
        parameters = list(self._model.trainable_parameters().values())
        if scale.grad is not None:  # every process has the whole gradient of this one
            scale.grad /= distributed.world()
        distributed.sum_gradients(parameters)
        self.scaler.unscale_(self.adam)
        most = self._settings.clip_gradient or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, most))
        if math.isfinite(norm) or self.scaler.is_enabled():
            self.scaler.step(self.adam)  # which leaves out a step that overflowed
            self.scaler.update()
        if scale.requires_grad:
            with torch.no_grad():
                scale.clamp_(0, LARGEST_SCALE)
        return norm

    @property
    def recovers(self) -> bool:
        """Whether a gradient that is not finite is a loss scale still too large, and no more."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1
