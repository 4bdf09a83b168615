"""Whether a JSON document is a result that the commands can show (docs/result-format.md)."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

_KINDS: dict[str, type | tuple[type, ...]] = {
    "task": str, "task_version": int, "protocol": str, "source": dict, "model": dict,
    "metrics": dict, "metric_info": dict, "primary": str, "coverage": dict, "chance": dict,
    "warnings": list,
}  # fmt: skip
_OPTIONAL: dict[str, type] = {
    "settings": dict, "predictions": dict, "seconds": dict, "floor": str, "failures": list,
    "kind": str,
}  # fmt: skip
_COUNTS = ("expected", "answered", "clips", "missing", "broken")


def fault_of(document: Mapping[str, Any]) -> str:
    """What is wrong with a result document, in a few words; empty where nothing is.

    A number that is none, or a coverage that claims more than there is, is a fault.
    """
    for name, kind in _KINDS.items():
        if not isinstance(document.get(name), kind):
            return f"no usable '{name}'"
    for name, kind in _OPTIONAL.items():
        if name in document and not isinstance(document[name], kind):
            return f"no usable '{name}'"
    return _names(document) or _coverage(document["coverage"]) or _numbers(document)


def _names(document: Mapping[str, Any]) -> str:
    if not isinstance(document.get("settings", {}).get("task", {}), dict):
        return "no usable settings of the task"
    if not re.fullmatch(r"\w[\w-]{0,60}", document["task"]):
        return "the task's name is none"  # it becomes a file's
    if not all(isinstance(told, str) for told in document["warnings"]):
        return "no usable 'warnings'"
    if not isinstance(document["source"].get("name"), str):
        return "the source has no name"
    if not isinstance(document["model"].get("name"), str):
        return "the model has no name"
    if "predictions" in document and not all(
        isinstance(document["predictions"].get(key), str) for key in ("file", "sha256")
    ):
        return "'predictions' names no file and hash"
    return ""


def _coverage(coverage: Mapping[str, Any]) -> str:
    for name in _COUNTS:
        value = coverage.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return f"coverage: no usable '{name}'"
    if coverage["answered"] > coverage["expected"]:
        return "coverage: more answered than expected"
    limit = coverage.get("limit")
    return "" if limit is None or isinstance(limit, int) else "coverage: no usable 'limit'"


def _numbers(document: Mapping[str, Any]) -> str:
    metrics, info = document["metrics"], document["metric_info"]
    for name, entry in metrics.items():
        if not isinstance(entry, dict) or not finite(entry.get("value")):
            return f"metric '{name}' has no value"
        low, high = entry.get("low"), entry.get("high")
        if {"low", "high"} - entry.keys() or not (low is high is None or finite(low, high)):
            return f"metric '{name}' has no usable interval"
        told = info.get(name)
        if not isinstance(told, dict) or not isinstance(told.get("higher_is_better"), bool):
            return f"metric_info does not say how to read '{name}'"
    if document["primary"] not in metrics:
        return "the primary metric has no value"
    if document["chance"].keys() - info.keys():
        return "chance of no known metric"
    return "" if finite(*document["chance"].values()) else "chance holds what is no number"


def finite(*values: Any) -> bool:
    """Whether all are numbers that a float can hold: not NaN, not infinite, not beyond both."""
    return all(
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max  # false for NaN; JSON has whole numbers of any size
        for value in values
    )
