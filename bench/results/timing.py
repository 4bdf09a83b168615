"""Where a run's time went, from its Result."""

from __future__ import annotations

from bench.results.document import Document

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


def profile(document: Document) -> str:
    """A table of the run's stages: seconds, share of the whole, what was done, and how fast."""
    from tabulate import tabulate

    seconds, encoded = dict(document.seconds or {}), document.encoded or {}
    total = seconds.pop("total")
    rates = {
        f"encode {what}": f", {count} at {count / seconds[f'encode {what}']:.1f}/s"
        for what, count in encoded.items() if seconds.get(f"encode {what}")
    }  # fmt: skip
    rows = [
        [name, spent, _share(spent, total), STAGES.get(name, "") + rates.get(name, "")]
        for name, spent in seconds.items()
    ]
    rest = total - sum(seconds.values())
    rows.append(["rest", rest, _share(rest, total), "all else"])
    rows.append(["total", total, _share(total, total), "without starting Python and reading data"])
    table = tabulate(rows, ["stage", "seconds", "share", ""], "simple", floatfmt=".2f",
                     colalign=("left", "right", "right", "left"))  # fmt: skip
    return f"{document.name} on {document.protocol}:\n{table}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""
