"""VidSitu's numbers against the official evaluator's, on every golden vector."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import DataError
from bench.metrics.captions import Captions
from bench.metrics.coreference import METRICS, Mentions, coreference_counts, f1
from bench.metrics.verbs import relation_metrics, relation_scores, verb_metrics, verb_scores
from tasks.vidsitu.annotations import EVENTS, Annotation, load_annotations, load_split
from tasks.vidsitu.scoring.rules import role_metrics, short_role

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = [
    (case.name, file.stem.removeprefix("pred_"))
    for case in sorted((GOLDEN / "vidsitu").iterdir())
    for file in sorted(case.glob("pred_*.json"))
]
EXACT = 1e-9  # on the raw scale; 1.8e-15 was seen


def given(case: str, name: str) -> Any:
    return json.loads((GOLDEN / "vidsitu" / case / f"{name}.json").read_text(encoding="utf-8"))


def expected(case: str, prediction: str) -> dict[str, Any]:
    path = GOLDEN / "expected" / f"{case}.expected.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[prediction]
    return found


def annotated(case: str, folder: Path) -> list[list[Annotation]]:
    """The case's annotations in split order, read by the ordinary loader from an ordinary tree."""
    for source, target in (
        ("split", "split_files/vseg_split_valid_lb.json"),
        ("vsann", "vseg_ann_files/vsann_valid_lb.json"),
    ):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_text(json.dumps(given(case, source)))
    found = load_annotations(folder, "valid")
    return [found[segment] for segment in load_split(folder, "valid")]


def answers(case: str, prediction: str) -> list[Any]:
    """Predictions in split order; of two for one video the first counts, as officially."""
    first: dict[int, Any] = {}
    for line in given(case, f"pred_{prediction}"):
        first.setdefault(line["ann_idx"], line)
    return [first.get(place) for place in range(len(given(case, "split")))]


def compare(ours: dict[str, float], official: dict[str, Any]) -> None:
    for name, value in official.items():
        assert ours[name] == pytest.approx(value, abs=EXACT), name


@pytest.mark.parametrize(("case", "prediction"), [c for c in CASES if c[1].startswith("srl")])
def test_roles_equal_the_official_evaluator(case: str, prediction: str, tmp_path: Path) -> None:
    predictions = [line["vb_output"] if line else {} for line in answers(case, prediction)]
    scores = role_metrics(annotated(case, tmp_path), predictions)
    compare(scores.metrics, expected(case, prediction))


@pytest.mark.parametrize(("case", "prediction"), [c for c in CASES if c[1].startswith("verb")])
def test_verbs_equal_the_official_evaluator(case: str, prediction: str) -> None:
    votes = {entry["vid_seg_int"]: entry["vbid_lst"] for entry in given(case, "vinfo")}
    labels = [[votes[segment][event] for event in EVENTS] for segment in given(case, "split")]
    predicted = [line["pred_vbs_ev"] for line in answers(case, prediction)]
    compare(verb_metrics(verb_scores(predicted, labels)), expected(case, prediction))


@pytest.mark.parametrize(("case", "prediction"), [c for c in CASES if c[1].startswith("evrel")])
def test_relations_equal_the_official_evaluator(case: str, prediction: str) -> None:
    grouped: dict[str, list[Any]] = {}
    for entry in given(case, "vsann"):
        grouped.setdefault(entry["Ev1"]["vid_seg_int"], []).append(entry)
    labels = [
        [[a[event]["EvRel"] for a in grouped[segment][:3]] for event in EVENTS if event != "Ev3"]
        for segment in given(case, "split")
    ]
    predicted = [line["pred_evrels_ev"] for line in answers(case, prediction)]
    official = expected(case, prediction)
    macro = official.pop("Macro_Top_Dct")
    ours = relation_metrics(relation_scores(predicted, labels))
    compare(ours, official)
    compare(ours, {f"Macro/{label}": value for label, value in macro.items()})


def test_every_kind_of_golden_vector_is_there() -> None:
    assert len(CASES) == 41


# --- the parts -----------------------------------------------------------------------------------


def test_a_group_scores_as_if_it_stood_alone() -> None:
    random = np.random.default_rng(0)

    def caption() -> str:
        return " ".join(random.choice(list("abcde"), random.integers(0, 8)))

    hypotheses = [caption() for _ in range(60)]
    references = [[caption() + " x" for _ in range(random.integers(1, 4))] for _ in range(60)]
    group = np.sort(random.integers(0, 4, 60))
    together = Captions.of(hypotheses, references)
    for number in range(4):
        chosen = np.flatnonzero(group == number)
        alone = Captions.of([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        np.testing.assert_allclose(together.cider(group)[chosen], alone.cider(), atol=1e-12)
        np.testing.assert_allclose(together.bleu(group)[number], alone.bleu()[0], atol=1e-12)


def test_captions_of_nothing() -> None:
    empty = Captions.of(["", "a"], [[""], [" "]])
    assert empty.cider().tolist() == [0, 0]
    assert empty.rouge.tolist() == [1, 0]  # "" is one empty token, as officially
    with pytest.raises(ValueError, match="no reference"):
        Captions.of(["a"], [[]])
    with pytest.raises(ValueError, match="2 hypotheses"):
        Captions.of(["a", "b"], [["a"]])


def mentions(*rows: tuple[int, int, int]) -> Mentions:
    video, key, system = np.array(rows, np.int64).reshape(-1, 3).T
    return Mentions(video, key, system, np.ones(len(video)))


def test_coreference_of_equal_and_of_disjoint_sides() -> None:
    same = coreference_counts(mentions((0, 0, 1), (0, 0, 1), (0, 1, 0)), 2)
    assert all(f1(same[:, place]) == pytest.approx(1) for place in range(len(METRICS)))
    nothing = coreference_counts(mentions((0, 0, -1), (0, 0, -1), (0, 1, -1)), 2)
    assert all(f1(nothing[:, place]) == 0 for place in range(len(METRICS)))
    assert not coreference_counts(mentions(), 3).any()


@pytest.mark.parametrize("seed", range(5))
def test_videos_are_counted_as_if_they_stood_alone_and_matched_at_best(seed: int) -> None:
    chooser = np.random.default_rng(seed)
    rows = [(video, 4 * video + chooser.integers(4), 4 * video + chooser.integers(4))
            for video in range(6) for _ in range(chooser.integers(1, 9))]  # fmt: skip
    relabelled = np.unique([r[1] for r in rows], return_inverse=True)[1]
    others = np.unique([r[2] for r in rows], return_inverse=True)[1]
    found = [(v, int(k), int(s)) for (v, _, _), k, s in zip(rows, relabelled, others, strict=True)]
    together = coreference_counts(mentions(*found), 6)
    for video in range(6):
        own = [row for row in found if row[0] == video]
        sides = [np.unique([row[side] for row in own], return_inverse=True)[1] for side in (1, 2)]
        alone = coreference_counts(
            mentions(*((0, int(k), int(s)) for k, s in zip(*sides, strict=True))), 1
        )
        np.testing.assert_allclose(together[video], alone[0], atol=1e-12)
        assert alone[0, METRICS.index("ceafe"), 0] == pytest.approx(best_sum(*sides))


def best_sum(key: np.ndarray, system: np.ndarray) -> float:
    """The highest sum of 2 |c & d| / (|c| + |d|), by trying every matching."""
    table = np.zeros((key.max() + 1, system.max() + 1))
    np.add.at(table, (key, system), 1)
    table = 2 * table / (table.sum(axis=1)[:, None] + table.sum(axis=0))
    table = table if table.shape[0] <= table.shape[1] else table.T
    return max(
        sum(table[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(table.shape[1]), table.shape[0])
    )


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="1 predicted videos for 2"):
        verb_scores([[["a"]]], [[["a"]], [["a"]]])
    with pytest.raises(ValueError, match="video 0: 1 events for 2"):
        verb_scores([[["a"]]], [[["a"], ["a"]]])
    with pytest.raises(ValueError, match="video 0, event 0: 3 answers"):
        relation_scores([[["x"]]], [[["x", "x", "x"]]])


@pytest.mark.parametrize("key", ["Arg6 (x)", "ArgM (time)", "Scene", ""])
def test_an_unknown_role_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="unknown role"):
        short_role(key)
