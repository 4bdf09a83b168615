"""Scoring prediction files: both formats, what is refused, what is named."""

from __future__ import annotations

import gzip
import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Source
from bench.errors import BenchError, DataError, UsageError
from bench.metrics.verbs import verb_metrics, verb_scores
from tasks.vidsitu.scoring.files import score_file
from tasks.vidsitu.scoring.intervals import verb_statistics
from tasks.vidsitu.scoring.java import _clean
from tasks.vidsitu.scoring.predictions import read_predictions

GOLDEN = Path(__file__).parents[2] / "golden"
CASE = GOLDEN / "vidsitu" / "small"
EXPECTED = json.loads((GOLDEN / "expected" / "small.expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def source(golden_tree: Path) -> Source:
    return Source("golden", golden_tree)


@pytest.mark.parametrize("suffix", ["json", "pkl"])
def test_both_formats_give_the_official_numbers(source: Source, suffix: str) -> None:
    verbs = score_file(source, CASE / f"pred_verb_mid.{suffix}", None, 50, 0)
    assert verbs.kind == "verbs" and verbs.protocol == "vidsitu/20 items"
    value = verbs.metrics["Vb@1"]
    assert value.value == pytest.approx(100 * EXPECTED["verb_mid"]["Per_Ev_Top_1"])
    assert value.low <= value.value <= value.high
    roles = score_file(source, CASE / f"pred_srl_mid.{suffix}", None, 50, 0).metrics
    assert roles["CIDEr"].value == pytest.approx(100 * EXPECTED["srl_mid"]["cider"])
    assert roles["CIDEr-Vb"].value == pytest.approx(100 * EXPECTED["srl_mid"]["MacroVb_cider"])
    assert roles["LEA-soft"].value == pytest.approx(100 * EXPECTED["srl_mid"]["lea_soft"])
    relations = score_file(source, CASE / f"pred_evrel_near.{suffix}", "evrel", 50, 0).metrics
    assert relations["EvRel@1"].value == pytest.approx(100 * EXPECTED["evrel_near"]["Top_1"])


@pytest.mark.parametrize(
    "prediction", ["srl_mid", "srl_rand", "srl_norole", "verb_mid", "evrel_near"]
)
def test_a_resample_that_draws_each_video_once_gives_the_metric(
    source: Source, prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the sums over videos that the intervals rest on are those of every metric."""
    once = "bench.metrics.bootstrap.resample_weights"
    monkeypatch.setattr(once, lambda videos, *_: iter([np.ones((1, videos))]))
    document = score_file(source, CASE / f"pred_{prediction}.json", None, 1, 0)
    for name, entry in document.metrics.items():
        if "@" in name and name != "Rec@5" and entry.low != entry.high:  # Wilson's, of a share
            assert entry.low is not None and entry.low <= entry.value, name
            continue
        assert entry.low == pytest.approx(entry.value, abs=1e-9), name
        assert entry.high == pytest.approx(entry.value, abs=1e-9), name


def test_verbs_seen_in_ten_events_count_and_in_nine_do_not() -> None:
    """In the number and in its interval alike: Rec@5 is over verbs of more than nine events."""
    for seen, expected in ((9, 0.5), (10, 0.75), (11, 0.75)):
        # `rare` is always found; `often`, in twenty events, in every second one.
        labels = [[[verb, verb]] for verb in ["rare"] * seen + ["often"] * 20]
        found = [[["rare"]]] * seen + [[["often"]], [["other"]]] * 10
        scores = verb_scores(found, labels)
        assert verb_metrics(scores)["recall_macro_1_th_9"] == pytest.approx(expected)
        counted = verb_statistics(scores)["recall_macro_1_th_9"]
        assert counted(np.ones((1, len(labels)))) == pytest.approx(expected)


def entries(count: int = 20) -> list[dict[str, Any]]:
    return [{"ann_idx": i, "pred_vbs_ev": [["run.01"] * 5] * 5} for i in range(count)]


def saved(folder: Path, content: Any, name: str = "p.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_missing_and_repeated_videos_are_counted(source: Source, tmp_path: Path) -> None:
    document = score_file(source, saved(tmp_path, [*entries(18), *entries(3)]), None, 10, 0)
    assert document.coverage.missing == 2 and document.coverage.answered == 18
    assert "3 predictions for a video given before" in document.warnings[0]
    # The first counts, as officially: a second, wrong one changes nothing.
    good = json.loads((CASE / "pred_verb_mid.json").read_text())
    wrong = [{**entry, "pred_vbs_ev": [["nothing.01"] * 5] * 5} for entry in good]
    once, twice = (
        score_file(source, saved(tmp_path, given), None, 10, 0).metrics
        for given in (good, [*good, *wrong])
    )
    assert once == twice and once["Vb@1"].value > 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ([], "a list of predictions"),
        ({}, "a list of predictions"),
        ([{"ann_idx": 0}], "give --kind"),
        ([3], "give --kind"),
        ([{"ann_idx": 20, "pred_vbs_ev": [[]] * 5}], "ann_idx 20 is not a place in 0..19"),
        ([{"ann_idx": True, "pred_vbs_ev": [[]] * 5}], "ann_idx True"),
        ([{"ann_idx": 0, "pred_vbs_ev": [[]] * 4}], "entry 0: verbs of 5 events"),
        ([{"ann_idx": 0, "pred_vbs_ev": [[1]] * 5}], "entry 0, event 1: a list of names"),
        ([*entries(1), {"ann_idx": 1, "vb_output": {}}], "entry 1: no 'pred_vbs_ev'"),
        ([{"ann_idx": 0, "vb_output": {"Ev1": {"Arg0": 1}}}], "roles must map to text"),
        ([{"ann_idx": 0, "vb_output": {"Ev1": {}}}], "Ev2 is missing"),
        ([{"ann_idx": 0, "vb_output": {"Ev1": {"Arg0": None}}}], "entry 0, Ev1, Arg0: roles must"),
        ([{"ann_idx": 0, "vb_output": {"1": {}, "0": {}}}], "entry 0: events are counted from 1"),
        ([{"ann_idx": 0, "vb_output": [{"Arg0": "a"}]}], "a mapping of events is expected, not"),
        ([{"ann_idx": 0, "vb_output": {"Ev1": ["a"]}}], "entry 0, Ev1: roles must map to text"),
        ([{"ann_idx": 0, "vb_output": {"Ev1": {"ARG0": "a", "arg0": "b"}}}], "Arg0 is given twice"),
        ([{"ann_idx": 0, "vb_output": {"one": {"Arg0": "a"}}}], "nothing in it .* 'one'"),
        ([{"ann_idx": 0, "vb_output": {"Ev2": {"agent": "a"}}}], "nothing in it .* 'agent'"),
        ([{"ann_idx": "v_a_seg_0_10", "pred_vbs_ev": [[]] * 5}], "'v_a_seg_0_10' is not a place"),
        ([{"ann_idx": 0.5, "pred_vbs_ev": [[]] * 5}], "ann_idx 0.5 is not a place"),
        ([{"ann_idx": math.nan, "pred_vbs_ev": [[]] * 5}], "ann_idx nan is not a place"),
        ([{"vid": "v_a_seg_0_10", "pred_vbs_ev": [[]] * 5}], "ann_idx None .* from 0"),
        ({"v_a_seg_0_10": {}}, "not a mapping of 'v_a_seg_0_10'"),
        ([{"ann_idx": 0, "pred_vbs_ev": ["run.01"] * 5}], "a list of names .* not 'run.01'"),
        ([{"ann_idx": 0, "pred_vbs_ev": {"Ev1": []}}], "verbs of 5 events are needed, as lists"),
        ([{"ann_idx": 0, "pred_vbs_ev": [[math.nan]] * 5}], "a list of names .* not nan"),
        ([{"ann_idx": 0, "pred_evrels_ev": [["Causes"]] * 5}], "4 events .* not 5"),
        ([{"ann_idx": 0, "pred_evrels_ev": [["Causes"] * 4] * 4}], "Ev1: .* at most 3, not 4"),
        ([{"ann_idx": 0, "pred_evrels_ev": ["Causes"] * 4}], "Ev1: a list of names"),
        ('[{"ann_idx": 0, "ann_idx": 1, "pred_vbs_ev": []}]', "'ann_idx' is given twice"),
        ('[{"ann_idx": 0, "vb_output": {"Ev1": {"Arg0": "a", "Arg0": "b"}}}]', "given twice"),
        ('[{"ann_idx": 0, "vb_output": {"Ev1": {"Arg0": "\\ud800"}}}]', "surrogates not allowed"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_predictions(saved(tmp_path, content), 20)
    assert "\n" not in str(caught.value)


def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    hostile = [
        pickle.dumps([{"ann_idx": 0, "pred_vbs_ev": Evil()}]),
        pickle.dumps([np.array([Evil()], object)]),
        b"cos\nsystem\n(S'touch owned'\ntR.",
        b"\x80\x04",
        b"not a pickle",
        b"Pnowhere\n.",
    ]
    for number, content in enumerate(hostile):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"refused|cannot be read"):
            read_predictions(path, 20)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.pkl", gzip.compress(b"[]", mtime=0), "not a pickle but compressed by gzip"),
        ("p.json", gzip.compress(b"[]", mtime=0), "not a pickle but compressed by gzip"),
        ("p.pkl", b"PK\x03\x04", "a zip archive, as torch.save"),
        ("p.pkl", b"", "EOFError"),
        ("p.json", pickle.dumps([]), "and it is empty"),
    ],
)
def test_a_file_is_what_its_content_is(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_predictions(tmp_path / name, 20)


def test_json_and_pickle_are_read_under_any_name(tmp_path: Path) -> None:
    for name, content in (
        ("a.pkl", json.dumps(entries()).encode()),
        ("b.json", pickle.dumps(entries())),
        ("c.PKL", pickle.dumps(entries(), 0)),
        ("d", json.dumps(entries()).encode("utf-8-sig")),
    ):
        (tmp_path / name).write_bytes(content)
        assert read_predictions(tmp_path / name, 20).missing == 0


def test_the_fast_intervals_repeat_for_a_seed(source: Source) -> None:
    path = CASE / "pred_srl_mid.json"
    first, again, other = (score_file(source, path, None, 100, seed) for seed in (0, 0, 1))
    assert first.metrics == again.metrics
    assert first.metrics["CIDEr"] != other.metrics["CIDEr"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR is a Java program")
def test_meteor_on_request(source: Source) -> None:
    document = score_file(source, CASE / "pred_srl_mid.json", None, 5, 0, ["METEOR"])
    same = score_file(source, CASE / "pred_srl_perfect.json", None, 5, 0, ["METEOR"])
    assert 0 < document.metrics["METEOR"].value < same.metrics["METEOR"].value <= 100
    assert document.metrics["METEOR"].low is None
    assert document.metric_info["METEOR"].higher_is_better
    with pytest.raises(UsageError, match="METEOR are of roles"):
        score_file(source, CASE / "pred_verb_mid.json", None, 5, 0, ["METEOR"])


@pytest.mark.parametrize("absent", ["", "-models"])
def test_spice_fetches_no_program(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, absent: str
) -> None:
    from pycocoevalcap.spice import get_stanford_models as models

    monkeypatch.setattr(shutil, "which", lambda _: "java")
    monkeypatch.setattr(models, "SPICEDIR", str(tmp_path))
    monkeypatch.setattr(models, "urlretrieve", None)
    (tmp_path / "lib").mkdir()
    for kind in {"", "-models"} - {absent}:
        (tmp_path / "lib" / f"{models.JAR}{kind}.jar").touch()
    says = rf"^SPICE: no {models.JAR}{absent}\.jar in {tmp_path}/lib; take them from https://"
    with pytest.raises(BenchError, match=says):
        score_file(source, CASE / "pred_srl_mid.json", None, 5, 0, ["SPICE"])


def test_without_java_the_remedy_is_named(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="no `java` found; install a Java runtime"):
        score_file(source, CASE / "pred_srl_mid.json", None, 5, 0, ["SPICE"])


def test_no_caption_breaks_out_of_meteors_protocol() -> None:
    assert _clean("a ||| b\nEVAL ||| 1") == "a b EVAL 1"
