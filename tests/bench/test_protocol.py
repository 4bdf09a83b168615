"""Under which protocol a run stands: published settings, inputs, and boards that never mix them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.config import Config, RunConfig
from bench.contracts import Adapter, Setup, Task
from bench.engine import evaluate
from bench.errors import BenchError, UsageError
from bench.features.extraction import clip_features
from bench.features.protocol import departures
from bench.features.work import Silent, Work
from bench.report.boards import boards
from bench.report.frames import frames_of
from bench.results.comparison import Evidence, comparable
from bench.results.files import load, save
from bench.video import Centres, Preprocessing, Steps, decode

SQUASHED = Preprocessing(16, "squash", "bilinear", library="torch", antialias=False)
QUIRK = "captions of more than 4 words lose their end"


class Words(Adapter):
    """A frame's mean colour; letters of a text's first words, as many as it reads."""

    name, embed_dim, image_size, fingerprint = "words", 3, 16, "words-1"
    published: Mapping[str, Setup] = {
        "msrvtt": Setup(Steps(4), SQUASHED, text_length=4, remarks=[QUIRK]),
        "lsmdc": Setup(Centres(5), Preprocessing(16)),
    }

    def __init__(self) -> None:
        self.shapes: list[int] = []
        self.read: list[str] = []

    def encode_frames(self, frames: np.ndarray) -> np.ndarray:
        self.shapes.append(len(frames))
        return frames.reshape(len(frames), -1, 3).mean(axis=1).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.read = [" ".join(text.split()[: self.text_length]) for text in texts]
        return np.array([[1 + text.count(c) for c in "abc"] for text in self.read], np.float32)

    def count_truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text.split()) > (self.text_length or 100) for text in texts)


def test_published_takes_the_systems_own_frames_and_texts(task: Task, run: RunConfig) -> None:
    plain, adapter = evaluate(Words(), task, run), Words()
    result = evaluate(adapter, task, run, protocol="published")
    assert sum(adapter.shapes) == 4 * len(task.clips)
    assert max(len(text.split()) for text in adapter.read) == 4 and adapter.setup is None
    document = result.document
    assert document.protocol == "msrvtt/toy, published" and plain.document.protocol == "msrvtt/toy"
    assert document.settings and document.settings.published and document.settings.plan == "steps-4"
    assert document.settings.published.text_length == 4
    assert "(torch)" in document.settings.published.preprocessing
    assert document.settings.published.remarks == [QUIRK]
    assert document.texts and document.texts.truncated == len(task.texts)
    work = Work(Words(), task, run, Silent(), Words.published["msrvtt"])
    with work.as_set_up():
        clips = clip_features(work)
    assert work.encoded["frames"] == 0
    frames = decode(task.clips[3], Steps(4), SQUASHED).frames
    np.testing.assert_array_equal(clips[task.clips[3].id], Words().encode_frames(frames))


def test_both_protocols_are_kept_side_by_side(task: Task, run: RunConfig) -> None:
    """Neither's features nor texts stand in for the other's."""
    first = [evaluate(Words(), task, run, protocol=p) for p in ("task", "published")]
    again = [Words(), Words()]
    second = [evaluate(a, task, run, protocol=p)
              for a, p in zip(again, ("task", "published"), strict=True)]  # fmt: skip
    assert [one.predictions for one in first] == [one.predictions for one in second]
    assert first[0].predictions != first[1].predictions
    assert [one.shapes for one in again] == [[], []]
    paths = [save(one, run.output) for one in first]
    assert [path.name for path in paths] == ["words.json", "words.published.json"]


def test_a_model_that_was_not_published_there_is_refused(task: Task, run: RunConfig) -> None:
    class Elsewhere(Words):
        published = {"lsmdc": Words.published["lsmdc"]}  # noqa: RUF012

    class Nowhere(Words):
        published: Mapping[str, Setup] = {}

    with pytest.raises(UsageError, match=r"'words' has no published .*'msrvtt' \(it has those of"):
        evaluate(Elsewhere(), task, run, protocol="published")
    with pytest.raises(UsageError, match=r"\(it has none\); leave --protocol out"):
        evaluate(Nowhere(), task, run, protocol="published")
    with pytest.raises(UsageError, match="unknown protocol 'own'; choose task or published"):
        evaluate(Words(), task, run, protocol="own")


def test_a_run_that_fails_leaves_the_adapter_as_it_was(task: Task, run: RunConfig) -> None:
    class Broken(Words):
        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            raise RuntimeError

    adapter = Broken()
    with pytest.raises(RuntimeError):
        evaluate(adapter, task, run, protocol="published")
    assert adapter.setup is None


def test_boards_and_comparisons_keep_them_apart(task: Task, run: RunConfig) -> None:
    results = [evaluate(Words(), task, run, protocol=p) for p in ("task", "published")]
    documents = [one.document for one in results]
    found = boards(documents)
    assert [board.protocol for board in found] == ["msrvtt/toy", "msrvtt/toy, published"]
    row = found[1].rows[0]
    assert "as published: frames steps-4, squashed to 16 x 16" in row.remark and QUIRK in row.remark
    assert "as published" not in found[0].rows[0].remark
    assert "protocol msrvtt/toy, published, but msrvtt/toy" in comparable(*documents)


def test_published_rows_stand_on_both_boards(task: Task, run: RunConfig) -> None:
    task.protocol = "msrvtt/1k-A"
    results = [evaluate(Words(), task, run, protocol=p) for p in ("task", "published")]
    own, published = boards([one.document for one in results])
    quoted = [[row.model for row in board.rows if row.kind == "published"]
              for board in (own, published)]  # fmt: skip
    assert quoted[0] == quoted[1] and len(quoted[0]) > 3


def test_a_kept_result_is_not_stale_for_its_protocol(
    toy: Path, run: RunConfig, tmp_path: Path
) -> None:
    from bench.contracts import Source

    source = Source("lab", toy)
    config = Config(run, sources={"lab": {"msrvtt": source}})
    task = bench.registry.load_task("msrvtt", source)  # type: ignore[attr-defined]
    path = save(evaluate(Words(), task, run, protocol="published"), tmp_path / "results")
    document = load(path)
    assert Evidence([(path, document)], config).stale(document) == []
    shown = frames_of(config, document, None, [task.clips[0].id])
    assert len(shown[task.clips[0].id]) == 4  # the moments that the model saw


def test_inputs_that_a_task_does_not_have_are_refused(task: Task, run: RunConfig) -> None:
    class Reader(Adapter):
        name, embed_dim, image_size, fingerprint = "reader", 3, 16, "reader-1"

        def encode_clips(self, clips: np.ndarray, subtitles: Sequence[str] = ()) -> np.ndarray:
            said = [[text.count(c) for c in "abc"] for text in subtitles]
            return 1 + clips.reshape(len(clips), -1, 3).mean(axis=1).astype(np.float32) + said

        encode_texts = Words.encode_texts  # type: ignore[assignment]

    adapter = Reader()
    adapter.inputs = frozenset({"frames", "subtitles"})
    with pytest.raises(BenchError, match="reads subtitles, and the data of 'msrvtt' have none"):
        evaluate(adapter, task, run)
    adapter.inputs = frozenset({"frames", "smell"})
    with pytest.raises(BenchError, match="unknown input 'smell'; known: frames, audio, subtitles"):
        evaluate(adapter, task, run)
    frames = Words()
    frames.inputs = frozenset({"frames", "subtitles"})
    with pytest.raises(BenchError, match="a model of frames reads nothing else"):
        evaluate(frames, task, run)
    adapter.inputs = frozenset({"frames", "subtitles"})
    assert departures(adapter, None, None) == ["subtitles"]


def test_the_command_line(toy: Path, tmp_path: Path) -> None:
    """Refused before the first long step; listed in the help."""
    done = CliRunner().invoke(cli, ["run", "--task", "msrvtt", "--model", "clip-tiny", "--source",
                                    str(toy), "--protocol", "published"])  # fmt: skip
    assert done.exit_code == 2 and "'clip-tiny' has no published settings" in done.output
    assert not list(tmp_path.rglob("*.safetensors"))
    shown = CliRunner().invoke(cli, ["run", "--help"]).output
    assert "--protocol [task|published]" in shown


def test_the_document_has_no_trace_of_it_otherwise(task: Task, run: RunConfig) -> None:
    settings = evaluate(Words(), task, run).data["settings"]
    assert not {"departures", "published"} & settings.keys()
    assert json.dumps(settings)
