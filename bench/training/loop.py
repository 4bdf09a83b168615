"""The training loop: resumable at every step's end, to the same bits as if it had never stopped."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench import distributed
from bench.compute import use_threads
from bench.config import RunConfig
from bench.contracts import Progress
from bench.errors import BenchError, UsageError
from bench.files.atomic import check_replaceable
from bench.files.tensor_store import digest
from bench.metrics.events import OWN, ROLE_SWAP, VC, VERB_ROLE
from bench.training import checkpoints
from bench.training.data import Batch, prepare
from bench.training.forward import batch_loss, validate
from bench.training.log import Log
from bench.training.optimizer import Optimizer
from bench.training.protocols import Trainable, TrainingSet
from bench.training.settings import TrainSettings
from bench.training.state import Trained, Training, finish, resume, save

SAVE_EVERY = 600.0  # seconds between checkpoints inside an epoch: what a kill can cost


@dataclass(frozen=True)
class Job:
    """Where a training runs and how it reports; `max_minutes` end it early, with a checkpoint.

    `project` is the Weights & Biases project that the log goes to as well.
    """

    run: RunConfig
    folder: Path
    device: str
    progress: Progress
    max_minutes: float | None = None
    project: str | None = None


def train(
    model: Trainable, data: TrainingSet, held_out: TrainingSet, settings: TrainSettings, job: Job
) -> Trained:
    """Train `model` into `folder/model`, resuming what `folder` holds of the same training.

    One of fewer epochs is continued, where that gives the same bits (`bench.training.state`).

    Raises UsageError for a checkpoint of other settings or data and for a batch that the processes
    cannot share, BenchError when loss or gradient is not finite or no video can be read. SIGINT and
    SIGTERM end it after the current step, with a checkpoint.
    """
    deadline = time.monotonic() + 60 * job.max_minutes if job.max_minutes else math.inf
    run, folder, progress = job.run, job.folder, job.progress
    _check(model, settings)
    check_replaceable(folder / "model", model.files)
    use_threads(run)
    torch.manual_seed(run.seed)
    if not settings.role_swaps:  # no need to encode them
        data = replace(data, swaps=[])
    prepared, failures = prepare(data, model, run, progress)
    validation, more = prepare(held_out, model, run, progress)
    if len(prepared) < max(2, distributed.world()):
        raise BenchError(f"{data.name}: {len(prepared)} readable videos; a batch needs two")
    precision = run.torch_precision
    model.checkpoint_gradients(settings.checkpoint_gradients)
    identity = {
        **settings.recipe(), **model.describe(), "data": data.name, "videos": len(prepared),
        "held_out": len(validation), "seed": run.seed, "content": prepared.content,
        "held_out_content": validation.content, "precision": precision,
        **({"swaps": digest("swaps", prepared.data.swaps)} if settings.role_swaps else {}),
    }  # fmt: skip
    log = Log(folder, job.project, identity) if distributed.is_main() else None
    training = Training(
        model, Optimizer(model, settings, job.device, precision), prepared,
        validation if len(validation) > 1 else None, settings, folder, identity, job.device,
        precision, run.seed, log,
    )  # fmt: skip
    try:
        resume(training)
        _report_counts(training, progress)
        stopped = _epochs(training, progress, deadline)
    finally:
        if log is not None:
            log.close()
    return finish(training, [*failures, *more], stopped)


def _check(model: Trainable, settings: TrainSettings) -> None:
    """UsageError for what this model and these processes cannot train."""
    if settings.batch_videos % distributed.world():
        raise UsageError(
            f"batch_videos {settings.batch_videos} cannot be shared evenly by "
            f"{distributed.world()} processes; choose a multiple"
        )
    if settings.trains_contextualizer and not model.contextual:
        raise UsageError(
            "vc_event and vc_video need a contextualizer, and model.vc_layers is 0; "
            "set both to false"
        )


def _report_counts(training: Training, progress: Progress) -> None:
    """Say how many texts the model cannot read whole (docs/method.md 2)."""
    counts = training.train.counts
    if training.log is not None and training.state.step == 0:
        training.log.write("texts", 0, counts)
    for what in ("prompts", "negatives", "role_swaps"):
        if cut := counts.get(f"{what}_cut"):
            texts = what.replace("_", " ")
            progress.warn(f"{cut} of {counts[what]} {texts} are too long for the model and are cut")


def _epochs(training: Training, progress: Progress, deadline: float) -> str:
    """Run the epochs that are left; returns why it stopped early, or an empty string."""
    state, per_epoch = training.state, training.steps_per_epoch
    with _signals() as received:
        while state.epochs < training.settings.epochs:
            progress.start(f"epoch {state.epochs + 1}/{training.settings.epochs}", per_epoch)
            done = state.step - state.epochs * per_epoch
            progress.advance(done)
            saved = time.monotonic()
            for batches in _steps(training, state.epochs, done):
                _step(training, batches)
                progress.advance()
                # Every process must stop and save at the same step, for saving waits for all, and
                # their clocks differ: the main one decides.
                due = time.monotonic() - saved > SAVE_EVERY
                why, due = distributed.share((_why_stop(received, deadline), due))
                if why or due:
                    save(training)
                    saved = time.monotonic()
                if why:
                    return str(why)
            _validate(training, progress)
            save(training)
    return ""


def _why_stop(received: list[int], deadline: float) -> str:
    if received:
        return signal.Signals(received[0]).name
    return "--max-minutes" if time.monotonic() > deadline else ""


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; a second one kills as usual."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(number, signal.default_int_handler)

    try:
        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, as in a notebook's worker: signals are not ours
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _steps(training: Training, epoch: int, done: int) -> Iterator[list[Batch]]:
    """The optimiser steps of an epoch from `done` on, each a list of batches to accumulate.

    The order is a function of seed and epoch alone. Each process reads its share of every batch.
    """
    generator = torch.Generator().manual_seed(training.seed * 1_000_003 + epoch)
    order = torch.randperm(len(training.train), generator=generator).tolist()
    size, world = training.settings.batch_videos, distributed.world()
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    # Processes gather tensors of one shape: a batch that cannot be shared evenly is cut.
    batches = [part[: len(part) // world * world] for part in batches]
    batches = [part for part in batches if len(part) >= max(2, world)]
    own = [part[distributed.rank() :: world] for part in batches]
    accumulate = training.settings.accumulate
    loader = training.train.batches(own[done * accumulate :])
    for at in range(done * accumulate, len(own), accumulate):
        yield [next(loader) for _ in own[at : at + accumulate]]


def _step(training: Training, batches: list[Batch]) -> None:
    model, settings, state = training.model, training.settings, training.state
    began = time.perf_counter()
    total = settings.epochs * training.steps_per_epoch
    model.train(True)
    training.optimizer.start(state.step, total)
    sums: dict[str, float] = {}
    for batch in batches:
        terms = batch_loss(model, batch, settings, training.device, training.precision)
        training.optimizer.backward(terms["total"] / len(batches))
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(batches)
    if not math.isfinite(sums["total"]):
        raise _diverged(training, "loss", sums["total"])
    # A finite loss may have a gradient that is not.
    norm = training.optimizer.move()
    if not (math.isfinite(norm) or training.optimizer.recovers):
        raise _diverged(training, "gradient", norm)
    state.step += 1
    seconds = time.perf_counter() - began
    state.seconds += seconds
    if training.log is not None:
        facts = {"rate": settings.rate(state.step - 1, total), "seconds": seconds}
        training.log.write("step", state.step, {**sums, **facts})


def _diverged(training: Training, what: str, value: float) -> BenchError:
    return BenchError(
        f"the {what} is {value} at step {training.state.step + 1}; the last good checkpoint is "
        f"{training.folder / checkpoints.LAST}. Lower learning_rate, or set clip_gradient"
    )


def _validate(training: Training, progress: Progress) -> None:
    """Metrics of the held-out events; the epoch is kept if it has the best of the criterion."""
    state, names = training.state, training.settings.criterion
    state.epochs += 1
    values: dict[str, float] = {}
    if training.held_out is not None:
        values = validate(training.model, training.held_out, training.device, training.precision)
        if not state.best or criterion(values, names) > criterion(state.best, names):
            state.best, state.best_epoch = values, state.epochs
            if distributed.is_main():
                facts = {"epoch": state.epochs, **values}
                checkpoints.save_best(training.folder, training.model, facts)
        progress.warn(f"epoch {state.epochs}: {_shown(values)}")
    if training.log is not None:
        training.log.write("epoch", state.step, {"epoch": state.epochs, **values})


def criterion(values: dict[str, float], names: tuple[str, ...]) -> float:
    """The mean of the named metrics, by which an epoch is kept."""
    return sum(values[name] for name in names) / len(names)


def _shown(values: dict[str, float]) -> str:
    """The epoch's line, of held-out events: by the mean of frames, and by contextualised events."""
    parts = []
    for name in ("R@1", OWN, VERB_ROLE, ROLE_SWAP):
        if name in values:
            own = f" (vc {values[VC + name]:.1f})" if VC + name in values else ""
            parts.append(f"{name} {values[name]:.1f}{own}")
    return ", ".join(parts)
