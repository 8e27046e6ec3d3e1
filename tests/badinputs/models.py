"""Bad models and checkpoints: of part E of the catalogue (63)."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors


@dataclass(frozen=True)
class BadModel:
    """A way to spoil a run folder. The message must name `place`, relative to the folder, and the pattern."""

    id: str
    make: Callable[[Path], None]
    place: str
    pattern: str


CONFIG, WEIGHTS = "model/config.json", "model/model.safetensors"


def rewrite(run: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = run / name
    path.write_bytes(change(path.read_bytes()))


def raw(id: str, name: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """A file's bytes changed, and nothing else."""
    return BadModel(id, partial(rewrite, name=name, change=change), name, pattern)


def restate(run: Path, data: bytes) -> None:
    """Other weights, with the hash that makes them look right."""
    (run / WEIGHTS).write_bytes(data)
    document = json.loads((run / CONFIG).read_bytes())
    document["sha256"]["model.safetensors"] = hashlib.sha256(data).hexdigest()
    (run / CONFIG).write_text(json.dumps(document))


def hashed(id: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """Weights changed together with their hash: only what they say can tell."""
    return BadModel(id, lambda run: restate(run, change((run / WEIGHTS).read_bytes())), WEIGHTS, pattern)


def tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[bytes], bytes]:
    """A change of named tensors."""

    def code(data: bytes) -> bytes:
        named = load_tensors(data)
        change(named)
        return save_tensors(named)

    return code


def header(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """A change of the header of a safetensors file."""

    def code(data: bytes) -> bytes:
        end = 8 + struct.unpack("<Q", data[:8])[0]
        document = json.loads(data[8:end])
        change(document)
        text = json.dumps(document).encode()
        return struct.pack("<Q", len(text)) + text + data[end:]

    return code


def poison(named: dict[str, torch.Tensor]) -> None:
    next(value for value in named.values() if value.is_floating_point()).view(-1)[0] = torch.nan


def reshape(named: dict[str, torch.Tensor]) -> None:
    name = next(name for name, value in named.items() if value.ndim == 4)
    named[name] = named[name].flatten()


def overlap(document: dict[str, Any]) -> None:
    first, second, *_ = (value for name, value in document.items() if name != "__metadata__")
    second["data_offsets"] = first["data_offsets"]


def negative(document: dict[str, Any]) -> None:
    first = next(value for name, value in document.items() if name != "__metadata__")
    first["data_offsets"] = [-8, first["data_offsets"][1]]


def edit(change: Callable[[dict[str, Any]], None], *, hand: bool = True) -> Callable[[Path], None]:
    """A change of config.json; by hand, with its hash taken out as people are told to."""

    def make(run: Path) -> None:
        document = json.loads((run / CONFIG).read_text())
        if hand:
            document["sha256"].pop("config")
        change(document)
        (run / CONFIG).write_text(json.dumps(document))

    return make


def config(id: str, pattern: str, **values: Any) -> BadModel:
    """Values of the config changed by hand."""
    return BadModel(id, edit(lambda document: document["config"].update(values)), "model", pattern)


def gone(*names: str) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        for name in names:
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def nothing(data: bytes) -> bytes:
    return b""


PICKLE = b"\x80\x04cposix\nsystem\n(S'true'\ntR."
SEEN = "was it made for another model, other classes or other options"

MODELS = [
    raw("63-config-empty", CONFIG, nothing, "damaged, not JSON"),
    raw("63-config-cut", CONFIG, half, "damaged, not JSON"),
    raw(
        "63-config-flipped",
        CONFIG,
        lambda data: data.replace(b"detect", b"defect", 1),
        "does not match its hash",
    ),
    raw("63-config-list", CONFIG, lambda data: b"[1]", "not a file of ours"),
    raw(
        "63-newer", CONFIG, lambda data: data.replace(b'"format": 1', b'"format": 2', 1), "by a newer version"
    ),
    raw("63-weights-empty", WEIGHTS, nothing, "its hash is not the one"),
    raw("63-weights-cut", WEIGHTS, half, "its hash is not the one"),
    raw("63-weights-flipped", WEIGHTS, flip, "its hash is not the one"),
    raw("63-pickle", WEIGHTS, lambda data: PICKLE, "its hash is not the one"),
    hashed("63-pickle-hashed", lambda data: PICKLE, "not a readable safetensors file"),
    hashed(
        "63-header", lambda data: struct.pack("<Q", 1 << 63) + data[8:], "not a readable safetensors file"
    ),
    hashed("63-overlap", header(overlap), "not a readable safetensors file"),
    hashed("63-negative", header(negative), "not a readable safetensors file"),
    hashed("63-cut-hashed", half, "not a readable safetensors file"),
    hashed("63-shape", tensors(reshape), rf"tensor '.*' is float32 \(\d+,\), the model wants .*{SEEN}"),
    hashed("63-nan", tensors(poison), "holds NaN or infinity"),
    hashed("63-missing-key", tensors(lambda named: named.pop(min(named))), f"is missing.*{SEEN}"),
    hashed("63-extra-key", tensors(lambda n: n.update(x=torch.zeros(1))), f"tensor 'x' is unknown.*{SEEN}"),
    BadModel("63-no-weights", gone(WEIGHTS), WEIGHTS, "missing"),
    BadModel("63-no-model", gone("model"), "", "no model in it"),
    config("63-model", "does not describe a known model", model="slower-rcnn"),
    config("63-backbone", "does not describe a known model", backbone="resnet51"),
    config("63-classes", rf"the model wants .*{SEEN}", classes=["one", "two"]),
    config("63-classes-kind", "config.json: does not describe a known model", classes=5),
    config("63-classes-texts", "config.json: does not describe a known model", classes=[1, None]),
    config("63-size-kind", "config.json: does not describe a known model", size="big"),
    config("63-size-short", "config.json: does not describe a known model", size=[64]),
    config("63-size-zero", "config.json: does not describe a known model", size=[0, 64]),
    config("63-size-huge", "config.json: does not describe a known model", size=[1 << 40, 64]),
    config("63-options-kind", "config.json: does not describe a known model", options=[]),
    config("63-options-range", "config.json: does not describe a known model", options={"pool": -1}),
    BadModel(
        "63-no-classes", edit(lambda document: document["config"].pop("classes")), "model", "a known model"
    ),
    BadModel("63-no-config", edit(lambda document: document.pop("config")), CONFIG, 'no "config"'),
    BadModel("63-no-hash", edit(lambda document: document.pop("sha256"), hand=False), CONFIG, "no hash of"),
]


def checkpoint(run: Path) -> Path:
    """The one checkpoint of a run of one step."""
    (folder,) = (run / "checkpoints").iterdir()
    return folder


def saved(id: str, name: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """A file of the checkpoint changed."""

    def make(run: Path) -> None:
        rewrite(checkpoint(run), name, change)

    return BadModel(id, make, name, pattern)


def lie(run: Path) -> None:
    """A manifest that names a file that is not there."""
    path = checkpoint(run) / "MANIFEST.json"
    document = json.loads(path.read_text())
    document["files"]["../../run.json"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(document))


CHECKPOINTS = [
    saved("63-manifest-empty", "MANIFEST.json", nothing, "damaged, not JSON"),
    saved("63-manifest-newer", "MANIFEST.json", lambda d: d.replace(b": 1,", b": 7,", 1), "a newer version"),
    BadModel("63-manifest-lies", lie, "run.json", "cannot be read|damaged"),
    *(
        saved(f"63-{name}-{kind}", name, change, "damaged")
        for name in ("weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")
        for kind, change in (("empty", nothing), ("cut", half), ("flipped", flip))
    ),
    BadModel("63-part-gone", lambda run: gone("ema.safetensors")(checkpoint(run)), "ema.safetensors", "read"),
    raw("63-run-empty", "run.json", nothing, "damaged"),
    raw("63-run-cut", "run.json", half, "damaged"),
    raw("63-run-list", "run.json", lambda data: b"[]", "damaged"),
    raw("63-run-other", "run.json", lambda data: b'{"options": {}}', "damaged|was started with"),
]


def bits(length: int, count: int, seed: int) -> list[int]:
    """Places of bits in a file, first and last among them."""
    chosen = np.random.default_rng(seed).integers(0, 8 * length, count - 2).tolist()
    return [0, 8 * length - 1, *chosen]
