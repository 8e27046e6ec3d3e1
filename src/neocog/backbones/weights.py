"""Trained weights for a backbone: the published ones, fetched only on request, or a file of one's own.

A file is read without running any code in it (see `neocog.convert`), checked key by key, and loaded whole or
not at all.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from neocog.backbones.backbone import freeze_batchnorm
from neocog.convert import FOREIGN, read_foreign, read_own
from neocog.convert import WEIGHTS as CONVERTED
from neocog.errors import CheckpointError, DiskError, UsageError
from neocog.ops.names import unknown

HEADS = ("classifier.", "fc.")  # what a backbone built without classes lacks
OPTIONAL = ".num_batches_tracked"  # files older than PyTorch 0.4.1 have no such counter
TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1 << 20

WORDS = ("imagenet", "coco")
"""What stands for a file of weights: the data that published ones learnt from."""

Progress = Callable[[int, int], None]
"""Called with the bytes received so far and the size of the file."""


@dataclass(frozen=True)
class PublishedWeights:
    """A file of weights that its authors offer for download."""

    url: str
    sha256: str  # the first hexadecimal digits of the file's digest
    megabytes: float  # of 2**20 bytes

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


_TORCHVISION = "https://download.pytorch.org/models/"

PUBLISHED: dict[str, PublishedWeights] = {
    "alexnet": PublishedWeights(_TORCHVISION + "alexnet-owt-7be5be79.pth", "7be5be79", 233.087),
    "vgg16": PublishedWeights(_TORCHVISION + "vgg16-397923af.pth", "397923af", 527.796),
    "resnet18": PublishedWeights(_TORCHVISION + "resnet18-f37072fd.pth", "f37072fd", 44.661),
    "resnet34": PublishedWeights(_TORCHVISION + "resnet34-b627a593.pth", "b627a593", 83.275),
    "resnet50": PublishedWeights(_TORCHVISION + "resnet50-0676ba61.pth", "0676ba61", 97.781),
    "resnet101": PublishedWeights(_TORCHVISION + "resnet101-63fe2227.pth", "63fe2227", 170.511),
}
"""Torchvision's ImageNet-1K weights (the first version of each, "V1"), by the backbone's name."""


def start_from(name: str, backbone: nn.Module, source: str | Path) -> dict[str, Tensor]:
    """`load_weights`, and freeze BatchNorm: a step's few pictures would spoil statistics of a million."""
    dense = load_weights(name, backbone, source)
    freeze_batchnorm(backbone)
    return dense


def load_weights(
    name: str, backbone: nn.Module, source: str | Path, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Fill `backbone`, in place, from the published weights (`source="imagenet"`) or from a local file.

    `name` is the backbone's name, as in PUBLISHED. A local file is a state dict (`.pth`, `.pt`),
    `.safetensors`, or a folder that `convert-weights` wrote. Its dense layers are passed over when the
    backbone was built without classes, and are returned, by the names they have in the file.

    Raises CheckpointError when the file is missing, damaged, for another architecture or not finite, or
    cannot be fetched; UsageError when nothing is published under that name; DiskError when the cache cannot
    be written. The backbone is then unchanged.
    """
    if source == "imagenet":
        if name not in PUBLISHED:
            raise UsageError(
                f"no ImageNet weights are published for '{name}': there are for {', '.join(PUBLISHED)}"
            )
        path = fetch(PUBLISHED[name], progress)
    else:
        path = Path(source)
    given = read_weights(path)
    weights = _fit(given, backbone, path)
    backbone.load_state_dict(weights, strict=False)  # strictness is _fit's, which knows what may be missing
    return {key: value for key, value in given.items() if key not in weights}


def cache_folder() -> Path:
    """Where fetched files are kept: $NEOCOG_CACHE, else `~/.cache/neocog`."""
    chosen = os.environ.get("NEOCOG_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "neocog"


def fetch(published: PublishedWeights, progress: Progress | None = None) -> Path:
    """The local copy of a published file, downloaded unless an undamaged one is in the cache."""
    target = cache_folder() / published.file
    try:
        if target.is_file() and _digest(target).startswith(published.sha256):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=published.file, suffix=".part", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(_download(published, target, progress))
            digest = _digest(temporary)
            if not digest.startswith(published.sha256):
                raise CheckpointError(
                    f"{published.url}: what arrived has SHA-256 {digest[:8]}..., not {published.sha256}...: "
                    f"try again, or put the right file at {target}"
                )
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise DiskError(f"{target}: cannot be kept ({reason}): set NEOCOG_CACHE to another folder") from error
    return target


def _download(published: PublishedWeights, target: Path, progress: Progress | None) -> Iterator[bytes]:
    """The file's bytes in pieces; any failure of the network is one line that says what to do."""
    received = 0
    try:
        with urllib.request.urlopen(published.url, timeout=TIMEOUT_SECONDS) as response:
            while chunk := response.read(CHUNK_BYTES):
                received += len(chunk)
                if progress is not None:
                    progress(received, round(published.megabytes * 2**20))
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the open response, too
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise CheckpointError(
            f"cannot fetch {published.url} ({reason}): fetch it elsewhere and put it at {target}"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name, on the CPU, in a file of weights or a folder that `convert-weights` wrote.

    A `.pth` or `.pt` file is read in a process without rights; nothing in it is executed. Values may be NaN.
    Raises CheckpointError when it is missing, damaged, or holds anything but tensors, UsageError for a word
    that is no path.
    """
    if path.is_dir() and (path / CONVERTED).is_file():
        path = path / CONVERTED
    if path.parent == Path() and not (path.suffix or path.exists()):
        raise UsageError(
            f"{unknown(path.name, WORDS, 'weights')} (or give a file: .pth, .pt or .safetensors)"
        )
    if path.suffix not in (*FOREIGN, ".safetensors"):
        raise CheckpointError(f"{path}: not a file of weights: expected .pth, .pt or .safetensors")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    return read_own(path) if path.suffix == ".safetensors" else read_foreign(path)


def _fit(weights: Mapping[str, Tensor], backbone: nn.Module, path: Path) -> dict[str, Tensor]:
    """The weights as the backbone wants them, or CheckpointError naming the first that does not fit."""
    wanted: dict[str, Tensor] = backbone.state_dict()
    owner = type(backbone).__name__
    fitted: dict[str, Tensor] = {}
    for key, want in wanted.items():
        if key in weights:
            fitted[key] = _fit_one(key, weights[key], want, owner, path)
        elif not key.endswith(OPTIONAL):
            raise CheckpointError(f"{path}: lacks '{key}' {tuple(want.shape)}: is it not for {owner}?")
    absent = tuple(head for head in HEADS if not any(key.startswith(head) for key in wanted))
    for key, have in weights.items():
        if key not in wanted and not key.startswith(absent):
            raise CheckpointError(f"{path}: has '{key}' {tuple(have.shape)}: is it not for {owner}?")
    return fitted


def _fit_one(key: str, have: Tensor, want: Tensor, owner: str, path: Path) -> Tensor:
    if have.shape != want.shape:
        remedy = "build it with as many classes, or none" if key.startswith(HEADS) else "use another file"
        shapes = f"is {tuple(have.shape)}, {owner} has {tuple(want.shape)}"
        raise CheckpointError(f"{path}: '{key}' {shapes}: {remedy}")
    if have.is_floating_point() != want.is_floating_point():
        raise CheckpointError(f"{path}: '{key}' is {have.dtype}, {owner} has {want.dtype}: use another file")
    value = have.to(want.dtype)
    if not value.isfinite().all():
        raise CheckpointError(f"{path}: '{key}' holds values that are not finite: use another file")
    return value
