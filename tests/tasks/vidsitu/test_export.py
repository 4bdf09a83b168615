"""Predictions for the leaderboard: the official format, no video left out."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from bench.contracts import Features, Source, Workplace
from bench.errors import UsageError
from tasks.vidsitu import export
from tasks.vidsitu.predictions import read_predictions

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
