"""Numbers that cannot lie: what would make a wrong one is refused, marked, or made again."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from adapters.weights import file_hash
from bench.config import RunConfig
from bench.contracts import Adapter, Scores, Source
from bench.engine import evaluate
from bench.errors import BenchError
from bench.files.tensor_store import TensorStore
from bench.report.ablations import grid_boards
from bench.report.boards import boards
from bench.report.page import render_page
from bench.report.tables import Page
from bench.report.text import render
from bench.results.files import Result, load, save
from tasks.msrvtt import MSRVTT
from tests.faults.readers import RECORD
from tests.faults.table import FaultRow
from tests.video.clips import HEIGHT, WIDTH, draw

CLIPS = 4


class Model(Adapter):
    """Features from pixels; `frames` and `texts` bend them. Counts the frames it encodes."""

    name, embed_dim, image_size, fingerprint = "model", 4, 16, "one"

    def __init__(self, bend: Callable[[np.ndarray], np.ndarray] = lambda x: x, **own: Any) -> None:
        self.bend, self.encoded = bend, 0
        vars(self).update(own)

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        self.encoded += len(frames)
        cells = frames.reshape(len(frames), 4, -1).mean(axis=2)
        return self.bend((cells - 100).astype(np.float32))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(t), t.count("a"), 3, int(t[-1])] for t in texts], np.float32)


def world(folder: Path) -> Path:
    """Four small videos and their sentences."""
    text = "key,vid_key,video_id,sentence\n"
    for number in range(CLIPS):
        _video(folder / f"video{number}.mp4", number * 37)
        text += f"r{number},m,video{number},a text {number}\n"
    (folder / MSRVTT.files[0]).write_text(text)
    return folder


def _video(path: Path, first: int) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(4):
            picture = np.roll(draw(first + number), first, axis=0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def run(folder: Path, model: Model) -> Result:
    """The model on the small world, its stores beside it."""
    config = RunConfig(cache=folder / "cache", workers=1, resamples=10)
    return evaluate(model, MSRVTT.load(Source("lab", folder)), config)


def _refused(call: Callable[[], object], words: str) -> str:
    try:
        call()
    except BenchError as error:
        assert words in str(error), str(error)
        return f"refused: {words}"
    raise AssertionError("not refused")


def not_a_number(folder: Path) -> str:
    return _refused(lambda: run(world(folder), Model(lambda x: x * np.float32("nan"))), "NaN")


def wrong_size(folder: Path) -> str:
    return _refused(lambda: run(world(folder), Model(lambda x: x[:, :3])), "was promised")


def constant(folder: Path) -> str:
    result = run(world(folder), Model(np.ones_like))
    (warning,) = result.data["warnings"]
    assert "nearly the same" in warning and result.metrics["R@1"] == 0
    document = load(save(result, folder / "results"))
    for format_ in ("md", "latex", "csv", "json", "rich"):
        assert "nearly" in render(boards([document]), format_)
    return "scores as nothing; a warning in the result and on every board"


def nearly_constant(folder: Path) -> str:
    result = run(world(folder), Model(lambda x: 1 + x * np.float32(1e-6)))
    assert "nearly the same" in result.data["warnings"][0]
    return "a warning in the result and on every board"


def zero(folder: Path) -> str:
    result = run(world(folder), Model(np.zeros_like))
    assert "are zero" in result.data["warnings"][0] and result.metrics["R@1"] == 0
    return "scores as nothing (ties stand behind); a warning"


def odd_task(folder: Path) -> str:
    class Odd(MSRVTT):
        @classmethod
        def score(cls, predictions: Any, **how: Any) -> Scores:
            found = super().score(predictions, **how)
            return replace(found, metrics={**found.metrics, "MnR": float("nan")})

    task = Odd.load(Source("lab", world(folder)))
    config = RunConfig(cache=folder / "cache", workers=1, resamples=10)
    return _refused(lambda: evaluate(Model(), task, config), "NaN or infinite")


def healthy(folder: Path) -> str:
    assert run(world(folder), Model()).data["warnings"] == []
    return "no warning"


def other_weights(folder: Path) -> str:
    run(world(folder), Model())
    again, other = Model(), Model(fingerprint="two")
    run(folder, again)
    run(folder, other)
    assert (again.encoded, other.encoded) == (0, 12 * CLIPS)
    return "another fingerprint finds nothing in the store: encoded again"


def foreign_store(folder: Path) -> str:
    first = run(world(folder), Model())
    store = TensorStore(folder / "cache" / "features")
    for odd in (np.ones((12, 5), np.float32), np.full((12, 4), np.nan, np.float32),
                np.ones((12, 4), np.int8)):  # fmt: skip
        for path in store.root.rglob("*.safetensors"):
            found = store.get(path.stem)
            store.put(path.stem, {"features": odd}, found[1] if found else {})
        again = Model()
        assert run(folder, again).predictions == first.predictions
        assert again.encoded == 12 * CLIPS
    return "of another size, type or with NaN: taken as absent, encoded again"


def changed_video(folder: Path) -> str:
    first = run(world(folder), Model())
    _video(folder / "video0.mp4", 99)
    os.utime(folder / "video0.mp4", (1, 1))  # by a clock that was set back
    again = Model()
    assert run(folder, again).predictions != first.predictions and again.encoded
    return "decoded and encoded again, though its date is older"


def changed_weights(folder: Path) -> str:
    path = folder / "w.bin"
    path.write_bytes(b"one")
    os.utime(path, (5, 5))
    first = file_hash(path, folder / "cache")
    (folder / "n.bin").write_bytes(b"two")
    os.utime(folder / "n.bin", (5, 5))
    (folder / "n.bin").replace(path)
    assert file_hash(path, folder / "cache") != first
    return "of the same size and date: hashed again"


def partial(folder: Path) -> str:
    world(folder)
    (folder / "video1.mp4").write_bytes(b"")
    result = run(folder, Model())
    document = load(save(result, folder / "results"))
    assert "3/4 partial" in str(result)
    found = boards([document])
    for format_ in ("md", "latex", "csv", "json", "rich"):
        assert "3/4 partial" in render(found, format_), format_
    (row,) = csv.DictReader(io.StringIO(render([replace(found[0], rows=found[0].rows[:1])], "csv")))
    assert row["kind"] == "partial" and not row["best"]
    page = Page("t", "", found, [], [], {})
    assert "3/4 partial" in render_page(page)
    cell = {**RECORD["rows"][0], "coverage": "1/2 partial", "name": "qkv"}  # type: ignore[index]
    (board,) = grid_boards({**RECORD, "rows": [cell]})
    (row,) = [r for r in board.rows if r.kind == "partial"]
    assert not set(row.best) & {"Vb@1", "CIDEr"}
    return "marked in text, md, latex, csv, json, terminal, html and grids; never ranked"


def lying_result(folder: Path) -> str:
    path = save(run(world(folder), Model()), folder / "results")
    whole = json.loads(path.read_text())
    whole["coverage"]["answered"] = 99
    path.write_text(json.dumps(whole))
    _refused(lambda: load(path), "more answered than expected")
    path.write_text(json.dumps({**whole, "metrics": {"R@1": {"value": float("nan")}}}))
    return _refused(lambda: load(path), "not readable as JSON")


CHECKS: dict[str, Callable[[Path], str]] = {
    "healthy features": healthy, "NaN features": not_a_number,
    "features of a wrong size": wrong_size, "constant features": constant,
    "nearly constant features": nearly_constant, "features of zero: all ties": zero,
    "a task that scores NaN": odd_task,
    "a store of other weights": other_weights, "a store not written by us": foreign_store,
    "a video changed, the clock set back": changed_video,
    "weights changed, size and date kept": changed_weights, "partial coverage": partial,
    "a result that claims too much, or NaN": lying_result,
}  # fmt: skip


def rows(quick: bool) -> list[FaultRow]:
    """A row a check; `quick` leaves nothing out."""
    found = []
    for fault, check in CHECKS.items():
        with tempfile.TemporaryDirectory() as folder:
            found.append(FaultRow("Numbers", fault, 1, check(Path(folder))))
    return found
