"""Work shared among processes, without starting any."""

from __future__ import annotations

import pytest

from bench import distributed


def test_work_is_divided_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process makes its own parts, and together they make all, once."""
    made: list[tuple[int, str]] = []
    waited: list[int] = []
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setattr(distributed, "barrier", lambda rank=rank: waited.append(rank))
        distributed.divide("abcdefg", lambda part, rank=rank: made.append((rank, part)))
        assert waited[-1] == rank and made[-1][0] == rank
    assert sorted(part for _, part in made) == list("abcdefg")
