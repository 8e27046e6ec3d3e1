"""Checkpoints of a run: whole or not there, verified by hash, never lost to the act of saving.

    run/checkpoints/step-N/   weights.safetensors, ema.safetensors, optimizer.safetensors, state.json,
                              MANIFEST.json (size and SHA-256 of each)
    run/last, run/best        relative links to one of these folders (a small file where links do not exist)

A folder is written under a temporary name, flushed, renamed and read back; then a link is replaced in one
step; only then the folder no link needs is removed. A second save of the same step goes to `step-N-2`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from neocog.errors import CheckpointError, DiskError, NumbersError, is_out_of_memory
from neocog.files import (
    make_folder,
    point_link,
    reached,
    read_link,
    remove_folder,
    sweep_temporaries,
    write_folder,
)
from neocog.weights import (
    FORMAT,
    digest,
    first_not_finite,
    on_one_line,
    pack,
    read_document,
    read_file,
    settle_model,
    unpack,
)

_FOLDER, _MANIFEST, _STATE = "checkpoints", "MANIFEST.json", "state.json"
_STEP = re.compile(r"step-(\d+)(?:-(\d+))?")
Which = Literal["last", "best"]
_LINKS: tuple[Which, ...] = ("last", "best")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved: tensors by file and name, on the CPU, and the state as JSON gives it back."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    path: Path


def save_checkpoint(
    run: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    best: bool = False,
) -> Path:
    """Save one checkpoint, make it `last`, and `best` if it is; returns its folder.

    `tensors` maps a file's stem (`weights`, `ema`, `optimizer`) to named tensors; `state` is whatever JSON
    can say. Raises NumbersError for a number that is not finite and DiskError when the disk refuses; what
    was saved before stays as it was.
    """
    for stem, named in tensors.items():
        broken = first_not_finite(named)
        if broken is not None:
            raise NumbersError(f"step {step}: tensor {broken!r} of {stem} holds NaN or infinity; not saved")
    try:
        text = json.dumps({"step": step, "state": dict(state)}, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise NumbersError(f"step {step}: the state holds NaN or infinity; not saved") from error
    make_folder(run / _FOLDER)
    folder = _free_folder(run, step)
    write_folder(folder, _contents(tensors, text.encode()))
    _read_back(folder)
    reached("before-link")
    # The best first: were the kill between them the other way round, the state of `last` would know of a best
    # that the link does not.
    if best:
        point_link(run / "best", f"{_FOLDER}/{folder.name}")
    reached("between-best-and-last")
    point_link(run / "last", f"{_FOLDER}/{folder.name}")
    reached("before-removal")
    _remove_unneeded(run)
    return folder


def mark_best(run: Path) -> None:
    """Make `best` what `last` is. Raises CheckpointError if the run has no checkpoint, DiskError."""
    folder = _find(run, "last")
    if folder is None or folder.name not in _names(run):
        raise CheckpointError(f"{run}: no checkpoint of this run to mark as best")
    point_link(run / "best", f"{_FOLDER}/{folder.name}")
    _remove_unneeded(run)


def load_checkpoint(run: Path, which: Which = "last") -> Checkpoint | None:
    """The last or the best checkpoint, every file verified by size and hash; None if there is none.

    Raises CheckpointError naming the file, the reason and what can be done. It never falls back by itself.
    """
    folder = _find(run, which)
    if folder is None:
        return None
    try:
        return _load(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_remedy(run, which, folder)}") from error


@contextmanager
def taking_up(
    checkpoint: Checkpoint,
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Mapping[str, Tensor]]]]:
    """Its state and tensors. What goes wrong with one that is whole, but none of such a run, is told so."""
    try:
        yield checkpoint.state, checkpoint.tensors
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise  # it says nothing of the checkpoint
        reason = on_one_line(f"{type(error).__name__}: {error}")
        raise CheckpointError(f"{checkpoint.path}: not a checkpoint of this run ({reason})") from error


def sweep(run: Path) -> None:
    """Remove what killed runs left, keeping what `last` and `best` need. Raises DiskError.

    For the start of a run, after `load_checkpoint` has shown that `last` is intact.
    """
    sweep_temporaries(run)
    settle_model(run / "model")
    _remove_unneeded(run)


def flatten_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors (`0.exp_avg`: of parameter 0) and a part that JSON can say."""
    document = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for index, entries in document["state"].items():
        tensors |= {f"{index}.{key}": value for key, value in entries.items() if isinstance(value, Tensor)}
        values[str(index)] = {key: value for key, value in entries.items() if not isinstance(value, Tensor)}
    kind = type(optimizer).__name__
    return tensors, {"kind": kind, "groups": document["param_groups"], "values": values}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Give an optimizer over the same parameters the state that `flatten_optimizer` took, bit for bit.

    Raises CheckpointError if it is of another kind, or its parameters have other groups or shapes.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    if state["kind"] != type(optimizer).__name__ or sizes != [
        len(group["params"]) for group in state["groups"]
    ]:
        raise CheckpointError(
            f"the checkpoint's optimizer is {state['kind']} with other options or parameters than this "
            f"{type(optimizer).__name__}; resume with the options of the run"
        )
    values = {int(index): dict(entries) for index, entries in state["values"].items()}
    for name, tensor in tensors.items():
        index, key = int(name.partition(".")[0]), name.partition(".")[2]
        values[index][key] = _laid_out_like(parameters[index], tensor, name)
    groups = [
        {key: tuple(value) if isinstance(now.get(key), tuple) else value for key, value in group.items()}
        for now, group in zip(optimizer.param_groups, state["groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": values, "param_groups": groups})


def _laid_out_like(parameter: Tensor, tensor: Tensor, name: str) -> Tensor:
    """A copy with the parameter's strides: vectorised loops round alike only over like layouts."""
    if tensor.ndim == 0:
        return tensor.clone()
    if tensor.shape != parameter.shape:
        raise CheckpointError(
            f"optimizer.safetensors: tensor {name!r} has shape {tuple(tensor.shape)}, its parameter "
            f"{tuple(parameter.shape)}; resume with the options of the run"
        )
    return torch.empty_like(parameter, dtype=tensor.dtype, device="cpu").copy_(tensor)


def _contents(tensors: Mapping[str, Mapping[str, Tensor]], state: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a checkpoint, made one at a time to hold little memory; the manifest comes last."""
    files: dict[str, dict[str, Any]] = {}
    for stem, named in tensors.items():
        name, data = f"{stem}.safetensors", pack(named)
        files[name] = {"bytes": len(data), "sha256": digest(data)}
        yield name, data
    files[_STATE] = {"bytes": len(state), "sha256": digest(state)}
    yield _STATE, state
    yield _MANIFEST, json.dumps({"format": FORMAT, "files": files}, indent=1).encode() + b"\n"


def _verified(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a checkpoint, each as it is shown to be what the manifest says. Raises CheckpointError."""
    manifest = read_document(folder / _MANIFEST)
    try:
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / _MANIFEST}: damaged, not a manifest") from error
    if _STATE not in expected:
        raise CheckpointError(f"{folder / _MANIFEST}: damaged, it names no {_STATE}")
    for name, (size, sha256) in expected.items():
        path = folder / Path(name).name
        try:
            found = path.stat().st_size
            data = read_file(path) if found == size else b""
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
        if found != size:
            raise CheckpointError(f"{path}: damaged, {found} bytes where the manifest says {size}")
        if digest(data) != sha256:
            raise CheckpointError(f"{path}: damaged, its SHA-256 is not that of the manifest")
        yield path, data


def _load(folder: Path) -> Checkpoint:
    tensors: dict[str, dict[str, Tensor]] = {}
    document: dict[str, Any] = {}
    for path, data in _verified(folder):
        if path.name == _STATE:
            document = _parse_state(data, path)
        else:
            tensors[path.stem] = unpack(data, path)
    return Checkpoint(document["step"], tensors, document["state"], folder)


def _parse_state(data: bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(data)
        return {"step": int(document["step"]), "state": dict(document["state"])}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, not the state of a run") from error


def _read_back(folder: Path) -> None:
    """Verify what was just written; remove it if it does not read back as it should."""
    try:
        for _ in _verified(folder):
            pass
    except CheckpointError as error:
        remove_folder(folder)
        raise DiskError(f"{error}, just after it was written; the disk or the memory is faulty") from error


def _names(run: Path) -> list[str]:
    """Names of the checkpoint folders of a run, oldest first."""
    found = []
    for path in (run / _FOLDER).glob("step-*"):
        match = _STEP.fullmatch(path.name)
        if match:
            found.append((int(match[1]), int(match[2] or 1), path.name))
    return [name for _, _, name in sorted(found)]


def _free_folder(run: Path, step: int) -> Path:
    """`step-N`, or the first of `step-N-2`, `step-N-3`, ... that is not there."""
    folder, count = run / _FOLDER / f"step-{step}", 1
    while folder.exists():
        count += 1
        folder = run / _FOLDER / f"step-{step}-{count}"
    return folder


def _find(run: Path, which: Which) -> Path | None:
    """The folder a link points to, there or not. Without the link, `last` is the newest folder: it was whole
    when it got its name, and a kill before the first link, or a copy without links, must not lose it."""
    try:
        folder = read_link(run / which)
    except OSError as error:
        raise CheckpointError(f"{run / which}: cannot be read ({error.strerror})") from error
    if folder is None and which == "last":
        newest = _names(run)[-1:]
        return run / _FOLDER / newest[0] if newest else None
    return folder


def _remove_unneeded(run: Path) -> None:
    """Remove the folders neither link points to. If `last` is none of them, any may still be needed."""
    names, needed = _names(run), {folder.name for which in _LINKS if (folder := _find(run, which))}
    last = _find(run, "last")
    if last is not None and last.name in names:
        for name in names:
            if name not in needed:
                remove_folder(run / _FOLDER / name)


def _remedy(run: Path, which: Which, damaged: Path) -> str:
    """What a user can do about a damaged checkpoint."""
    other: Which = "best" if which == "last" else "last"
    folder = _find(run, other)
    if folder is not None and folder.name != damaged.name:
        try:
            step = _load(folder).step
        except CheckpointError:
            return f"`{other}` is damaged too: start again with --overwrite"
        return f"`{other}` (step {step}) is intact: make `{which}` point to {_FOLDER}/{folder.name} instead"
    return "no other checkpoint is left: start again with --overwrite"
