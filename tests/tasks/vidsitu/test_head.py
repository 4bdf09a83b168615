"""The situation head: its shapes, its independence of the batch, its decoding."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from tasks.vidsitu.head.inputs import video_features
from tasks.vidsitu.head.models import Queries, SituationHead, VideoFeatures
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.head.vocabulary import END, PAD, Vocabulary, split

from .conftest import Seeing

TOKENS, DIM = 12, 16


def features(videos: int, context: int = DIM) -> VideoFeatures:
    random = torch.Generator().manual_seed(1)
    frames = torch.randn(videos, 5, 4, DIM, generator=random)
    events = torch.randn(videos, 5, context, generator=random)
    return VideoFeatures(frames, events, torch.randn(videos, context, generator=random))


def head_of(settings: HeadSettings, context: int = DIM) -> SituationHead:
    torch.manual_seed(0)
    head = SituationHead(settings, DIM, context, verbs=7, tokens=TOKENS).eval()
    with torch.no_grad():  # untrained logits are all but equal; these are not
        head.captioner.lm_head.weight.mul_(50)
    return head


def asked(*rows: tuple[int, int, int]) -> Queries:
    return Queries(*torch.tensor(rows).T)


def described(head: SituationHead, seen: VideoFeatures, queries: Queries) -> torch.Tensor:
    events, videos = head.contextualize(seen)
    return head.describe(seen, events, videos, queries)


@torch.no_grad()
@pytest.mark.parametrize("context", [DIM, 24])
def test_shapes_whatever_the_width_of_the_models_events(
    settings: HeadSettings, context: int
) -> None:
    head, seen = head_of(settings, context), features(3, context)
    verbs, roles = head.classify(head.contextualize(seen)[0])
    assert verbs.shape == (3, 5, 7) and roles.shape == (3, 5, 12)
    assert described(head, seen, asked((0, 0, 0), (0, 4, 11), (2, 1, 1))).shape == (3, 32)


@torch.no_grad()
def test_a_video_is_described_alike_in_any_company(settings: HeadSettings) -> None:
    head, seen = head_of(settings), features(3)
    alone = described(head, seen.take(torch.tensor([2]), "cpu"), asked((0, 0, 0), (0, 4, 11)))
    together = described(head, seen, asked((0, 0, 0), (0, 1, 1), (0, 2, 2), (2, 0, 0), (2, 4, 11)))
    torch.testing.assert_close(together[3:], alone)
    # A role of the same video is company that counts: names are to agree within a video.
    other = described(head, seen, asked((0, 0, 0), (2, 0, 0), (2, 3, 1), (2, 4, 11)))
    assert (other[1] - alone[0]).abs().max() > 1e-4


@torch.no_grad()
def test_every_part_of_the_features_reaches_what_is_built_on_them(settings: HeadSettings) -> None:
    """Frames, their order, the model's own events and videos: each changes verbs and captions."""
    head, seen = head_of(settings), features(2)
    queries = asked((0, 1, 0), (0, 1, 1), (1, 1, 0))
    before = head.contextualize(seen)[0], described(head, seen, queries)
    for part in ("frames", "events", "videos"):
        changed = dataclasses.replace(seen, **{part: getattr(seen, part).flip(1)})
        after = head.contextualize(changed)[0], described(head, changed, queries)
        assert (after[1] - before[1]).abs().amin(dim=0).max() > 1e-4, part
        if part != "videos":
            assert (head.verbs(after[0]) - head.verbs(before[0])).abs().max() > 1e-4, part
    # Queries of one event differ by their role alone, those of two videos by what is seen.
    assert (before[1][0] - before[1][1]).abs().max() > 1e-4
    assert (before[1][0] - before[1][2]).abs().max() > 1e-4


@torch.no_grad()
def test_an_event_holds_the_steps_from_frame_to_frame(settings: HeadSettings) -> None:
    """Beside the encoder's output and the mean: what moves, in the order in which it does."""
    head, seen = head_of(settings), features(2)
    dim = seen.frames.shape[-1]
    found = head.contextualize(seen)[0][..., dim:]
    frames = functional.layer_norm(seen.frames, (dim,))
    torch.testing.assert_close(found[..., :dim], frames.mean(dim=2))
    for step in range(3):
        expected = frames[:, :, step + 1] - frames[:, :, step]
        torch.testing.assert_close(found[..., dim * (step + 1) :][..., :dim], expected)


@torch.no_grad()
def test_a_query_reads_its_own_event_and_looks_at_video_and_frames(settings: HeadSettings) -> None:
    head, seen = head_of(settings), features(2)
    head.event_places.zero_()
    first, last = (described(head, seen, asked((0, event, 0)))[0] for event in (0, 4))
    assert (first - last).abs().max() > 1e-4
    events, videos = head.contextualize(seen)
    before = head.describe(seen, events, videos, asked((0, 0, 0)))
    frames = dataclasses.replace(seen, frames=seen.frames.roll(1, 0))
    for changed in (head.describe(frames, events, videos, asked((0, 0, 0))),
                    head.describe(seen, events, videos.roll(1, 0), asked((0, 0, 0))),
                    head.describe(seen, events.roll(1, 1), videos, asked((0, 0, 0)))):  # fmt: skip
        assert (changed - before).abs().max() > 1e-4


def test_all_models_get_the_same_trained_layers(settings: HeadSettings) -> None:
    """A model with a video module of its own and one without: not a weight more or less."""
    from bench.contracts import Features

    class Own(Seeing):
        def contextualize(self, frame_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return frame_features.max(axis=2), frame_features.max(axis=(1, 2))

    clips = np.random.default_rng(0).normal(size=(3, 20, DIM)).astype(np.float32)
    given = Features({str(n): clip for n, clip in enumerate(clips)}, np.zeros((0, DIM)))
    shapes = []
    for adapter in (Seeing(), Own()):
        seen = video_features(["0", "1", "2"], given, adapter)
        assert seen.events.shape == (3, 5, DIM) and seen.videos.shape == (3, DIM)
        head = head_of(settings, seen.events.shape[-1])
        shapes.append({name: value.shape for name, value in head.state_dict().items()})
    assert shapes[0] == shapes[1]
    unit = clips[1].reshape(5, 4, DIM) / np.linalg.norm(clips[1], axis=-1).reshape(5, 4, 1)
    plain = video_features(["1"], given, Seeing())
    np.testing.assert_allclose(plain.events[0], unit.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(plain.videos[0], unit.mean(axis=(0, 1)), rtol=1e-5)


@torch.no_grad()
def test_cached_greedy_decoding_is_the_argmax_of_teacher_forcing(settings: HeadSettings) -> None:
    head = head_of(settings)
    starts = torch.randn(6, settings.width, generator=torch.Generator().manual_seed(3))
    for row, ids in enumerate(head.spell(starts)):
        said: list[int] = []
        while len(said) < settings.caption_tokens and END not in said:
            words = head.captioner.transformer.wte(torch.tensor([said], dtype=torch.int64))
            inputs = torch.cat([starts[row][None, None], words], dim=1)
            said.append(int(head.captioner(inputs_embeds=inputs).logits[0, -1].argmax()))
        assert ids[: len(said)] == said
        assert set(ids[len(said) :]) <= {PAD}


@torch.no_grad()
def test_a_beam_wide_enough_finds_the_likeliest_caption(settings: HeadSettings) -> None:
    """Against all captions of two tokens, by brute force."""
    narrow = dataclasses.replace(settings, caption_tokens=2, beam=TOKENS)
    head = head_of(narrow)
    starts = torch.randn(4, settings.width, generator=torch.Generator().manual_seed(4))
    captions = torch.tensor([c for c in itertools.product(range(TOKENS), repeat=2) if c[0] != END])
    words = head.captioner.transformer.wte(captions[:, :1])
    for row, ids in enumerate(head.spell(starts)):
        inputs = torch.cat([starts[row].expand(len(captions), 1, -1), words], dim=1)
        chances = head.captioner(inputs_embeds=inputs).logits.log_softmax(-1)
        total = chances[:, 0].gather(1, captions[:, :1]) + chances[:, 1].gather(1, captions[:, 1:])
        best = captions[total.argmax()].tolist()
        ended = float(chances[0, 0, END])  # per token, as the beam compares lengths
        if ended < float(total.max()) / 2:
            assert ids[:2] == best


@torch.no_grad()
def test_padding_is_not_learnt(settings: HeadSettings) -> None:
    head = head_of(settings)
    starts = torch.randn(2, settings.width)
    short, long = torch.tensor([[3, END]]), torch.tensor([[3, END, PAD, PAD]])
    one = head.caption_loss(starts[:1], short)
    torch.testing.assert_close(head.caption_loss(starts[:1], long), one)


@pytest.mark.parametrize(
    "text", ["man in yellow-haired wig", "the woman's  hat", "don't", "a", "red truck (left)"]
)
def test_captions_come_back_in_lower_case_with_their_blanks(text: str) -> None:
    vocabulary = Vocabulary.of([text, "other words"])
    ids = [*vocabulary.encode(text, 50), END, 5]
    assert vocabulary.decode(ids) == " ".join(text.split()).lower()
    again = Vocabulary.from_tokens([list(token) for token in vocabulary.tokens])
    assert again.decode(ids) == vocabulary.decode(ids)


def test_unknown_tokens_are_left_out_and_long_captions_cut() -> None:
    vocabulary = Vocabulary.of(["red dog"])
    assert vocabulary.decode(vocabulary.encode("red zebra dog", 50)) == "red dog"
    assert len(vocabulary.encode("red dog red dog", 3)) == 3
    assert split("") == () and vocabulary.decode([]) == "" and len(vocabulary) == 4
