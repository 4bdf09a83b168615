"""Sentences around the name of a class, and the feature of a class from several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.contracts import normalise
from bench.errors import DataError, UsageError
from bench.files.paths import expanded
from bench.files.tensor_store import digest
from bench.files.untrusted import read_text

DEFAULT = ("a photo of a {}.",)  # ViFi-CLIP's, which its evaluation of actions puts around names
# A short list of ours, averaged as CLIP does with its own, much longer ones, which are not shipped.
OURS = (
    "a video of {}.", "a short clip that shows {}.", "somebody is {}.", "the action is {}.",
    "an example of {}.", "a scene of {} in a film.", "people can be seen {}.",
)  # fmt: skip


def templates_of(setting: str) -> tuple[Sequence[str], str]:
    """The templates that a setting names, and what they are called in a protocol; '' by default.

    `default`, `averaged` (ours), or a file with a template a line, where {} stands for the class.
    UsageError for another word, DataError for a line without {}.
    """
    if setting == "default":
        return DEFAULT, ""
    if setting == "averaged":
        return OURS, f"{len(OURS)} templates of ours averaged"
    path = Path(expanded(setting))
    if not path.is_file():
        raise UsageError(
            f"templates cannot be {setting!r}: no such file; take default, averaged (ours), or "
            "save those of a paper in a file, a line each, with {} for the class"
        )
    lines = [line.strip() for line in read_text(path).splitlines()]
    for number, line in enumerate(lines, 1):
        if line and line.count("{}") != 1:
            raise DataError(f"{path}:{number}: a template has {{}} once, for the class's name")
    found = [line for line in lines if line]
    if not found:
        raise DataError(f"{path}: no templates in it; write a line each")
    if len(set(found)) < len(found):
        raise DataError(f"{path}: a template is there twice; remove one")
    return found, f"{len(found)} templates averaged ({digest(found)[:8]})"


def class_features(texts: np.ndarray, classes: int) -> np.ndarray:
    """Text features [classes * templates, D], the templates of a class in a row -> [classes, D].

    The mean of the normalised features of a class's sentences, normalised, as CLIP's ensembles.
    """
    return normalise(normalise(texts).reshape(classes, -1, texts.shape[-1]).mean(axis=1))
