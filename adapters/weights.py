"""Finding a CLIP's weights on this machine, and turning OpenAI's original files into safetensors.

Weights are found without the network where they already are, and never unpickled: safetensors, or
.pt through `weights_only=True`. OpenAI's original files are TorchScript programs, of which only the
tensors are read, if the SHA-256 is the published one; they are kept as safetensors from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from bench.config import RunConfig
from bench.errors import BenchError, MissingWeights
from bench.files import locks
from bench.files.atomic import atomic_path, write_text
from bench.files.paths import WEIGHTS
from bench.files.tensor_store import checksum, digest
from bench.files.untrusted import read_bytes, read_json, well_formed
from bench.progress import waiting

SHIPPED = Path(__file__).with_name("tiny")

# Published names of OpenAI's files, and the SHA-256 that stands in their addresses (OpenAI's CLIP
# repository, clip.py); the same weights as safetensors are on the Hugging Face hub.
OPENAI = {
    "ViT-B-32-quickgelu": (
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "timm/vit_base_patch32_clip_224.openai",
    ),
    "ViT-B-16-quickgelu": (
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "timm/vit_base_patch16_clip_224.openai",
    ),
    "ViT-L-14-quickgelu": (
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "timm/vit_large_patch14_clip_224.openai",
    ),
}

# What a CLIP has; the archives also keep settings and attention masks among their tensors.
_OF_CLIP = re.compile(
    r"(.*\.)?((in_proj_)?(weight|bias)|(class|positional)_embedding|(text_)?proj(ection)?|logit_scale)"
)

INDEX = ".index.json"
# What a folder holds its weights in, the better ones first.
NAMES = (
    "open_clip_model.safetensors", "model.safetensors", f"model.safetensors{INDEX}",
    "open_clip_pytorch_model.bin", "pytorch_model.bin", f"pytorch_model.bin{INDEX}",
)  # fmt: skip


def local_path(pretrained: str) -> Path | None:
    """The file or folder that `pretrained` is; None for a tag, whatever is called so where one is.

    A path is written as one: with a separator, as `./openai`, or with the ending of weights.
    """
    path = Path(pretrained)
    return path if _is_path(pretrained) and (path.is_file() or path.is_dir()) else None


def _is_path(pretrained: str) -> bool:
    return bool(re.search(r"[/\\]", pretrained)) or pretrained.endswith(WEIGHTS)


def weights_file(path: Path) -> Path:
    """The file that a folder holds its weights in, or `path` itself. MissingWeights without one."""
    if not path.is_dir():
        return path
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise MissingWeights(f"{path}: a folder without {NAMES[0]}, {NAMES[1]} or an index of shards")


def shards(path: Path) -> list[Path]:
    """The files that an index of shards names, beside it. BenchError where one is absent."""
    remedy = "fetch all of it again"
    index = read_json(path, remedy, largest=1 << 26)
    with well_formed(path, remedy):
        names = dict.fromkeys(Path(name).name for name in index["weight_map"].values())
    for name in names:
        if not (path.parent / name).is_file():
            raise BenchError(f"{path}: names the shard {name}, which is not beside it; {remedy}")
    return [path.parent / name for name in names]


def weights_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a weights file, or of an index and all its shards."""
    if not path.name.endswith(INDEX):
        return file_hash(path, cache)
    return digest("shards", [file_hash(part, cache) for part in (path, *shards(path))])


def find_weights(arch: str, pretrained: str, run: RunConfig) -> Path:
    """The weights file, from this machine or, where the network is allowed, from the hub.

    An original of OpenAI's is turned into safetensors.
    """
    try:
        found = local_weights(arch, pretrained, run)
        if pretrained == "openai" and found == _original(arch, run):
            return _converted(found, OPENAI[arch][1], run.weights_folder / arch)
        return found
    except MissingWeights as missing:
        if not hub_in_reach():
            raise
        from open_clip.pretrained import download_pretrained, get_pretrained_cfg

        known = get_pretrained_cfg(arch, pretrained)
        if not known:
            raise
        try:
            with waiting(f"downloading the weights '{pretrained}' of {arch}"):
                return Path(download_pretrained(known))
        except Exception as error:  # hub, http and disk errors have no common base
            raise missing from error


def hub_in_reach() -> bool:
    """Whether a download can be tried: else the hub's client retries for a minute, noisily."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY")):
        return True  # the proxy knows; a direct connection would prove nothing
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


def local_weights(arch: str, pretrained: str, run: RunConfig) -> Path:
    """The weights file where it lies already, changing nothing.

    MissingWeights says which to put where; BenchError where OpenAI's file is another.
    """
    if pretrained == "shipped" and (SHIPPED / f"{arch}.safetensors").is_file():
        return SHIPPED / f"{arch}.safetensors"
    if (path := local_path(pretrained)) is not None:
        return weights_file(path)
    if _is_path(pretrained):
        raise MissingWeights(f"{pretrained}: no such file; check the path after '{arch}/'")
    folder = run.weights_folder / arch
    for suffix in (".safetensors", ".pt"):
        if (folder / f"{pretrained}{suffix}").is_file():
            return folder / f"{pretrained}{suffix}"
    name, sha256, hub = OPENAI.get(arch, ("", "", "")) if pretrained == "openai" else ("",) * 3
    if name and (original := _original(arch, run)).is_file():
        # For a word in time: what may be read is decided by the bytes that are read.
        if file_hash(original, run.cache_folder) != sha256:
            raise _unpublished(original)
        return original
    if hub and (cached := _hub_cached(hub)):
        return cached
    fetch = (
        f"fetch open_clip_model.safetensors from huggingface.co/{hub} "
        f"(or OpenAI's {name}, put in {run.weights_folder})"
        if hub
        else f"fetch open_clip's '{pretrained}' weights of {arch}"
    )
    target = folder / f"{pretrained}.safetensors"
    here = f"; a file is written as {arch}/./{pretrained}" if Path(pretrained).exists() else ""
    raise MissingWeights(
        f"no weights '{pretrained}' for {arch}: {fetch} and save it as {target}{here}"
    )


def _hub_cached(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "open_clip_model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _original(arch: str, run: RunConfig) -> Path:
    """Where OpenAI's own file of `arch` would lie; the folder itself for others."""
    return run.weights_folder / OPENAI.get(arch, ("",))[0]


def _converted(path: Path, sha256: str, folder: Path) -> Path:
    """OpenAI's archive as safetensors in `folder`; refused unless it is the published file."""
    from safetensors.torch import save_file

    from adapters.torchscript import tensors

    target = folder / "openai.safetensors"
    with locks.locked(target), waiting(f"turning {path.name} into safetensors"):
        if target.is_file():  # another run has just made it
            return target
        # Hashed and read from one buffer: a remembered hash, and the file meanwhile, may be changed
        # by whoever can write there.
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _unpublished(path)
        state = {name: value.float().contiguous() for name, value in tensors(content, path).items()
                 if _OF_CLIP.fullmatch(name)}  # fmt: skip
        with atomic_path(target) as temporary:
            save_file(state, temporary)
    return target


def _unpublished(path: Path) -> BenchError:
    return BenchError(
        f"{path}: not OpenAI's published file (SHA-256 differs); TorchScript of unknown origin is "
        "not read. Fetch it again, or save the weights as safetensors"
    )


def file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a weights file; remembered, since L/14 takes seconds.

    By path, size and times, and by inode and change time too: a copy that keeps size and date is
    another file all the same.
    """
    path = path.resolve()
    status = path.stat()
    identity = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    memo = cache / "hashes" / f"{digest(str(path), *identity)}.txt"
    if memo.is_file() and re.fullmatch("[0-9a-f]{64}", text := memo.read_text(errors="replace")):
        return text
    with waiting(f"hashing {path.name}"):
        value = checksum(path)
    write_text(memo, value)
    return value
