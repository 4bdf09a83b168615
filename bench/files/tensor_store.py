"""Content-addressed tensors on disk: every key is written once, whole or not at all.

A store is a plain folder of safetensors files, so that it can be shared over a network file system,
looked into with any tool and deleted at any time. Two that compute the same key all the same write
the same bytes, and the last rename wins.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import locks
from bench.files.atomic import write_bytes
from bench.files.leftovers import sweep

AHEAD = 16  # entries that the disk is asked for before they are read
Entry = tuple[dict[str, np.ndarray], dict[str, Any]]

# Made once: `json.dumps` would make one for every key of a large store.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str)


def digest(*parts: object) -> str:
    """A 32-digit hash of JSON-ready values; the same values give the same digest anywhere."""
    text = _ENCODER.encode(parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file, read in blocks: it may be larger than memory."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


class TensorStore:
    """Arrays and a small JSON record a key, in `root/<first two digits>/<key>.safetensors`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        sweep(root)

    def path(self, key: str) -> Path:
        """Where `key` lies or would lie."""
        return Path(self._file(key))

    def _file(self, key: str) -> str:
        return f"{self.root}/{key[:2]}/{key}.safetensors"  # no Path: there are many

    def __contains__(self, key: str) -> bool:
        return os.path.isfile(self._file(key))  # noqa: PTH113

    def put(self, key: str, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Write atomically. Raises BenchError when the folder cannot be written."""
        from safetensors.numpy import save

        kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content = save(kept, metadata={"record": json.dumps(record)})
        write_bytes(self.path(key), content, self.root)

    def kept(
        self,
        key: str,
        make: Callable[[], dict[str, np.ndarray]],
        is_valid: Callable[[dict[str, np.ndarray]], bool],
    ) -> dict[str, np.ndarray]:
        """The arrays of `key`, made and put where absent or not `is_valid`.

        Two processes do not both make them.
        """
        if (found := self.get(key)) and is_valid(found[0]):
            return found[0]
        with locks.locked(self.root / key):
            if (found := self.get(key)) and is_valid(found[0]):
                return found[0]
            arrays = make()
            self.put(key, arrays, {})
            return arrays

    def get_each(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """`get` of one key after the other, while the system already fetches those that follow."""
        for key in keys[:AHEAD]:
            self._fetch(key)
        for at, key in enumerate(keys):
            if at + AHEAD < len(keys):
                self._fetch(keys[at + AHEAD])
            yield self.get(key)

    def _fetch(self, key: str) -> None:
        """Have a file read into the page cache in the background, where the system can."""
        if not hasattr(os, "posix_fadvise"):
            return
        with suppress(OSError):  # absent, most often
            file = os.open(self._file(key), os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(file)

    def get(self, key: str) -> Entry | None:
        """The arrays and the record, or None where the key is absent or its file is damaged.

        A damaged file (power cut, foreign hands) is as good as absent: it is computed again.
        """
        from safetensors import SafetensorError, safe_open

        if key not in self:
            return None
        try:
            with safe_open(self._file(key), framework="np") as file:
                record = json.loads((file.metadata() or {}).get("record", "{}"))
                if not isinstance(record, dict):
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, RecursionError):
            return None
        except (TypeError, AttributeError, KeyError):  # a type that NumPy lacks, such as BF16
            return None
