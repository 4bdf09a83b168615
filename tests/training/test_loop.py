"""Training on real small videos: it learns, it resumes to the same bits, it refuses, it shares."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapters.srl_clip import SRLCLIPAdapter
from bench.config import RunConfig
from bench.contracts import Source
from bench.errors import BenchError, UsageError
from bench.features.work import Silent
from bench.training import checkpoints
from bench.training.loop import Job, train
from bench.training.settings import TrainSettings
from bench.training.state import Trained
from tasks.vidsitu.training import training_sets

BASE = {"arch": "clip-tiny", "pretrained": "shipped"}
MODEL = {"rank": 4, "vc_layers": 1, "vc_heads": 4}
QUICK = {"epochs": 3, "batch_videos": 2, "learning_rate": 1e-3, "hold_out": 0.34}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames and texts are prepared once for all tests here."""
    return tmp_path_factory.mktemp("cache")


def run_training(
    source: Path, cache: Path, folder: Path, max_minutes: float | None = None, **changes: object
) -> Trained:
    settings = TrainSettings(**{**QUICK, **changes})  # type: ignore[arg-type]
    run = RunConfig(cache=cache, device="cpu", workers=2)
    model, device = SRLCLIPAdapter.untrained("srl", run, MODEL, **BASE)
    data, held_out = training_sets(Source("toy", source), settings.negatives, settings.share,
                                   settings.hold_out, 0)  # fmt: skip
    return train(model, data, held_out, settings, Job(run, folder, device, Silent(), max_minutes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / checkpoints.LAST)


@pytest.mark.slow
def test_it_learns_and_leaves_a_model_a_log_and_checkpoints(
    toy_vidsitu: Path, cache: Path, tmp_path: Path
) -> None:
    trained = run_training(toy_vidsitu, cache, tmp_path, epochs=8, keep="last")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    totals = [line["total"] for line in lines if line["kind"] == "step"]
    assert len(totals) == 8 * 2 and sum(totals[-2:]) < 0.9 * sum(totals[:2])
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == trained.epochs == 8
    seen = {prefix + name for prefix in ("", "vc/") for name in ("R@1", "own-five", "verb-role")}
    assert seen <= epochs[0].keys()
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert card["training"]["steps"] == 16 and card["settings"]["rank"] == 4
    assert card["training"]["criterion"] == ["R@1", "vc/R@1"]
    (texts,) = [line for line in lines if line["kind"] == "texts"]
    assert texts["prompts"] == 20 and texts["prompts_cut"] == texts["negatives_cut"] == 0
    assert card["training"]["texts"].items() <= texts.items()
    assert (tmp_path / checkpoints.BEST).is_file()
    run = RunConfig(cache=cache, device="cpu")
    adapter = SRLCLIPAdapter("srl", run, **BASE, checkpoint=str(tmp_path / "model"))
    assert adapter.encode_texts(["a man"]).shape == (1, 128)


def test_the_same_seed_gives_the_same_bits_and_a_stop_changes_nothing(
    toy_vidsitu: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training(toy_vidsitu, cache, tmp_path / "whole")
    # Stopped after every single step: the clock is past the deadline each time it is asked.
    for _ in range(20):
        trained = run_training(toy_vidsitu, cache, tmp_path / "parts", max_minutes=1e-9)
        if not trained.stopped:
            break
    assert not trained.stopped and trained.epochs == 3
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_another_recipe_is_refused_with_the_difference(
    toy_vidsitu: Path, cache: Path, tmp_path: Path
) -> None:
    run_training(toy_vidsitu, cache, tmp_path, epochs=1)
    with pytest.raises(UsageError, match=r"batch_videos: 2 there, 3 here.*another --output"):
        run_training(toy_vidsitu, cache, tmp_path, epochs=1, batch_videos=3)
    again = run_training(toy_vidsitu, cache, tmp_path, epochs=1, keep="last")
    assert again.epochs == 1  # nothing is left to train; another epoch may still be picked
    (tmp_path / checkpoints.LAST).write_bytes(b"damaged")
    with pytest.raises(BenchError, match="damaged checkpoint"):
        run_training(toy_vidsitu, cache, tmp_path)


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(
    toy_vidsitu: Path, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=r"the loss is (nan|inf) at step .*last.safetensors"):
        run_training(toy_vidsitu, cache, tmp_path, learning_rate=1e30)


@pytest.mark.slow
def test_ablations_run(toy_vidsitu: Path, cache: Path, tmp_path: Path) -> None:
    changes = ({"negatives": 0}, {"vc_event": False, "vc_video": False}, {"accumulate": 2},
               {"share": 0.5}, {"checkpoint_gradients": True}, {"hold_out": 0.0},
               {"natural_negatives": False})  # fmt: skip
    for number, change in enumerate(changes):
        trained = run_training(toy_vidsitu, cache, tmp_path / str(number), epochs=1, **change)
        assert trained.epochs == 1


def test_broken_videos_are_left_out_and_named(
    toy_vidsitu: Path, cache: Path, tmp_path: Path
) -> None:
    import shutil

    source = Path(shutil.copytree(toy_vidsitu, tmp_path / "data"))
    segments = json.loads(next(source.rglob("vseg_split_train_lb.json")).read_text())
    next(source.rglob(f"{segments[0]}.mp4")).write_bytes(b"")
    trained = run_training(source, cache, tmp_path / "out", epochs=1)
    assert [(f.clip, f.kind) for f in trained.failures] == [(segments[0], "empty")]


COMMAND = [
    sys.executable, "-m", "bench", "train", "--model", "srlclip-tiny", "--device", "cpu",
    "--set", "epochs=6", "--set", "batch_videos=2", "--set", "learning_rate=1e-3",
    "--set", "hold_out=0.34", "--set", "model.rank=4", "--set", "model.vc_layers=1",
]  # fmt: skip


@pytest.mark.slow
def test_killed_and_terminated_runs_go_on_to_the_same_bits(
    toy_vidsitu: Path, tmp_path: Path
) -> None:
    """The command itself, against SIGKILL and SIGTERM at some moment of its training."""
    command = [*COMMAND, "--source", str(toy_vidsitu)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, "--output", str(whole)], check=True, capture_output=True)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)):
        process = subprocess.Popen([*command, "--output", str(broken)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        log, size = broken / "log.jsonl", -1
        before = log.stat().st_size if log.exists() else 0
        while process.poll() is None and size <= before:
            size = log.stat().st_size if log.exists() else -1
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait(60) in (code, 0)
    subprocess.run([*command, "--output", str(broken)], check=True, capture_output=True)
    one, other = weights(whole), weights(broken)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one(toy_vidsitu: Path, tmp_path: Path) -> None:
    """One step of four videos on one process, and under torchrun of two each on two of them."""
    one, two = tmp_path / "one", tmp_path / "two"
    command = ["-m", "bench", "train", *COMMAND[4:], "--source", str(toy_vidsitu)]
    command += ["--set", "model.vc_dropout=0.0", "--set", "epochs=1", "--set", "batch_videos=4",
                "--set", "model.learn_temperature=true"]  # fmt: skip
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for folder, words in ((one, command), (two, [*launch, *command])):
        done = subprocess.run([sys.executable, *words, "--output", str(folder)], text=True,
                              capture_output=True, env=environment, timeout=200)  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (one, two)
    ]
    first, second = (next(line for line in log if line["kind"] == "step") for log in logs)
    for term in ("total", "clip_event", "vc_event", "clip_video", "vc_video"):
        assert first[term] == pytest.approx(second[term], rel=1e-5), term
    # Two processes share the validation and come to the numbers of one.
    first, second = (next(line for line in log if line["kind"] == "epoch") for log in logs)
    assert first == second and "vc/own-five" in first
    a, b = weights(one), weights(two)
    moments = [name for name in a if name.endswith("exp_avg")]  # a tenth of the gradient
    assert len(moments) > 20
    for name in moments:
        assert torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-6), name
