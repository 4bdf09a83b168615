"""The heads there are: our own, and VideoWhisperer's as published."""

from __future__ import annotations

from tasks.vidsitu.head.models import SituationHead
from tasks.vidsitu.head.settings import WHISPERER, HeadSettings
from tasks.vidsitu.head.whisperer import WhispererHead

Head = SituationHead | WhispererHead


def head_of(
    settings: HeadSettings, dims: tuple[int, int], verbs: int, tokens: int, objects: bool = False
) -> Head:
    """An untrained head of the kind that `settings` name, for features of widths `dims`.

    With `objects`, which VideoWhisperer's alone can have, for objects found in frames.
    """
    if settings.head == WHISPERER:
        return WhispererHead(settings, *dims, verbs, tokens, objects)
    return SituationHead(settings, *dims, verbs, tokens)
