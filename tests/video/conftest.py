"""A plain video for all of these tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from clips import write_video


@pytest.fixture(scope="session")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames at 30 a second, H.264 with B-frames, the index in front."""
    path = tmp_path_factory.mktemp("mp4") / "plain.mp4"
    return write_video(path, container_options={"movflags": "+faststart"})
