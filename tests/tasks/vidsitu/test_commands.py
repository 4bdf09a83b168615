"""`bench score`, `data check` and `data prompts` on VidSitu: what they hand on and end with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bench.cli.main import cli
from tasks.vidsitu.annotations import Annotation, Event, load_annotations, load_split
from tasks.vidsitu.prompts import RoleNames, dense_prompt, negative_prompts
from tasks.vidsitu.show import show_prompts

from .conftest import GOLDEN_CASE


def invoke(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


def test_a_score_is_of_the_seed_asked_for_and_tells_what_is_missing(golden_tree: Path) -> None:
    whole = GOLDEN_CASE / "pred_verb_mid.json"
    entries = json.loads(whole.read_text())
    Path("part.json").write_text(json.dumps(entries[1:]))
    score = ("score", "--task", "vidsitu", "--source", str(golden_tree), "--json", "--predictions")

    def low(*more: str) -> Any:
        roles = str(GOLDEN_CASE / "pred_srl_mid.json")
        document = json.loads(invoke(*score, roles, *more).output)
        where = ["--task", "vidsitu", "--source", str(golden_tree), "--predictions", roles]
        assert document["command"] == ["bench", "score", *where, *more]
        return document["settings"]["seed"], document["metrics"]["CIDEr"]["low"]

    assert low() == low("--seed", "0")
    assert low("--seed", "1")[0] == 1 and len({low("--seed", str(n))[1] for n in range(4)}) > 1
    said = invoke(*score, "part.json", code=3).output
    assert "1 videos lack a prediction and count as wrong" in said
    invoke(*score, "part.json", "--allow-missing")


def test_odd_data_end_with_3(tree: Path) -> None:
    check = ("data", "check", "vidsitu", "--source", str(tree))  # no videos lie in it
    said = invoke(*check, code=3).output
    assert "train: missing video" in said
    document = json.loads(invoke(*check, "--json", code=3).output)
    assert document["problems"][0]["what"] and len(document["missing"]) >= 30


def test_prompts_are_of_a_task_that_has_some(tree: Path) -> None:
    shown = ("data", "prompts", "--source", str(tree))
    assert invoke(*shown, "--task", "vidsitu").output == invoke(*shown).output
    said = invoke(*shown, "--task", "msrvtt", code=2).output
    assert "'msrvtt' cannot show prompts; tasks that can: vidsitu" in said


def test_prompts_are_as_many_and_of_the_split_asked_for(tree: Path) -> None:
    """Roles are named as training names them, whichever split is looked at."""
    root = tree / "vidsitu_annotations"
    naming = load_annotations(root, "train")
    names = RoleNames.of(one for group in naming.values() for one in group)
    annotations = load_annotations(root, "valid")
    chosen = [name for name in load_split(root, "valid") if name in annotations][:3]
    options = ("--split", "valid", "--limit", "3", "--negatives", "2", "--seed", "5")
    said = invoke("data", "prompts", "--source", str(tree), *options).output
    blocks = said.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == chosen
    for block, name in zip(blocks, chosen, strict=True):
        annotation = annotations[name][0]
        hard = negative_prompts(annotation, names, 2, 5)
        lines = [line.split(None, 1) for line in block.splitlines()[1:]]
        shown = [text for key, text in lines if key == "verb-role"]
        assert shown == [" ".join(text.split()) for event in hard for text in event]
        own = [dense_prompt(event) for event in annotation.events]
        natural = [text for key, text in lines if key == "natural"]
        others = [
            text
            for place, one in enumerate(own)
            for text in dict.fromkeys(own[:place] + own[place + 1 :])
            if text != one
        ]
        assert natural == [" ".join(text.split()) for text in others]


def test_events_that_say_the_same_are_no_natural_negatives() -> None:
    """Events 1 and 3 are alike: neither is shown as the other's negative, and each once."""
    run, eat = (Event(verb, verb, (("Arg0 (doer)", "a dog"),)) for verb in ("run.01", "eat.01"))
    one = Annotation("v_a_seg_0_10", (run, eat, run, eat, eat))
    said = show_prompts([one], {"v": [one]}, 0, 0, "text")
    natural = [line.split(None, 1)[1] for line in said.splitlines() if " natural " in line]
    assert natural == [dense_prompt(event) for event in (eat, run, eat, run, run)]
