"""VideoWhisperer's head as a setting: the published loss, training and decoding."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.config import RunConfig
from bench.contracts import Features, Source, Workplace
from bench.errors import BenchError, UsageError
from bench.features.work import Silent
from bench.report.boards import boards
from bench.results.document import Coverage, Data, Document, Reading, Settings, valued
from tasks.vidsitu.head import prediction, training
from tasks.vidsitu.head.inputs import videos_of
from tasks.vidsitu.head.models import Queries, VideoFeatures
from tasks.vidsitu.head.settings import LATER, HeadSettings
from tasks.vidsitu.head.videowhisperer import Seen, likely_slots
from tasks.vidsitu.head.vocabulary import END, PAD, Vocabulary
from tasks.vidsitu.head.whisperer import WhispererHead
from tasks.vidsitu.head.whisperer_data import ROLE_IDS, VERB_SYMBOLS, targets_of
from tasks.vidsitu.scoring.rules import ROLES
from tasks.vidsitu.task import VidSitu

from .conftest import DIM, SMALL, Seeing

HEAD = {**SMALL, "head": "videowhisperer", "vc_heads": 2}


def with_settings(source: Source, **changes: Any) -> VidSitu:
    return VidSitu.load(replace(source, settings={**HEAD, **changes}))


def head_of(verbs: int = 7, tokens: int = 12, **changes: Any) -> WhispererHead:
    torch.manual_seed(0)
    settings = HeadSettings.of({**HEAD, **changes}, "test")
    return WhispererHead(settings, DIM, DIM, verbs, tokens).eval()


def features_of(videos: int) -> VideoFeatures:
    random = torch.Generator().manual_seed(1)
    frames = torch.randn(videos, 5, 4, DIM, generator=random)
    events = torch.randn(videos, 5, DIM, generator=random)
    return VideoFeatures(frames, events, torch.randn(videos, DIM, generator=random))


@pytest.mark.parametrize("roles", ["given", "predicted"])
def test_the_loss_is_the_published_one(task: VidSitu, roles: str) -> None:
    annotations = [task.training[clip.id] for clip in task.support][:4]
    # One event has eight roles, of which six are learnt.
    event = annotations[0].events[2]
    keys = ["Arg0", "Arg1", "Arg2", "Arg3", "ArgM (goal)", "Scene of the Event", "Arg4", "Arg5"]
    many = replace(event, arguments=tuple((key, "a long red boat " * 6) for key in keys))
    events = (*annotations[0].events[:2], many, *annotations[0].events[3:])
    annotations[0] = replace(annotations[0], events=events)
    vocabulary = Vocabulary.of(v for a in annotations for e in a.events for _, v in e.arguments)
    verbs = sorted({event.verb_id for one in annotations for event in one.events})
    head = head_of(len(verbs), len(vocabulary), roles=roles)
    seen = features_of(4)
    examples = training.training_examples(
        annotations, seen, verbs, vocabulary, head.longest_caption, head.most_roles
    )
    found = training.loss_of(head, examples, torch.arange(4), "cpu")

    classes = {verb: place for place, verb in enumerate([*VERB_SYMBOLS, *verbs])}
    special = {"start": len(vocabulary), "end": END, "pad": PAD}
    slots, targets = targets_of(annotations, classes, lambda text: vocabulary.encode(text, 99),
                                special)  # fmt: skip
    objects = seen.frames.reshape(4, 20, 1, DIM)
    boxes = torch.tensor([0.0, 0, 1, 1]).expand(4, 20, 1, 4)
    official = head.model.losses(Seen(seen.events, objects, boxes), slots, targets)
    assert ("loss_role" in official) == (roles == "predicted")
    torch.testing.assert_close(found, official["loss"])


def test_its_defaults_are_published_and_each_is_a_setting() -> None:
    found = HeadSettings.of({"head": "videowhisperer"}, "test")
    assert (found.width, found.layers, found.vc_layers, found.heads, found.feed_forward) == (
        1024, 3, 3, 8, 2048
    )  # fmt: skip
    assert (found.dropout, found.learning_rate, found.batch_videos, found.epochs) == (
        0.15, 1e-4, 16, 15
    )  # fmt: skip
    assert (found.weight_decay, found.clip_gradient, found.beta2) == (0, 0, 0.99)
    assert found.drop_last and found.select == "best-cider" and not found.causal
    assert found.case == "kept" and found.stage_one == "own"
    own = {"beta2": 0.9, "drop_last": False, "select": "last", "causal": True, "vc_layers": 2,
           "case": "lower"}  # fmt: skip
    changed = HeadSettings.of({"head": "videowhisperer", **own}, "test")
    assert {name: getattr(changed, name) for name in own} == own
    assert HeadSettings.of({}, "test") == HeadSettings()


def test_older_results_stay_beside_those_of_our_own_head() -> None:
    names = {field.name for field in fields(HeadSettings)}
    assert HeadSettings().recorded().keys() == names - set(LATER)
    published = HeadSettings.of({"head": "videowhisperer"}, "test").recorded()
    assert published.keys() == names - {"stage_one"}
    assert HeadSettings.of({"beta2": 0.9}, "test").recorded()["beta2"] == 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beam": 2}, "decodes greedily"),
        ({"vc_heads": 3}, "vc_heads 3 does not divide width 32"),
        ({"caption_tokens": 2}, "are start and end"),
        ({"head": "own", "causal": False}, "causal: False is of VideoWhisperer's head alone"),
        ({"head": "own", "stage_one": "model"}, "stage_one: model is of VideoWhisperer's head"),
        ({"stage_one": "other"}, "stage_one cannot be 'other'"),
        ({"case": "upper"}, "case cannot be 'upper'"),
        ({"head": "other"}, "head cannot be 'other'"),
        ({"select": "worst"}, "select cannot be 'worst'"),
        ({"beta2": 1.0}, "beta2 cannot be 1.0"),
    ],
)
def test_impossible_settings(source: Source, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_settings(source, **changes)


def test_two_heads_are_two_protocols(source: Source) -> None:
    own, other = VidSitu.load(source), with_settings(source)
    assert other.protocol == own.protocol + ", VideoWhisperer's head"
    predicted = with_settings(source, roles="predicted").protocol
    assert predicted == other.protocol + ", roles predicted"
    assert own.settings.keys() < other.settings.keys() and other.settings["head"] != "own"


def test_an_incomplete_batch_is_dropped(
    source: Source, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    loss_of = training.loss_of

    def counting(head: Any, data: Any, videos: torch.Tensor, device: str) -> torch.Tensor:
        taken.append(len(videos))
        return loss_of(head, data, videos, device)

    monkeypatch.setattr(training, "loss_of", counting)
    task = with_settings(source, epochs=1, batch_videos=7)
    count = len(task.support)
    assert count % 7
    task.learn(features, Seeing(), place)
    assert taken == [7] * (count // 7)
    taken.clear()
    with_settings(source, epochs=1, batch_videos=7, drop_last=False).learn(
        features, Seeing(), place
    )
    assert taken == [7] * (count // 7) + [count % 7]
    with pytest.raises(BenchError, match=r"are no batch of 40, .*drop_last=false"):
        with_settings(source, batch_videos=40).learn(features, Seeing(), place)


def test_the_optimiser_is_the_published_adam(
    source: Source, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    adam = torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim, "AdamW", lambda *a, **k: made.append(adam(*a, **k)) or made[-1]
    )
    with_settings(source, epochs=1).learn(features, Seeing(), place)
    VidSitu.load(source).learn(features, Seeing(), replace(place, folder=place.folder / "own"))
    whisperer, own = (one.param_groups[0] for one in made)
    assert whisperer["betas"] == (0.9, 0.99) and whisperer["weight_decay"] == 0
    assert own["betas"] == (0.9, 0.999) and own["weight_decay"] == 0.01


def test_the_epoch_of_the_best_cider_answers(
    source: Source, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verbs do not count, unlike with `best`."""
    import tasks.vidsitu.task as module

    given = iter([{"Vb@1": 1.0, "CIDEr": 9.0}, {"Vb@1": 90.0, "CIDEr": 5.0}] * 3)

    class Scored:
        def metrics(self) -> dict[str, float]:
            return next(given)

    monkeypatch.setattr(module, "scored", lambda lines: Scored())
    for select, judged in (("best-cider", [9.0, 5.0]), ("best", [3.0, 450**0.5])):
        folder = place.folder / select
        with_settings(source, epochs=2, select=select).learn(
            features, Seeing(), replace(place, folder=folder)
        )
        kept = training.kept_head(next(folder.rglob("head.safetensors")))
        assert kept and kept[1]["judged"] == pytest.approx(judged)


def test_a_kept_head_answers_again_and_decodes_otherwise_untrained(
    source: Source, features: Features, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = with_settings(source, select="last")
    first = task.learn(features, Seeing(), place)
    monkeypatch.setattr(prediction, "train_head", None)
    assert task.learn(features, Seeing(), place) == first
    causal = with_settings(source, select="last", causal=True).learn(features, Seeing(), place)
    assert {name: one.verbs for name, one in causal.items()} == {
        name: one.verbs for name, one in first.items()
    }
    with pytest.raises(TypeError):  # a head that predicts roles is another
        with_settings(source, select="last", roles="predicted").learn(features, Seeing(), place)


def test_a_head_of_given_roles_predicts_none(
    source: Source, features: Features, place: Workplace
) -> None:
    hidden = VidSitu.load_split(replace(source, settings={**HEAD, "select": "last"}), "testvb")
    clips = {clip.id: features.clips[known.id] for clip, known in
             zip(hidden.clips, VidSitu.load(source).clips, strict=False)}  # fmt: skip
    shown = Features({**features.clips, **clips}, features.texts)
    with pytest.raises(BenchError, match=r"set vidsitu\.roles=predicted"):
        hidden.learn(shown, Seeing(), place)


def test_predicted_roles_are_six_at_most_in_the_published_order(
    source: Source, features: Features, place: Workplace
) -> None:
    task = with_settings(source, roles="predicted", epochs=1)
    learnt = task.learn(features, Seeing(), place)
    assert all(len(event) <= 6 for one in learnt.values() for event in one.roles.values())
    head = head_of(roles="predicted")
    everything = prediction._likely(torch.ones(1, 12), head.role_order)[0][: head.most_roles]
    assert everything == ["Arg0", "Arg1", "Arg2", "Arg3", "Arg4", "Arg5"]
    scene = torch.full((1, 12), -1.0)
    scene[0, [ROLES.index("AScn"), ROLES.index("ALoc")]] = 1
    assert prediction._likely(scene, head.role_order) == [["AScn", "ALoc"]]


@torch.no_grad()
def test_roles_and_verbs_are_in_our_order() -> None:
    head, seen = head_of(roles="predicted"), features_of(2)
    encoded, _ = head.contextualize(seen)
    verbs, roles = head.classify(encoded)
    assert torch.equal(verbs[..., :7], head.model.verbs(encoded)[..., 4:])
    assert roles is not None
    official = head.model.roles(encoded)
    for place, role in enumerate(ROLES):
        assert torch.equal(roles[..., place], official[..., ROLE_IDS.index(role)])


@torch.no_grad()
def test_queries_fill_the_slots_of_their_events() -> None:
    head, seen = head_of(), features_of(2)
    encoded, videos = head.contextualize(seen)
    rows = [(0, 1, 11), (0, 1, 0), (0, 4, 2), (1, 1, 0)]
    found = head.describe(seen, encoded, videos, Queries(*torch.tensor(rows).T))
    slots = torch.full((2, 5, 6), 12)
    slots[0, 1, :2] = torch.tensor([6, 0])  # AScn is VideoWhisperer's seventh role
    slots[0, 4, 0], slots[1, 1, 0] = 2, 0
    described = head.model.describe(encoded, slots)[0].reshape(2, 5, 6, -1)
    expected = [described[0, 1, 0], described[0, 1, 1], described[0, 4, 0], described[1, 1, 0]]
    torch.testing.assert_close(found, torch.stack(expected))
    with pytest.raises(BenchError, match="6 roles of an event at most"):
        head.describe(
            seen, encoded, videos, Queries(*torch.tensor([(0, 0, r) for r in range(7)]).T)
        )


@pytest.mark.parametrize("causal", [False, True])
def test_captions_end_at_the_first_end_and_hold_no_symbols(
    monkeypatch: pytest.MonkeyPatch, causal: bool
) -> None:
    head = head_of(causal=causal, caption_tokens=6)
    rows = [[5, PAD, 12, 6, END, 7], [END, 5, 5, 5, 5, 5], [5, 6, 7, 8, 9, 10]]
    asked: list[Any] = []

    def hidden(ids: torch.Tensor, described: torch.Tensor, causal: bool) -> torch.Tensor:
        """Such that the row that `described` numbers says what stands above."""
        asked.append((ids[:, 0].tolist(), causal))
        said = [rows[int(row[0])][ids.shape[1] - 1] for row in described]
        return torch.nn.functional.one_hot(torch.tensor(said), 32)[:, None].float()

    monkeypatch.setattr(head.model.tx_cap, "hidden", hidden)
    monkeypatch.setattr(head.model.tx_cap, "noun_classifier", torch.nn.Identity())
    numbered = torch.arange(3)[:, None].expand(3, 32)
    assert head.spell(numbered) == [[5, 6], [], [5, 6, 7, 8, 9, 10]]
    # The token that starts a caption; decoded as the setting says; none that has ended is asked.
    assert asked == [([12] * left, causal) for left in (3, 2, 2, 2, 2, 1)]


def test_it_learns_what_the_features_show(
    source: Source, features: Features, place: Workplace
) -> None:
    task = with_settings(source, epochs=25, select="last")
    learnt = task.learn(features, Seeing(), place)
    lines = list(task.answer(replace(features, learnt=learnt), Seeing()))
    found, chance = task.score(lines, resamples=20, seed=0).metrics, task.chance_of(lines)
    assert found["Vb@1"] > chance["Vb@1"] + 20
    assert all(len(event) <= 6 for one in learnt.values() for event in one.roles.values())


class Encoding(Seeing):
    """Its frames say nothing; what its video module makes of them is what `shown` has."""

    name = fingerprint = "encoding"

    def __init__(self, shown: dict[bytes, np.ndarray]) -> None:
        super().__init__(contextual=True)
        self.shown, self.asked = shown, 0

    def contextualize_frames(
        self, frame_features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.asked += 1
        frames = np.stack([self.shown[video.tobytes()] for video in frame_features])
        return np.zeros_like(frames[:, :, 0]), np.zeros_like(frames[:, 0, 0]), frames


def test_the_models_own_encoder_is_stage_one(
    source: Source, features: Features, place: Workplace
) -> None:
    """The head sees frames as the model encodes them, and has no encoder of its own."""
    random = np.random.default_rng(5)
    names = list(features.clips)
    blind = {name: random.normal(size=(20, DIM)).astype(np.float32) for name in names}
    shown = {
        blind[name].reshape(5, 4, DIM).tobytes(): features.clips[name].reshape(5, 4, DIM)
        for name in names
    }
    given, found, asked = Features(blind, features.texts), {}, {}
    for stage_one in ("model", "own"):
        adapter = Encoding(shown)
        task = with_settings(source, epochs=2, select="last", stage_one=stage_one)
        learnt = task.learn(given, adapter, replace(place, folder=place.folder / stage_one))
        asked[stage_one] = adapter.asked
        clips = [clip.id for clip in task.clips]
        memory = head_memory(place.folder / stage_one, given, adapter, task, clips)
        found[stage_one] = learnt, memory
    assert asked["model"] > 0 == asked["own"]
    # No encoder of the head's own: a frame's token does not see the other frames.
    head, memory = found["model"][1]
    assert head.settings.vc_layers == 0 and not head.model.tx_vo_ro.vo_encoder.layers
    texts = [learnt[name].roles for learnt in (found["model"][0], found["own"][0])
             for name in learnt]  # fmt: skip
    assert texts[: len(clips)] != texts[len(clips) :]
    assert torch.equal(memory.frames.flatten(1, 2)[0], torch.from_numpy(features.clips[clips[0]]))


def head_memory(folder: Path, given: Any, adapter: Any, task: VidSitu, clips: list[str]) -> Any:
    """The kept head, and what it is shown of `clips`."""
    kept = training.kept_head(next(folder.rglob("head.safetensors")))
    assert kept
    return kept[0], videos_of(clips, given, adapter, task.head, Silent())


def test_a_model_without_an_encoder_of_frames_is_refused(
    source: Source, features: Features, place: Workplace
) -> None:
    task = with_settings(source, stage_one="model")
    with pytest.raises(UsageError, match=r"'seeing' has no video module .*stage_one=own"):
        task.check_model(Seeing(contextual=True))
    task.check_model(Encoding({}))
    none = Encoding({})
    none.contextualize_frames = lambda frames: None  # type: ignore[assignment,return-value]
    with pytest.raises(BenchError, match="has no video module"):
        task.learn(features, none, place)


def test_predicted_roles_are_called_as_predicted(
    source: Source, features: Features, place: Workplace
) -> None:
    """The annotation of what is answered gives neither slots nor names, as officially it does."""
    task = with_settings(source, roles="predicted", epochs=8, select="last")
    found = task.learn(features, Seeing(), place)
    renamed = with_settings(source, roles="predicted", epochs=8, select="last")
    renamed.roles = {name: [["AGol"]] * 5 for name in renamed.roles}
    assert renamed.learn(features, Seeing(), place) == found
    kept = training.kept_head(next(place.folder.rglob("head.safetensors")))
    assert kept
    head, clips = kept[0].eval(), [clip.id for clip in task.clips]
    seen = videos_of(clips, features, Seeing(), task.head, Silent())
    with torch.no_grad():
        assert isinstance(seen, VideoFeatures)
        logits = head.model.roles(head.contextualize(seen)[0])
    slots = likely_slots(logits)
    for video, name in enumerate(clips):
        for event, said in enumerate(found[name].roles.values()):
            expected = [ROLE_IDS[slot] for slot in slots[video, event].tolist() if slot < 12]
            assert list(said) == expected
    assert any(said for one in found.values() for said in one.roles.values())


def test_given_and_predicted_roles_never_share_a_board(
    source: Source, features: Features, place: Workplace, run: RunConfig
) -> None:
    documents = []
    for head in ("own", "videowhisperer"):
        for roles in ("given", "predicted"):
            changes = {"head": head, "roles": roles, "epochs": 1, "select": "last"}
            task = with_settings(source, **changes)
            learnt = task.learn(features, Seeing(), place)
            lines = list(task.answer(replace(features, learnt=learnt), Seeing()))
            scores = task.score(lines, resamples=5, seed=0)
            documents.append(Document(
                task="vidsitu", task_version=task.version, protocol=task.protocol,
                source=Data("lab", task.fingerprint), model={"name": f"{head} {roles}"},
                metrics=valued(scores.metrics, scores.intervals), primary=task.primary,
                metric_info={n: Reading(m.unit, m.higher_is_better)
                             for n, m in task.metrics.items()},
                coverage=Coverage(5, 5, 5, 0, 0), chance={}, warnings=[],
                settings=Settings(resamples=5, seed=0, task=task.settings),
            ))  # fmt: skip
    found = boards(documents)
    assert [[row.model for row in board.rows] for board in found] == [
        ["own given"], ["own predicted"], ["videowhisperer given"], ["videowhisperer predicted"]
    ]  # fmt: skip
    titles = [board.title for board in found]
    assert ["VideoWhisperer's head" in title for title in titles] == [False, False, True, True]
    assert ["roles predicted" in title for title in titles] == [False, True, False, True]


def test_case_is_a_setting(source: Source, features: Features, place: Workplace) -> None:
    """Captions that are learnt with capitals are said with them."""
    for case, expected in (("kept", "Red McBoat"), ("lower", "red mcboat")):
        task = with_settings(source, case=case, epochs=20, select="last")
        for name, annotation in task.training.items():
            events = tuple(
                replace(event, arguments=tuple((key, "Red McBoat") for key, _ in event.arguments))
                for event in annotation.events
            )
            task.training[name] = replace(annotation, events=events)
        learnt = task.learn(features, Seeing(), replace(place, folder=place.folder / case))
        events_of = [event for one in learnt.values() for event in one.roles.values()]
        said = {text for event in events_of for text in event.values()}
        assert said == {expected}
