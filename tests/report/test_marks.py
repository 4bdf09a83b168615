"""What boards say of measured rows together: ties, what was not tested, seeds, power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.metrics.bootstrap import Mean, Sample
from bench.metrics.resampling import median
from bench.report import boards as leaderboards
from bench.report.ablations import grid_boards
from bench.report.tables import Board, Row
from bench.report.text import render
from bench.results.document import Document, of_json
from bench.results.replicates import Found
from tests.faults.readers import RECORD

from .test_boards import result


class Kept:
    """Predictions of some results: a value a video, by the hash that stands for their lines."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values

    def replicates(self, document: Document) -> Found | None:
        if document.lines not in self.values:
            return None
        values = self.values[document.lines]
        clusters = np.arange(len(values))
        sample = Sample(len(values), {
            "R@1": Mean(values, np.ones(len(values))),
            "MdR": median(values, clusters, len(values)),
        })  # fmt: skip
        return sample.replicates(999, 0)

    def stale(self, document: Document) -> list[str]:
        return []

    def checked(self, document: Document) -> tuple[Any, list[str]]:
        return document.metrics, []


def kept(name: str, values: np.ndarray, seed: int = 0, **more: Any) -> dict[str, Any]:
    found = result(name, float(values.mean()), float(np.median(values)), **more)
    found["predictions"] = {"file": "x.jsonl", "sha256": f"{name} {seed}"}
    found["settings"] = {"resamples": 5, "seed": seed}
    found["source"]["fingerprint"] = "one"
    return found


def board(documents: list[dict[str, Any]], values: dict[str, np.ndarray]) -> Board:
    (made,) = leaderboards.boards([of_json(one) for one in documents], backing=Kept(values))
    return made


def rows_of(made: Board) -> dict[str, Row]:
    return {row.model: row for row in made.rows if row.kind == "measured"}


def test_tied_apart_and_not_tested_are_three_states() -> None:
    """The best, one as good, one much worse, and one that kept no predictions."""
    random = np.random.default_rng(0)
    base, noise = random.normal(50, 20, 200), random.normal(0, 9, 200)
    values = {"best 0": base, "equal 0": base - 0.5 + noise - noise.mean(), "weak 0": base - 30}
    documents = [kept(name.split()[0], one) for name, one in values.items()]
    bare = kept("bare", base - 60)
    del bare["predictions"]
    made = board([*documents, bare], values)
    found = rows_of(made)
    assert found["best"].best and not found["best"].tied and not found["best"].untested
    assert found["equal"].tied == ("R@1",) and not found["equal"].untested
    assert not found["weak"].tied and not found["weak"].untested
    assert found["bare"].untested == ("R@1",) and not found["bare"].tied
    for format_, tied, untested in (
        ("md", "≈", "?"), ("latex", r"$\approx$", "?"), ("rich", "≈", "?")
    ):  # fmt: skip
        lines = render([made], format_).splitlines()
        (equal,), (weak,), (none,) = (
            [line for line in lines if line.strip(" |│").startswith(name)]
            for name in ("equal", "weak", "bare")
        )
        assert tied in equal and untested not in equal
        assert tied not in weak and untested not in weak and untested in none
    assert all("MdR" not in row.tied + row.untested for row in found.values())


def test_without_predictions_nothing_reads_as_apart() -> None:
    (made,) = leaderboards.boards([of_json(result(n, v, 9)) for n, v in (("a", 20), ("b", 30))])
    assert rows_of(made)["a"].untested == ("R@1",) and not made.notes


def test_a_board_says_what_it_could_have_shown() -> None:
    """2.80 standard errors of the difference to the best."""
    random = np.random.default_rng(0)
    base, noise = random.normal(50, 20, (2, 400))
    values = {"best 0": base + 5, "other 0": base + noise - noise.mean()}
    made = board([kept(name.split()[0], one) for name, one in values.items()], values)
    (note,) = made.notes
    seen = float(note.split("below ")[1].split()[0])
    assert seen == pytest.approx(2.8 * noise.std() / 20, rel=0.1) and "in R@1" in note
    for format_ in ("md", "latex", "rich", "json"):
        assert "most often have been missed" in " ".join(render([made], format_).split())
    few = {name: one[:5] for name, one in values.items()}
    made = board([kept(name.split()[0], one) for name, one in few.items()], few)
    assert made.notes == ("No difference can be tested: 5 independent groups of videos.",)
    assert all(row.tied for row in rows_of(made).values() if not row.best)


def trained(name: str, values: np.ndarray, seed: int, rank: int = 4) -> dict[str, Any]:
    """A model's result of one training seed, under a name that says its folder."""
    found = kept(name, values, seed)
    found["model"] = {
        "name": f"{name}@runs/{seed}", "fingerprint": f"{name} {seed}",
        "adapter": {"settings": {"rank": rank}, "training": {"seed": seed, "seconds": seed * 2.0}},
    }  # fmt: skip
    found["settings"]["seed"] = 0
    return found


def test_runs_of_several_seeds_are_one_row() -> None:
    """Mean and spread; its interval and its ties are over seeds too."""
    base = np.random.default_rng(0).normal(50, 20, 300)
    levels = (10.0, 20.0, 30.0)
    values = {"plain 0": base} | {f"lora {n}": base + level for n, level in enumerate(levels)}
    documents = [kept("plain", base)]
    documents += [trained("lora", base + level, seed) for seed, level in enumerate(levels)]
    found = rows_of(board(documents, values))
    row = found["lora (3 seeds)"]
    assert set(found) == {"plain", "lora (3 seeds)"}
    assert row.values["R@1"] == pytest.approx(base.mean() + 20)
    assert row.spread["R@1"] == pytest.approx(10)
    assert "mean of 3 runs, seeds 0, 1, 2; sd over seeds: R@1 10.0" in row.remark
    low, high = row.bounds["R@1"]
    assert high - low > 40  # two degrees of freedom: 4.3 times 10 / sqrt(3) on either side
    assert found["plain"].tied == ("R@1",)  # surely apart from each of the three
    assert row.provenance.count("+") == 2
    alone = rows_of(board([documents[0], documents[1]], values))
    assert not alone["plain"].tied


def test_only_runs_that_differ_by_their_seed_are_pooled() -> None:
    base = np.random.default_rng(0).normal(50, 20, 60)
    values = {f"lora {n}": base + n for n in range(3)}
    other = trained("lora", base, 1, rank=8)
    again = trained("lora", base, 0)
    again["model"]["name"] = "lora@runs/again"
    for second in (other, again):
        found = rows_of(board([trained("lora", base, 0), second], values))
        assert len(found) == 2 and all("seeds" not in name for name in found)


def test_a_model_that_no_seed_changes_is_not_pooled() -> None:
    """`--seed 1` on a frozen model repeats its predictions: no second training."""
    base = np.random.default_rng(0).normal(50, 20, 60)
    documents = [kept("clip", base, seed) for seed in (0, 1)]
    for one in documents:
        one["predictions"]["sha256"] = "the same"
    found = board(documents, {"the same": base})
    assert [row.model for row in found.rows if row.kind == "measured"] == ["clip", "clip"]


def test_a_pooled_row_of_which_a_run_kept_nothing_is_not_tested() -> None:
    base = np.random.default_rng(0).normal(50, 20, 60)
    values = {"plain 0": base} | {f"lora {n}": base + 30 + n for n in range(2)}
    documents = [kept("plain", base)]
    documents += [trained("lora", values[f"lora {n}"], n) for n in range(2)]
    del values["lora 1"]  # its lines are gone
    found = rows_of(board(documents, values))
    assert found["lora (2 seeds)"].best and not found["lora (2 seeds)"].bounds
    assert found["plain"].untested == ("R@1",)


def test_an_ablation_table_has_the_marks_that_its_record_knows() -> None:
    """Older records tested nothing, and say so."""
    cell: dict[str, Any] = RECORD["rows"][0]  # type: ignore[assignment, index]
    metrics = {
        name: {"value": one["value"] - 1, "low": one["low"], "high": one["high"]}
        for name, one in cell["metrics"].items()
    }
    rows = [{**cell, "name": "qkv"}, {**cell, "name": "qkvo", "metrics": metrics}]
    (made,) = grid_boards({**RECORD, "rows": rows})
    best, other = made.rows[:2]
    assert set(best.best) >= {"Vb@1", "CIDEr"} and not best.untested and not best.tied
    assert set(other.untested) == {"Vb@1", "CIDEr", "geometric mean"} and not other.tied
    rows = [{**row, "tied": ["CIDEr"]} for row in rows]
    (made,) = grid_boards({**RECORD, "rows": rows})
    best, other = made.rows[:2]
    assert other.tied == ("CIDEr",) and not other.untested and not best.tied
