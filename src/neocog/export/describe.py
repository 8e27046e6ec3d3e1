"""What an exported file says of itself: what to do with a picture before the network, and what comes out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from neocog.export.networks import OUTPUTS, Room
from neocog.predict import Predictor
from neocog.transforms.geometry import CentreCrop, Resize, ShorterSide
from neocog.types import Task
from neocog.version import __version__
from neocog.zoo import resized

_INPUTS = {
    "images": "float32 (B, 3, H, W), RGB, 0 to 1; padded with 0 at the right and the bottom",
    "sizes": "int64 (B, 2), height and width of each picture without padding",
    "regions": "float32 (B, P, 4), x0 y0 x1 y1 in pixels of `images`; rows of 0 where a picture has fewer",
}

_OUTPUTS: dict[Task, dict[str, str]] = {
    Task.DETECT: {
        "boxes": "float32 (n, 4), x0 y0 x1 y1 in pixels of `images`, of all pictures, best first in each",
        "scores": "float32 (n,)",
        "labels": "int64 (n,), places in `classes`",
        "pictures": "int64 (n,), the picture of the batch that each is of",
    },
    Task.SEGMENT: {
        "scores": "float32 (B, K, H, W), sum 1 over the classes",
        "masks": "uint8 (B, H, W), the class with the highest score",
    },
    Task.CLASSIFY: {"scores": "float32 (B, K), sum 1"},
    Task.LOCALIZE: {
        "scores": "float32 (B, K), sum 1",
        "boxes": "float32 (B, 4), x0 y0 x1 y1 in pixels of `images`",
    },
    Task.RECONSTRUCT: {"drawn": "float32 (B, 3, H, W), 0 to 1", "codes": "float32 (B, D)"},
}


def describe(predictor: Predictor, room: Room) -> dict[str, Any]:
    """Plain values, ready for JSON, which a reader needs; `room` says which pictures the file takes."""
    rule = resized(predictor.model.options, predictor.size)
    names = {Resize: "stretch", ShorterSide: "shorter", CentreCrop: "centre"}
    search = predictor.search
    inputs = ["images"]
    if predictor.task in (Task.DETECT, Task.LOCALIZE):
        inputs += ["sizes"] if search is None else ["sizes", "regions"]
    task = predictor.task
    return {
        "neocog": __version__,
        "model": predictor.config.get("model", type(predictor.model).__name__),
        "backbone": predictor.config.get("backbone"),
        "task": task.value,
        "classes": list(predictor.classes),
        "size": list(predictor.size),
        "resize": names.get(type(rule), "fit"),
        "centre": rule.share if isinstance(rule, CentreCrop) else None,
        "multiple": room.multiple,
        "fixed": None if room.fixed is None else list(room.fixed),
        "inputs": {name: _INPUTS[name] for name in inputs},
        "outputs": {name: _OUTPUTS[task][name] for name in OUTPUTS[task]},
        "search": None if search is None else asdict(search),
    }
