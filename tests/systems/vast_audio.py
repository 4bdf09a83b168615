"""VAST with sound: its golden files have the form of those without."""

from __future__ import annotations

from tests.systems.vast import outputs

__all__ = ["outputs"]
