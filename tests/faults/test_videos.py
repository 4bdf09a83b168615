"""Every bad video of the corpus through the decoding processes: right, or a named failure."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.contracts import Failure
from bench.video import DecodedFrames
from tests.faults import videos

CASES = [*videos.CASES, *videos.DECODERS]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, DecodedFrames | Failure]:
    found = videos.outcomes(tmp_path_factory.mktemp("videos"), videos.CASES)
    return found | videos.unruly_outcomes(tmp_path_factory.mktemp("decoders"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_a_bad_video_is_read_right_or_refused(
    case: videos.Case, found: Mapping[str, DecodedFrames | Failure]
) -> None:
    outcome = found[case.kind]
    assert videos.right(case, outcome), (
        outcome
        if isinstance(outcome, Failure)
        else ([videos.read(frame) for frame in outcome.frames])
    )
    if isinstance(outcome, Failure):
        assert "\n" not in outcome.reason and len(outcome.reason) < 300
