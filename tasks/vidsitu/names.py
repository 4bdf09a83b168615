"""What the official evaluator's numbers are called here, in percent."""

from __future__ import annotations

from collections.abc import Mapping

from bench.metrics.resampling import Statistics, scaled
from tasks.vidsitu.scoring.rules import SCORED

ZERO_SHOT = "zero-shot/"  # stands before the verbs' numbers without training

# Official name -> ours; all are fractions there but for CIDEr's 0..10, and percent here.
VERBS = {
    **{f"Per_Ev_Top_{k}": f"Vb@{k}" for k in range(1, 6)},
    **{f"Per_Vid_Top_{k}": f"video/Vb@{k}" for k in range(1, 6)},
    "recall_macro_1_th_9": "Rec@5",
}
ROLES = {
    "cider": "CIDEr", "MacroVb_cider": "CIDEr-Vb", "MacroArg_cider": "CIDEr-Arg",
    **{f"{role}_cider": f"CIDEr/{role}" for role in SCORED},
    "rouge": "ROUGE-L", **{f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)},
    "lea": "LEA", "lea_soft": "LEA-soft", "muc": "MUC", "bcub": "B-cubed", "ceafe": "CEAF-e",
    "mentions": "mentions",
}  # fmt: skip
RELATIONS = {"Top_1": "EvRel@1", "Macro_Top_1": "EvRel-macro@1"}


def renamed(names: Mapping[str, str], official: Mapping[str, float]) -> dict[str, float]:
    """Those of `names` that are there, under our name and times 100."""
    return {ours: 100 * official[name] for name, ours in names.items() if name in official}


def renamed_statistics(names: Mapping[str, str], official: Statistics) -> Statistics:
    """The same of functions."""
    return {ours: scaled(official[name], 100) for name, ours in names.items() if name in official}
