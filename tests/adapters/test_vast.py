"""VAST as an adapter: what the harness hands over, and what the model of the vectors gives."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import bench
from adapters.vast import VASTAdapter
from adapters.vast_audio import segments
from bench.capabilities import Reranks
from bench.config import RunConfig
from bench.engine import evaluate
from bench.errors import BenchError, MissingWeights, UsageError
from bench.video.sound import NONE, Sound
from tests.systems.case import Case, read_case
from tests.systems.vast import model_of

GOLDEN = Path(__file__).parents[1] / "golden" / "systems" / "vast" / "audio"
SIZES = {"image_size": 30, "embed_dim": 16, "vision_heads": 4, "text_heads": 4, "vision_frames": 3,
         "audio_segments": 2, "audio_distance": 12}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "run", "##s", "the", "cat"]
TEXTS = ["A dog runs", "the cat", "", "the dog the cat the dog"]


@pytest.fixture(scope="module")
def case() -> Case:
    return read_case(GOLDEN)


@pytest.fixture
def run(tmp_path: Path, case: Case) -> RunConfig:
    run = RunConfig(cache=tmp_path / "cache", device="cpu")
    folder = run.weights_folder / "vast"
    folder.mkdir(parents=True)
    # The vectors' table of positions is too short for a subtitle of 70 tokens.
    name = "multimodal_encoder.bert.embeddings.position_embeddings.weight"
    longer = torch.randn(80, 32, generator=torch.Generator().manual_seed(0))
    save_file(case.state | {name: longer}, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return run


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 4, 30, 30, 3), np.uint8)


def adapter(run: RunConfig, variant: str = "tv", **settings: Any) -> VASTAdapter:
    return VASTAdapter("vast", run, variant=variant, sizes=SIZES, **settings)


def pixels(clips: np.ndarray) -> torch.Tensor:
    """As VAST normalises them."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    return ((torch.from_numpy(clips) / 255 - mean) / std).permute(0, 1, 4, 2, 3)


@torch.inference_mode()
def test_clips_are_encoded_as_by_the_model(run: RunConfig, case: Case, clips: np.ndarray) -> None:
    model, ours = model_of(case), adapter(run)
    tokens = {"v": model.vision_tokens(pixels(clips))}
    expected = model.video_features("tv", tokens).numpy()
    np.testing.assert_allclose(ours.encode_clips(clips), expected, atol=1e-5)
    expected = model.condition("tv", tokens).numpy()
    np.testing.assert_allclose(ours.condition(clips), expected, atol=2e-5)
    np.testing.assert_allclose(ours.pixels(clips[0]), pixels(clips)[0], atol=1e-6)


@torch.inference_mode()
def test_sound_and_subtitles_are_read_beside_the_frames(
    run: RunConfig, case: Case, clips: np.ndarray
) -> None:
    ours = adapter(run, "tvas")
    model: Any = ours._load()
    track = np.sin(np.arange(30_000) / 9).astype(np.float32)
    # Of two channels the first is heard. The second clip has no sound: 10 ms of it are none.
    sounds = [Sound(np.stack([track, -track / 3]), 22050), Sound(track[None, :220], 22050)]
    given: dict[str, Any] = {"audio": sounds, "subtitles": ["a dog", ""]}
    sound = np.stack([segments(track, 22050), np.zeros((1, 1024, 64), np.float32)])
    ids, mask = torch.zeros(2, 70, dtype=torch.int64), torch.zeros(2, 70, dtype=torch.int64)
    for row, read in enumerate(([2, 5, 6, 3], [2, 3])):
        ids[row, : len(read)], mask[row, : len(read)] = torch.tensor(read), 1
    tokens = {"v": model.vision_tokens(pixels(clips)), "s": model.text_tokens(ids, mask),
              "a": model.audio_tokens(torch.from_numpy(sound))}  # fmt: skip
    expected = model.video_features("tvas", tokens).numpy()
    np.testing.assert_allclose(ours.encode_clips(clips, **given), expected, atol=1e-5)
    expected = model.condition("tvas", tokens).numpy()
    np.testing.assert_allclose(ours.condition(clips, **given), expected, atol=2e-5)
    assert ours.inputs == {"frames", "audio", "subtitles"}
    silent = ours.encode_clips(clips[:1], audio=[NONE], subtitles=["a dog"])
    nothing = ours.encode_clips(clips[:1], audio=[sounds[1]], subtitles=["a dog"])
    np.testing.assert_array_equal(silent, nothing)


@torch.inference_mode()
def test_texts_are_tokenised_and_cut_at_forty_tokens(run: RunConfig) -> None:
    ours = adapter(run)
    model: Any = ours._load()
    ids = torch.tensor([[2, 5, 6, 7, 8, 3, *[0] * 34]])
    expected = model.text_features(model.text_tokens(ids, (ids > 0).long())).numpy()
    np.testing.assert_allclose(ours.encode_texts(["A dog runs [SEP]"]), expected, atol=1e-6)
    assert ours.count_truncated(["dog " * 38, "dog " * 39]) == 1
    np.testing.assert_allclose(
        ours.encode_texts(["dog " * 38]), ours.encode_texts(["dog " * 60]), atol=1e-6
    )
    assert ours.encode_texts([]).shape == (0, 16)


def test_pairs_get_the_matching_head_s_probability(run: RunConfig, clips: np.ndarray) -> None:
    ours = adapter(run)
    assert isinstance(ours, Reranks) and (ours.rerank_top, ours.matching) == (50, "itm")
    conditions = ours.condition(clips)
    pairs = np.array([[3, 1], [0, 1], [2, 0], [0, 0], [1, 1]])
    found = ours.rerank(TEXTS, conditions, pairs)
    alone = [ours.rerank([TEXTS[text]], conditions[[clip]], np.array([[0, 0]]))[0]
             for text, clip in pairs]  # fmt: skip
    np.testing.assert_allclose(found, alone, atol=1e-6)
    assert found.dtype == np.float32 and len(set(found.round(5))) == 5
    assert ((found > 0) & (found < 1)).all()
    assert ours.rerank(TEXTS, conditions, np.empty((0, 2), np.int64)).shape == (0,)


def test_it_says_how_it_was_published(run: RunConfig) -> None:
    ours = adapter(run, "tva")
    msrvtt, lsmdc = ours.published["msrvtt"], ours.published["lsmdc"]
    assert (msrvtt.plan.key, lsmdc.plan.key) == ("parts-16", "parts-32")
    assert (msrvtt.preprocessing.resize, lsmdc.preprocessing.resize) == ("shortest", "squash")
    assert msrvtt.preprocessing == ours.preprocessing
    assert {msrvtt.text_length, lsmdc.text_length} == {40}
    assert "tvas, this is tva" in msrvtt.remarks[2] and len(lsmdc.remarks) == 2


def test_fingerprints_know_variant_vocabulary_sizes_and_weights(run: RunConfig) -> None:
    first = adapter(run)
    seen = {first.fingerprint, adapter(run, "tvs").fingerprint}
    seen.add(VASTAdapter("vast", run, sizes={**SIZES, "vision_frames": 8}).fingerprint)
    folder = run.weights_folder / "vast"
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    (other / "vocab.txt").write_text("\n".join([*WORDS, "more"]))
    seen.add(adapter(run, tokenizer=str(other)).fingerprint)
    moved = adapter(run, checkpoint=str(folder / "model.safetensors"))
    assert len(seen) == 4 and moved.fingerprint == first.fingerprint
    torch.save({"x": torch.zeros(1)}, folder / "model_step_9.pt")  # the released name wins
    assert adapter(run).fingerprint not in seen


def test_what_cannot_run_is_refused_by_name(run: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"variant 'tvaz' .*known: tv, tva, tvs, tvas"):
        adapter(run, "tvaz")
    with pytest.raises(UsageError, match="vision_head"):
        VASTAdapter("vast", run, sizes={"vision_head": 1})
    with pytest.raises(BenchError, match=r"image_size 30 and embed_dim 16, not 224 and 16"):
        VASTAdapter("vast", run, sizes={**SIZES, "image_size": 224}).prepare()
    empty = RunConfig(cache=tmp_path / "none", device="cpu")
    with pytest.raises(MissingWeights, match=r"no weights of vast.*TXH-mercury.*vocab\.txt"):
        adapter(empty)
    assert "TXH-mercury" in (VASTAdapter.problem(empty, "vast", variant="tv") or "")
    assert VASTAdapter.problem(run, "vast", sizes=SIZES) is None


def test_without_a_vocabulary_the_remedy_is_named(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("adapters.bert_tokens.hub_in_reach", lambda: False)
    monkeypatch.setattr("adapters.bert_tokens.HUB", str(tmp_path / "nothing"))
    (run.weights_folder / "vast" / "vocab.txt").unlink()
    with pytest.raises(BenchError, match=r"no tokenizer of BERT .* put vocab\.txt"):
        adapter(run).prepare()


def test_a_published_run_ranks_the_best_again(run: RunConfig, toy: Path) -> None:
    ours = adapter(run)
    task = bench.load_task("msrvtt", str(toy), limit=6)
    result = evaluate(ours, task, run, protocol="published", rerank=True)
    document = result.document
    assert document.protocol.endswith("published, re-ranked-itm-50")
    assert document.settings.plan == "parts-16"
    assert document.settings.published is not None
    assert "tvas, this is tv" in document.settings.published.remarks[1]
    line = next(line for line in result.predictions if line["direction"] == "t2v")
    scores = [score for _, score in line["top"]]
    assert all(0 < score < 1 for score in scores) and scores == sorted(scores, reverse=True)
    again = adapter(run)
    assert evaluate(again, task, run, protocol="published", rerank=True).predictions == (
        result.predictions
    )
    assert again._model is None  # all of it was kept


@pytest.mark.parametrize(("memory", "passes"), [(2048, 1), (0, 2)])
def test_frames_are_encoded_once_for_features_and_matching_head(
    run: RunConfig, toy: Path, memory: int, passes: int
) -> None:
    """As long as there is memory for the tokens; the numbers are the same without."""
    seen: list[int] = []

    def counting(ours: VASTAdapter) -> VASTAdapter:
        vision = ours._load().vision_encoder.visual

        def forward_features(frames: torch.Tensor) -> torch.Tensor:
            seen.append(len(frames))
            found: torch.Tensor = type(vision).forward_features(vision, frames)
            return found

        vision.forward_features = forward_features
        return ours

    task = bench.load_task("msrvtt", str(toy), limit=4)
    once = dataclasses.replace(run, memory=memory, cache=run.cache_folder / "once",
                               weights=run.weights_folder)  # fmt: skip
    result = evaluate(counting(adapter(run)), task, once, rerank=True)
    assert sum(seen) == passes * 12 * len(task.clips)
    assert result.document.encoded["frames"] == sum(seen)
    evaluate(adapter(run), task, run)  # features alone, then the pairs
    assert evaluate(adapter(run), task, run, rerank=True).predictions == result.predictions


def test_both_at_once_are_each_alone(run: RunConfig, clips: np.ndarray) -> None:
    ours = adapter(run)
    features, conditions = ours.encode_and_condition(clips)
    np.testing.assert_array_equal(features, ours.encode_clips(clips))
    np.testing.assert_array_equal(conditions, ours.condition(clips))


def test_a_run_hands_over_sound_and_subtitles(run: RunConfig, toy: Path) -> None:
    task = bench.load_task("msrvtt", str(toy), limit=3)
    task.subtitles = {clip.id: "the dog" for clip in task.clips[:2]}
    result = evaluate(adapter(run, "tvas"), task, run, rerank=True)
    assert result.document.protocol.endswith("audio+subtitles, re-ranked-itm-50")
    said = [line["rank"] for line in result.predictions]
    assert len(said) == 6 and set(said) <= {1, 2, 3}


def test_a_run_that_asks_for_fewer_tokens_cuts_captions_and_matches_them_so(
    run: RunConfig, clips: np.ndarray
) -> None:
    ours = adapter(run)
    long, short = "a dog runs a dog", "a dog runs"
    assert ours.context_length == 40
    conditions, pairs = ours.condition(clips), np.array([[0, 0], [1, 0]])
    whole = ours.rerank([long, short], conditions, pairs)
    ours.context = 6  # four pieces of words, start and end
    np.testing.assert_allclose(*ours.encode_texts([long, short]), atol=1e-6)
    cut = ours.rerank([long, short], conditions, pairs)
    assert cut[0] == pytest.approx(cut[1], abs=1e-6) and abs(cut[0] - whole[0]) > 1e-6
    assert ours.count_truncated([long, short]) == 1
