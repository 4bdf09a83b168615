"""A finished training continues to more epochs, another starts from its weights; remarks once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapters.srl_clip import SRLCLIPAdapter
from bench.config import RunConfig, load_config
from bench.contracts import Source
from bench.errors import BenchError, UsageError
from bench.features.work import Silent
from bench.progress import Bar
from bench.training import checkpoints
from bench.training.loop import Job, train
from bench.training.plan import plan_training
from bench.training.settings import TrainSettings
from bench.training.state import Trained
from tasks.vidsitu.training import training_sets

BASE = {"arch": "clip-tiny", "pretrained": "shipped"}
MODEL = {"rank": 4, "vc_layers": 1, "vc_heads": 4}
QUICK = {"batch_videos": 2, "learning_rate": 1e-3, "hold_out": 0.34, "warmup_steps": 3}

Trains = Callable[..., Trained]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames and texts are prepared once for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def trains(toy_vidsitu: Path, cache: Path, tmp_path: Path) -> Trains:
    """Trains for some epochs into a folder, which may hold a training already."""

    def run(folder: str, epochs: int, init: Path | None = None, **changes: object) -> Trained:
        minutes = changes.pop("minutes", None)
        model_settings = {**MODEL, **{key: changes.pop(key) for key in ("rank", "vc_dropout")
                                      if key in changes}}  # fmt: skip
        settings = TrainSettings(**{**QUICK, "epochs": epochs, **changes})  # type: ignore[arg-type]
        run = RunConfig(cache=cache, device="cpu", workers=2)
        model, device = SRLCLIPAdapter.untrained("srl", run, model_settings, **BASE, init=init)
        sets = training_sets(Source("toy", toy_vidsitu), 4, 1.0, settings.hold_out, 0)
        job = Job(run, tmp_path / folder, device, Silent(), minutes)  # type: ignore[arg-type]
        return train(model, *sets, settings, job)

    return run


def same(one: Path, two: Path, name: str = checkpoints.LAST) -> bool:
    first, second = load_file(one / name), load_file(two / name)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "model").glob("*.safetensors")}


@pytest.mark.parametrize("keep", ["last", "best"])
def test_more_epochs_give_the_bits_of_a_training_of_as_many(
    trains: Trains, tmp_path: Path, keep: str
) -> None:
    trains("whole", 3, keep=keep)
    first = trains("parts", 1, keep=keep)
    again = trains("parts", 3, keep=keep)
    assert (first.epochs, again.epochs) == (1, 3)
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts", checkpoints.BEST)
    assert model_files(tmp_path / "whole") == model_files(tmp_path / "parts")
    cards = [json.loads((tmp_path / name / "model" / "card.json").read_text())["training"]
             for name in ("whole", "parts")]  # fmt: skip
    for card in cards:
        del card["seconds"]
    assert cards[0] == cards[1] and cards[0]["epochs"] == 3


def test_the_best_epoch_of_before_stays_the_best(trains: Trains, tmp_path: Path) -> None:
    """Though later ones are worse: by a learning rate that spoils the model as it warms up."""
    spoils = {"learning_rate": 3.0, "warmup_steps": 10_000}
    first = trains("parts", 1, **spoils)
    before = model_files(tmp_path / "parts")
    again = trains("parts", 3, **spoils)
    assert first.best_epoch == again.best_epoch == 1 and again.epochs == 3
    assert model_files(tmp_path / "parts") == before
    (tmp_path / "parts" / checkpoints.BEST).unlink()
    log = (tmp_path / "parts" / "log.jsonl").read_bytes()
    with pytest.raises(BenchError, match=r"best.safetensors: gone, or not of epoch 1"):
        trains("parts", 4, **spoils)
    assert (tmp_path / "parts" / "log.jsonl").read_bytes() == log  # before any step
    assert trains("parts", 4, **spoils, keep="last").epochs == 4


def test_the_best_weights_of_another_epoch_are_not_taken(trains: Trains, tmp_path: Path) -> None:
    trained = trains("a", 1)
    tensors, record = checkpoints.read(tmp_path / "a" / checkpoints.BEST) or ({}, {})
    checkpoints.write(tmp_path / "a" / checkpoints.BEST, tensors, {**record, "epoch": 9})
    with pytest.raises(BenchError, match=f"not of epoch {trained.best_epoch}"):
        trains("a", 1)


def test_what_depends_on_the_number_of_epochs_is_refused_by_name(trains: Trains) -> None:
    trains("cosine", 1, schedule="cosine")
    with pytest.raises(UsageError, match=r"epochs: 1 there, 2 here, and with schedule cosine "):
        trains("cosine", 2, schedule="cosine")
    trains("constant", 2)
    with pytest.raises(UsageError, match=r"epochs: 2 there, 1 here, and 2 are trained already"):
        trains("constant", 1)
    with pytest.raises(UsageError, match=r"weight_decay: 0\.2 there, 0\.1 here"):
        trains("constant", 3, weight_decay=0.1)


def test_one_that_was_stopped_may_end_earlier(trains: Trains, tmp_path: Path) -> None:
    assert trains("parts", 5, minutes=1e-9).stopped
    assert trains("parts", 1).epochs == 1
    trains("whole", 1)
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_training_starts_from_a_trained_folder(
    trains: Trains, cache: Path, tmp_path: Path
) -> None:
    trains("first", 1)
    init = tmp_path / "first" / "model"
    run = RunConfig(cache=cache, device="cpu")
    # Its own weights, all of them, before the first step.
    model, _ = SRLCLIPAdapter.untrained("srl", run, {**MODEL, "vc_dropout": 0.3}, **BASE, init=init)
    fresh, _ = SRLCLIPAdapter.untrained("srl", run, MODEL, **BASE)
    model.save(tmp_path / "copy" / "model", {})
    assert model_files(tmp_path / "copy") == model_files(tmp_path / "first")
    assert not torch.equal(*(
        next(iter(one.contextualizer.parameters())) for one in (model, fresh)
    ))  # fmt: skip
    trains("second", 1, init=init)
    adapter = SRLCLIPAdapter("srl", run, **BASE, checkpoint=str(init))
    card = json.loads((tmp_path / "second" / "model" / "card.json").read_text())
    assert card["training"]["init"] == adapter.fingerprint
    assert "init" not in json.loads((init / "card.json").read_text())["training"]
    trains("third", 1, learning_rate=2e-3)
    # It is another training than one from nothing, and than one from other weights.
    with pytest.raises(UsageError, match=rf"init: '{adapter.fingerprint}' there, None here"):
        trains("second", 1)
    with pytest.raises(UsageError, match="init: '"):
        trains("second", 2, init=tmp_path / "third" / "model")
    assert trains("second", 2, init=init).epochs == 2


def test_a_folder_of_another_model_is_refused_by_name(trains: Trains, tmp_path: Path) -> None:
    trains("first", 1)
    init = tmp_path / "first" / "model"
    with pytest.raises(UsageError, match=r"model.rank 4 there, 8 here, model.alpha 4 there, 8"):
        trains("x", 1, init=init, rank=8)
    with pytest.raises(UsageError, match=r"no trained model \(card.json\) in it"):
        trains("x", 1, init=tmp_path / "first")
    other = Path(shutil.copytree(init, tmp_path / "other"))
    card = json.loads((other / "card.json").read_text())
    card["base"]["weights_sha256"] = "0" * 64
    (other / "card.json").write_text(json.dumps(card))
    with pytest.raises(BenchError, match="trained on other weights"):
        trains("x", 1, init=other)
    lacking = Path(shutil.copytree(init, tmp_path / "lacking"))
    (lacking / "adapter_model.safetensors").unlink()
    with pytest.raises(BenchError, match="no such file"):
        trains("x", 1, init=lacking)
    assert not (tmp_path / "x").exists()


def test_a_training_may_not_replace_what_it_starts_from(tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    plan = plan_training("srlclip-tiny", "toy", {}, load_config(), tmp_path / "out" / "model")
    with pytest.raises(UsageError, match="this training would replace it"):
        plan.run(tmp_path / "out", Bar(quiet=True))


def test_a_family_that_cannot_start_from_a_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import registry

    class Family:
        trains_on = "vidsitu"

        @staticmethod
        def untrained(name: str, run: RunConfig, settings: object) -> object:
            raise AssertionError

    monkeypatch.setattr(registry, "model_factory", lambda model: Family)
    with pytest.raises(UsageError, match="--init: adapter 'srl_clip' cannot start from a folder"):
        registry.load_trainable("srlclip-tiny", load_config(), {}, tmp_path)


def test_one_process_of_several_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with Bar(quiet=True) as bar:
            bar.warn(f"from {rank}")
    assert capsys.readouterr().err == "from 0\n"


@pytest.mark.slow
def test_two_processes_print_each_remark_once(toy: Path, toy_vidsitu: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
              "--master-port", "29519", "-m", "bench"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def said(*words: str) -> list[str]:
        done = subprocess.run([*launch, *words], text=True, capture_output=True, env=environment,
                              timeout=200)  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return [line for line in done.stderr.splitlines() if line.strip()]

    train = ("train", "--model", "srlclip-tiny", "--device", "cpu", "--source", str(toy_vidsitu),
             "--set", "epochs=2", "--set", "batch_videos=2", "--set", "hold_out=0.34",
             "--output", str(tmp_path / "out"))  # fmt: skip
    lines = said(*train)
    assert sum(line.startswith("epoch 1: R@1") for line in lines) == 1
    assert sum(line.startswith("evaluate it:") for line in lines) == 1
    ours = [line for line in lines if "Gloo" not in line]  # of PyTorch's own, from each process
    assert len(ours) == len(set(ours)), ours
    shutil.copytree(toy, Path(environment["XDG_CACHE_HOME"]) / "srl-bench" / "toy")
    lines = said("run", "--task", "msrvtt", "--model", "clip-tiny", "--limit", "4",
                 "--output", str(tmp_path / "results"))  # fmt: skip
    assert sum("no source configured" in line for line in lines) == 1
    ours = [line for line in lines if "Gloo" not in line]
    assert len(ours) == len(set(ours)), ours
