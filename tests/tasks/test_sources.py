"""What is said of files and folders that are not what a source calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contracts import Source
from bench.errors import DataError
from bench.files.untrusted import read_text
from tasks.msrvtt import MSRVTT


def test_messages_say_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / MSRVTT.files[0]
    table.write_text("video_id,sentence\nvideo1,a dog\n")
    gone, folder = tmp_path / "gone", tmp_path / "data"
    for source, says in (
        (Source("s", gone), f"{gone}: no such folder; check the source"),
        (Source("s", table), f"{table}: a file, not a folder"),
        (Source("s", folder, annotations=folder), f"{folder}: a folder; name the file in it"),
        (Source("s", folder, annotations=gone), f"{gone}: no such file"),
        (Source("s", folder, videos=table), f"{table}: a file, not a folder of videos"),
        (Source("s", folder, videos=gone), f"{gone}: no such folder of videos"),
    ):
        with pytest.raises(DataError) as caught:
            MSRVTT.load(source)
        assert says in str(caught.value)
        assert "permission" not in str(caught.value) and "fetch" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_not_to_be_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a").write_text("")
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(DataError, match="a: cannot be read; check its permissions"):
        read_text(tmp_path / "a", "fetch the file again")


def test_a_folder_is_not_said_to_be_missing_or_irregular(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder, not a file"):
        read_text(tmp_path)
