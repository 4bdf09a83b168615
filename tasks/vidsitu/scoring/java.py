"""METEOR and SPICE of role captions, by pycocoevalcap's Java programs, on request only.

The official evaluator computes neither, though it starts METEOR. Both are of the whole set, one
number each.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import BenchError, plain
from tasks.vidsitu.scoring.rules import RoleItems

_Captions = dict[int, list[str]]


def java_metrics(names: Sequence[str], items: RoleItems) -> dict[str, float]:
    """`METEOR` or `SPICE`, in percent, of every item's caption.

    BenchError where Java fails, or a program's files are not all there.
    """
    if shutil.which("java") is None:
        raise BenchError(
            f"{', '.join(names)}: no `java` found; install a Java runtime (8 or newer)"
        )
    if "SPICE" in names:
        _check_jars()
    references = {place: [_clean(text) for text in texts]
                  for place, texts in enumerate(items.references)}  # fmt: skip
    hypotheses = {place: [_clean(text)] for place, text in enumerate(items.hypotheses)}
    return {name: 100 * _PROGRAMS[name](references, hypotheses) for name in names}


def _check_jars() -> None:
    """pycocoevalcap would fetch what is absent unencrypted, and Java would run what came."""
    from pycocoevalcap.spice import get_stanford_models as models

    folder = Path(models.SPICEDIR) / models.SPICELIB
    jars = [f"{models.JAR}.jar", f"{models.JAR}-models.jar"]
    if absent := [name for name in jars if not (folder / name).is_file()]:
        raise BenchError(
            f"SPICE: no {' and '.join(absent)} in {folder}; take them from "
            f"https://nlp.stanford.edu/software/{models.CORENLP}.zip and put them there"
        )


def _clean(text: str) -> str:
    """One line without the separator of METEOR's protocol, which a caption could break out of."""
    return " ".join(text.replace("|||", " ").split())


def _meteor(references: _Captions, hypotheses: _Captions) -> float:
    from pycocoevalcap.meteor.meteor import Meteor

    try:
        score, _ = Meteor().compute_score(references, hypotheses)
    except (OSError, ValueError) as error:
        raise BenchError(
            f"METEOR: its Java program failed ({plain(error)}); check `java`"
        ) from error
    return float(score)


def _spice(references: _Captions, hypotheses: _Captions) -> float:
    from pycocoevalcap.spice.spice import Spice

    try:
        score, _ = Spice().compute_score(references, hypotheses)
    except Exception as error:  # it writes beside its own code and runs Java
        raise BenchError(f"SPICE: {plain(error)}; it needs Java 8 and 8 GB of memory") from error
    return float(score)


_PROGRAMS: dict[str, Callable[[_Captions, _Captions], float]] = {
    "METEOR": _meteor,
    "SPICE": _spice,
}
NAMES = tuple(_PROGRAMS)
