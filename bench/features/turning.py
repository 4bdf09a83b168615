"""What a run turns of its task's protocol: frames, text length, scoring. Each turn is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bench.capabilities import LimitsFrames, Reranks
from bench.contracts import Adapter, Plan, Setup, Task
from bench.errors import UsageError
from bench.features.protocol import (
    check_frames,
    check_inputs,
    check_reranking,
    check_together,
    setup_of,
)
from bench.metrics.dual_softmax import HIGHEST, TEMPERATURE, check_temperature
from bench.results.document import DAGGER
from bench.video.sampling import CHOICES, usual_counts

RESCORE = "dual-softmax"
RAW_MEAN = "mean of frame features as they are, L2-normalised"


@dataclass(frozen=True)
class Turned:
    """Departures from a task's protocol; None, or False, where it is as the task has it.

    `frames` of a clip (of the plan `fps`, of a second), `plan` a name of
    `bench.video.sampling.CHOICES`, `context` tokens of a text, start and end included,
    `temperature` that of a dual softmax, `raw_mean` the mean of frames that are not normalised.
    """

    frames: int | None = None
    plan: str | None = None
    context: int | None = None
    temperature: float | None = None
    raw_mean: bool = False

    def plan_of(self, task: Task) -> Plan:
        """The frame plan of a run. UsageError where the task's own cannot be turned."""
        if self.frames is None and self.plan is None:
            return task.plan
        if task.parts > 1:
            raise UsageError(
                f"task '{task.name}' divides the frames of a clip among {task.parts} parts "
                f"(plan {task.plan.key}); leave --frames and --plan out"
            )
        made = CHOICES[self.plan] if self.plan else _kind(task)
        own = usual_counts(task.plan).stop - 1
        return made(self.frames or (1 if self.plan == "fps" else own))

    def names(self, task: Task) -> list[str]:
        """The departures, as they follow the protocol's name; not what is as the task has it."""
        found = []
        if (plan := self.plan_of(task)).key != task.plan.key:
            found += _plan_names(plan, task)
        found += [f"{self.context} tokens"] if self.context else []
        found += ["raw mean"] if self.raw_mean else []
        return found + ([f"{DAGGER}{RESCORE}-{self.temperature:g}"] if self.temperature else [])


def _kind(task: Task) -> Callable[[int], Plan]:
    """The plan of the task, of another number of frames."""
    kind = next((made for made in CHOICES.values() if type(task.plan) is made), None)
    if kind is None:
        raise UsageError(
            f"task '{task.name}' has the plan {task.plan.key}, not of a number of frames to "
            "choose; say which --plan, or leave --frames out"
        )
    return kind


def _plan_names(plan: Plan, task: Task) -> list[str]:
    """`8 frames`, `linspace`, or both, as far as they differ from the task's."""
    name = next(name for name, made in CHOICES.items() if type(plan) is made)
    if name == "fps":
        return [f"{plan.key.removeprefix('fps-')} fps"]
    most = usual_counts(plan).stop - 1
    frames = [] if most == usual_counts(task.plan).stop - 1 else [f"{most} frames"]
    return [*frames, *([] if type(plan) is type(task.plan) else [name])]


def temperature_of(text: str | None) -> float | None:
    """The temperature of `dual-softmax` or `dual-softmax:T`. UsageError for anything else."""
    if text is None:
        return None
    match = re.fullmatch(rf"{RESCORE}(?::(\d+(?:\.\d+)?))?", text)
    try:
        value = float(match[1] or TEMPERATURE) if match else 0.0
        check_temperature(value)
    except ValueError as error:
        raise UsageError(
            f"--rescore {text}: {RESCORE}, or {RESCORE}:T with T up to {HIGHEST:g}, is expected"
        ) from error
    return value


def admit(
    adapter: Adapter, task: Task, protocol: str, rerank: bool, turned: Turned
) -> tuple[Setup | None, Reranks | None]:
    """The published settings and the matching head of a run, where it has them.

    Raises whatever of it cannot be done, before anything is decoded.
    """
    check_inputs(adapter, task)
    check_together(protocol, rerank, turned)
    setup = setup_of(adapter, task.name, protocol)
    check_frames(adapter, task, setup, turned)
    check_turned(adapter, task, turned)
    return setup, check_reranking(adapter, task) if rerank else None


def check_turned(adapter: Adapter, task: Task, turned: Turned) -> None:
    """UsageError for what the model or the task cannot do, before anything is decoded."""
    if turned.temperature is not None:
        check_temperature(turned.temperature)
        if not task.rescores:
            raise UsageError(f"task '{task.name}' ranks by no similarity; leave --rescore out")
    if turned.raw_mean and (adapter.is_video_model or type(adapter).pool is not Adapter.pool):
        raise UsageError(
            f"model '{adapter.name}' makes no mean of normalised frames: there is nothing to turn"
        )
    _check_context(adapter, turned.context)
    plan = turned.plan_of(task)
    if plan.key == task.plan.key or not adapter.is_video_model:
        return
    if not isinstance(adapter, LimitsFrames):
        return
    for count in usual_counts(plan):
        if odd := adapter.odd_frames(count):
            raise UsageError(
                f"{adapter.name}: {odd}; plan {plan.key} gives clips of {count} frames: choose "
                "other --frames or another --plan"
            )


def _check_context(adapter: Adapter, context: int | None) -> None:
    if context is None:
        return
    if (most := adapter.context_length) is None:
        raise UsageError(
            f"model '{adapter.name}' does not say how many tokens it reads; leave --context out"
        )
    if context > most:
        raise UsageError(
            f"model '{adapter.name}' reads at most {most} tokens, start and end included; "
            f"--context {context} is more"
        )
