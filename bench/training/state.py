"""Where a training stands: its checkpoint, how it resumes, and the model it ends in."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import distributed
from bench.contracts import Failure
from bench.training import checkpoints
from bench.training.data import Prepared
from bench.training.log import Log
from bench.training.optimizer import Optimizer
from bench.training.protocols import Trainable
from bench.training.settings import TrainSettings


@dataclass
class Trained:
    """How a training ended. `stopped` is why it ended before its last epoch, or empty.

    `held_out` are the metrics of the best epoch, `criterion` the names of those whose mean it has
    the best of.
    """

    folder: Path
    epochs: int
    best_epoch: int
    held_out: dict[str, float]
    criterion: tuple[str, ...]
    failures: list[Failure]
    stopped: str = ""


@dataclass
class State:
    """Where a training stands: `step` steps are done in all, `epochs` are validated."""

    step: int = 0
    epochs: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Training:
    """One training: what it works on, with, and how far it is."""

    model: Trainable
    optimizer: Optimizer
    train: Prepared
    held_out: Prepared | None
    settings: TrainSettings
    folder: Path
    identity: dict[str, Any]
    device: str
    precision: str
    seed: int
    log: Log | None
    state: State = field(default_factory=State)

    @property
    def steps_per_epoch(self) -> int:
        """A last batch of fewer than two videos is left out: it has no negatives."""
        videos, batch = len(self.train), self.settings.batch_videos
        batches = videos // batch + (videos % batch >= max(2, distributed.world()))
        return max(1, math.ceil(batches / self.settings.accumulate))


def save(training: Training) -> None:
    """Write the checkpoint from which `resume` continues to the same bits; all processes wait."""
    if distributed.is_main():
        record = {
            "identity": training.identity, "state": asdict(training.state),
            "scaler": training.optimizer.scaler.state_dict(),
        }  # fmt: skip
        checkpoints.save(training.folder, training.model, training.optimizer.adam, record)
    distributed.barrier()


def resume(training: Training) -> None:
    """Continue from the folder's checkpoint, if any. UsageError if it is another training's.

    One of fewer epochs, finished or not, is continued where its steps are those of this one.
    """
    folder, settings = training.folder, training.settings

    def check(record: dict[str, Any]) -> None:
        state = State(**record["state"])
        other = ""
        if settings.plans_ahead:
            other = f", and with schedule {settings.schedule} every step depends on their number"
        elif state.step > settings.epochs * training.steps_per_epoch:
            other = f", and {state.step / training.steps_per_epoch:g} are trained already"
        checkpoints.check_identity(
            folder / checkpoints.LAST, record["identity"], training.identity, other
        )
        # Seen now, not after the epochs that are left.
        if (
            settings.keep == "best"
            and state.best_epoch
            and not (folder / checkpoints.BEST).is_file()
        ):
            raise checkpoints.lost_best(folder, state.best_epoch)
        training.state = state
        if record["scaler"]:
            training.optimizer.scaler.load_state_dict(record["scaler"])

    checkpoints.restore(folder, training.model, training.optimizer.adam, check)


def finish(training: Training, failures: list[Failure], stopped: str) -> Trained:
    """Write the model that `keep` names, with a card that says how it came about."""
    state, settings = training.state, training.settings
    folder = training.folder / "model"
    # Without a best epoch of its own, a file of that name is some earlier training's.
    own = settings.keep == "best" and state.best_epoch > 0
    if own:
        checkpoints.restore_best(training.folder, training.model, state.best_epoch)
    if distributed.is_main():
        facts = {
            "settings": asdict(settings), "data": training.train.data.name,
            "videos": len(training.train), "epochs": state.epochs, "steps": state.step,
            "seed": training.seed, "precision": training.precision,
            "best_epoch": state.best_epoch, "criterion": list(settings.criterion),
            "held_out": state.best, "texts": training.train.counts,
            "seconds": round(state.seconds, 1), "stopped": stopped,
            **({"init": training.identity["init"]} if "init" in training.identity else {}),
        }  # fmt: skip
        training.model.save(folder, {"training": facts})
    distributed.barrier()
    return Trained(
        folder, state.epochs, state.best_epoch, state.best, settings.criterion, failures, stopped
    )
