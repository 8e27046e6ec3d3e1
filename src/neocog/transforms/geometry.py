"""Geometry: operations draw affine maps, the maps are multiplied, and the picture is resampled once.

Resampling once keeps the picture sharp and costs one pass. It also means that what one operation pushed out
of the canvas and a later one brings back is real picture, not fill. Boxes, mask and frame follow the same
matrix, so they agree with the pixels by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.errors import UsageError
from neocog.ops.rng import generator
from neocog.transforms.warp import GREY, Colour, Size, warp, warp_mask
from neocog.types import IDENTITY, Frame, Matrix, Objects, Proposals, Sample


class Geometry(Protocol):
    """An operation that moves pixels: it draws an affine map (old -> new) and the new size."""

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]: ...


class SeeingGeometry(Protocol):
    """One whose map depends on where the objects are: boxes (N, 4) float32, clipped to the picture."""

    def look(
        self, rng: np.random.Generator, size: Size, boxes: NDArray[np.float32]
    ) -> tuple[Matrix, Size]: ...


@dataclass(frozen=True, slots=True)
class Resize:
    """Stretch to exactly `size`, whatever the aspect ratio."""

    size: Size

    def __post_init__(self) -> None:
        _check_size("Resize", self.size)

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        return _stretch(size, self.size), self.size


@dataclass(frozen=True, slots=True)
class Fit:
    """Enlarge or shrink, keeping the aspect ratio, to the largest picture that fits in `size`."""

    size: Size

    def __post_init__(self) -> None:
        _check_size("Fit", self.size)

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        new = _scaled(size, min(self.size[0] / size[0], self.size[1] / size[1]))
        return _stretch(size, new), new


@dataclass(frozen=True, slots=True)
class ShorterSide:
    """Make the shorter side `shorter`, unless the longer would pass `longer` (Ren et al. 2015: 600, 1000)."""

    shorter: int = 600
    longer: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.shorter <= self.longer:
            raise UsageError(
                f"ShorterSide: needs 0 < shorter <= longer, got {self.shorter} and {self.longer}"
            )

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        new = _scaled(size, min(self.shorter / min(size), self.longer / max(size)))
        return _stretch(size, new), new


@dataclass(frozen=True, slots=True)
class CentreCrop:
    """The middle of a picture, `size` large: so scaled that it is `share` of the picture along one side, and
    at most that along the other. A share of 224 / 256 is how classifiers of ImageNet are judged."""

    size: Size
    share: float = 0.875

    def __post_init__(self) -> None:
        _check_size("CentreCrop", self.size)
        if not 0 < self.share <= 1:
            raise UsageError(f"CentreCrop: share must lie in (0, 1], got {self.share:g}")

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        factor = max(self.size[0] / size[0], self.size[1] / size[1]) / self.share
        scaled = Frame(size, size).then(_stretch(size, new := _scaled(size, factor)), new)
        return scaled.then(_place(new, self.size, 0.5, 0.5), self.size).matrix, self.size


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Fit into `size`, centred, with fill around: every picture gets exactly this size."""

    size: Size

    def __post_init__(self) -> None:
        _check_size("Letterbox", self.size)

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        fitted = Frame(size, size).then(*Fit(self.size).draw(rng, size))
        placed = fitted.then(_place(fitted.size, self.size, 0.5, 0.5), self.size)
        return placed.matrix, placed.size


@dataclass(frozen=True, slots=True)
class Crop:
    """A window of exactly `size` at a random place; where the picture is smaller, fill around it."""

    size: Size

    def __post_init__(self) -> None:
        _check_size("Crop", self.size)

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        return _place(size, self.size, rng.random(), rng.random()), self.size


@dataclass(frozen=True, slots=True)
class Zoom:
    """Scale by a factor drawn log-uniformly and keep the canvas: a random crop above 1, random fill below."""

    low: float = 0.8
    high: float = 1.35

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise UsageError(f"Zoom: needs 0 < low <= high, got {self.low} and {self.high}")

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        factor = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        new = _scaled(size, factor)
        zoomed = Frame(size, size).then(_stretch(size, new), new)
        return zoomed.then(_place(new, size, rng.random(), rng.random()), size).matrix, size


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror left and right, and top and bottom, each with its probability."""

    horizontal: float = 0.5
    vertical: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.horizontal <= 1 and 0 <= self.vertical <= 1):
            raise UsageError(f"Flip: probabilities lie in [0, 1], got {self.horizontal} and {self.vertical}")

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        height, width = size
        across, down = rng.random(2) < (self.horizontal, self.vertical)
        a, c = (-1.0, float(width)) if across else (1.0, 0.0)
        e, f = (-1.0, float(height)) if down else (1.0, 0.0)
        return (a, 0.0, c, 0.0, e, f), size


@dataclass(frozen=True, slots=True)
class Affine:
    """Rotate and shear about the centre, then shift: each drawn uniformly from minus to plus its limit."""

    rotation: float = 10.0  # degrees
    shear: float = 0.0  # degrees, along x
    translation: float = 0.0  # share of the picture's side

    def __post_init__(self) -> None:
        if min(self.rotation, self.shear, self.translation) < 0 or self.shear >= 90:
            raise UsageError(f"Affine: limits must be 0 or more, and shear below 90 degrees, got {self}")

    def draw(self, rng: np.random.Generator, size: Size) -> tuple[Matrix, Size]:
        height, width = size
        angle, slant, right, down = rng.uniform(-1, 1, 4)
        angle, slant = math.radians(angle * self.rotation), math.tan(math.radians(slant * self.shear))
        cos, sin = math.cos(angle), math.sin(angle)
        a, b, d, e = cos, cos * slant - sin, sin, sin * slant + cos
        x, y = width / 2, height / 2
        c = x - a * x - b * y + right * self.translation * width
        f = y - d * x - e * y + down * self.translation * height
        return (a, b, c, d, e, f), size


def compose(
    operations: tuple[Geometry | SeeingGeometry, ...],
    sample: Sample,
    *,
    fill: Colour = GREY,
    min_visible: float = 0.3,
    centred: bool = False,
) -> Sample:
    """The sample after all operations in turn, its picture and mask resampled once.

    An object of which less than `min_visible` of its area is left in the picture is marked `ignore`: it is
    neither an object to find nor background. With `centred`, so is one whose centre is not in the picture,
    whatever is left of it. One with a side under 1 pixel left is dropped. Under rotation and shear a box
    becomes the bounds of its turned self, which is somewhat larger than the object.
    """
    size = (sample.image.shape[0], sample.image.shape[1])
    moved = Frame(size, size)
    for place, operation in enumerate(operations):
        rng = generator(sample.key, f"{place} {type(operation).__name__}")
        if hasattr(operation, "look"):  # a tenth of the cost of asking whether it follows the protocol
            moved = moved.then(*operation.look(rng, moved.size, _seen(sample.target, moved)))
        else:
            moved = moved.then(*operation.draw(rng, moved.size))
    if moved.matrix == IDENTITY and moved.size == size:
        return sample
    target = sample.target
    return replace(
        sample,
        image=warp(sample.image, moved.matrix, moved.size, fill),
        mask=None if sample.mask is None else warp_mask(sample.mask, moved.matrix, moved.size),
        target=None if target is None else _follow(target, moved, min_visible, centred),
        proposals=None if sample.proposals is None else _follow_proposals(sample.proposals, moved),
        frame=sample.frame.then(moved.matrix, moved.size),
    )


def _seen(target: Objects | None, moved: Frame) -> NDArray[np.float32]:
    """The objects that are to be found, so far as they lie in the picture: (N, 4)."""
    if target is None:
        return np.zeros((0, 4), np.float32)
    boxes: NDArray[np.float32] = _clipped(moved.to_input(target.boxes[~target.ignore]), moved).numpy()
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


def _follow(target: Objects, moved: Frame, min_visible: float, centred: bool) -> Objects:
    """The objects in the new picture, clipped to it."""
    boxes = moved.to_input(target.boxes)
    clipped = _clipped(boxes, moved)
    visible = _sides(clipped).prod(1) / _sides(boxes).prod(1).clamp(min=1e-12)
    ignore = target.ignore | (visible < min_visible)
    if centred:
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        ignore |= (middle != torch.minimum(middle.clamp(min=0), torch.tensor(moved.size[::-1]))).any(1)
    return Objects(clipped, target.labels, ignore)[(_sides(clipped) >= 1).all(1)]


def _follow_proposals(proposals: Proposals, moved: Frame) -> Proposals:
    """The proposals in the new picture, clipped to it; one with a side under 1 pixel left is dropped."""
    boxes = _clipped(moved.to_input(proposals.boxes), moved)
    return Proposals(boxes, proposals.scores)[(_sides(boxes) >= 1).all(1)]


def _clipped(boxes: Tensor, moved: Frame) -> Tensor:
    height, width = moved.size
    return torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height]))


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)


def _scaled(size: Size, factor: float) -> Size:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _stretch(old: Size, new: Size) -> Matrix:
    """The map that takes the whole old picture onto the whole new one."""
    return (new[1] / old[1], 0.0, 0.0, 0.0, new[0] / old[0], 0.0)


def _place(old: Size, new: Size, down: float, right: float) -> Matrix:
    """A shift by whole pixels: `down` and `right` in [0, 1] say where in the room between the two sizes."""
    return (
        1.0,
        0.0,
        float(round((new[1] - old[1]) * right)),
        0.0,
        1.0,
        float(round((new[0] - old[0]) * down)),
    )


def _check_size(name: str, size: Size) -> None:
    if min(size) < 1:
        raise UsageError(f"{name}: height and width must be at least 1 pixel, got {size[0]} x {size[1]}")
