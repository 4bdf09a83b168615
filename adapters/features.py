"""Features that somebody else computed, in a folder: no model, nothing decoded, nothing encoded.

`features:DIR` reads VidSitu's event features and, where they are there, GVSR's objects, as the code
of the two writes and reads them (TheShadow29/VidSitu at b794988, zeeshank95/GVSR at 6b092eb):

- `DIR/events/SEGMENT_feats.npy`: five rows of a clip, one an event, or twenty, four frames each.
- `DIR/objects/SEGMENT.tsv`: a line a frame, eleven at least, of tab-separated fields; numbers are
  base64 of little-endian float32. As many objects in every frame.

docs/vidsitu.md describes both. No file is trusted: neither kind can hold code here.
"""

from __future__ import annotations

import base64
import io
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import RunConfig
from bench.contracts import Adapter
from bench.errors import BenchError, DataError, UsageError, plain
from bench.files.tensor_store import digest
from bench.files.untrusted import read_bytes
from bench.video.preprocessing import Preprocessing

EVENTS, OBJECTS = "events", "objects"
EVENT_FILE, OBJECT_FILE = "_feats.npy", ".tsv"  # what follows the segment's name
ROWS = (5, 20)  # of a clip's features: its events, or four frames of each
FRAMES = 11  # looked for objects, at one a second; further lines are not read, as officially
FIELDS = ("img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf",
          "num_boxes", "boxes", "features")  # fmt: skip
LARGEST = 64 << 20  # bytes of a file; a clip's objects are 1.8 MB
REMEDY = "extract it again, or remove it: its clip then counts as missing"


class FeaturesAdapter(Adapter):
    """The features in the folder `spec`. UsageError without one, DataError for one of other form.

    A clip without a file is a missing one; a file that is broken stops the run.
    """

    reads_texts = False
    has_objects = False
    is_video_model = True  # a feature an event; of frames the task takes what there is

    def __init__(self, name: str, run: RunConfig, spec: str | None = None) -> None:
        if not spec:
            raise UsageError("name the folder of the features: features:DIR")
        self.name, self._folder = name, Path(spec).expanduser()
        self.has_objects = (self._folder / OBJECTS).is_dir()
        self.rows, self.embed_dim = read_events(self._first(EVENTS, EVENT_FILE)).shape
        if self.rows not in ROWS or (self.has_objects and self.rows != ROWS[0]):
            wanted = "5, one an event" if self.has_objects else "5 or 20"
            raise DataError(
                f"{self._first(EVENTS, EVENT_FILE)}: {self.rows} rows, {wanted}, are expected"
            )

    @classmethod
    def problem(cls, run: RunConfig, name: str, **settings: Any) -> str | None:
        """What is wrong with the folder; None where nothing is seen to be."""
        try:
            cls(name, run, **settings)
        except BenchError as error:
            return str(error)
        return None

    @property
    def preprocessing(self) -> Preprocessing:
        """There is none. BenchError."""
        raise BenchError(f"model '{self.name}' is features on disk: it encodes no pictures")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every file's name, size and date of writing."""
        kinds = [(EVENTS, EVENT_FILE), *([(OBJECTS, OBJECT_FILE)] if self.has_objects else [])]
        return digest("features", [
            [kind, path.name, *_state(path)[:2]] for kind, ending in kinds
            for path in self._listed(kind, ending)
        ])  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Sizes of what is there."""
        found: dict[str, Any] = {"features": {"rows": self.rows, "numbers": self.embed_dim}}
        if self.has_objects:
            frames, objects, numbers = self._object_shape
            found["objects"] = {"frames": frames, "a_frame": objects, "numbers": numbers}
        return found

    def encode_texts(self, texts: Any) -> np.ndarray:
        """There is no text encoder. BenchError."""
        raise BenchError(f"model '{self.name}' is features on disk: it reads no texts")

    # What `bench.capabilities.ReadsFeatures` promises.

    def missing(self, clip: str) -> str:
        """The file that there is not of a clip; empty where all are there."""
        return next((str(path) for path in self._files(clip) if not path.is_file()), "")

    def identity(self, clip: str) -> str:
        """Of a clip's files: names, sizes, dates of writing and of change, inodes."""
        return digest("features", [[path.name, *_state(path)] for path in self._files(clip)])

    def features(self, clip: str) -> np.ndarray:
        """float32 [rows, D] of a clip. DataError names a broken file, or one of another shape."""
        path = self._files(clip)[0]
        found = read_events(path)
        if found.shape != (self.rows, self.embed_dim):
            raise DataError(
                f"{path}: shape {list(found.shape)}, where the folder's first file has "
                f"[{self.rows}, {self.embed_dim}]; {REMEDY}"
            )
        return found

    def objects(self, clip: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features [11, O, D], boxes in pixels [11, O, 4], heights and widths [11, 2]."""
        path = self._files(clip)[1]
        found = read_objects(path)
        if found[0].shape != self._object_shape:
            raise DataError(
                f"{path}: objects of shape {list(found[0].shape)}, where the folder's first file "
                f"has {list(self._object_shape)}; {REMEDY}"
            )
        return found

    @cached_property
    def _object_shape(self) -> tuple[int, ...]:
        return read_objects(self._first(OBJECTS, OBJECT_FILE))[0].shape

    def _files(self, clip: str) -> list[Path]:
        paths = [self._folder / EVENTS / f"{clip}{EVENT_FILE}"]
        return [*paths, self._folder / OBJECTS / f"{clip}{OBJECT_FILE}"][: 1 + self.has_objects]

    def _first(self, kind: str, ending: str) -> Path:
        if found := self._listed(kind, ending):
            return found[0]
        raise DataError(
            f"{self._folder / kind}: no files *{ending} there; docs/vidsitu.md describes the folder"
        )

    def _listed(self, kind: str, ending: str) -> list[Path]:
        try:
            names = sorted(os.listdir(self._folder / kind))  # noqa: PTH208 - names alone
        except OSError as error:
            raise DataError(
                f"{self._folder / kind}: cannot be listed ({plain(error)}); docs/vidsitu.md "
                "describes the folder"
            ) from error
        return [self._folder / kind / name for name in names if name.endswith(ending)]


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def read_events(path: Path) -> np.ndarray:
    """An array of numpy.save as float32 [rows, D]. DataError names the file and what is wrong.

    Nothing is unpickled, and no more is taken into memory than the file has.
    """
    content = read_bytes(path, REMEDY, LARGEST)
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0}[version]  # fmt: skip
        shape, fortran, kind = read(stream)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, EOFError) as error:
        raise DataError(f"{path}: no array of numpy.save ({plain(error)}); {REMEDY}") from error
    if kind.kind != "f" or len(shape) != 2 or min(shape) < 1:
        raise DataError(
            f"{path}: {kind} of shape {list(shape)}; rows of floating-point numbers are expected; "
            + REMEDY
        )
    rest = content[stream.tell() :]
    if len(rest) != shape[0] * shape[1] * kind.itemsize:
        raise DataError(f"{path}: {len(rest)} bytes of an array of {list(shape)}; {REMEDY}")
    array = np.ndarray(shape, kind, rest, order="F" if fortran else "C")
    return _finite(np.ascontiguousarray(array, np.float32), path)


def read_objects(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [11, O, D], boxes [11, O, 4] in pixels, heights and widths [11, 2] of a file.

    DataError names the file, its line, and what is wrong.
    """
    lines = read_bytes(path, REMEDY, LARGEST).splitlines()
    if len(lines) < FRAMES:
        raise DataError(f"{path}: {len(lines)} frames, {FRAMES} are expected; {REMEDY}")
    frames = [_frame(line, f"{path}:{at}") for at, line in enumerate(lines[:FRAMES], 1)]
    features, boxes, sizes = zip(*frames, strict=True)
    if len({part.shape for part in features}) > 1:
        raise DataError(f"{path}: frames of different numbers of objects; {REMEDY}")
    return np.stack(features), np.stack(boxes), np.array(sizes, np.float32)


def _frame(line: bytes, where: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Features [O, D], boxes [O, 4], height and width of one line."""
    values = line.split(b"\t")
    if len(values) != len(FIELDS):
        raise DataError(f"{where}: {len(values)} fields, {len(FIELDS)} are expected; {REMEDY}")
    found = dict(zip(FIELDS, values, strict=True))
    try:
        height, width, count = (int(found[name]) for name in ("img_h", "img_w", "num_boxes"))
        boxes, features = (
            np.frombuffer(base64.b64decode(found[name], validate=True), "<f4").reshape(count, -1)
            for name in ("boxes", "features")
        )
    except ValueError as error:
        raise DataError(f"{where}: no objects of a frame ({plain(error)}); {REMEDY}") from error
    if min(height, width, count) < 1 or boxes.shape[1] != 4 or not features.shape[1]:
        raise DataError(
            f"{where}: {count} objects with {boxes.shape[1]} numbers a box in a frame of {width} x "
            f"{height}; {REMEDY}"
        )
    return _finite(features, where), _finite(boxes, where), (height, width)


def _finite(array: np.ndarray, where: Any) -> np.ndarray:
    if not np.isfinite(array).all():
        raise DataError(f"{where}: NaN or infinite numbers; {REMEDY}")
    return array
