"""What was requested of a run, as its result records it: no secrets, and no home folder's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config import ModelConfig, RunConfig
from bench.contracts import Source

SECRET = re.compile(r"(^|[._-])(api_?key|secret|token|passwords?|passwd|credentials?)$", re.I)
WITHHELD = "(not recorded)"


def effective(run: RunConfig, source: Source) -> dict[str, Any]:
    """The `configuration` of a result: the section `run` as it was in force, and the data's paths.

    What the task and the protocol were set to stands in the result's `settings`.
    """
    paths = {key: getattr(source, key) for key in ("root", "annotations", "videos", "frames_fps")}
    found: dict[str, Any] = recorded({"run": asdict(run), "source": paths})
    return found


def model_settings(model: ModelConfig) -> dict[str, Any]:
    """The same of a model: its adapter family and that family's settings."""
    found: dict[str, Any] = recorded({"adapter": model.adapter, **model.settings})
    return found


def recorded(value: Any) -> Any:
    """`value` as plain data for a result.

    Paths below the home folder begin with `~`, which bench.yaml and the command line expand again.
    What is under the name of a secret is withheld, also as `NAME=VALUE`.
    """
    if isinstance(value, Mapping):
        return {
            str(key): WITHHELD if SECRET.search(str(key)) else recorded(one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [recorded(one) for one in value]
    if isinstance(value, str | Path):
        return _text(str(value))
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _text(text: str) -> str:
    name, equals, _ = text.partition("=")
    if equals and SECRET.search(name):
        return f"{name}={WITHHELD}"
    try:
        home = str(Path.home())
    except RuntimeError:  # there is none
        return text
    if home == "/":
        return text
    # A path may stand within a name, as in MODEL@PATH, ARCH/PATH or FAMILY:PATH+PATH.
    return re.sub(rf"(^|[@:+=,/]){re.escape(home)}(?=/|$)", r"\1~", text)
