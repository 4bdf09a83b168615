"""Every part of training does what it is for: losses, batches, validation, rates, precision."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from adapters.open_clip import OpenCLIPAdapter
from adapters.srl_clip import SRLCLIPAdapter
from bench import distributed
from bench.config import RunConfig
from bench.errors import BenchError, UsageError
from bench.features.work import Silent
from bench.training import checkpoints, loop
from bench.training.data import Batch, Prepared, prepare
from bench.training.forward import batch_loss, validate
from bench.training.optimizer import Optimizer, parameter_groups
from bench.training.protocols import TrainingSet
from bench.training.settings import TrainSettings
from bench.training.state import Training
from tests.video.clips import headless_note, remux, write_video

from .test_guards import EVENTS, Tiny, drawn, trained

BASE = {"arch": "clip-tiny", "pretrained": "shipped"}
LOSSES = ("clip_event", "vc_event", "clip_video", "vc_video")


def srl_model(tmp_path: Path, **settings: Any) -> Any:
    run = RunConfig(cache=tmp_path / "cache", device="cpu")
    chosen = {"rank": 4, "vc_layers": 1, "vc_heads": 4, **settings}
    return SRLCLIPAdapter.untrained("srl", run, chosen, **BASE)[0]


def random_batch(videos: int = 2, dim: int = 128) -> Batch:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (videos, 20, 64, 64, 3), dtype=torch.uint8)
    texts = functional.normalize(torch.randn(videos, 5, dim), dim=-1)
    hard = functional.normalize(torch.randn(videos, 5, 4, dim), dim=-1)
    return Batch(frames, texts, hard, torch.arange(5 * videos).reshape(videos, 5))


def only(*names: str) -> TrainSettings:
    return TrainSettings(**{name: name in names for name in LOSSES})  # type: ignore[arg-type]


# --- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_moves_the_parameters_it_is_meant_for_and_no_others(
    tmp_path: Path, name: str
) -> None:
    """All train the LoRA; those on contextualised features train the contextualizer too."""
    model = srl_model(tmp_path).train()
    batch_loss(model, random_batch(), only(name), "cpu", "float32")["total"].backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    lora = {n for n in moved if "lora_B" in n}
    assert len(lora) == 4 * 3  # B starts at zero, so A has no gradient yet
    contextual = {n for n in moved if n.startswith("contextualizer.")}
    assert moved == lora | contextual
    if name.startswith("clip"):
        assert not contextual
    else:
        # Even one video output looks at every token and place.
        for part in ("event_token", "video_token", "event_places", "frame_places", "encoder"):
            assert any(part in n for n in contextual), part


def test_a_model_without_a_part_is_not_trained_on_it(tmp_path: Path) -> None:
    plain, frozen = srl_model(tmp_path, vc_layers=0), srl_model(tmp_path, weights="none")
    assert not plain.contextual and frozen.contextual
    clip_only = only("clip_event", "clip_video")
    terms = batch_loss(plain.train(), random_batch(), clip_only, "cpu", "float32")
    assert set(terms) == {"clip_event", "clip_video", "total", "equal_texts"}
    assert all(name.startswith("contextualizer.") for name in frozen.trainable_parameters())
    with pytest.raises(UsageError, match=r"nothing to train; set model\.weights"):
        parameter_groups(frozen, clip_only)
    with pytest.raises(UsageError, match=r"need a contextualizer, and model\.vc_layers is 0"):
        loop._check(plain, TrainSettings())


def test_pairs_of_equal_texts_are_counted(tmp_path: Path) -> None:
    model, batch = srl_model(tmp_path).eval(), random_batch()
    ids = torch.tensor([[0, 1, 2, 3, 0], [0, 5, 6, 7, 8]])
    found = batch_loss(model, replace(batch, ids=ids), TrainSettings(), "cpu", "float32")
    assert float(found["equal_texts"]) == 3


# --- batches -------------------------------------------------------------------------------------


def prepared(tmp_path: Path, model: Any | None = None, count: int = 3) -> Prepared:
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    return prepare(drawn(tmp_path, 0, count), model or Tiny(), run, Silent())[0]


def test_an_event_gets_its_own_prompt_and_negatives(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    batch = data.batch([2, 0])
    for row, place in enumerate((2, 0)):
        for event in range(EVENTS):
            prompt = Tiny().encode_texts([data.data.prompts[place][event]])[0]
            hard = Tiny().encode_texts(data.data.negatives[place][event])
            np.testing.assert_allclose(
                batch.texts[row, event], prompt / np.linalg.norm(prompt), rtol=1e-5
            )
            np.testing.assert_allclose(
                batch.negatives[row, event],
                hard / np.linalg.norm(hard, axis=1, keepdims=True), rtol=1e-5,
            )  # fmt: skip
    assert len(batch.ids.unique()) == 2 * EVENTS
    assert [len(one.ids) for one in data.batches([[0], [1, 2]])] == [1, 2]
    assert list(data.batches([])) == []


def swapped(data: TrainingSet) -> TrainingSet:
    """The first event of every clip has a role-swap negative."""
    swaps = [[f"swapped {video[0]}", *([""] * (EVENTS - 1))] for video in data.prompts]
    return replace(data, swaps=swaps)


def test_an_event_gets_its_own_role_swap_or_none(tmp_path: Path) -> None:
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    data, _ = prepare(swapped(drawn(tmp_path, 0, 3)), Tiny(), run, Silent())
    batch = data.batch([2, 0])
    assert batch.swaps is not None and not batch.swaps[:, 1:].any()
    for row, place in enumerate((2, 0)):
        expected = Tiny().encode_texts([data.data.swaps[place][0]])[0]
        np.testing.assert_allclose(
            batch.swaps[row, 0], expected / np.linalg.norm(expected), rtol=1e-5
        )
    assert data.counts["role_swaps"] == 3 and data.counts["negatives"] == 3 * EVENTS
    # Prompts and negatives are what they were without, and their features are not made again.
    plain = prepared(tmp_path)
    assert plain.swaps is None and plain.batch([0]).swaps is None
    assert torch.equal(plain.features[:-1], data.features[: len(plain.features) - 1])
    assert plain.content == data.content


def test_role_swaps_change_a_training_and_only_where_they_are_asked_for(tmp_path: Path) -> None:
    """The same steps with and without texts that no setting asks for; with it, another model."""

    def after(folder: str, data: TrainingSet, times: int) -> dict[str, Any]:
        run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
        recipe = TrainSettings(epochs=1, batch_videos=2, learning_rate=1e-2, role_swaps=times)
        job = loop.Job(run, tmp_path / folder, "cpu", Silent())
        torch.manual_seed(0)
        loop.train(Tiny(), data, swapped(drawn(tmp_path, 100, 3)), recipe, job)
        found = checkpoints.read(tmp_path / folder / checkpoints.LAST)
        assert found is not None and "role-swap" in found[1]["state"]["best"]
        assert ("swaps" in found[1]["identity"]) == (times > 0)
        return {name: value for name, value in found[0].items() if name.startswith("model.")}

    data = drawn(tmp_path, 0, 4)
    without, off, once, twice = (
        after("without", data, 0), after("off", swapped(data), 0),
        after("once", swapped(data), 1), after("twice", swapped(data), 2),
    )  # fmt: skip
    weights = [torch.cat([value.flatten() for value in one.values()])
               for one in (without, off, once, twice)]  # fmt: skip
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2]) and not torch.equal(weights[2], weights[3])


def test_a_broken_clip_takes_its_own_texts_with_it(tmp_path: Path) -> None:
    data = swapped(drawn(tmp_path, 0, 3))
    for picture in (tmp_path / "c0").iterdir():
        picture.unlink()
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    left, failures = prepare(data, Tiny(), run, Silent())
    assert [failure.clip for failure in failures] == ["c0"]
    assert left.data.prompts == data.prompts[1:] and left.data.negatives == data.negatives[1:]
    assert left.data.swaps == data.swaps[1:]
    expected = Tiny().encode_texts([data.prompts[1][0]])[0]
    found = left.features[left.texts[0, 0]].numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-5)


def test_an_odd_clip_is_a_remark_and_no_failure(tmp_path: Path) -> None:
    class Listening(Silent):
        def warn(self, line: str) -> None:
            warned.append(line)

    warned: list[str] = []
    data = drawn(tmp_path, 0, 3)
    plain = write_video(tmp_path / "plain.mp4", 30)
    odd = remux(plain, tmp_path / "odd.mp4", headless_note, stored_order=True)
    data.clips[1] = replace(data.clips[1], path=odd)
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    left, failures = prepare(data, Tiny(), run, Listening())
    assert not failures and len(left.data.clips) == 3
    assert len(warned) == 1 and "1 of 3 videos" in warned[0] and warned[0].endswith("first, c1")


def test_texts_are_kept_by_the_model_that_read_them(tmp_path: Path) -> None:
    class Other(Tiny):
        fingerprint = "other"

        def encode_texts(self, texts: list[str]) -> np.ndarray:
            return -super().encode_texts(texts)

    one, other = prepared(tmp_path), prepared(tmp_path, Other())
    assert torch.equal(one.features, -other.features)


def test_texts_that_are_cut_are_counted_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny's limit is four characters: the prompts `c0 1` fit, the negatives `not c0 1` do not."""
    expected = {"prompts": 6, "prompts_cut": 0, "negatives": 6, "negatives_cut": 6}
    assert prepared(tmp_path).counts == expected
    monkeypatch.setattr(Tiny, "count_truncated", None)  # not asked again
    assert prepared(tmp_path).counts == expected


def test_training_reads_texts_as_evaluation_does(tmp_path: Path) -> None:
    """Special tokens spelt out, texts too long, and the fingerprint that goes with it."""
    run = RunConfig(cache=tmp_path / "cache", device="cpu")
    model, clip = srl_model(tmp_path), OpenCLIPAdapter("clip", run, **BASE)
    texts = ["a <end_of_text> red dog", "word " * 100, "a man"]
    np.testing.assert_array_equal(model.encode_texts(texts), clip.encode_texts(texts))
    assert model.count_truncated(texts) == clip.count_truncated(texts) == 1
    assert model.fingerprint == clip.fingerprint


# --- validation ----------------------------------------------------------------------------------


class Perfect(Tiny):
    """Knows every text; an event's last frame decides, so that the mean has to be taken."""

    def __init__(self, data: Prepared, contextual: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        texts = data.features[data.texts]  # [V, P, D]
        wrong = texts.roll(1, dims=1)
        frames = torch.stack([wrong, 3 * texts], dim=2)  # unit after normalising: the mean is even
        frames[:, :, 1] = texts + (texts - wrong)
        self.found = frames.flatten(1, 2)
        self.by_frame = {
            data.batch([n]).frames[0, 0].numpy().tobytes(): n for n in range(len(data))
        }
        self._contextual = contextual

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        videos = frames.unflatten(0, (-1, self.found.shape[1]))
        places = [self.by_frame[video[0].numpy().tobytes()] for video in videos]
        return self.found[places].flatten(0, 1)

    def contextualize(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        events = self._contextual(features[:, :, 1])
        return events, events.mean(1)


def test_validation_is_by_the_mean_of_an_events_frames_and_its_own_text(tmp_path: Path) -> None:
    data = prepared(tmp_path, count=10)  # more than one group
    found = validate(Perfect(data, lambda events: events), data, "cpu", "float32")
    assert found["R@1"] == found["own-five"] == found["verb-role"] == 100
    assert found["vc/R@1"] == found["vc/own-five"] == found["vc/verb-role"] == 100


def test_processes_that_share_the_validation_come_to_the_numbers_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(tmp_path, count=20)  # three groups: one process has two of them
    model = Perfect(data, lambda events: events.flip(0))
    alone = validate(model, data, "cpu", "float32")
    shares: list[Any] = []

    def gathered(own: Any) -> list[Any]:
        if len(shares) < 2:
            shares.append(own)
            raise InterruptedError
        return shares

    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr(distributed, "gather_all", gathered)
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        with pytest.raises(InterruptedError):
            validate(model, data, "cpu", "float32")
    assert [len(share) for share in shares] == [2, 1]
    assert validate(model, data, "cpu", "float32") == alone != {}


def test_validation_sees_a_dead_contextualizer(tmp_path: Path) -> None:
    data = prepared(tmp_path, count=10)
    dead = Perfect(data, lambda events: events.mean(1, keepdim=True).expand_as(events))
    found = validate(dead, data, "cpu", "float32")
    assert found["own-five"] == 100 and found["vc/own-five"] == 0  # equals rank behind
    absent = Perfect(data, lambda events: events)
    absent.contextual = False  # type: ignore[misc]
    assert not any(name.startswith("vc/") for name in validate(absent, data, "cpu", "float32"))


def test_validation_draws_no_dropout(tmp_path: Path) -> None:
    """The same numbers twice, and the generator of training as it was."""
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    model = srl_model(tmp_path, dropout=0.5, vc_dropout=0.5, events=2, frames=2)
    data = drawn(tmp_path, 0, 3)
    left, _ = prepare(data, model, run, Silent())
    model.train()
    state = torch.get_rng_state()
    assert validate(model, left, "cpu", "float32") == validate(model, left, "cpu", "float32")
    assert torch.equal(state, torch.get_rng_state())


def scripted(monkeypatch: pytest.MonkeyPatch, *values: tuple[float, float]) -> list[str]:
    """Validation finds R@1 and vc/R@1 of `values` in turn; returns the clips that it looks at."""
    seen: list[str] = []
    left = iter(values)

    def found(model: Any, data: Prepared, *_: Any) -> dict[str, float]:
        seen.extend(clip.id for clip in data.data.clips)
        return dict(zip(("R@1", "vc/R@1"), next(left), strict=True))

    monkeypatch.setattr(loop, "validate", found)
    return seen


@pytest.mark.parametrize(
    ("losses", "keep", "epoch"),
    [(LOSSES, "best", 2), (("clip_event",), "best", 1), (("vc_event",), "best", 3),
     (LOSSES, "last", 2)],
)  # fmt: skip
def test_the_epoch_kept_is_the_best_by_what_is_trained_on_held_out_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: tuple[str, ...], keep: str, epoch: int
) -> None:
    seen = scripted(monkeypatch, (9, 1), (8, 7), (1, 9), (2, 2))
    states: list[torch.Tensor] = []
    write = checkpoints.write

    def noting(path: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
        if path.name == checkpoints.LAST:
            states.append(tensors["model.tower.weight"].clone())
        write(path, tensors, record)

    monkeypatch.setattr(checkpoints, "write", noting)
    switches = {name: name in losses for name in LOSSES}
    found = trained(tmp_path, epochs=4, keep=keep, **switches)
    assert set(seen) == {"c100", "c101", "c102"}
    assert found.best_epoch == epoch and found.criterion == TrainSettings(**switches).criterion
    card = checkpoints.read(tmp_path / "out" / "model" / "w.safetensors")
    assert card is not None
    facts = card[1]["training"]
    assert facts["best_epoch"] == epoch and facts["criterion"] == list(found.criterion)
    kept = states[3 if keep == "last" else epoch - 1]
    assert torch.equal(card[0]["tower.weight"], kept) and not torch.equal(states[0], states[1])


# --- rates, decay, temperature -------------------------------------------------------------------


def test_matrices_alone_decay_and_the_contextualizer_may_have_its_own_rate(tmp_path: Path) -> None:
    model = srl_model(tmp_path, learn_temperature=True)
    names = {id(parameter): name for name, parameter in model.trainable_parameters().items()}
    groups = parameter_groups(model, TrainSettings(learning_rate_contextualizer=1e-4))
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["weight_decay"] == (0.2 if parameter.ndim >= 2 else 0.0), name
            contextual = name.startswith("contextualizer.")
            assert group["base"] == (1e-4 if contextual else 1e-6), name
    assert {group["base"] for group in parameter_groups(model, TrainSettings())} == {1e-6}


def stepped(settings: TrainSettings, step: int = 0, steps: int = 10, **model: Any) -> Tiny:
    """Tiny after one step whose gradient is 1 everywhere."""
    tiny = Tiny(**model)
    optimizer = Optimizer(tiny, settings, "cpu", "float32")
    optimizer.start(step, steps)
    optimizer.backward(sum(parameter.sum() for parameter in tiny.parameters()))  # type: ignore[arg-type]
    optimizer.move()
    return tiny


def test_rates_decay_and_clipping_are_applied() -> None:
    start, recipe = Tiny(), TrainSettings(learning_rate=0.1, weight_decay=0.0)

    def moved(name: str, settings: TrainSettings, **at: int) -> torch.Tensor:
        return (
            start.get_parameter(name).detach()
            - stepped(settings, **at).get_parameter(name).detach()
        )

    weight, bias = "tower.weight", "tower.bias"
    torch.testing.assert_close(moved(weight, recipe).mean(), torch.tensor(0.1))
    slow = replace(recipe, warmup_steps=10)
    torch.testing.assert_close(moved(weight, slow).mean(), torch.tensor(0.01))
    late = replace(recipe, schedule="cosine")
    torch.testing.assert_close(moved(weight, late, step=5).mean(), torch.tensor(0.05))
    own = replace(recipe, learning_rate_contextualizer=0.001, warmup_steps=10)
    torch.testing.assert_close(moved("contextualizer.weight", own).mean(), torch.tensor(1e-4))
    decayed = replace(recipe, weight_decay=0.5)
    shrunk = moved(weight, decayed) - moved(weight, recipe)
    torch.testing.assert_close(shrunk, 0.1 * 0.5 * start.get_parameter(weight).detach())
    assert torch.equal(moved(bias, decayed), moved(bias, recipe))


def test_gradients_are_clipped_and_accumulated(tmp_path: Path) -> None:
    trained(tmp_path / "clipped", epochs=1, clip_gradient=1e-9)
    found = checkpoints.read(tmp_path / "clipped" / "out" / checkpoints.LAST)
    assert found is not None
    firsts = [value for name, value in found[0].items() if name.endswith(".exp_avg")]
    assert firsts and all(float(value.abs().max()) < 1e-9 for value in firsts)
    # Both batches of an accumulated step count: their mean is the gradient.
    gradients = []
    monitor = pytest.MonkeyPatch()
    move = Optimizer.move

    def noting(self: Optimizer) -> float:
        model: Any = self._model
        gradients.append(model.tower.weight.grad.clone())
        return move(self)

    monitor.setattr(Optimizer, "move", noting)
    for folder, changes in (("two", {}), ("one", {"accumulate": 2})):
        trained(tmp_path / folder, epochs=1, learning_rate=0.0, **changes)
    monitor.undo()
    torch.testing.assert_close(gradients[2], (gradients[0] + gradients[1]) / 2)


def test_orders_follow_seed_and_epoch(tmp_path: Path) -> None:
    data = prepared(tmp_path, count=8)

    def order(seed: int, epoch: int) -> list[int]:
        training: Any = Training(
            Tiny(), None, data, None, TrainSettings(batch_videos=2), tmp_path, {}, "cpu",  # type: ignore[arg-type]
            "float32", seed, None,
        )  # fmt: skip
        return [int(step[0].ids[0, 0]) for step in loop._steps(training, epoch, 0)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_a_learnt_temperature_stays_within_clips_bounds(tmp_path: Path) -> None:
    class Learning(Tiny):
        def __init__(self, start: float) -> None:
            super().__init__()
            del self.logit_scale
            self.logit_scale = torch.nn.Parameter(torch.tensor(start))

    for start, sign, end in ((4.6, -1, math.log(100)), (0.01, 1, 0.0), (2.0, 1, 1.5)):
        model = Learning(start)
        optimizer = Optimizer(model, TrainSettings(learning_rate=0.5), "cpu", "float32")
        optimizer.start(0, 1)
        optimizer.backward(sign * model.logit_scale)
        optimizer.move()
        assert float(model.logit_scale.detach()) == pytest.approx(end)


# --- precision and threads -----------------------------------------------------------------------


class Noting(Tiny):
    """Notes in what precision its products are formed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[bool, torch.dtype]] = set()

    def frame_features(self, frames: torch.Tensor) -> torch.Tensor:
        found = super().frame_features(frames)
        self.seen.add((self.training, found.dtype))
        return found


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_holds_in_training_validation_and_card(tmp_path: Path, precision: str) -> None:
    model = Noting()
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1, precision=precision)
    recipe = TrainSettings(epochs=1, batch_videos=2, learning_rate=1e-3)
    loop.train(
        model,
        drawn(tmp_path, 0, 4),
        drawn(tmp_path, 100, 3),
        recipe,
        loop.Job(run, tmp_path / "out", "cpu", Silent()),
    )
    dtype = getattr(torch, precision)
    assert model.seen == {(True, dtype), (False, dtype)}
    card = checkpoints.read(tmp_path / "out" / "model" / "w.safetensors")
    last = checkpoints.read(tmp_path / "out" / checkpoints.LAST)
    assert card is not None and card[1]["training"]["precision"] == precision
    assert last is not None and bool(last[1]["scaler"]) == (precision == "float16")
    with pytest.raises(UsageError, match="seed: 0 there, 1 here"):
        loop.train(
            Noting(),
            drawn(tmp_path, 0, 4),
            drawn(tmp_path, 100, 3),
            recipe,
            loop.Job(replace(run, seed=1), tmp_path / "out", "cpu", Silent()),
        )
    with pytest.raises(UsageError, match="precision: "):
        other = "float32" if precision != "float32" else "bfloat16"
        loop.train(
            Noting(),
            drawn(tmp_path, 0, 4),
            drawn(tmp_path, 100, 3),
            recipe,
            loop.Job(replace(run, precision=other), tmp_path / "out", "cpu", Silent()),
        )


def test_precision_holds_in_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    given = np.random.default_rng(0).normal(size=(1, 5, 4, 128)).astype(np.float32)
    srl_model(tmp_path).save(tmp_path / "srl", {})
    found: dict[str, list[np.ndarray]] = {}
    prints = set()
    for precision in ("float32", "bfloat16", "float16"):
        run = RunConfig(cache=tmp_path / "cache", device="cpu", precision=precision)
        adapter = SRLCLIPAdapter("srl", run, **BASE, checkpoint=str(tmp_path / "srl"))
        contextual = adapter.contextualize(given)
        assert contextual is not None
        found[precision] = [adapter.encode_frames(frames), adapter.encode_texts(["a man"]),
                            contextual[0]]  # fmt: skip
        prints.add(adapter.fingerprint)
        assert adapter.describe()["precision"].startswith(precision)
    assert len(prints) == 3
    for half, most in (("bfloat16", 0.05), ("float16", 0.01)):
        for one, exact in zip(found[half], found["float32"], strict=True):
            gap = np.linalg.norm(one - exact) / np.linalg.norm(exact)
            assert 1e-6 < gap < most, half


def test_auto_takes_what_the_card_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RunConfig(device="cpu").torch_precision == "float32"
    assert RunConfig(device="cpu", precision="float16").torch_precision == "float16"
    for native, expected in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, n=native, **__: n)
        assert RunConfig(device="cuda:0").torch_precision == expected


def test_a_float16_gradient_that_overflows_costs_a_step_and_no_more(tmp_path: Path) -> None:
    model = Tiny()
    optimizer = Optimizer(model, TrainSettings(learning_rate=0.1), "cpu", "float16")
    before, scale = model.tower.weight.detach().clone(), optimizer.scaler.get_scale()
    optimizer.start(0, 1)
    optimizer.backward(model.tower.weight.sum() * 1e36)
    assert not math.isfinite(optimizer.move()) and optimizer.recovers
    assert torch.equal(model.tower.weight, before)
    assert optimizer.scaler.get_scale() == scale / 2
    optimizer.start(0, 1)
    optimizer.backward(model.tower.weight.sum())
    assert math.isfinite(optimizer.move()) and not torch.equal(model.tower.weight, before)
    # A gradient that is no number at any scale ends the training all the same.
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1, precision="float16")
    recipe = TrainSettings(epochs=20, batch_videos=2, hold_out=0.0)
    with pytest.raises(BenchError, match=r"the gradient is nan at step 1[78]"):
        loop.train(
            Tiny(float("nan")),
            drawn(tmp_path, 0, 4),
            drawn(tmp_path, 0, 0),
            recipe,
            loop.Job(run, tmp_path / "out", "cpu", Silent()),
        )


@pytest.mark.slow
def test_a_float16_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """The loss scale and how long it has held are part of the checkpoint."""

    def run(folder: str, minutes: float | None = None) -> Any:
        where = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1, precision="float16")
        recipe = TrainSettings(epochs=3, batch_videos=2, learning_rate=1e-2)
        return loop.train(
            Tiny(),
            drawn(tmp_path, 0, 4),
            drawn(tmp_path, 100, 3),
            recipe,
            loop.Job(where, tmp_path / folder, "cpu", Silent(), minutes),
        )

    run("whole")
    while run("parts", 1e-9).stopped:
        pass
    whole, parts = (checkpoints.read(tmp_path / name / checkpoints.LAST)
                    for name in ("whole", "parts"))  # fmt: skip
    assert whole is not None and parts is not None
    assert all(torch.equal(value, parts[0][name]) for name, value in whole[0].items())
    assert whole[1]["scaler"] == parts[1]["scaler"] and whole[1]["scaler"]["_growth_tracker"] > 0


def test_training_uses_the_threads_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1, threads=3)
    loop.train(
        Tiny(),
        drawn(tmp_path, 0, 4),
        drawn(tmp_path, 0, 0),
        TrainSettings(epochs=1),
        loop.Job(run, tmp_path / "out", "cpu", Silent()),
    )
    assert seen == [3]


def test_the_log_tells_what_was_cut_and_both_branches(tmp_path: Path) -> None:
    warned: list[str] = []

    class Listening(Silent):
        def warn(self, line: str) -> None:
            warned.append(line)

    run = RunConfig(cache=tmp_path / "cache", device="cpu", workers=1)
    recipe = TrainSettings(epochs=1, batch_videos=2)
    loop.train(
        Tiny(),
        drawn(tmp_path, 0, 4),
        drawn(tmp_path, 100, 3),
        recipe,
        loop.Job(run, tmp_path / "out", "cpu", Listening()),
    )
    assert warned[0] == "8 of 8 negatives are too long for the model and are cut"
    shown = (
        r"epoch 1: R@1 [\d.]+ \(vc [\d.]+\), own-five [\d.]+ \(vc .*verb-role [\d.]+ \(vc [\d.]+\)"
    )
    assert re.fullmatch(shown, warned[1]) and len(warned[1]) <= 80
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["texts", "step", "step", "epoch"]
    assert lines[0]["negatives_cut"] == 8 and lines[1]["equal_texts"] == 0
