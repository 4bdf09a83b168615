"""VideoWhisperer equals its own code: outputs, losses, training, decoding, input encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasks.vidsitu.annotations import Annotation, _annotation
from tasks.vidsitu.head.videowhisperer import (
    VideoWhisperer,
    WhispererSizes,
    disjoint_frames,
    likely_slots,
    published_frames,
    relative_boxes,
)
from tasks.vidsitu.head.whisperer_data import ABSENT, ROLE_IDS, VERB_SYMBOLS, targets_of
from tests.systems.__main__ import compare
from tests.systems.case import Case, read_case
from tests.systems.videowhisperer import batch_of, model_of

GOLDEN = Path(__file__).parents[1] / "golden" / "systems" / "videowhisperer"
CASES = {"a_objects": 16, "a_end_to_end": 22, "a_frames20": 16}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return read_case(GOLDEN / request.param)


@pytest.fixture(scope="module")
def objects() -> Case:
    return read_case(GOLDEN / "a_objects")


@pytest.mark.parametrize("name", CASES)
def test_every_output_of_the_vectors(name: str) -> None:
    lines = compare("videowhisperer", GOLDEN / name)
    assert len(lines) == CASES[name]
    assert [line for line in lines if not line.passed] == []


def test_the_first_steps_of_adam_are_the_official_ones(case: Case) -> None:
    model, (seen, slots, targets) = model_of(case), batch_of(case)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, betas=(0.9, 0.99))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model.losses(seen, slots, targets)["loss"]
        loss.backward()
        if not losses:
            norms = {name: float(parameter.grad.norm()) if parameter.grad is not None else 0.0
                     for name, parameter in model.named_parameters()}  # fmt: skip
        losses.append(float(loss))
        optimizer.step()
    losses.append(float(model.losses(seen, slots, targets)["loss"]))
    assert losses == pytest.approx(case.config["adam_losses"], abs=1e-5)
    for name, norm in case.config["gradient_norms"].items():
        assert norms[name] == pytest.approx(norm or 0, abs=1e-5), name
    for name in case.config["dead_parameters"]:  # the softmax does not see a key's bias
        assert norms[name] == pytest.approx(0, abs=1e-6), name


def annotations(case: Case) -> list[Annotation]:
    return [_annotation(entry, "case") for entry in case.config["annotations"]]


def test_annotations_become_the_official_batch(case: Case) -> None:
    words = {word: place for place, word in enumerate(case.config["words"])}
    verbs = {verb: place for place, verb in enumerate(case.config["verb_symbols"])}
    assert tuple(case.config["verb_symbols"][:4]) == VERB_SYMBOLS
    assert case.config["role_ids"] == {
        **{role: place for place, role in enumerate(ROLE_IDS)}, "<pad_arg>": ABSENT
    }  # fmt: skip
    found, targets = targets_of(
        annotations(case), verbs, lambda text: [words[word] for word in text.split()],
        case.config["special_ids"],
    )  # fmt: skip
    _, slots, official = batch_of(case)
    assert torch.equal(found, slots)
    for name in ("captions", "verbs", "presence"):
        assert torch.equal(getattr(targets, name), getattr(official, name)), name


def test_a_caption_has_at_most_thirteen_tokens_between_start_and_end(objects: Case) -> None:
    special = {"start": 7, "end": 8, "pad": 9}
    long = targets_of(annotations(objects), {}, lambda text: [1] * 20, special)[1]
    assert long.captions[0, 0, 0].tolist() == [7, *[1] * 13, 8]
    empty = targets_of(annotations(objects), {}, lambda text: [], special)[1]
    assert empty.captions[0, 0, 0].tolist() == [7, 8, *[9] * 13]
    assert set(empty.verbs.flatten().tolist()) == {3}  # verbs outside of the vocabulary


def test_greedy_captions_are_the_official_texts(case: Case) -> None:
    model, (seen, slots, _) = model_of(case), batch_of(case)
    special, words = case.config["special_ids"], case.config["words"]
    with torch.inference_mode():
        described, _ = model.describe(model.encode(seen), slots)
        chosen = described[(slots != ABSENT).flatten(1)]
        ids, _ = model.tx_cap.spell(chosen, special["start"])
        causal, _ = model.tx_cap.spell(chosen, special["start"], causal=True)
    texts = []
    for row in ids.tolist():
        end = row.index(special["end"]) if special["end"] in row else len(row)
        texts.append(" ".join(words[word] for word in row[:end] if word < len(words)))
    assert texts == case.config["greedy_texts"]
    # Rows that have ended may be left out: what the others say is the same.
    for how, whole in ((False, ids.tolist()), (True, causal.tolist())):
        with torch.inference_mode():
            told = model.tx_cap.spell_to(chosen, special["start"], special["end"], how)
        ends = [[*row, special["end"]].index(special["end"]) for row in whole]
        assert told == [row[:end] for row, end in zip(whole, ends, strict=True)]
    # As published earlier tokens see later ones; causal decoding is another thing.
    assert not torch.equal(causal, ids)


def test_causal_decoding_is_what_training_taught(objects: Case) -> None:
    model, (seen, slots, _) = model_of(objects), batch_of(objects)
    start = objects.config["special_ids"]["start"]
    with torch.inference_mode():
        described, _ = model.describe(model.encode(seen), slots)
        chosen = described[(slots != ABSENT).flatten(1)]
        ids, logits = model.tx_cap.spell(chosen, start, causal=True)
        given = torch.cat([torch.full((len(ids), 1), start), ids[:, :-1]], dim=1)
        taught = model.tx_cap.noun_classifier(model.tx_cap.hidden(given, chosen, causal=True))
    torch.testing.assert_close(logits, taught, atol=1e-5, rtol=0)


def test_frames_of_events() -> None:
    published = published_frames()
    assert [row.nonzero().flatten().tolist() for row in published] == [
        [0], [0], [0, 1], [1], [1, 2], [2], [2, 3], [3], [3, 4], [4], [4]
    ]  # fmt: skip
    assert disjoint_frames(20).sum(dim=0).tolist() == [4] * 5
    assert disjoint_frames(20)[7].tolist() == [False, True, False, False, False]


def test_boxes_are_relative_to_the_first_frame() -> None:
    boxes = torch.tensor([20.0, 10, 40, 30]).expand(1, 2, 1, 4)
    sizes = torch.tensor([[[40.0, 80.0], [20.0, 40.0]]])  # height and width
    assert relative_boxes(boxes, sizes).tolist() == [[[[0.25, 0.25, 0.5, 0.75]]] * 2]


def test_likely_roles_are_six_at_most_in_their_order() -> None:
    logits = torch.tensor([[1.0] * 12, [-1.0] * 12, [-1.0, 0, 0.1, *[-1.0] * 8, 9.0]])[None]
    absent = [ABSENT] * 6
    assert likely_slots(logits)[0].tolist() == [list(range(6)), absent, [2, 11, *absent[:4]]]


def test_a_video_without_any_role_is_described_without_nan(objects: Case) -> None:
    model, (seen, slots, _) = model_of(objects), batch_of(objects)
    with torch.inference_mode():
        described, _ = model.describe(model.encode(seen), torch.full_like(slots, ABSENT))
    assert torch.isfinite(described).all()


def test_dropout_falls_where_it_is_published(objects: Case) -> None:
    model, (seen, _, _) = model_of(objects), batch_of(objects)
    layer = model.tx_vo_ro.vo_encoder.layers[0].train()
    tokens = model.tx_vo_ro.tokens(seen)
    with torch.no_grad():
        first, second = layer(tokens), layer(tokens)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    layer.dropout.eval()
    layer.self_attn.dropout.eval()
    with torch.no_grad():
        layer(tokens)
    assert torch.equal(before, torch.get_rng_state())  # none inside of the feed-forward


def test_the_published_model_has_its_published_size() -> None:
    with torch.device("meta"):
        model = VideoWhisperer(
            WhispererSizes(2304, 2048, verbs=1560, tokens=52_000), published_frames()
        )
    counts = {name: value.numel() / 1e6 for name, value in model.named_parameters()}

    def millions(stage: str) -> float:
        return sum(count for name, count in counts.items() if name.startswith(stage))

    assert millions("") == pytest.approx(219, abs=1)
    assert millions("tx_cap") == pytest.approx(144, abs=1)
    assert millions("tx_vo_ro.ro_decoder") == pytest.approx(38, abs=1)
    assert millions("tx_vo_ro.verb_classifier") == pytest.approx(5, abs=1)
