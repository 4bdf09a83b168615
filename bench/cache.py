"""Content-addressed tensors on disk: every key is written once, whole or not at all.

A store is a plain folder of safetensors files, so that it can be shared over a network file system,
looked into with any tool and deleted at any time. Writers never wait for each other: two that
compute the same key write the same bytes, and the last rename wins.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place in one rename.

    A failure leaves `path` as it was and the temporary file removed. BenchError says what to do
    when the disk is full or not writable.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        make_readable(temporary)
        temporary.replace(path)
    except OSError as error:
        raise BenchError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder "
            "(run.cache or run.output in bench.yaml)"
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def make_readable(path: Path) -> None:
    """The permissions that a new file or folder has by the user's umask.

    Temporary files are made for their owner alone, which would hide a shared store from others.
    """
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest(*parts: object) -> str:
    """A 32-digit hash of JSON-ready values; the same values give the same digest anywhere."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
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

    def path(self, key: str) -> Path:
        """Where `key` lies or would lie."""
        return self.root / key[:2] / f"{key}.safetensors"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def put(self, key: str, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Write atomically. Raises BenchError when the folder cannot be written."""
        from safetensors.numpy import save_file

        with atomic_path(self.path(key)) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()},
                temporary,
                metadata={"record": json.dumps(record)},
            )

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the record, or None where the key is absent or its file is damaged.

        A damaged file (power cut, foreign hands) is as good as absent: it is computed again.
        """
        from safetensors import SafetensorError, safe_open

        path = self.path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                record = json.loads((file.metadata() or {}).get("record", "{}"))
                if not isinstance(record, dict):
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, RecursionError):
            return None
