"""Which clips train and which validate, and with what negatives."""

from __future__ import annotations

import pytest

from bench.contracts import Source
from bench.training.protocols import TrainingSet
from tasks.vidsitu.training import training_sets


def ids(data: TrainingSet) -> list[str]:
    return [clip.id for clip in data.clips]


def test_held_out_clips_are_not_trained_on_and_the_same_whatever_the_share(source: Source) -> None:
    whole, held_out = training_sets(source, 4, 1.0, 0.2, 0)
    assert len(ids(whole)) == 24 and len(ids(held_out)) == 6
    assert not set(ids(whole)) & set(ids(held_out))
    half, again = training_sets(source, 4, 0.5, 0.2, 0)
    assert len(ids(half)) == 12 and ids(again) == ids(held_out) and set(ids(half)) < set(ids(whole))
    _, other = training_sets(source, 4, 1.0, 0.2, 1)
    assert set(ids(other)) != set(ids(held_out))
    everything, none = training_sets(source, 4, 1.0, 0.0, 0)
    assert len(ids(everything)) == 30 and not ids(none)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_negatives_of_held_out_clips_are_the_published_four(source: Source, count: int) -> None:
    data, held_out = training_sets(source, count, 1.0, 0.2, 0)
    assert {len(event) for video in data.negatives for event in video} == {count}
    assert {len(event) for video in held_out.negatives for event in video} == {4}


def test_negatives_follow_seed_and_segment(source: Source) -> None:
    """By clip: the same for a seed, others for another; two clips draw their own verbs."""

    def drawn(seed: int) -> dict[str, list[list[str]]]:
        parts = training_sets(source, 4, 1.0, 0.2, seed)
        return {clip: hard for part in parts
                for clip, hard in zip(ids(part), part.negatives, strict=True)}  # fmt: skip

    one, again, other = drawn(0), drawn(0), drawn(1)
    assert one == again and all(one[clip] != other[clip] for clip in one)

    def verbs(video: list[list[str]]) -> list[list[str]]:
        return [[text.split("action is ")[1].split(" where")[0] for text in event]
                for event in video]  # fmt: skip

    assert len({str(verbs(video)) for video in one.values()}) == len(one)
