"""Every reader of files from elsewhere, with a well-formed file of each."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters.srl_settings import CARD, SRLSettings, read_card
from bench.config import load_config
from bench.contracts import Source
from bench.files.tensor_store import TensorStore
from bench.report.ablations import find_records, grid_boards, load_record
from bench.report.boards import boards
from bench.report.reference import read_rows
from bench.report.text import render
from bench.results.files import load, load_predictions
from bench.settings import settings_from
from bench.training.grids import grids
from tasks.lsmdc import LSMDC
from tasks.msrvtt import MSRVTT
from tasks.msvd import MSVD
from tasks.retrieval import RetrievalTask, check_pairs
from tasks.sources import protocol_of
from tasks.templates import templates_of
from tasks.ucf101 import UCF101
from tasks.vidsitu.annotations import EVENTS, load_annotations, load_split, load_votes
from tasks.vidsitu.check import check_tree
from tasks.vidsitu.scoring.predictions import read_predictions
from tasks.youcook2 import OFFICIAL, YouCook2

SEGMENT = "v_abc_seg_0_10"


@dataclass(frozen=True)
class Reader:
    """`read(folder)` reads `folder/place`, and all that is then done with it; `good` is readable.

    `kind` says what hostile contents suit it: text, yaml, json, pickle or tensors.
    """

    name: str
    kind: str
    place: str
    good: bytes
    read: Callable[[Path], Any]

    def of(self, folder: Path, content: bytes) -> Any:
        """Read `content` from where the file belongs below `folder`."""
        path = folder / self.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return self.read(folder)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _pairs(task: type[MSRVTT] | type[LSMDC]) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        path = folder / task.files[0]
        pairs = task.read(path)
        check_pairs(pairs, path)
        return pairs

    return read


def _listed(task: type[RetrievalTask], name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        (folder / "test_list.txt").write_text("mv89psg6zh4_33_46\n")
        check_pairs(task.read(folder / name), folder / name)
        return task.load(Source("s", folder))

    return read


def _actions(folder: Path) -> Any:
    """A list of videos with one of classes, whichever of the two is not there."""
    for name, text in (("classInd.txt", "1 A\n2 B\n"), ("val1.txt", "A/v.avi 1\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text)
    return UCF101.load(Source("s", folder))


def _event(segment: str) -> dict[str, Any]:
    return {"vid_seg_int": segment, "VerbID": "run.01", "Args": {"Arg0 (runner)": "a man"},
            "Arg_List": {"Arg0 (runner)": 0}, "EvRel": "Causes"}  # fmt: skip


def _checked(read: Callable[[Path, str], Any]) -> Callable[[Path], Any]:
    """The reader, and `bench data check` over the same tree."""

    def both(folder: Path) -> Any:
        (folder / "split_files").mkdir(exist_ok=True)
        check_tree(Source("s", folder), 1326)
        return read(folder, "valid")

    return both


def document() -> dict[str, Any]:
    """A result as `bench run` writes it, as far as boards need it."""
    return {
        "schema": 1, "task": "msrvtt", "task_version": 1, "protocol": "msrvtt/2 items",
        "source": {"name": "lab", "fingerprint": "f"}, "model": {"name": "m", "fingerprint": "g"},
        "metrics": {"R@1": {"value": 50.0, "low": 0.0, "high": 100.0}},
        "metric_info": {"R@1": {"unit": "%", "higher_is_better": True}}, "primary": "R@1",
        "coverage": {"expected": 2, "answered": 2, "clips": 2, "missing": 0, "broken": 0,
                     "limit": None},
        "chance": {"R@1": 50.0}, "warnings": [],
        "settings": {"resamples": 5, "seed": 0, "task": {}}, "failures": [],
    }  # fmt: skip


def _result(folder: Path) -> Any:
    return render(boards([load(folder / "m.json")]), "md")


def _lines(folder: Path) -> Any:
    import hashlib

    path = folder / "m.predictions.jsonl"
    sha = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
    kept = {"file": "m.predictions.jsonl", "sha256": sha}
    from bench.results.comparison import verified

    (folder / "m.json").write_text(json.dumps({**document(), "predictions": kept}))
    read = load(folder / "m.json")
    return load_predictions(folder / "m.json", read), verified(folder / "m.json", read)


_LINE = {"item": "t2v 0", "direction": "t2v", "query": 0, "text": "a", "target": "v", "rank": 1,
         "score": 1.0, "top": [["v", 1.0]]}  # fmt: skip
_LINES = b"\n".join([_json(_LINE), _json({**_LINE, "item": "v2t v", "direction": "v2t"}), b""])
_CELL = {"name": "0", "set": {}, "coverage": "2/2", "training": None, "seeds": [0],
         "results": ["r"], "logs": [],
         "metrics": {n: {"value": 1.0, "low": 0.0, "high": 2.0}
                     for n in ("Vb@1", "CIDEr", "geometric mean")}}  # fmt: skip
_ENTRY = {"value": 1.0, "low": 0.5, "high": 2.0}
_TURN = {"switch": "frames", "name": "8 frames", "coverage": "2/2", "partial": False, "holm": 0.5,
         "plan": "uniform-8", "truncated": 0, "metrics": {"R@1": _ENTRY},
         "differences": {"R@1": _ENTRY}}  # fmt: skip
TURNED = {"schema": 1, "kind": "protocol sweep", "grid": "protocol", "task": "msrvtt", "model": "m",
          "source": "s", "protocol": "msrvtt/toy", "toy": True, "primary": "R@1", "clusters": 2,
          "left_out": ["77 tokens: more"], "rows": [_TURN]}  # fmt: skip
RECORD = {"schema": 2, "kind": "sweep", "grid": "supp-2", "model": "m", "source": "s",
          "protocol": "vidsitu/valid", "toy": False, "common": {}, "seed": 0,
          "rows": [_CELL]}  # fmt: skip


def _card(folder: Path) -> Any:
    where = str(folder / CARD)
    return settings_from(SRLSettings, read_card(folder)["settings"], where).check(where)


def _tensors(name: str) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ones((2, 3), np.float32)}, metadata={"record": '{"decoder": "x"}'})


def _checkpoint(folder: Path) -> Any:
    from bench.training import checkpoints

    return checkpoints.read(folder / "last.safetensors")


def _weights(folder: Path) -> Any:
    from adapters.srl_model import _read

    return _read(folder / "contextualizer.safetensors")


READERS = [
    Reader("MSRVTT csv", "text", MSRVTT.files[0],
           b"key,vid_key,video_id,sentence\nr0,m0,video0,a man\n", _pairs(MSRVTT)),
    Reader("MSRVTT json", "json", MSRVTT.files[0],
           _json({"videos": [{"video_id": "video0", "split": "test"}],
                  "sentences": [{"video_id": "video0", "caption": "a man"}]}), _pairs(MSRVTT)),
    Reader("MSRVTT json lines", "json", MSRVTT.files[0],
           b"\n".join([_json({"video": "video0", "caption": ["a man"]})] * 2), _pairs(MSRVTT)),
    Reader("LSMDC tsv", "text", LSMDC.files[0], b"a\t1\t2\t1\t2\tSOMEONE nods.\n", _pairs(LSMDC)),
    Reader("MSVD captions, pickle", "pickle", "raw-captions.pkl",
           pickle.dumps({"mv89psg6zh4_33_46": [["a", "man"]]}), _listed(MSVD, "raw-captions.pkl")),
    Reader("MSVD captions, text", "text", "AllVideoDescriptions.txt",
           b"mv89psg6zh4_33_46 a man\n", _listed(MSVD, "AllVideoDescriptions.txt")),
    Reader("YouCook2 steps", "json", OFFICIAL,
           _json({"database": {"xHr8X2Wpmno": {"subset": "validation", "annotations": [
               {"segment": [1, 2], "id": 0, "sentence": "cut"}]}}}), _listed(YouCook2, OFFICIAL)),
    Reader("YouCook2 csv", "text", YouCook2.files[0],
           b"video_id,text,start,end\nv,cut,1,2\n", _listed(YouCook2, YouCook2.files[0])),
    Reader("classes, lines", "text", "classInd.txt", b"1 A\n2 B\n", _actions),
    Reader("classes, json", "json", "classInd.txt", _json({"A": "1", "B": "2"}), _actions),
    Reader("actions, lines", "text", "val1.txt", b"A/v.avi 1\nw.avi 2\n", _actions),
    Reader("actions, csv", "text", "val1.txt",
           b"label,youtube_id,time_start,time_end\nA,v,1,2\n", _actions),
    Reader("actions, json", "json", "val1.txt", _json([{"id": "v", "label": "A"}]), _actions),
    Reader("templates", "text", "templates.txt", b"a {}\nthe {}\n",
           lambda folder: templates_of(str(folder / "templates.txt"))),
    Reader("source card", "json", "source.json", b'{"protocol": "mine"}',
           lambda folder: protocol_of(Source("s", folder), "msrvtt", "1k-A", 3)),
    Reader("VidSitu split", "json", "split_files/vseg_split_valid_lb.json", _json([SEGMENT]),
           _checked(load_split)),
    Reader("VidSitu annotations", "json", "vseg_ann_files/vsann_valid_lb.json",
           _json([{name: _event(SEGMENT) for name in EVENTS}]), _checked(load_annotations)),
    Reader("VidSitu labels", "json", "vinfo_files/vinfo_valid_lb.json",
           _json([{"vid_seg_int": SEGMENT, "vbid_lst": {n: ["run.01"] * 10 for n in EVENTS}}]),
           _checked(load_votes)),
    Reader("predictions, JSON", "json", "p.json",
           _json([{"ann_idx": 0, "pred_vbs_ev": [["run.01"] * 5] * 5},
                  {"ann_idx": 1, "pred_vbs_ev": [["run.01"] * 5] * 5}]),
           lambda folder: read_predictions(folder / "p.json", 2)),
    Reader("predictions, pickle", "pickle", "p.pkl",
           pickle.dumps([{"ann_idx": 0, "vb_output": {n: {"Arg0": "a"} for n in EVENTS}}]),
           lambda folder: read_predictions(folder / "p.pkl", 2)),
    Reader("bench.yaml", "yaml", "bench.yaml",
           b"run: {seed: 1, cache: c}\nsources: {s: {msrvtt: {root: x}}}\n"
           b"models: {m: {adapter: open_clip, arch: a}}\ntasks: {vidsitu: {toy: {epochs: 2}}}\n",
           lambda folder: load_config(folder / "bench.yaml")),
    Reader("published rows", "yaml", "msrvtt.yaml",
           b"- {model: m, metrics: {R@1: 1}, source: s, split: 1k-A, level: paper}\n",
           lambda folder: read_rows(folder / "msrvtt.yaml")),
    Reader("published grids", "yaml", "grids.yaml",
           b"g: {title: t, task: t, first: f, source: s, table: t, split: v,"
           b" rows: [{name: a, metrics: {Vb@1: 1, CIDEr: 2}}]}\n",
           lambda folder: grids(folder / "grids.yaml")),
    Reader("result", "json", "m.json", _json(document()), _result),
    Reader("prediction lines", "json", "m.predictions.jsonl", _LINES, _lines),
    Reader("sweep record", "json", "sweep/m/s/supp-2.json", _json(RECORD),
           lambda folder: [
               render(grid_boards(load_record(path)), "md") for path in find_records(folder)
           ]),
    Reader("protocol sweep record", "json", "sweep/m/s/protocol-msrvtt.json", _json(TURNED),
           lambda folder: [
               render(grid_boards(load_record(path)), "md") for path in find_records(folder)
           ]),
    Reader("card of a trained model", "json", CARD,
           _json({"version": 2, "base": {"weights_sha256": "0"}, "settings": {"rank": 4}}), _card),
    Reader("trained weights", "tensors", "contextualizer.safetensors", _tensors("x"), _weights),
    Reader("training checkpoint", "tensors", "last.safetensors", _tensors("x"), _checkpoint),
    Reader("feature store", "tensors", "ab/abcd.safetensors", _tensors("features"),
           lambda folder: TensorStore(folder).get("abcd")),
]  # fmt: skip
