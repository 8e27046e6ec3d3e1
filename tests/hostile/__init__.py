"""Files made to do harm, as a table: each is given to a command, which must refuse it in one line.

`python -m tests.hostile` makes them all from code, gives each to its command under an audit hook, and prints
what happened; `tests/test_hostile_files.py` asserts it. Nothing here loads what it makes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neocog.checkpoint import save_checkpoint
from neocog.weights import save_model
from neocog.zoo import MODELS, create

CLASSES = ["square", "disc"]
SIZE = 64


@dataclass(frozen=True)
class Hostile:
    """One file: how to make it, and what must come of it."""

    name: str
    make: Callable[[World, Path], list[str]]  # writes into a new folder; the command line to run
    code: int  # exit code
    words: str  # in the one line on standard error


class World:
    """What is good: a model, a run with a checkpoint, and a picture, to be copied and spoiled."""

    def __init__(self, root: Path, canary: Path) -> None:
        self.root, self.canary = root, canary
        self.options = MODELS["faster-rcnn"].options("compact", SIZE)
        torch.manual_seed(0)
        model: Any = create("faster-rcnn", CLASSES, "compact", self.options)
        self.weights: dict[str, Tensor] = dict(model.state_dict())
        self.backbone: dict[str, Tensor] = dict(model.backbone.state_dict())
        self.config: dict[str, Any] = {
            "task": "detect",
            "model": "faster-rcnn",
            "backbone": "compact",
            "classes": CLASSES,
            "size": [SIZE, SIZE],
            "options": asdict(self.options),
        }
        self.picture = root / "picture.png"
        root.mkdir(parents=True)
        Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(self.picture)
        save_model(root / "model", self.config, self.weights, "# A model\n")
        tensors = {"weights": {"a": torch.ones(2)}, "ema": {"a": torch.ones(2)}, "optimizer": {}}
        save_checkpoint(root / "run", 7, tensors, {"elapsed": 1.0}, best=True)

    def touch(self) -> str:
        """A shell command that leaves a mark where nothing else writes."""
        return f"touch {self.canary / 'ran'}"

    def model(self, place: Path) -> Path:
        """A copy of the model folder."""
        shutil.copytree(self.root / "model", place / "model")
        return place / "model"

    def described(self, place: Path, **changes: Any) -> list[str]:
        """A model folder, rightly hashed, whose description says something else."""
        save_model(place / "model", self.config | changes, self.weights, "")
        return self.predict(place)

    def predict(self, place: Path) -> list[str]:
        return ["predict", str(place / "model"), str(self.picture), "--out", str(place / "out")]

    def checkpoint(self, place: Path) -> Path:
        """A copy of the run; its one checkpoint."""
        shutil.copytree(self.root / "run", place / "run", symlinks=True)
        return place / "run" / "checkpoints" / "step-7"

    def train(self, place: Path, *words: str) -> list[str]:
        size = ["--size", str(SIZE), "--steps", "1", "--batch", "2", "--workers", "0", "--threads", "1"]
        out = ["--data", "scenes", "--val-split", "none", "--out", str(place / "run")]
        return ["train", "faster-rcnn", "--backbone", "compact", *out, *size, *words]


def with_header(header: object, data: bytes = bytes(16)) -> bytes:
    """A safetensors file of any header: a value, or text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(offsets: list[int], shape: list[int], kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


def flip(path: Path, place: int = -1) -> None:
    """Flip one bit of the byte at `place` (of the middle one)."""
    data = bytearray(path.read_bytes())
    data[place if place >= 0 else len(data) // 2] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leave the first half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
