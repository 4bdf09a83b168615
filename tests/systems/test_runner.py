"""The comparison itself: both forms of files, what is too far, and what is not computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from tests.systems import __main__ as runner
from tests.systems.case import Case, Output, read_case

WEIGHT, INPUT = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 5.0])
ARRAYS = {
    "state": {"module.weight": WEIGHT}, "inputs": {"token_ids": INPUT},
    "outputs": {"product": WEIGHT * INPUT, "total": torch.tensor(17.0)},
}  # fmt: skip


def doubled(case: Case) -> Iterator[Output]:
    """A system that multiplies, and is a little off in the sum."""
    product = case.state["module.weight"] * case.inputs["token_ids"]
    yield Output("product", product, case.config["tolerance"])
    yield Output("total", product.sum() + 0.5, 1.0)


def saved(folder: Path, form: str, outputs: dict[str, torch.Tensor]) -> Path:
    """The path of a case in one of the two forms."""
    # One tensor under two names is refused by safetensors.
    outputs = {name: value.clone() for name, value in outputs.items()}
    arrays = {**ARRAYS, "outputs": outputs}
    target, config = folder / "a", folder / "a.json"
    if form == "folder":
        target.mkdir()
        config = target / "config.json"
        save_file(arrays["state"], target / "state_dict.safetensors")
        save_file(arrays["inputs"] | outputs, target / "golden.safetensors")
    else:
        state, inputs = ("state_dict", "inputs") if form == "stem" else ("state", "input")
        output = "outputs" if form == "stem" else "output"
        save_file({f"{part}.{name}": value
                   for part, named in zip((state, inputs, output), arrays.values(), strict=True)
                   for name, value in named.items()}, folder / "a.safetensors")  # fmt: skip
    config.write_text(json.dumps({"tolerance": 1e-6}))
    return target


def run(path: Path, monkeypatch: pytest.MonkeyPatch, **more: object) -> int:
    module = SimpleNamespace(**{"outputs": doubled, **more})
    monkeypatch.setattr(runner, "system", lambda name: module)
    return runner.main(["doubled", str(path)])


@pytest.mark.parametrize("form", ["folder", "stem", "singular"])
def test_both_forms_of_files_are_one_case(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, form, ARRAYS["outputs"])
    case = read_case(path)
    for part, expected in ARRAYS.items():
        found = getattr(case, part)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert run(path, monkeypatch) == 0
    assert "2 of 2 outputs within tolerance" in capsys.readouterr().out


def test_a_suffix_is_no_other_stem(tmp_path: Path) -> None:
    saved(tmp_path, "stem", ARRAYS["outputs"])
    assert read_case(tmp_path / "a.safetensors").config == {"tolerance": 1e-6}


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"product": WEIGHT * INPUT + 2e-6}, "TOO FAR"),
        ({"product": (WEIGHT * INPUT)[None]}, "inf"),
        ({"product": torch.tensor([2.0, torch.nan])}, "inf"),
        ({"product": WEIGHT * INPUT, "other": INPUT}, "NOT COMPUTED"),
        ({}, "0 of 0"),
    ],
)
def test_what_differs_or_is_not_computed_fails(
    outputs: dict[str, torch.Tensor], says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(saved(tmp_path, "folder", outputs), monkeypatch) == 1
    assert says in capsys.readouterr().out


def test_what_is_left_out_by_design_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, "stem", {"product": WEIGHT * INPUT, "loss": INPUT})
    assert run(path, monkeypatch, UNCOMPARED={"loss": "of training"}) == 0
    assert "not compared: of training" in capsys.readouterr().out


def test_a_nan_of_the_system_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nan(case: Case) -> Iterator[Output]:
        yield Output("total", torch.tensor(torch.nan), 1.0)

    path = saved(tmp_path, "folder", {"total": torch.tensor(17.0)})
    assert run(path, monkeypatch, outputs=nan) == 1


def test_wrong_use_exits_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner.main([]) == 2
    assert runner.main(["nothing", str(tmp_path)]) == 2
    assert run(tmp_path / "absent", monkeypatch) == 2
    path = saved(tmp_path, "stem", {"product": INPUT})
    (tmp_path / "a.safetensors").write_bytes(b"none")
    assert run(path, monkeypatch) == 2
    saved(tmp_path, "stem", {"product": INPUT})
    (tmp_path / "a.json").write_text("{")
    assert run(path, monkeypatch) == 2
    save_file({"loose": INPUT}, tmp_path / "a.safetensors")
    (tmp_path / "a.json").write_text("{}")
    assert run(path, monkeypatch) == 2
