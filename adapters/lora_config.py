"""What an adapter_config.json of peft says that changes the function: honoured, or refused."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.untrusted import read_json, shown, well_formed

READ = ("r", "lora_alpha", "target_modules")  # by our own LoRA
# Of these no feature depends: provenance, training alone, and sizes of parts that are refused.
INERT = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode",
    "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core", "peft_version",
    "qalora_group_size", "revision", "runtime_config", "task_type",
})  # fmt: skip
# Where training started; every other start (pissa, olora, corda, ...) also changes the base.
STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
REPEATABLE = ("pissa", "olora")  # peft changes the base in the same way when it is read
# What peft itself cannot merge, and the start, of which only some can be repeated.
UNMERGED = {"alora_invocation_tokens", "arrow_config", "init_lora_weights", "use_qalora"}
SAVE_PLAIN = "save it as a plain LoRA of peft"


def read_plain(path: Path) -> dict[str, Any]:
    """The file of a plain LoRA. BenchError where it is damaged or says more than READ."""
    remedy = "train again"
    config = read_json(path, remedy, largest=1 << 20)
    with well_formed(path, remedy):
        check_lora(path, config, READ)
        return {key: config[key] for key in READ}


def check_lora(
    path: Path, config: dict[str, Any], read: Collection[str], starts: tuple[Any, ...] = STARTS
) -> None:
    """BenchError where `config` has more that changes the function than `read` and `starts`.

    A key that is not known may be switched off (null, false, empty): peft adds such in every
    version.
    """
    plain = {"init_lora_weights": starts, "peft_type": ("LORA",), "bias": (None, "none")}
    for key, value in {"peft_type": None, **config}.items():
        known = value in plain[key] if key in plain else key in INERT or _off(value)
        if not known and key not in read:
            raise BenchError(f"{path}: {key} {shown(value)} is not supported; {SAVE_PLAIN}")


def _off(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})
