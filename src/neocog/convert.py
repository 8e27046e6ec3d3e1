"""Foreign files of weights (`.pt`, `.pth`) as tensors, and as files of our own.

A file of `torch.save` is a program for Python's unpickler. It is read only by `convert_child.py`, in a fresh
process without rights; what that process writes is checked here as any hostile safetensors file is.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from neocog import convert_child
from neocog.errors import CheckpointError, DiskError, UsageError
from neocog.files import disk_errors, make_folder, require_empty, write_folder
from neocog.weights import (
    FORMAT,
    digest,
    first_not_finite,
    on_one_line,
    open_file,
    pack,
    parse,
    read_document,
    read_file,
)

WEIGHTS, MANIFEST = "weights.safetensors", "MANIFEST.json"
FOREIGN = (".pt", ".pth")

TORCH_FLOOR = (2, 10)
"""Older ones can be made to run code (CVE-2025-32434, till 2.5) or to damage memory (CVE-2026-24747)."""

MOST_FOREIGN = 16 << 30  # bytes


@dataclass(frozen=True, slots=True)
class Converted:
    """What `convert_weights` wrote."""

    path: Path
    tensors: int
    bytes: int
    sha256: str


def convert_weights(source: Path, folder: Path, key: str = "") -> Converted:
    """Write the state dict in `source` as `folder/weights.safetensors`, with a manifest of size and SHA-256.

    `key` names the entry that is the state dict, where the file holds more. `folder` is new or empty; it is
    written whole or not at all. Raises CheckpointError for a file that is missing, damaged, hostile, not
    finite or more than tensors, UsageError for a folder in use, DiskError.
    """
    if source.suffix == ".safetensors":
        raise UsageError(f"{source}: safetensors already (give it to --weights as it is)")
    require_empty(folder)
    tensors = read_foreign(source, key)
    broken = first_not_finite(tensors)
    if broken is not None:
        raise CheckpointError(f"{source}: tensor {broken!r} holds NaN or infinity; use another file")
    data = pack(tensors)
    with open_file(source, MOST_FOREIGN) as file:
        origin = {"name": source.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    manifest = {
        "format": FORMAT,
        "files": {WEIGHTS: {"bytes": len(data), "sha256": digest(data)}},
        "source": origin,
        "tensors": {name: [str(value.dtype)[6:], list(value.shape)] for name, value in tensors.items()},
    }
    make_folder(folder.parent)
    if folder.is_dir():
        with disk_errors(folder):
            folder.rmdir()
    write_folder(folder, [(WEIGHTS, data), (MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")])
    return Converted(folder / WEIGHTS, len(tensors), len(data), digest(data))


def read_own(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which must be what a MANIFEST.json beside it says, if there is one.

    Raises CheckpointError.
    """
    data = read_file(path)
    manifest = path.with_name(MANIFEST)
    if manifest.exists():
        files = read_document(manifest).get("files")
        entry = files.get(path.name) if isinstance(files, dict) else None
        if entry != {"bytes": len(data), "sha256": digest(data)}:
            raise CheckpointError(
                f"{path}: not the file that {MANIFEST} beside it describes; convert it again "
                "(if that manifest is not its own, keep them in different folders)"
            )
    return parse(data, path)


def read_foreign(path: Path, key: str = "") -> dict[str, Tensor]:
    """The tensors, on the CPU, of the state dict in a `.pt` or `.pth` file; no code in it is run.

    Values may be NaN. Raises CheckpointError when the file is missing, damaged, or holds more than tensors.
    """
    _require_torch(str(torch.__version__))
    with open_file(path, MOST_FOREIGN) as file:
        data = _convert(path, file, key)
    return parse(data, path)


def _require_torch(version: str) -> None:
    """Raises CheckpointError if the loader of this torch has known holes."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < TORCH_FLOOR:
        floor = ".".join(map(str, TORCH_FLOOR))
        raise CheckpointError(
            f"torch {version} cannot read foreign files safely: install {floor} or newer (CVE-2026-24747)"
        )


def _convert(path: Path, file: BinaryIO, key: str) -> bytes:
    """Run the child on an open file; what it wrote."""
    size = os.fstat(file.fileno()).st_size
    seconds, memory, most = 60 + (size >> 22), 2 * size + (512 << 20), 4 * size + (1 << 20)
    command = [sys.executable, "-I", "-S", "-B", "-W", "ignore", str(convert_child.__file__)]
    command += [str(seconds), str(memory), str(most), key, *_folders()]
    with disk_errors(Path(tempfile.gettempdir())):
        output, said = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
    with output, said:
        try:
            done = subprocess.run(
                command, stdin=file, stdout=output, stderr=said, env=_environment(), cwd=os.sep,
                timeout=2 * seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CheckpointError(f"{path}: not read within {2 * seconds} s, given up") from error
        except OSError as error:
            raise CheckpointError(
                f"{path}: no process could be started to read it ({error.strerror})"
            ) from error
        if done.returncode != 0:
            said.seek(0)
            raise _failure(path, done.returncode, on_one_line(said.read(1000).decode(errors="replace")))
        output.seek(0)
        return output.read()


def _folders() -> list[str]:
    """Where the child finds torch and what it needs."""
    found = [Path(torch.__file__).parents[1], *map(Path, sys.path)]
    return [str(one) for one in found if one == found[0] or one.name in ("site-packages", "dist-packages")]


def _environment() -> dict[str, str]:
    """As little as torch can be imported with."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def _failure(path: Path, code: int, reason: str) -> CheckpointError | DiskError:
    """The child's failure as an error of ours. What it said may be the file's own words."""
    if code == convert_child.REFUSED and reason:
        return CheckpointError(f"{path}: {reason}")
    if code == convert_child.DENIED:
        return CheckpointError(
            f"{path}: hostile: reading it led to a forbidden act ({reason}), which was stopped"
        )
    if code == convert_child.FULL:
        full = reason or os.strerror(errno.ENOSPC)
        return DiskError(
            f"{tempfile.gettempdir()}: cannot be written ({full}); free some space or set TMPDIR"
        )
    if code == convert_child.NO_TORCH:
        return CheckpointError(f"{path}: torch does not work in the process that should read it ({reason})")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        what = "took too long" if name == "SIGXCPU" else f"ended by {name}"
        return CheckpointError(f"{path}: the process that read it {what}; damaged or hostile, not loaded")
    return CheckpointError(f"{path}: cannot be read as weights (the process that read it failed with {code})")
