"""What would make a wrong number is refused, marked or made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.numbers import CHECKS


@pytest.mark.parametrize("fault", CHECKS)
def test_no_number_lies(fault: str, tmp_path: Path) -> None:
    assert CHECKS[fault](tmp_path)
