"""Where a run's time went, from its Result."""

from __future__ import annotations

from textwrap import fill

from bench.errors import printable
from bench.results.document import Document

NUMBERS = 39  # columns of the table before its words

STAGES = {
    "keys": "naming what is in the stores",
    "store": "reading and writing the stores",
    "decode (waiting)": "the encoder waited for frames",
    "load model": "importing the framework, loading weights",
    "encode frames": "the model on frames",
    "encode texts": "the model on texts",
    "encode pairs": "the matching head on pairs",
    "learn": "what the task trains",
    "answer": "similarities, or the head's predictions",
    "score": "metrics and intervals",
}


def profile(document: Document, width: int = 80) -> str:
    """A table of the run's stages: seconds, share of the whole, what was done, and how fast.

    It is printable, and no wider than `width` where that leaves room for the words.
    """
    from tabulate import tabulate

    seconds, encoded = dict(document.seconds or {}), document.encoded or {}
    total = seconds.pop("total")
    rates = {
        f"encode {what}": f", {count} at {count / seconds[f'encode {what}']:.1f}/s"
        for what, count in encoded.items() if seconds.get(f"encode {what}")
    }  # fmt: skip
    rows = [
        (name, spent, STAGES.get(name, "") + rates.get(name, "")) for name, spent in seconds.items()
    ]
    rows.append(("rest", total - sum(seconds.values()), "all else"))
    rows.append(("total", total, "without starting Python and reading data"))
    words = max(12, width - NUMBERS)
    table = tabulate(
        [[name, f"{spent:.2f}", _share(spent, total), fill(said, words)]
         for name, spent, said in rows],
        ["stage", "seconds", "share", ""], "simple", disable_numparse=True,
        colalign=("left", "right", "right", "left"),
    )  # fmt: skip
    title = fill(printable(f"{document.name} on {document.protocol}:"), max(20, width))
    return f"{title}\n{table}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""
