"""Predictions as people save them: other names, odd lengths, more than is read, NumPy's values."""

from __future__ import annotations

import doctest
import json
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Source
from bench.errors import DataError
from bench.results.document import Document
from tasks.vidsitu.scoring import spelling
from tasks.vidsitu.scoring.files import score_file

CASE = Path(__file__).parents[2] / "golden" / "vidsitu" / "small"


@pytest.fixture
def source(golden_tree: Path) -> Source:
    return Source("golden", golden_tree)


def good(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CASE / f"pred_{kind}.json").read_text())
    return found


def scored(source: Source, folder: Path, content: Any, name: str = "p.json") -> Document:
    if name.endswith("json"):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
    else:
        (folder / name).write_bytes(pickle.dumps(content))
    return score_file(source, folder / name, None, 5, 0)


LONG = {"Arg0": "Arg0 (who does it)", "Arg1": "ARG1", "Arg2": "arg_2", "ALoc": "ArgM (location)",
        "AScn": "Scene of the Event", "AMnr": "ArgM (manner)", "vb_id": "VB_ID"}  # fmt: skip


def test_names_that_are_plainly_meant_are_read_with_a_remark(
    source: Source, tmp_path: Path
) -> None:
    roles = good("srl_mid")
    right = scored(source, tmp_path, roles)
    assert right.warnings == []
    for name, spelled in (
        ("p.json", lambda event: event.lower()),
        ("p.pkl", lambda event: int(event[2:])),
        ("p.json", lambda event: f"event_{event[2:]}"),
    ):
        given = [
            {**entry, "vb_output": {spelled(ev): x for ev, x in entry["vb_output"].items()}}
            for entry in roles
        ]
        document = scored(source, tmp_path, given, name)
        assert document.metrics == right.metrics
        (remark,) = document.warnings
        assert f"{spelled('Ev1')!r} as Ev1 (20 times)" in remark
    given = [
        {
            **entry,
            "vb_output": {
                ev: {LONG.get(role, role): text for role, text in event.items()}
                for ev, event in entry["vb_output"].items()
            },
        }
        for entry in roles
    ]
    document = scored(source, tmp_path, given)
    assert document.metrics == right.metrics
    (remark,) = document.warnings
    assert "'Arg0 (who does it)' as Arg0 (73 times), 'ARG1' as Arg1 (69 times)" in remark
    assert "'ArgM (location)' as ALoc" in remark and "manner" not in remark


def test_the_examples_of_spellings() -> None:
    found = doctest.testmod(spelling)
    assert found.attempted >= 3 and not found.failed


def test_unknown_names_are_remarked(source: Source, tmp_path: Path) -> None:
    roles = good("srl_mid")
    for entry in roles:
        entry["vb_output"]["Ev6"] = {}
        for event in entry["vb_output"].values():
            if "AScn" in event:
                event["Scene"] = event.pop("AScn")
    roles[3]["vb_output"]["Ev1"]["Arg0 (doer)"] = "beside the official name, which counts"
    document = scored(source, tmp_path, roles)
    assert document.warnings == [
        "unknown events, which no metric reads: 'Ev6' (20 times); known are Ev1, Ev2, Ev3, Ev4, "
        "Ev5",
        "unknown roles, which no metric reads: 'Scene' (78 times), 'Arg0 (doer)' (once); known are "
        "Arg0, Arg1, Arg2, ALoc, AScn",
    ]
    assert document.metrics["CIDEr/AScn"].value == 0 < document.metrics["CIDEr/Arg0"].value
    (remark,) = scored(source, tmp_path, good("srl_norole")).warnings
    assert "every caption is empty" in remark
    (remark,) = scored(source, tmp_path, [
        {"ann_idx": place, "vb_output": {"Ev2": {"Arg0": "a"}}} for place in range(20)
    ]).warnings  # fmt: skip
    assert remark.startswith("20 predictions lack Ev1")


def test_relations_by_other_names(source: Source, tmp_path: Path) -> None:
    relations = good("evrel_near")
    right = scored(source, tmp_path, relations)
    assert right.warnings == []

    def of(change: Callable[[str], str]) -> list[dict[str, Any]]:
        return [
            {**entry, "pred_evrels_ev": [[change(name) for name in event]
                                         for event in entry["pred_evrels_ev"]]}
            for entry in relations
        ]  # fmt: skip

    document = scored(source, tmp_path, of(lambda name: name.lower().replace(" ", "_")))
    assert document.metrics == right.metrics
    assert "'reaction_to' as Reaction To (58 times)" in document.warnings[0]
    (remark,) = scored(source, tmp_path, of(lambda name: "Leads To")).warnings
    assert remark.startswith("unknown relations, which no metric reads: 'Leads To' (240 times)")
    relations[4]["pred_evrels_ev"][1] = ["Causes"]
    says = "p.json: video 4, event 1: 3 answers are needed, one an annotation"
    with pytest.raises(DataError, match=says):
        scored(source, tmp_path, relations)


def test_odd_lengths_are_remarked(source: Source, tmp_path: Path) -> None:
    verbs = [["run.01"] * 5, ["run.01"] * 4, [], ["run.01"] * 5 + [None], ["run.01"] * 5, 3]
    given = [{"ann_idx": 0, "pred_vbs_ev": verbs, "vb_output": {}}, *good("verb_mid")[1:]]
    remarks = scored(source, tmp_path, given).warnings[:4]
    assert [remark.partition("; ")[0] for remark in remarks] == [
        "1 predictions list more than 5 events",
        "2 events list fewer than 5 verbs",
        "1 events list more than 5 verbs",
        "scored as verbs",
    ]


def test_unknown_verbs_are_remarked_without_a_training_split(
    source: Source, tmp_path: Path
) -> None:
    """Then a verb without the number of a sense is, and one that no label knows may be right."""
    verbs = ["run.01", "unheard_of.03", "run", "Walk.1", "go"]
    (remark,) = scored(source, tmp_path, [
        {"ann_idx": place, "pred_vbs_ev": [verbs] * 5} for place in range(20)
    ]).warnings  # fmt: skip
    assert remark.startswith("3 verbs unknown to VidSitu, such as Walk.1")


def test_what_no_metric_reads_may_be_anything(source: Source, tmp_path: Path) -> None:
    odd = {"id": None, "score": math.nan, "boxes": [[math.inf, -math.inf]], "deep": {"a": [{}]}}
    verbs, roles = good("verb_mid"), good("srl_mid")
    right = [scored(source, tmp_path, each).metrics for each in (verbs, roles)]
    for entry in verbs:
        entry |= {"pred_scores_ev": [[-math.inf, math.nan]], "vb_output": None, **odd}
    for entry in roles:
        entry |= {"pred_vbs_ev": None, "vid_seg_int": None, **odd}
        for event in entry["vb_output"].values():
            event |= {"vb_id": None, "AMnr": 3, "Arg5": odd, "ArgM (purpose)": None}
    for name in ("p.json", "p.pkl"):
        found = [scored(source, tmp_path, each, name) for each in (verbs, roles)]
        assert [each.metrics for each in found] == right
        assert not found[0].warnings and not found[1].warnings
    text = json.dumps(verbs).replace('"id": null', '"id": "\\ud800", "id": {"a": 1, "a": 2}')
    assert scored(source, tmp_path, text).metrics == right[0]


def test_numpy_in_a_pickle_is_read_as_plain_values(source: Source, tmp_path: Path) -> None:
    verbs = good("verb_mid")
    right = scored(source, tmp_path, verbs).metrics
    for place, verb, whole in (
        (np.int64, list, list),
        (np.array, np.array, tuple),
        (float, tuple, lambda entries: np.array(entries, object)),
        (str, lambda event: [np.str_(name) for name in event], list),
    ):
        given = [
            OrderedDict(
                ann_idx=place(entry["ann_idx"]),
                pred_vbs_ev=[verb(event) for event in entry["pred_vbs_ev"]],
                pred_scores_ev=np.array(entry["pred_scores_ev"], np.float16),
            )
            for entry in verbs
        ]
        assert scored(source, tmp_path, whole(given), "p.pkl").metrics == right
    given = [{"ann_idx": 0, "pred_vbs_ev": [{"run.01", "walk.01"}] * 5}]
    with pytest.raises(DataError, match=r"event 1: a list of names is expected"):
        scored(source, tmp_path, given, "p.pkl")
    given = [{**entry, "ann_idx": str(entry["ann_idx"])} for entry in verbs]
    (remark,) = scored(source, tmp_path, given).warnings
    assert remark == "20 ann_idx are written as str; read as numbers"
