"""Caption metrics against pycocoevalcap, called as VidSitu's evaluator calls it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from bench.metrics.captions import Captions

WORDS = ["man", "in", "a", "red", "hat", "runs", "away", "the", "house", "quickly", "é", "."]


def made_up(seed: int, items: int) -> tuple[list[str], list[list[str]]]:
    """Captions and one to four references, some empty, some equal, some with double blanks."""
    chooser = random.Random(seed)

    def text() -> str:
        words = chooser.choices(WORDS, k=chooser.choice([0, 1, 2, 3, 5, 9]))
        return chooser.choice([" ", " ", "  "]).join(words)

    references = [[text() for _ in range(chooser.randint(1, 4))] for _ in range(items)]
    hypotheses = [chooser.choice([chooser.choice(group), text()]) for group in references]
    return hypotheses, references


def as_coco(hypotheses: list[str], references: list[list[str]]) -> tuple[Any, Any]:
    return dict(enumerate(references)), {i: [text] for i, text in enumerate(hypotheses)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("items", [1, 2, 40])
def test_all_three_equal_pycocoevalcap(seed: int, items: int) -> None:
    hypotheses, references = made_up(seed, items)
    ours = Captions.of(hypotheses, references)
    truth, said = as_coco(hypotheses, references)
    bleu, _ = Bleu(4).compute_score(truth, said, verbose=0)
    np.testing.assert_allclose(ours.bleu()[0], bleu, atol=1e-9)
    rouge, each = Rouge().compute_score(truth, said)
    np.testing.assert_allclose(ours.rouge, each, atol=1e-9)
    assert ours.rouge.mean() == pytest.approx(rouge, abs=1e-9)
    if any(text.split() for group in references for text in group):
        cider, each = Cider().compute_score(truth, said)
        np.testing.assert_allclose(ours.cider(), each, atol=1e-9)
        assert ours.cider().mean() == pytest.approx(cider, abs=1e-9)


def test_groups_are_scored_as_sets_of_their_own() -> None:
    hypotheses, references = made_up(5, 30)
    group = np.arange(30) % 3
    ours = Captions.of(hypotheses, references)
    for name in range(3):
        chosen = [i for i in range(30) if group[i] == name]
        truth, said = as_coco([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        cider, _ = Cider().compute_score(truth, said)
        assert ours.cider(group)[chosen].mean() == pytest.approx(cider, abs=1e-9)
        bleu, _ = Bleu(4).compute_score(truth, said, verbose=0)
        np.testing.assert_allclose(ours.bleu(group)[name], bleu, atol=1e-9)
