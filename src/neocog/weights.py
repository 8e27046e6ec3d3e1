"""Named tensors as files, and the model folder that is given away.

Tensors are stored in the safetensors format, everything else as JSON: reading either never runs code. What is
not finite is neither written nor read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from neocog.errors import CheckpointError, NumbersError, is_out_of_memory
from neocog.files import disk_errors, make_folder, reached, sync_folder, write_atomic

FORMAT = 1  # of checkpoints and models; a reader refuses what is newer

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_NEXT_WEIGHTS = "model.safetensors.next"

MOST_WEIGHTS, MOST_DOCUMENT, MOST_HEADER = 64 << 30, 64 << 20, 64 << 20  # bytes of a file


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor that holds a NaN or an infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() or tensor.is_complex():
            value = tensor.float() if tensor.itemsize == 1 else tensor  # isfinite does not know every float8
            if not bool(torch.isfinite(value).all()):
                return name
    return None


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Named dense tensors, of any strides, device and sharing, as the bytes of a safetensors file.

    Values keep every bit; strides become contiguous. Equal tensors give equal bytes.
    """
    plain: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().to("cpu").contiguous()
        if value.untyped_storage().data_ptr() in storages:  # the format has no two names for one memory
            value = value.clone()
        storages.add(value.untyped_storage().data_ptr())
        plain[name] = value
    return safetensors.torch.save(plain)


def parse(data: bytes, path: Path) -> dict[str, Tensor]:
    """The named tensors, on the CPU, in the bytes of the safetensors file `path`. Values may be NaN.

    Raises CheckpointError if the bytes are no such file.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        # The format's own parser finds the rest, but takes a name given twice.
        json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_unique)
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise  # it says nothing of the file
        raise CheckpointError(f"{path}: not a readable safetensors file ({_one_line(error)})") from error
    return tensors


def unpack(data: bytes, path: Path) -> dict[str, Tensor]:
    """As `parse`. Raises CheckpointError also for a value that is not finite."""
    tensors = parse(data, path)
    broken = first_not_finite(tensors)
    if broken is not None:
        raise CheckpointError(f"{path}: tensor {broken!r} holds NaN or infinity")
    return tensors


def restore_weights(module: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Copy weights read from `source` into a module: all of them, or none. Raises as `check_weights`."""
    check_weights(module, weights, source)
    module.load_state_dict(dict(weights))


def check_weights(module: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Raises CheckpointError naming the first key that is missing, unknown, or of another shape or type."""
    wanted = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    remedy = "was it made for another model, other classes or other options?"
    for name in weights:
        if name not in wanted:
            raise CheckpointError(f"{source}: tensor {name!r} is unknown to the model; {remedy}")
    for name, want in wanted.items():
        have = weights.get(name)
        if have is None:
            raise CheckpointError(f"{source}: tensor {name!r} is missing; {remedy}")
        if have.shape != want.shape or have.dtype != want.dtype:
            raise CheckpointError(
                f"{source}: tensor {name!r} is {_describe(have)}, the model wants {_describe(want)}; {remedy}"
            )


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file that states its "format". Raises CheckpointError if unreadable or newer."""
    try:
        data = read_file(path, MOST_DOCUMENT)
        document = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, not JSON ({_one_line(error)})") from error
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise CheckpointError(f'{path}: damaged, or not a file of ours (no valid "format")')
    if version > FORMAT:
        raise CheckpointError(
            f"{path}: written by a newer version (format {version}, this one reads {FORMAT}); update neocog"
        )
    return dict(document)


def save_model(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor], card: str) -> None:
    """Write a model folder: `config.json`, `model.safetensors` and the model card `README.md`.

    `config` is whatever JSON can say; `config.json` adds the format and the hashes of both. At every moment
    the folder holds the old model or the new one: the new weights wait under another name until
    `config.json`, which is replaced in one step, asks for their hash. Other files are left alone.

    Raises NumbersError for a weight that is not finite, DiskError when the disk refuses.
    """
    broken = first_not_finite(weights)
    if broken is not None:
        raise NumbersError(f"{folder}: weight {broken!r} holds NaN or infinity; the model was not saved")
    data = pack(weights)
    plain = json.loads(json.dumps(config, allow_nan=False))
    hashes = {"config": digest(_canonical(plain)), WEIGHTS: digest(data)}
    document = {"format": FORMAT, "sha256": hashes, "config": plain}
    make_folder(folder)
    settle_model(folder)
    write_atomic(folder / _NEXT_WEIGHTS, data)
    reached("before-config")
    write_atomic(folder / CONFIG, json.dumps(document, indent=1) + "\n")
    reached("before-weights")
    _settle_weights(folder)
    write_atomic(folder / CARD, card)


def load_model(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights (on the CPU) of a run folder or a model folder, verified by hash.

    Raises CheckpointError, naming file and key, for a folder without a model, a damaged or newer file, or a
    weight that is not finite. Whoever edits `config.json` by hand takes its "config" hash out.
    """
    folder = find_model(path)
    document = read_document(folder / CONFIG)
    config, hashes = document.get("config"), document.get("sha256")
    if not isinstance(config, dict) or not isinstance(hashes, dict) or WEIGHTS not in hashes:
        raise CheckpointError(f'{folder / CONFIG}: damaged: no "config", or no hash of {WEIGHTS}')
    stated = hashes.get("config")
    if hashes.keys() - {"config", WEIGHTS} or (stated is not None and stated != digest(_canonical(config))):
        raise CheckpointError(
            f"{folder / CONFIG}: damaged, or edited: its content does not match its hash "
            '(if you edited it, remove "config" from "sha256")'
        )
    for file in (folder / WEIGHTS, folder / _NEXT_WEIGHTS):
        data = _read(file)
        if data is not None and digest(data) == hashes[WEIGHTS]:
            return config, unpack(data, file)
    there = (folder / WEIGHTS).exists()
    reason = f"its hash is not the one in {CONFIG}, one is damaged" if there else "missing"
    raise CheckpointError(f"{folder / WEIGHTS}: {reason}; copy the model again, or train it with --resume")


def find_model(path: Path) -> Path:
    """The model folder of a run folder, or `path` itself if it is a model folder. Raises CheckpointError."""
    try:
        for folder in (path / "model", path):
            if (folder / CONFIG).is_file():
                return folder
        found = path.exists()
    except OSError as error:  # a name too long, or a folder that may not be entered
        raise CheckpointError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if not found:
        raise CheckpointError(f"{path}: no such run or model folder")
    raise CheckpointError(
        f"{path}: no model in it (no {CONFIG}); train one with --out, or go on with --resume"
    )


def settle_model(folder: Path) -> None:
    """Finish or undo what a kill interrupted in `save_model`. Raises DiskError."""
    waiting = _read(folder / _NEXT_WEIGHTS)
    if waiting is None:
        return
    try:
        wanted = read_document(folder / CONFIG)["sha256"][WEIGHTS]
    except (CheckpointError, KeyError, TypeError):
        wanted = None
    if digest(waiting) == wanted:
        _settle_weights(folder)
    else:
        with disk_errors(folder):
            (folder / _NEXT_WEIGHTS).unlink()


def _settle_weights(folder: Path) -> None:
    with disk_errors(folder / WEIGHTS):
        (folder / _NEXT_WEIGHTS).replace(folder / WEIGHTS)
        sync_folder(folder)


def _canonical(config: dict[str, Any]) -> bytes:
    return json.dumps(config, sort_keys=True).encode()


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _one_line(error: Exception) -> str:
    return on_one_line(str(error) or type(error).__name__)


@contextmanager
def open_file(path: Path, most: int = MOST_WEIGHTS) -> Iterator[BufferedReader]:
    """A regular file of at most `most` bytes, open for reading. A pipe is refused, never waited for.

    Raises CheckpointError.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path}: cannot be read (not a regular file)")
        file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):  # it may have become a pipe since
            raise CheckpointError(f"{path}: cannot be read (not a regular file)")
        if status.st_size > most:
            raise CheckpointError(
                f"{path}: cannot be read ({status.st_size >> 20} MiB, the limit is {most >> 20} MiB)"
            )
        yield file


def read_file(path: Path, most: int = MOST_WEIGHTS) -> bytes:
    """The whole of a regular file of at most `most` bytes. Raises CheckpointError."""
    with open_file(path, most) as file:
        try:
            return file.read()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _read(path: Path) -> bytes | None:
    """The bytes of a file; None if there is no such file."""
    try:
        return read_file(path)
    except CheckpointError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def on_one_line(text: str, most: int = 200) -> str:
    """Words that may come from a file, as one line fit to print."""
    line = " ".join(text.split())[:most]
    return "".join(one if one.isprintable() else "?" for one in line)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} twice in one object")
        found[key] = value
    return found
