"""Every ingredient of a kept head's key and of its answers', as docs/stores.md lists them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import Features, Source, Workplace
from bench.features.work import Silent
from tasks.vidsitu.head import prediction
from tasks.vidsitu.head.settings import HeadSettings
from tasks.vidsitu.task import VidSitu
from tests.test_stores import missed

from .conftest import DIM, SMALL, Seeing

OTHER: dict[str, Any] = {
    "width": 64, "layers": 2, "heads": 4, "feed_forward": 65, "dropout": 0.1, "caption_tokens": 14,
    "learning_rate": 0.1, "batch_videos": 5, "epochs": 4, "vc_layers": 2, "vc_heads": 4,
    "weight_decay": 0.5, "clip_gradient": 0.5, "roles": "predicted", "select": "best", "beam": 2,
    "head": "videowhisperer", "beta2": 0.9, "drop_last": True, "case": "kept",
}  # fmt: skip
DECODING = ("roles", "beam")


@dataclass(frozen=True)
class Asking:
    """What a head is made of and asked; `odd` clips have other features, `lost` ones none."""

    tree: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(SMALL))
    odd: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    role: str = ""
    fingerprint: str = "one"
    seed: int = 0
    version: int = prediction.VERSION

    def with_(self, **settings: Any) -> Asking:
        return replace(self, settings={**self.settings, **settings})

    def path(self, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where the answers are looked for: below the head's key."""
        found: list[Path] = []
        monkeypatch.setattr(prediction, "VERSION", self.version)
        monkeypatch.setattr(prediction, "_read_answers", lambda path, _: found.append(path) or {})
        task, adapter = VidSitu.load(Source("lab", self.tree, settings=self.settings)), Seeing()
        adapter.fingerprint = self.fingerprint
        if self.role:
            task.roles = {name: [[self.role]] * 5 for name in task.roles}
        clips = {
            clip.id: np.full((20, DIM), clip.id in self.odd, np.float32)
            for clip in [*task.support, *task.clips] if clip.id not in self.lost
        }  # fmt: skip
        texts = np.zeros((len(task.texts), DIM), np.float32)
        task.learn(
            Features(clips, texts), adapter, Workplace(Path("x"), "cpu", self.seed, Silent())
        )
        return found[0]


def annotated(tree: Path, folder: Path, split: str) -> Path:
    """The tree with another role in the first annotation of a split."""
    root = Path(shutil.copytree(tree, folder / split))
    (path,) = root.rglob(f"vsann_{split}_*.json")
    first, *others = json.loads(path.read_text())
    event = first[min(first)] if isinstance(first, dict) else first[0][min(first[0])]
    event["Args"]["ArgM (manner)"] = "as nobody else"
    path.write_text(json.dumps([first, *others]))
    return root


def test_heads_and_answers(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def head(asking: Asking) -> str:
        return asking.path(monkeypatch).parent.name

    def answers(asking: Asking) -> str:
        return asking.path(monkeypatch).name

    plain = Asking(tree)
    task = VidSitu.load(Source("lab", tree, settings=dict(SMALL)))
    learnt, queried = task.support[0].id, task.clips[0].id
    train, valid = (annotated(tree, tmp_path, split) for split in ("train", "valid"))
    best = plain.with_(select="best")
    missed("`learnt/` | VidSitu's trained head", head, plain, {
        "the annotations of the training clips": lambda given: replace(given, tree=train),
        "which of them were read": lambda given: replace(given, lost=(learnt,)),
        "their features (by key)": lambda given: replace(given, odd=(learnt,)),
        "the model's fingerprint": lambda given: replace(given, fingerprint="two"),
        "every setting of the head but beam and roles": lambda given: given.with_(epochs=4),
        "the seed": lambda given: replace(given, seed=1),
        "the head's version": lambda given: replace(given, version=99),
        "where an epoch is selected by its answers, beam and roles": lambda _: best.with_(beam=2),
        "where an epoch is selected, the validation split's annotations":
            lambda _: replace(best, tree=valid),
        "where an epoch is selected, its features": lambda _: replace(best, odd=(queried,)),
    })  # fmt: skip
    missed("`learnt/`, `answers-*` | a head's answers", lambda one: str(one.path(monkeypatch)),
           plain, {
        "the head's key": lambda given: replace(given, seed=1),
        "every setting of the head": lambda given: given.with_(beam=2),
        "the roles to describe": lambda given: replace(given, role="Arg0"),
        "which clips to answer": lambda given: replace(given, lost=(queried,)),
        "their features (by key)": lambda given: replace(given, odd=(queried,)),
    })  # fmt: skip

    # Every setting there is, and what is no part of the head where no epoch is selected.
    # (How captions are decoded, and whose encoder is seen, is VideoWhisperer's alone to choose.)
    assert {*OTHER, "causal", "stage_one"} == {one.name for one in fields(HeadSettings)}
    published = plain.with_(head="videowhisperer")
    assert answers(published) != answers(published.with_(causal=True))
    assert head(published) != head(published.with_(stage_one="model"))
    others = {name: plain.with_(**{name: value}) for name, value in OTHER.items()}
    assert len({answers(one) for one in [plain, *others.values()]}) == len(OTHER) + 1
    heads = {name: head(one) for name, one in others.items()}
    assert len(set(heads.values())) == len(OTHER) - len(DECODING) + 1
    same = [others[name] for name in DECODING]
    same += [
        replace(plain, tree=valid),
        replace(plain, odd=(queried,)),
        replace(plain, role="Arg0"),
    ]
    assert {head(one) for one in same} == {head(plain)}
    chosen = [best.with_(roles="predicted"), best.with_(beam=2), replace(best, tree=valid),
              replace(best, odd=(queried,))]  # fmt: skip
    assert head(best) not in map(head, chosen)
