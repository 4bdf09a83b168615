"""What `bench data check` says of a source's files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contracts import Source, Task

SAMPLES = 3  # clips that a check shows


@dataclass(frozen=True)
class Check:
    """What `bench data check` tells: `facts` in order, `problems` as (what, how many, the first).

    `missing` are the ids of clips without a file, `remarks` what is no fault but worth knowing.
    `samples` are a few clips to look at: the id, what the data say of it, and its file.
    """

    facts: dict[str, Any]
    problems: list[tuple[str, int, str]]
    missing: list[str]
    remarks: list[str] = field(default_factory=list)
    samples: list[tuple[str, str, str]] = field(default_factory=list)


def check_of(task: Task, source: Source) -> Check:
    """Counts and faults of the files of a task that was loaded from `source`."""
    from bench.video.heads import common_folder, wrong_files

    missing = [clip.id for clip in task.clips if clip.path is None]
    found = {clip.id: clip.path for clip in task.clips if clip.path is not None}
    facts = {
        "annotations": str(task.annotations or source.annotations or source.root),
        "video folder": str(common_folder(found.values()) or source.videos or source.root),
        "protocol": task.protocol, "texts": len(task.texts), "videos": len(task.clips),
        "fingerprint": task.fingerprint,
    }  # fmt: skip
    problems = [("missing videos", len(missing), missing[0])] if missing else []
    samples = [
        (clip.id, task.caption(clip.id), str(clip.path or "missing"))
        for clip in task.clips[:SAMPLES]
    ]
    return Check(
        facts, [*problems, *wrong_files(found)], missing, remarks=task.remarks, samples=samples
    )
