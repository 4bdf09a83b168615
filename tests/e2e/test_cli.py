"""The command line from end to end, in processes of its own, on real video files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def bench(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `bench` as a user would; the exit code is checked, no traceback may show."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def source(toy: Path, tmp_path: Path) -> Path:
    """A copy of the small toy world that a test may damage."""
    return Path(shutil.copytree(toy, tmp_path / "data"))


def test_run_then_report_then_again_from_the_stores(source: Path, tmp_path: Path) -> None:
    run = ("run", "--task", "msrvtt,lsmdc", "--model", "clip-tiny", "--source", str(source))
    first = bench(*run, "--device", "cpu", "--json")
    results = json.loads(first.stdout)
    assert [result["protocol"] for result in results] == ["msrvtt/toy", "lsmdc/toy"]
    for result in results:
        coverage = result["coverage"]
        assert coverage["answered"] == coverage["expected"] > 20
        value = result["metrics"]["R@10"]
        assert value["low"] <= value["value"] <= value["high"]
        assert result["settings"]["decoders"] and result["seconds"]["encode frames"] > 0
    again = json.loads(bench(*run, "--device", "cpu", "--json").stdout)
    for old, new in zip(results, again, strict=True):
        assert not any(stage.startswith(("encode", "decode")) for stage in new["seconds"])
        assert old["metrics"] == new["metrics"]
    lines = (tmp_path / "results" / "msrvtt" / "data" / "clip-tiny.predictions.jsonl").read_text()
    first_line = json.loads(lines.splitlines()[0])
    assert first_line["rank"] >= 1 and len(first_line["top"]) == 10

    report = bench("report").stdout
    assert "clip-tiny" in report and "toy" in report and "SRL-CLIP" not in report
    assert "\\toprule" in bench("report", "--format", "latex").stdout
    assert json.loads(bench("report", "--format", "json", "--task", "msrvtt").stdout)
    assert "SRL-CLIP" in bench("report", "--published").stdout


def test_broken_and_missing_videos_are_named_and_the_run_goes_on(source: Path) -> None:
    videos = sorted((source / "msrvtt" / "videos").iterdir())
    videos[0].write_bytes(b"")
    videos[1].write_text("no video")
    videos[2].unlink()
    run = ("run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(source))
    done = bench(*run, code=3)
    for video, kind in zip(videos, ("empty", "broken", "missing"), strict=False):
        assert f"{video.stem}: {kind}: " in done.stderr
    assert "partial" in done.stdout
    bench(*run, "--allow-missing", "--quiet")
    check = bench("data", "check", "msrvtt", "--source", str(source), code=3).stdout
    rows = [line.split() for line in check.splitlines()]
    for fault, video in (("missing videos", videos[2]), ("empty file", videos[0])):
        assert [*fault.split(), "1", video.stem] in rows, check


def test_a_limited_run_has_its_own_file(source: Path, tmp_path: Path) -> None:
    bench("run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(source),
          "--limit", "5", "--quiet")  # fmt: skip
    (path,) = (tmp_path / "results").rglob("*.json")
    assert path.name == "clip-tiny.limit5.json"
    coverage = json.loads(path.read_text())["coverage"]
    assert (coverage["answered"], coverage["limit"]) == (5, 5) and coverage["expected"] > 5


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "--task", "msrvt", "--model", "clip-tiny"], 2, "did you mean 'msrvtt'?"),
        (["run", "--task", "msrvtt", "--model", "clip-tin"], 2, "did you mean 'clip-tiny'?"),
        (["run", "--task", "msrvtt", "--model", "clip-b32"], 1, "openai.safetensors"),
        (["run", "--task", "msrvtt", "--model", "clip-tiny", "--source", "nowhere"], 2, "toy"),
        (["run", "--task", "msrvtt", "--model", "clip-tiny", "--source", "."], 1, "JSFUSION"),
        (["run", "--task", "msrvtt", "--model", "clip-tiny", "--device", "gpu"], 2, "cuda"),
        (["run", "--task", ",", "--model", "clip-tiny"], 2, "at least one name"),
        (["run", "--task", "msrvtt"], 2, "--model"),
        (
            ["run", "--task", "msrvtt", "--model", "clip-tiny", "--set", "msrvtt.x=1"],
            2,
            "task 'msrvtt' has no settings",
        ),
        (
            ["run", "--task", "vidsitu", "--model", "clip-tiny", "--set", "vidsitu.epoch=1"],
            2,
            "did you mean 'epochs'",
        ),
        (
            ["run", "--task", "msrvtt", "--model", "clip-tiny", "--select", "best"],
            2,
            "--select: nothing is trained by msrvtt",
        ),
        (
            ["run", "--task", "vidsitu", "--model", "srlclip-l14"],
            1,
            "bench train --model srlclip-l14",
        ),
        (["export", "vidsitu", "--model", "clip-tiny", "--output", "x.json"], 2, "needs --split"),
        (
            ["export", "msrvtt", "--split", "x", "--model", "clip-tiny", "--output", "x.json"],
            2,
            "cannot export predictions; tasks that can: vidsitu",
        ),
        (
            ["export", "--model", "clip-tiny", "--output", "x.safetensors", "--split", "testvb"],
            2,
            "need a TASK",
        ),
        (["report"], 1, "run `bench run` first"),
        (["--config", "none.yaml", "list", "tasks"], 2, "none.yaml"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_mistakes_get_one_line_and_the_right_code(
    arguments: list[str], code: int, says: str
) -> None:
    assert says in bench(*arguments, code=code).stderr


def test_lists(tmp_path: Path) -> None:
    models = {row["model"]: row["status"] for row in
              json.loads(bench("list", "models", "--json").stdout)}  # fmt: skip
    assert models["clip-tiny"] == models["srlclip-tiny"] == "ready"
    assert "bench train --model srlclip-b32" in models["srlclip-b32"]
    assert "fetch" in models["clip-b32"]
    tasks = {row["task"] for row in json.loads(bench("list", "tasks", "--json").stdout)}
    assert {"msrvtt", "lsmdc", "vidsitu"} <= tasks
    (tmp_path / "bench.yaml").write_text("sources: {lab: {msrvtt: {root: absent}}}")
    assert "absent" in bench("list", "sources").stdout


def test_environment_variables_are_options(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_RUN_LIMIT", "3")
    done = bench("run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(source))
    assert "partial" in done.stdout


def test_a_killed_run_continues_to_the_same_numbers(source: Path, tmp_path: Path) -> None:
    run = [sys.executable, "-m", "bench", "run", "--task", "msrvtt", "--model", "clip-tiny",
           "--source", str(source), "--device", "cpu"]  # fmt: skip
    features = Path(os.environ["XDG_CACHE_HOME"]) / "srl-bench" / "features"
    running = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and len(list(features.glob("*/[!.]*"))) < 4:
        pass
    running.kill()
    running.wait()
    resumed = json.loads(bench(*run[3:], "--json").stdout)[0]
    shutil.rmtree(features.parent)
    whole = json.loads(bench(*run[3:], "--json").stdout)[0]
    assert resumed["metrics"] == whole["metrics"]


def test_help_does_not_import_the_heavy_libraries() -> None:
    code = (
        "import sys, click.testing as t; from bench.cli.main import cli; "
        "r = t.CliRunner().invoke(cli, ['--help']); assert r.exit_code == 0; "
        "heavy = {'torch', 'numpy', 'rich', 'av', 'decord'} "
        "& set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("what", ["run", "list"])
def test_a_run_from_the_cache_and_a_list_load_no_heavy_library(source: Path, what: str) -> None:
    """Half a second instead of five: a report of many models is made of such runs."""
    words = ["list", "models"]
    if what == "run":
        words = ["run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(source),
                 "--device", "cpu"]  # fmt: skip
        bench(*words)
    code = (
        "import sys, click.testing as t; from bench.cli.main import cli; "
        f"r = t.CliRunner().invoke(cli, {words}); assert r.exit_code == 0, r.output; "
        "heavy = {'torch', 'open_clip', 'transformers', 'av', 'decord'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_prompts_and_negatives_side_by_side(toy_vidsitu: Path) -> None:
    command = ("data", "prompts", "--source", str(toy_vidsitu), "--limit", "1", "--negatives", "2")
    text = bench(*command).stdout
    assert text == bench(*command).stdout  # the same seed, the same negatives
    assert text.count(" positive ") == 5 and text.count(" verb-role ") == 10
    assert "In this photo, the action is " in text
    table = bench(*command, "--format", "md", "--split", "valid").stdout
    assert table.splitlines()[2].startswith("| event | positive | natural")
    assert len(table.splitlines()) == 4 + 5


def test_scoring_somebodys_predictions(toy_vidsitu: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"ann_idx": 0, "pred_vbs_ev": [["chase.01", "fly.99"]] * 5}]))
    command = (
        "score",
        "--task",
        "vidsitu",
        "--source",
        str(toy_vidsitu),
        "--predictions",
        str(path),
    )
    done = bench(*command, "--output", str(tmp_path / "scores" / "out.json"))
    assert "Vb@1" in done.stdout and "verbs unknown to VidSitu, such as fly.99" in done.stderr
    document = json.loads((tmp_path / "scores" / "out.json").read_text())
    assert document["protocol"] == "vidsitu/toy" and document["coverage"]["answered"] == 1
    assert "mine" in bench("report", "--results", str(tmp_path / "scores")).stdout
    assert "no such file" in bench(*command[:-1], "absent.json", code=1).stderr
    other = bench("score", "--task", "msrvtt", *command[3:], code=2)
    assert "'msrvtt' cannot score prediction files" in other.stderr


def test_comparing_two_models(source: Path, tmp_path: Path) -> None:
    """A model against one of random weights: better, in every sense."""
    import torch
    from safetensors.torch import load_file, save_file

    from adapters.weights import SHIPPED

    torch.manual_seed(0)
    weights = load_file(SHIPPED / "clip-tiny.safetensors")
    save_file(
        {name: torch.randn_like(value) * 0.02 for name, value in weights.items()}, "r.safetensors"
    )
    (table,) = source.rglob("MSRVTT_JSFUSION_test.csv")
    rows = table.read_text().splitlines()
    # Two groups of videos are too few for a test: let each video stand for itself.
    table.write_text("\n".join(row.rpartition(",")[0] for row in rows))
    other = "open_clip:clip-tiny/./r.safetensors"
    bench(
        "run",
        "--task",
        "msrvtt",
        "--model",
        f"clip-tiny,{other}",
        "--source",
        str(source),
        "--quiet",
    )
    first, second = sorted((tmp_path / "results").rglob("*.json"))
    if first.stem != "clip-tiny":
        first, second = second, first
    found = json.loads(bench("compare", str(second), str(first), "--json").stdout)
    row = next(row for row in found["differences"] if row["metric"] == "R@10")
    assert row["better"] == "second" and row["p"] < 0.05 and row["low"] > 0
    assert row["difference"] == pytest.approx(row["second"] - row["first"])
    same = json.loads(bench("compare", str(first), str(first), "--json").stdout)["differences"]
    assert all(row["difference"] == 0 and row["p"] == 1 and row["better"] == "-" for row in same)
    assert "95 % interval" in bench("compare", str(first), str(second)).stdout

    lines = first.with_name(json.loads(first.read_text())["predictions"]["file"])
    lines.write_text(lines.read_text().replace('"rank": ', '"rank": 1', 1))
    assert "changed since" in bench("compare", str(first), str(second), code=1).stderr
    document = json.loads(second.read_text())
    second.write_text(json.dumps({**document, "protocol": "msrvtt/other"}))
    assert "not comparable" in bench("compare", str(first), str(second), code=1).stderr


def test_two_processes_give_the_results_of_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "msrvtt" / "videos").joinpath("broken.mp4").write_bytes(b"")
    videos = sorted((source / "msrvtt" / "videos").glob("video*.mp4"))
    videos[0].write_bytes(b"")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = ["run", "--task", "msrvtt", "--model", "clip-tiny", "--source", str(source),
           "--device", "cpu", "--allow-missing"]  # fmt: skip
    bench(*run, "--output", "one")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other-cache"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
              "--master-port", "29518", "-m", "bench"]  # fmt: skip
    done = subprocess.run([*launch, *run, "--output", "two"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("clip-tiny") == 1  # one process prints
    one, two = (tmp_path / name / "msrvtt" / "data" / "clip-tiny" for name in ("one", "two"))
    lines = [path.with_name("clip-tiny.predictions.jsonl").read_text() for path in (one, two)]
    assert lines[0] == lines[1]
    documents = [json.loads(path.with_suffix(".json").read_text()) for path in (one, two)]
    assert documents[0]["metrics"] == documents[1]["metrics"]
    assert documents[0]["failures"] == documents[1]["failures"] != []


def test_training_exporting_and_evaluating(toy_vidsitu: Path, source: Path, tmp_path: Path) -> None:
    """From annotations to a plain checkpoint that gives the trained model's numbers."""
    train = ("train", "--model", "srlclip-tiny", "--source", str(toy_vidsitu), "--device", "cpu",
             "--set", "epochs=1", "--set", "hold_out=0.34", "--set", "batch_videos=2")  # fmt: skip
    done = bench(*train, "--output", "out")
    assert "out/model (1 epochs, best held-out R@1 " in done.stdout
    assert ", vc/R@1 " in done.stdout and " in epoch 1)" in done.stdout
    trained = "srlclip-tiny@out/model"
    bench("export", "--model", trained, "--output", "merged.safetensors")
    run = ("run", "--task", "msrvtt", "--source", str(source), "--limit", "5", "--device", "cpu")
    plain = "open_clip:clip-tiny/./merged.safetensors"
    found = json.loads(bench(*run, "--model", f"{trained},{plain}", "--json").stdout)
    assert found[0]["metrics"] == found[1]["metrics"]
    assert found[0]["model"]["adapter"]["training"]["epochs"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "--model", "clip-tiny"], 2, "cannot be trained"),
        (["train", "--model", "srlclip-tiny", "--set", "epohs=3"], 2, "did you mean 'epochs'"),
        (["train", "--model", "srlclip-tiny", "--set", "epochs"], 2, "KEY=VALUE is expected"),
        (["train", "--model", "srlclip-tiny", "--set", "epochs=0"], 2, "epochs cannot be 0"),
        (["train", "--model", "srlclip-tiny", "--source", "."], 1, "split_files"),
        (["train", "--model", "srlclip-b32"], 1, "openai.safetensors"),
        (["export", "--model", "clip-tiny", "--output", "x.safetensors"], 1, "cannot be exported"),
        (["export", "--model", "srlclip-tiny", "--output", "x.pt"], 2, "name it so"),
        (["run", "--task", "msrvtt", "--model", "srlclip-tiny@nowhere"], 1, "bench train"),
    ],
)
def test_mistakes_in_training_get_one_line(arguments: list[str], code: int, says: str) -> None:
    assert says in bench(*arguments, code=code).stderr


def test_vidsitu_from_videos_to_pages(toy_vidsitu: Path, tmp_path: Path) -> None:
    """A run, its board, the same numbers from exported predictions, and a look at it."""
    small = ("width=32", "layers=1", "heads=2", "feed_forward=64", "vc_layers=1", "epochs=2")
    (tmp_path / "bench.yaml").write_text(
        f"tasks: {{vidsitu: {{default: {{{', '.join(small).replace('=', ': ')}}}}}}}"
    )
    run = ("run", "--task", "vidsitu", "--source", str(toy_vidsitu), "--device", "cpu")
    models = "clip-tiny,srlclip-tiny"
    first = json.loads(bench(*run, "--model", models, "--json").stdout)
    assert [document["coverage"]["support"] for document in first] == [6, 6]
    assert all(document["settings"]["task"]["width"] == 32 for document in first)
    again = json.loads(bench(*run, "--model", models, "--json").stdout)
    assert [d["metrics"] for d in again] == [d["metrics"] for d in first]

    bench(*run, "--model", "clip-tiny", "--set", "vidsitu.roles=predicted", "--select", "best",
          "--quiet")  # fmt: skip
    folder = next((tmp_path / "results" / "vidsitu").iterdir())
    assert (folder / "clip-tiny.roles-predicted.select-best.json").is_file()
    board = bench("report", "--task", "vidsitu").stdout
    assert "epoch selected on the reported split" in board and "(most frequent)" in board

    export = ("export", "vidsitu", "--model", "clip-tiny", "--source", str(toy_vidsitu))
    bench(*export, "--split", "valid", "--kind", "roles", "--output", "roles.pkl")
    scores = bench("score", "--task", "vidsitu", "--source", str(toy_vidsitu), "--json",
                   "--predictions", "roles.pkl").stdout  # fmt: skip
    for name, entry in json.loads(scores)["metrics"].items():
        assert entry["value"] == pytest.approx(first[0]["metrics"][name]["value"], abs=1e-9)
    bench(*export, "--split", "testvb", "--output", "verbs.json")
    assert json.loads((tmp_path / "verbs.json").read_text())[0]["ann_idx"] == 0

    results = [str(folder / f"{name}.json") for name in models.split(",")]
    assert "Vb@1" in bench("compare", *results).stdout
    shown = ("show", *results, "--source", str(toy_vidsitu), "--output")
    bench(*shown, "page.html")
    assert (tmp_path / "page.html").read_text().count("data:image/webp") == 5
    bench(*shown, "page.md")
    assert len(list((tmp_path / "page").glob("*.webp"))) == 5
    assert "not answered" in bench(*shown, "x.md", "--item", "nowhere", code=1).stderr
    check = bench("data", "check", "vidsitu", "--source", str(toy_vidsitu)).stdout
    assert "6 segments, 6 videos" in check
