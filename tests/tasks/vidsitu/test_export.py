"""Predictions for the leaderboard: the official format, no video left out."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Features, Source, Workplace
from bench.errors import UsageError
from tasks.vidsitu import export
from tasks.vidsitu.scoring.predictions import read_predictions
from tasks.vidsitu.task import VidSitu

from .conftest import Seeing


def test_hidden_splits(
    source: Source, features: Features, place: Workplace, tmp_path: Path
) -> None:
    for split, kind in export.KINDS.items():
        task = export.load(source, split)
        seen = [clip.id for clip in task.clips]
        clips = {**features.clips, **dict.fromkeys(seen, next(iter(features.clips.values())))}
        given = Features(clips, features.texts)
        learnt = task.learn(given, Seeing(), place)
        lines = list(task.answer(replace(given, learnt=learnt), Seeing()))
        path = tmp_path / f"{split}.pkl"
        assert export.write(task, lines, None, path) == []
        entries = pickle.loads(path.read_bytes())  # our own file
        assert [entry["ann_idx"] for entry in entries] == list(range(len(seen)))
        assert read_predictions(path, len(seen)).kind == kind
        if kind == "verbs":
            assert all(0 < p <= 1 for event in entries[0]["pred_scores_ev"] for p in event)
        else:
            root = source.root / "vidsitu_annotations" / "vseg_ann_files"
            named = json.loads((root / "vsann_testsrl_noann_lb.json").read_text())
            given_verbs = [named[0][f"Ev{k}"]["VerbID"] for k in range(1, 6)]
            assert [e["vb_id"] for e in entries[0]["vb_output"].values()] == given_verbs


def test_a_video_without_an_answer_still_has_an_entry(source: Source, tmp_path: Path) -> None:
    task = export.load(source, "valid")
    for kind in ("verbs", "roles"):
        path = tmp_path / f"{kind}.json"
        lost = export.write(task, [], kind, path)
        assert lost == [clip.id for clip in task.clips]
        assert read_predictions(path, len(lost)).missing == 0


def test_unclear_wishes(source: Source, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--split must be one of testvb, testsrl, valid"):
        export.load(source, "test")
    task = export.load(source, "valid")
    with pytest.raises(UsageError, match="say which with --kind"):
        export.check(task, None, tmp_path / "x.json")
    with pytest.raises(UsageError, match=r"\.json or \.pkl"):
        export.check(task, "verbs", tmp_path / "x.txt")


def made_up(task: VidSitu) -> list[dict[str, Any]]:
    """An answer for every clip but the second, each with words of its own."""
    return [
        {
            "item": clip.id,
            "verbs": [[f"{clip.id}-e{event}-{rank}.01" for rank in range(5)] for event in range(5)],
            "scores": [[-0.1 * (rank + event + 1) for rank in range(5)] for event in range(5)],
            "roles": {f"Ev{event + 1}": {"Arg0": f"{clip.id} {event}"} for event in range(5)},
        }
        for place, clip in enumerate(task.clips) if place != 1
    ]  # fmt: skip


def test_entries_are_the_answers_in_the_splits_order(source: Source, tmp_path: Path) -> None:
    task = export.load(source, "valid")
    lines = made_up(task)
    assert export.write(task, lines[::-1], "verbs", tmp_path / "v.json") == [task.clips[1].id]
    entries = json.loads((tmp_path / "v.json").read_text())
    assert [entry["ann_idx"] for entry in entries] == list(range(len(task.clips)))
    answered = [entry for place, entry in enumerate(entries) if place != 1]
    for line, entry in zip(lines, answered, strict=True):
        assert entry["pred_vbs_ev"] == line["verbs"]
        assert entry["pred_scores_ev"] == pytest.approx(np.exp(line["scores"]))
    # What could not be read: the verbs that training has most often, none before another.
    counts = Counter(event.verb_id for one in task.training.values() for event in one.events)
    for event in entries[1]["pred_vbs_ev"]:
        assert [counts[verb] for verb in event] == sorted(counts.values(), reverse=True)[:5]
    assert {score for event in entries[1]["pred_scores_ev"] for score in event} == {0.0}


def test_roles_stand_under_the_models_verbs_unless_verbs_are_given(
    source: Source, tmp_path: Path
) -> None:
    for split in ("valid", "testsrl"):
        task = export.load(source, split)
        lines = made_up(task)
        export.write(task, lines, "roles", tmp_path / "r.json")
        entries = json.loads((tmp_path / "r.json").read_text())
        entry, line = entries[0]["vb_output"], lines[0]
        assert [entry[f"Ev{k}"]["Arg0"] for k in range(1, 6)] == [
            f"{line['item']} {event}" for event in range(5)
        ]
        own = [entry[f"Ev{k}"]["vb_id"] == line["verbs"][k - 1][0] for k in range(1, 6)]
        assert own == [split == "valid"] * 5


def test_verbs_are_given_for_the_hidden_role_split_alone(source: Source, tmp_path: Path) -> None:
    """Though its file should name a segment of another split."""
    root = Path(shutil.copytree(source.root, tmp_path / "tree"))
    folder = root / "vidsitu_annotations" / "vseg_ann_files"
    valid = json.loads((folder / "vsann_valid_lb.json").read_text())
    (folder / "vsann_testsrl_noann_lb.json").write_text(json.dumps(valid))
    task = export.load(replace(source, root=root), "valid")
    lines = made_up(task)
    export.write(task, lines, "roles", tmp_path / "r.json")
    entry = json.loads((tmp_path / "r.json").read_text())[0]["vb_output"]
    assert [entry[f"Ev{k}"]["vb_id"] for k in range(1, 6)] == [e[0] for e in lines[0]["verbs"]]
