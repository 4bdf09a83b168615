"""Writing whole or not at all, and what a failed write says."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bench.config import RunConfig
from bench.errors import BenchError, UsageError
from bench.files import atomic
from bench.files.atomic import atomic_path, unwritable, write_bytes
from bench.files.tensor_store import TensorStore
from bench.training.log import Log


def test_a_folder_takes_anothers_place(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with atomic_path(tmp_path / "model") as made:
            made.mkdir()
            (made / text).write_text(text)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o777 & ~umask()
    with pytest.raises(KeyError), atomic_path(tmp_path / "model") as made:
        made.mkdir()
        raise KeyError
    assert (tmp_path / "model" / "new").is_file()


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_never_absent_and_a_failure_restores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    model = tmp_path / "model"
    (model / "old").mkdir(parents=True)
    gone = []

    def interrupted(self: Path, target: Path) -> Path:
        gone.append(not model.exists())
        if self.name == target.name:  # the second of two renames
            raise KeyboardInterrupt
        return rename(self, target)

    rename = Path.rename
    if not exchange:
        monkeypatch.setattr(atomic, "_exchanged", lambda *_: False)
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(Path, "rename", interrupted)
        with atomic_path(model) as made:
            (made / "new").mkdir(parents=True)
            (tmp_path / "link").symlink_to(model)  # what is beside it stays as it is
    assert gone == ([] if exchange else [False, True, True])
    assert [path.name for path in model.iterdir()] == ["new" if exchange else "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "model"]


def test_a_folder_takes_the_place_of_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "far" / "kept").mkdir(parents=True)
    for target in ("far", "nowhere"):
        (tmp_path / target[:4]).mkdir(exist_ok=True)
        link = tmp_path / f"link-{target}"
        link.symlink_to(tmp_path / target)
        with atomic_path(link) as made:
            made.mkdir()
        assert link.is_dir() and not link.is_symlink()
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space left on device; free space on its disk"),
        (errno.EDQUOT, "quota exceeded; free some of your quota"),
        (errno.EFBIG, "File too large; raise the limit"),
        (errno.EROFS, "Read-only file system; mount it for writing"),
        (errno.EACCES, "Permission denied; make its folder writable"),
        (errno.ENOTDIR, "Not a directory; move away the file"),
        (errno.EIO, "see that its disk is in order"),
    ],
)
def test_every_failure_says_path_and_remedy(tmp_path: Path, number: int, says: str) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(BenchError, match=f"cannot write {path}: .*{says}"), atomic_path(path):
        raise OSError(number, os.strerror(number))
    # As safetensors says it, which has no OSError:
    text = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
    assert says in str(unwritable(path, RuntimeError(text)))
    with pytest.raises(BenchError, match=says), atomic_path(path):
        raise RuntimeError(text)
    assert not list(tmp_path.iterdir())


def test_a_log_drops_a_cut_line_and_names_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"kind": "step", "step": 1}\n{"kind": "st')
    log = Log(tmp_path, None, {})
    log.write("step", 2, {})
    log.close()
    lines = (tmp_path / "log.jsonl").read_text()
    assert lines == '{"kind": "step", "step": 1}\n{"kind": "step", "step": 2}\n'
    full = r"/log.jsonl: No space left on device; free"
    with (
        Path("/dev/full").open("wb", buffering=0) as log._file,
        pytest.raises(BenchError, match=full),
    ):
        log.write("step", 3, {})


def test_without_a_home_no_folder_of_that_name_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # for a user without an entry
    with pytest.raises(UsageError, match=r"set run\.cache"):
        _ = RunConfig().cache_folder


def test_a_stores_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = TensorStore(tmp_path / "store")
    store.put("aa1", {"x": np.zeros(3, np.float32)}, {"n": 1})
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["aa1.safetensors"]
    assert store.path("aa1").stat().st_mode & 0o777 == 0o666 & ~umask()
    write_bytes(store.root / "bb" / "bb2", b"whole", store.root)
    assert sorted(path.name for path in store.root.iterdir()) == ["aa", "bb"]
    with pytest.raises(BenchError, match=r"cannot write .*move away the file"):
        write_bytes(store.path("aa1") / "below", b"", store.root)
    assert not list(store.root.glob(".tmp-*"))


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_the_permissions_are_known_without_changing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", None)  # other threads make files meanwhile
    assert 0 <= atomic._umask() <= 0o777
