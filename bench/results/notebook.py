"""A result in a notebook: its board's row as HTML, and its metrics as a table of pandas."""

from __future__ import annotations

from html import escape
from typing import Any

from bench import registry
from bench.errors import BenchError, printable
from bench.results.document import Document, Value, toy_remark


def row_as_html(document: Document) -> str:
    """The row that its board has for the result, under the board's columns; text is escaped."""
    names = columns(document)
    head = ["model", *(f"{name} {_arrow(document, name)}".rstrip() for name in names), "coverage"]
    cells = [document.name, *(_cell(document.metrics[name]) for name in names), document.covered]
    toy = toy_remark() if document.toy else ""
    return (
        f"<table><caption>{_text(document.protocol + toy)}</caption>"
        f"<thead><tr>{''.join(f'<th>{_text(one)}</th>' for one in head)}</tr></thead>"
        f"<tbody><tr>{''.join(f'<td>{_text(one)}</td>' for one in cells)}</tr></tbody></table>"
    )


def columns(document: Document) -> list[str]:
    """The metrics that the task's boards show; all of a task that is not installed here."""
    try:
        wanted = list(registry.task_class(document.task).columns)
    except BenchError:
        wanted = []
    return [name for name in wanted if name in document.metrics] or list(document.metrics)


def as_frame(document: Document) -> Any:
    """A pandas DataFrame with a row a metric; bounds are NaN where there is no interval.

    Columns: model, protocol, metric, value, low, high, unit, higher_is_better. BenchError without
    pandas.
    """
    try:
        import pandas
    except ImportError as error:
        raise BenchError("a table needs pandas: pip install pandas") from error
    nothing = float("nan")
    rows = [
        {
            "model": document.name, "protocol": document.protocol, "metric": name,
            "value": one.value, "low": nothing if one.low is None else one.low,
            "high": nothing if one.high is None else one.high,
            "unit": document.metric_info[name].unit,
            "higher_is_better": document.metric_info[name].higher_is_better,
        }
        for name, one in document.metrics.items()
    ]  # fmt: skip
    return pandas.DataFrame(rows)


def short(document: Document) -> str:
    """Model, protocol, the primary metric and coverage, on one line."""
    value = _cell(document.metrics[document.primary])
    return printable(f"{document.name} on {document.protocol}: {document.primary} {value}, "
                     f"{document.covered}")  # fmt: skip


def _arrow(document: Document, name: str) -> str:
    return "↑" if document.metric_info[name].higher_is_better else "↓"


def _cell(one: Value) -> str:
    """As boards print it: `25.7 [19.7, 31.7]`."""
    return f"{one.value:.1f}{one.bounds}"


def _text(text: str) -> str:
    return escape(printable(text))
