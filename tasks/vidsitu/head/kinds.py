"""The heads there are: our own, and VideoWhisperer's as published."""

from __future__ import annotations

from tasks.vidsitu.head.models import SituationHead
from tasks.vidsitu.head.settings import WHISPERER, HeadSettings
from tasks.vidsitu.head.whisperer import WhispererHead

Head = SituationHead | WhispererHead


def head_of(settings: HeadSettings, dim: int, context_dim: int, verbs: int, tokens: int) -> Head:
    """An untrained head of the kind that `settings` name."""
    kind = WhispererHead if settings.head == WHISPERER else SituationHead
    return kind(settings, dim, context_dim, verbs, tokens)
