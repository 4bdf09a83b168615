"""Under which protocol a run stands: the task's own, and each departure from it spelled out.

What a run turns of it by options is in `bench.features.turning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.capabilities import ChecksModels, ReadsFeatures, Reranks
from bench.contracts import Adapter, Setup, Task
from bench.errors import BenchError, UsageError
from bench.registry import task_class, task_names
from bench.video.sampling import frame_counts

if TYPE_CHECKING:
    from bench.features.turning import Turned

OWN, PUBLISHED = "task", "published"
PROTOCOLS = (OWN, PUBLISHED)
ANY = "*"  # in `Adapter.published`: every task that is not named
INPUTS = ("frames", "audio", "subtitles")  # what an adapter may read of a clip


def setup_of(adapter: Adapter, task: str, protocol: str) -> Setup | None:
    """How the adapter was published on `task`, where that is the protocol.

    UsageError for an unknown protocol, and for a model without published settings.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{protocol}'; choose {' or '.join(PROTOCOLS)}")
    if protocol == OWN:
        return None
    if not (found := adapter.published.get(task) or adapter.published.get(ANY)):
        known = ", ".join(adapter.published)
        has = f"it has those of {known}" if known else "it has none"
        raise UsageError(
            f"model '{adapter.name}' has no published settings for task '{task}' ({has}); leave "
            "--protocol out"
        )
    return found


def check_frames(adapter: Adapter, task: Task, setup: Setup | None, turned: Turned) -> None:
    """UsageError where the plan gives a video model another number of frames than it can read."""
    plan, wanted = setup.plan if setup else turned.plan_of(task), adapter.clip_frames
    if wanted is None or frame_counts(plan) == range(wanted * task.parts, wanted * task.parts + 1):
        return
    of = f" in each of the {task.parts} clips that '{task.name}' makes" if task.parts > 1 else ""
    other = (
        not setup
        and task.parts == 1
        and (task.name in adapter.published or ANY in adapter.published)
    )
    remedy = (
        f"--protocol published takes them, --frames {wanted} the task's own so many"
        if other else "take another model for this task"
    )  # fmt: skip
    raise UsageError(
        f"model '{adapter.name}' reads exactly {wanted} frames{of}, and not those of the plan "
        f"{plan.key}; {remedy}"
    )


def check_inputs(adapter: Adapter, task: Task) -> None:
    """BenchError where the adapter reads what the task does not have, or the other way round."""
    if task.needs_texts and not adapter.reads_texts:
        able = [name for name in task_names() if _needs_no_texts(name)]
        raise UsageError(
            f"model '{adapter.name}' reads no texts, and task '{task.name}' needs them; tasks that "
            f"do not: {', '.join(able) or 'none'}"
        )
    if isinstance(task, ChecksModels):
        task.check_model(adapter)
    if unknown := sorted(adapter.inputs - set(INPUTS)):
        raise BenchError(
            f"{adapter.name}: unknown input '{unknown[0]}'; known: {', '.join(INPUTS)}"
        )
    extra = adapter.inputs - {"frames"}
    if extra and not adapter.is_video_model:
        raise BenchError(f"{adapter.name}: a model of frames reads nothing else; fix its inputs")
    if extra and task.parts > 1:
        raise BenchError(
            f"{adapter.name} reads {' and '.join(sorted(extra))}, and '{task.name}' makes "
            f"{task.parts} clips of each: which of it belongs to which is not known; take the "
            "model without"
        )
    if "subtitles" in extra and task.subtitles is None:
        raise BenchError(
            f"{adapter.name} reads subtitles, and the data of '{task.name}' have none; take a "
            "source that has them, or the model without"
        )


def _needs_no_texts(task: str) -> bool:
    try:
        return not task_class(task).needs_texts
    except BenchError:  # of a package that does not work
        return False


def check_reranking(adapter: Adapter, task: Task) -> Reranks:
    """The adapter, if it can re-rank and the task makes use of it; else UsageError."""
    if not isinstance(adapter, Reranks):
        raise UsageError(f"model '{adapter.name}' has no matching head; leave --rerank out")
    if not task.reranks:
        raise UsageError(f"task '{task.name}' ranks nothing again; leave --rerank out")
    return adapter


def check_together(protocol: str, rerank: bool, turned: Turned) -> None:
    """UsageError for options of a protocol that exclude each other."""
    if protocol == PUBLISHED and (turned.frames or turned.plan or turned.context):
        raise UsageError(
            "--protocol published has frames and a text length of its own; leave it out, or "
            "--frames, --plan and --context"
        )
    if rerank and turned.temperature:
        raise UsageError(
            "--rerank puts a matching head's scores in the place of the similarity, which "
            "--rescore needs; choose one"
        )


def departures(adapter: Adapter, setup: Setup | None, reranks: Reranks | None) -> list[str]:
    """What sets a run apart from its task's protocol, as it follows the protocol's name."""
    beside = "+".join(name for name in INPUTS if name in adapter.inputs - {"frames"})
    again = f"re-ranked-{reranks.matching}-{reranks.rerank_top}" if reranks else ""
    kept = "features from disk" if isinstance(adapter, ReadsFeatures) else ""
    return [name for name in (PUBLISHED if setup else "", beside, again, kept) if name]
