"""Annotations as VideoWhisperer reads them: six slots an event, a start and an end in each caption.

Where the official code differs from our own head's `training_examples`: the order of its roles, at
most six of an event in the order of Arg_List, and captions of 13 tokens between start and end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from tasks.vidsitu.annotations import Annotation
from tasks.vidsitu.head.videowhisperer import SLOTS, Targets
from tasks.vidsitu.scoring.rules import short_role

ROLE_IDS = ("Arg0", "Arg1", "Arg2", "Arg3", "Arg4", "Arg5", "AScn", "ADir", "APrp", "AMnr", "ALoc",
            "AGol")  # fmt: skip
ABSENT = len(ROLE_IDS)
VERB_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")  # classes before the verbs; the last for others
UNKNOWN = VERB_SYMBOLS.index("<unk>")


def slots_of(roles: Sequence[Sequence[Sequence[str]]]) -> torch.Tensor:
    """Short names of roles [B][P][...] -> int64 [B, P, SLOTS], ABSENT after the last one."""
    slots = torch.full((len(roles), len(roles[0]), SLOTS), ABSENT)
    for video, events in enumerate(roles):
        for event, names in enumerate(events):
            for place, name in enumerate(names[:SLOTS]):
                slots[video, event, place] = ROLE_IDS.index(name)
    return slots


def targets_of(
    annotations: Sequence[Annotation],
    verbs: Mapping[str, int],
    encode: Callable[[str], Sequence[int]],
    special: Mapping[str, int],
    most: int = 15,
) -> tuple[torch.Tensor, Targets]:
    """The slots of `annotations` and what is to be said of them.

    `verbs` are classes by verb id, `encode` gives a caption's tokens, `special` has start, end and
    pad. A caption has `most` tokens at most, start and end included. Roles beyond the sixth are
    not there at all, for role prediction neither.
    """
    shape = len(annotations), len(annotations[0].events)
    roles = [[[short_role(key) for key, _ in event.arguments[:SLOTS]] for event in one.events]
             for one in annotations]  # fmt: skip
    captions = torch.full((*shape, SLOTS, most), special["pad"])
    presence = torch.zeros(*shape, ABSENT)
    classes = torch.full(shape, UNKNOWN)
    for video, annotation in enumerate(annotations):
        for number, event in enumerate(annotation.events):
            classes[video, number] = verbs.get(event.verb_id, UNKNOWN)
            for name in roles[video][number]:
                presence[video, number, ROLE_IDS.index(name)] = 1
            for place, (_, text) in enumerate(event.arguments[:SLOTS]):
                words = list(encode(text))[: most - 2]
                ids = [special["start"], *words, special["end"]]
                captions[video, number, place, : len(ids)] = torch.tensor(ids)
    return slots_of(roles), Targets(classes, captions, presence, special["pad"])
