"""Probes: what each changes, that it is made of the tree and nothing else, and what is scored."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from adapters.open_clip import OpenCLIPAdapter
from bench import registry
from bench.cli.main import cli
from bench.config import Config, RunConfig
from bench.contracts import Adapter, Source
from bench.engine import evaluate
from bench.errors import DataError, UsageError
from bench.report.boards import boards
from bench.video import decode
from tasks.caption_pairs import items_of
from tasks.probes import Probes
from tasks.vidsitu.annotations import load_annotations
from tasks.vidsitu.exchange import exchanged_prompts
from tasks.vidsitu.training import training_sets
from tests.features.test_video_models import Motion

Event = dict[str, str]


def told(verb: str, event: Event) -> str:
    """The dense prompt as published, written out anew."""
    parts = [f"the {(re.findall('[(](.+)[)]', key) or ['scene of the event'])[0]} is {value}"
             for key, value in event.items()]  # fmt: skip
    return f"In this photo, the action is {verb} where, {' , '.join(parts)} ."


def videos(source: Source) -> dict[str, list[tuple[str, Event]]]:
    """Of each clip its five verbs and arguments, as the file has them first."""
    assert source.annotations
    path = source.annotations / "vseg_ann_files" / "vsann_valid_lb.json"
    found: dict[str, list[tuple[str, Event]]] = {}
    for entry in json.loads(path.read_text()):
        events = [entry[f"Ev{place}"] for place in range(1, 6)]
        five = [(event["VerbID"].split(".")[0], event["Args"]) for event in events]
        found.setdefault(events[0]["vid_seg_int"], five)
    return found


def values(event: Event, role: str) -> list[str]:
    return [value for key, value in event.items() if key.startswith(role) or role in key]


def expected(events: list[tuple[str, Event]], place: int) -> dict[str, set[str]]:
    """Of each test of one event all false captions that it may have."""
    verb, event = events[place]
    who = values(event, "Arg0")[0]
    whom = (values(event, "Arg1") or [""])[0]
    actors = {values(one, "Arg0")[0] for _, one in events}
    patients = {value for _, one in events for value in values(one, "Arg1")}

    def swapped(changes: dict[str, str]) -> str:
        return told(verb, {key: next((new for role, new in changes.items()
                                      if key.startswith(role) or role in key), value)
                           for key, value in event.items()})  # fmt: skip

    found = {}
    if whom in actors:
        found["agent-patient"] = {swapped({"Arg0": whom, "Arg1": who})}
    found["agent"] = {swapped({"Arg0": one}) for one in actors - {who, whom}}
    if whom:
        found["patient"] = {swapped({"Arg1": one}) for one in patients - {who, whom}
                            if (one in actors) == (whom in actors)}  # fmt: skip
    scenes = ["beach", "forest", "street", "kitchen", "snow field", "night road"]
    manners, ways = ("slowly", "quickly", "happily", "sadly"), ("left", "right")
    for test, role, words in (
        ("scene", "Scene", scenes), ("manner", "manner", manners), ("direction", "direction", ways)
    ):  # fmt: skip
        found[test] = {swapped({role: word}) for word in words
                       if values(event, role) and word != values(event, role)[0]}  # fmt: skip
    return {test: some for test, some in found.items() if some}


def test_each_probe_changes_one_thing_and_none_is_left_out(lab: Source) -> None:
    task = Probes.load(lab)
    pairs = {(pair.test, pair.clip, pair.event): pair for pair in task.pairs}
    assert len(pairs) == len(task.pairs) == task.expected
    for clip, events in videos(lab).items():
        for place, (verb, event) in enumerate(events):
            name, true = f"Ev{place + 1}", told(verb, event)
            for test, false in expected(events, place).items():
                pair = pairs.pop((test, clip, name))
                assert pair.true == true and pair.false in false and pair.part == place
            pair = pairs.pop(("verb", clip, name))
            other = re.match("In this photo, the action is (.+?) where", pair.false)
            assert pair.true == true and other and other[1] != verb
            assert (
                re.sub("[^,]+ is ", "", true)[len(verb) :].split(" , ")[1:]
                == (re.sub("[^,]+ is ", "", pair.false)[len(other[1]) :].split(" , ")[1:])
            )
    verbs = {clip: [verb for verb, _ in events] for clip, events in videos(lab).items()}
    for (test, clip, name), pair in pairs.items():
        one, two = (int(place) - 1 for place in re.findall(r"\d", name))
        assert test == "order" and two == one + 1 and pair.part is None
        said = [verbs[clip][one], verbs[clip][two]]
        assert [verbs[clip].count(verb) for verb in said] == [1, 1]
        assert re.findall("the action is (.+?) where", pair.true) == said
        assert re.findall("the action is (.+?) where", pair.false) == said[::-1]
    alone = sum(all(some.count(verb) == 1 for verb in some[at : at + 2])
                for some in verbs.values() for at in range(4))  # fmt: skip
    assert len(pairs) == alone > 9


def test_training_has_the_probes_exchange_as_its_role_swap(lab: Source) -> None:
    """Of every event that has such a probe, and of no other; clips held out have theirs too."""
    task = Probes.load(lab)
    probes = {(pair.clip, pair.event): pair.false for pair in task.pairs
              if pair.test == "agent-patient"}  # fmt: skip
    assert lab.annotations
    annotations = load_annotations(lab.annotations, "valid")
    found = {
        (segment, f"Ev{place + 1}"): text
        for segment, group in annotations.items()
        for place, text in enumerate(exchanged_prompts(group[0])) if text
    }  # fmt: skip
    assert found == probes and len(found) > 5
    for part in training_sets(lab, 4, 1.0, 0.3, 0):
        assert [len(video) for video in part.swaps] == [5] * len(part.clips)
        assert any(text for video in part.swaps for text in video)


def test_only_the_seed_and_the_tree_make_them(lab: Source) -> None:
    task, again = Probes.load(lab), Probes.load(lab)
    assert task.pairs == again.pairs and task.fingerprint == again.fingerprint
    first = task.clips[0].id
    few = Probes.load(lab, limit=1)
    assert few.pairs == [pair for pair in task.pairs if pair.clip == first]
    assert few.expected == task.expected and [clip.id for clip in few.clips] == [first]
    other = Probes.load(replace(lab, settings={"seed": 1}))
    assert other.settings == {"seed": 1} and other.fingerprint != task.fingerprint
    same = [one.true == two.true for one, two in zip(task.pairs, other.pairs, strict=True)]
    changed = Counter(one.test for one, two in zip(task.pairs, other.pairs, strict=True)
                      if one != two)  # fmt: skip
    assert all(same) and changed["verb"] > 10 and changed["scene"] > 10
    assert not changed["order"] and not changed["agent-patient"]
    with pytest.raises(UsageError, match="unknown setting 'sed'"):
        Probes.load(replace(lab, settings={"sed": 1}))


def test_the_scores_are_those_of_a_plain_pass_of_the_model(
    lab: Source, tiny: OpenCLIPAdapter, shared: RunConfig
) -> None:
    """Every number again: frames decoded, encoded and averaged here, pairs judged here."""
    task = Probes.load(lab)
    result = evaluate(tiny, task, shared)
    frames = {
        clip.id: tiny.encode_frames(decode(clip, task.plan, tiny.preprocessing).frames)
        for clip in task.clips
    }

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    said = dict(zip(task.texts, unit(tiny.encode_texts(task.texts)), strict=True))
    right: dict[str, list[bool]] = {}
    for line in result.predictions:
        rows = frames[line["clip"]]
        if line["test"] != "order":
            place = int(line["event"][2]) - 1
            rows = rows[4 * place : 4 * place + 4]
        else:
            assert rows.shape[0] == 20
        seen = unit(unit(rows).mean(axis=0))
        cosines = [said[line["true"]] @ seen, said[line["false"]] @ seen]
        np.testing.assert_allclose(line["scores"], cosines, atol=2e-5)
        right.setdefault(line["test"], []).append(line["scores"][0] > line["scores"][1])
    metrics = {name: value.value for name, value in result.document.metrics.items()}
    shares = {f"accuracy/{test}": 100 * sum(some) / len(some) for test, some in right.items()}
    assert metrics == pytest.approx({"accuracy": np.mean(list(shares.values())), **shares})
    assert len(right) == 8 and list(metrics) == list(Probes.columns)
    counts = Counter(pair.test for pair in task.pairs)
    assert {test: len(some) for test, some in right.items()} == counts
    assert result.document.coverage.answered == len(task.pairs)
    assert set(result.document.chance.values()) == {50.0}


class Alike(Adapter):
    """Says the same of every text."""

    name, embed_dim, image_size, fingerprint = "alike", 8, 16, "alike"

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        return frames.reshape(len(frames), -1)[:, :8].astype(np.float32) + 1

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 8), np.float32)


def test_a_collapsed_model_gets_nothing_right(lab: Source, shared: RunConfig) -> None:
    result = evaluate(Alike(), Probes.load(lab, limit=2), shared)
    assert {value.value for value in result.document.metrics.values()} == {0.0}
    warnings = " ".join(result.document.warnings)
    pairs = len(result.predictions)
    assert f"{pairs} of {pairs} pairs have two equal scores and count as wrong" in warnings
    assert "texts: all" in warnings and "nearly the same" in warnings


class Halves(Motion):
    """A video model: `Motion`, whose texts see whether a clip moves."""

    fingerprint = "halves"  # type: ignore[assignment]


def test_a_video_model_gets_each_event_and_the_whole_clip(lab: Source, shared: RunConfig) -> None:
    task, model = Probes.load(lab, limit=3), Halves()
    result = evaluate(model, task, shared)
    assert sorted(set(model.calls)) == [(3, 20), (15, 4)]
    assert result.document.encoded["frames"] == 3 * 40
    assert result.document.protocol == task.protocol  # pooled as the model pools
    for line in result.predictions[:: len(result.predictions) // 12]:
        clip = next(clip for clip in task.clips if clip.id == line["clip"])
        frames = decode(clip, task.plan, 16).frames
        if "part" in line:
            frames = np.split(frames, 5)[line["part"][0]]
        seen = Motion().encode_clips(frames[None])[0]
        said = Motion().encode_texts([line["true"], line["false"]])
        cosines = said @ seen / np.linalg.norm(said, axis=1) / np.linalg.norm(seen)
        np.testing.assert_allclose(line["scores"], cosines, rtol=1e-5)

    class Events(Probes):
        whole = False

    evaluate(other := Halves(), Events.load(lab, limit=3), shared)
    assert other.calls == [(15, 4)]  # kept beside, not over what is kept with the whole clip
    again = Halves()
    assert evaluate(again, task, shared).predictions == result.predictions and not again.calls


def test_pairs_are_kept_as_a_file_that_reads_back(
    lab: Source, toy_pairs: Path, tmp_path: Path
) -> None:
    folders = f"annotations: {lab.annotations}, videos: {lab.videos}"
    (tmp_path / "bench.yaml").write_text(
        f"sources:\n  lab: {{vidsitu: {{{folders}}}}}\n"
        f"  kept: {{probes: {{annotations: probes.json, videos: {lab.videos}}}}}\n"
    )
    done = CliRunner().invoke(cli, ["data", "pairs", "probes", "--output", "probes.json"])
    assert done.exit_code == 0, done.output
    made = Probes.load(lab)
    kept = Probes.load(Source("kept", tmp_path, tmp_path / "probes.json", lab.videos))
    assert kept.pairs == made.pairs and items_of(kept.pairs) == items_of(made.pairs)
    assert kept.protocol == f"probes/{len(made.pairs)} pairs of a file" and not kept.remarks
    lines = (tmp_path / "probes.json").read_text().splitlines()
    assert len(lines) == len(made.pairs) + 2  # one can read it, and compare two of them
    assert json.loads(lines[1].rstrip(","))["test_name"] == made.pairs[0].test
    other = CliRunner().invoke(cli, ["data", "pairs", "probes", "--set", "probes.seed=1"])
    assert other.exit_code == 0 and other.stdout.count('"video_id"') == len(made.pairs)
    assert other.stdout != (tmp_path / "probes.json").read_text()
    refused = CliRunner().invoke(cli, ["data", "pairs", "msrvtt"])
    assert refused.exit_code == 2 and "tasks that can: probes, velociti" in refused.output
    check = CliRunner().invoke(cli, ["data", "check", "probes", "--source", "kept", "--json"])
    counts = Counter(pair.test for pair in made.pairs)
    assert (
        f"verb {counts['verb']}, agent-patient {counts['agent-patient']},"
        in (json.loads(check.stdout)["pairs"])
    )


def test_a_source_of_vidsitu_has_them_too(lab: Source, toy_pairs: Path) -> None:
    vidsitu = Source("one", lab.root)
    config = Config(sources={"empty": {}, "one": {"vidsitu": vidsitu}})  # type: ignore[arg-type]
    assert registry.source_for("probes", None, config)[0].root == lab.root
    assert registry.source_for("probes", "one", config)[0].root == lab.root
    own = {"one": {"vidsitu": vidsitu, "probes": Source("one", toy_pairs / "mine")}}
    found, _ = registry.source_for("probes", "one", Config(sources=own))  # type: ignore[arg-type]
    assert found.root == toy_pairs / "mine"
    with pytest.raises(UsageError, match="'one' has no task 'velociti'; it has vidsitu"):
        registry.source_for("velociti", "one", config)
    toy = Source("toy", toy_pairs)
    assert not registry.is_undrawn("probes", toy) and registry.is_undrawn("msrvtt", toy)
    assert Probes.load(toy).protocol == "probes/toy"
    assert {clip.path for clip in Probes.load(toy).clips} == {None}  # sought with VidSitu's


def test_their_toy_world_is_vidsitus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def write(root: Path, tasks: Sequence[str], progress: object) -> None:
        drawn.extend(tasks)
        (root / tasks[0] / "source.json").write_text("{}")

    (tmp_path / "vidsitu").mkdir()
    monkeypatch.setattr(registry, "generator", lambda _: write)
    for task in ("probes", "vidsitu", "probes"):
        registry.prepare_source(task, Source("toy", tmp_path))
    assert drawn == ["vidsitu"]


def test_what_no_probe_can_be_made_of(lab: Source, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder 'split_files' found there"):
        Probes.load(Source("lab", tmp_path))
    assert lab.annotations
    for name in ("split_files/vseg_split", "vseg_ann_files/vsann"):
        path = Path(f"{name}_valid_lb.json")
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes((lab.annotations / path).read_bytes())
    source = Source("lab", tmp_path)
    assert Probes.load(source).pairs == Probes.load(lab).pairs  # the training split is not needed
    path = tmp_path / "vseg_ann_files" / "vsann_valid_lb.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries).replace("ArgM (manner)", "ArgM (mood)"))
    with pytest.raises(DataError, match=r"vsann_valid_lb.json: unknown role 'ArgM \(mood\)'"):
        Probes.load(source)
    path.write_text(json.dumps(entries[3:]))
    with pytest.raises(DataError, match="1 segments of valid lack annotations"):
        Probes.load(source)


def test_their_board_leads_and_has_every_test(lab: Source, shared: RunConfig) -> None:
    from bench.cli.report import all_boards
    from tasks.velociti import Velociti

    rows = Source("lab", lab.root / "velociti")
    documents = [evaluate(Alike(), task, shared).document
                 for task in (Velociti.load(rows), Probes.load(lab))]  # fmt: skip
    (board,) = [one for one in boards(documents) if one.task == "probes"]
    assert board.columns == ["accuracy", *(f"accuracy/{test}" for test in Probes.tests)]
    names = [one.task for one in all_boards(documents, [], None, False, None)]
    assert names[0] == "probes" and "velociti" in names[1:]


def line(item: str, clip: str, true: float, false: float, test: str = "verb") -> dict[str, Any]:
    return {"item": item, "test": test, "clip": clip, "event": "", "true": f"true {item}",
            "false": "no", "scores": [true, false]}  # fmt: skip


def test_segments_of_one_youtube_video_are_one_cluster() -> None:
    lines = [line(f"{n}", f"v_abc_seg_{n}_9", n, 1.5) for n in range(4)]
    assert Probes.cluster(lines[0]) == "abc" and Probes.sample(lines).clusters == 1
    lines += [line("x", "v_xyz_seg_0_10", 1, 0)]
    assert Probes.sample(lines).clusters == 2
    assert Probes.score(lines, resamples=9, seed=0).metrics["accuracy/verb"] == 60
    for odd in (line("y", "c", 1, 0, "colour"), {**lines[0], "scores": [1]}):
        with pytest.raises(ValueError):
            Probes.score([*lines, odd], resamples=9, seed=0)


def test_two_runs_are_compared_on_the_pairs_that_both_answered() -> None:
    first, second = [line(name, "c", 1, 0) for name in "abc"], [line(n, "c", 0, 1) for n in "bcd"]
    (one, same), (two, _) = Probes.common(first, second)
    assert [found["item"] for found in one] == ["b", "c"] == [found["item"] for found in two]
    assert one is same and one[0]["scores"] == [1, 0] and two[0]["scores"] == [0, 1]
    with pytest.raises(ValueError, match="other captions of the same pairs"):
        Probes.common(first, [{**second[0], "true": "something else"}])
