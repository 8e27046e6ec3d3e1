"""What one unit of a graphics code does to the picture, read from the picture itself.

The encoder is not asked. A picture that the decoder gives is compared with the renderer's own of the same
solid, over a grid of one angle, and the nearest tells the angle (`read_angles`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.data.packing import collate
from neocog.data.solids import GROUP, KINDS, Factors, Solids
from neocog.data.solids_render import RANGES
from neocog.metrics.graphics import Agreement, agreement, nearest_picture, steps_forward
from neocog.models.inverse_graphics import InverseGraphics

Floats = NDArray[np.float64]

STEP, BEYOND = 1.0, 15.0
"""The grid of angles, in degrees: its step, and how far it goes beyond the range of the data, both ways."""

SWEEP = 15
"""Values at which a unit is shown between the ends of its range."""


@dataclass(frozen=True, slots=True)
class Angles:
    """What was read from pictures, in degrees (N,)."""

    azimuth: Floats
    elevation: Floats
    light: Floats


@dataclass(frozen=True, slots=True)
class Row:
    """One unit moved: the pictures that the decoder gives."""

    name: str
    unit: int
    values: Floats  # (N,) of the unit
    pictures: Floats  # (N, H, W) in [0, 1]


@dataclass(frozen=True, slots=True)
class Motion:
    """What moving one unit does, over sequences in which one angle changes."""

    name: str  # of the angle
    unit: int
    truth: Floats  # (S, 20) degrees
    encoded: Floats  # (S, 20) the unit, as the encoder gives it
    read: Angles  # (S, 20) each, where the unit alone takes these values
    swept: Angles  # (S, SWEEP) each, where it moves evenly over its range
    own: Angles  # (S, 20) each, from the reconstruction of each picture by its own whole code

    @property
    def agreement(self) -> Agreement:
        """Of the angle as read with the truth, over all pictures."""
        return agreement(getattr(self.read, self.name).ravel(), self.truth.ravel())

    def of_sequences(self) -> list[Agreement]:
        """The same within each sequence."""
        return [agreement(a, b) for a, b in zip(getattr(self.read, self.name), self.truth, strict=True)]

    def forward(self) -> float:
        """The share of steps of the sweeps that go on in the same direction."""
        return float(np.mean([steps_forward(row) for row in getattr(self.swept, self.name)]))

    def span(self, name: str) -> Floats:
        """(S,) degrees between the least and the largest angle of this name as read over each sequence."""
        return np.asarray(np.ptp(getattr(self.read, name), axis=1))


@torch.inference_mode()
def encode(model: InverseGraphics, data: Solids, indices: Sequence[int]) -> Tensor:
    """The mean codes (N, D) of these pictures, on the CPU."""
    device = next(model.parameters()).device
    batch = collate([data[index] for index in indices], stride=model.padding).without_targets()
    codes: Tensor = model(batch.to(device)).mean
    return codes.cpu()


@torch.inference_mode()
def decode(model: InverseGraphics, codes: Tensor) -> Floats:
    """The pictures (N, H, W) in [0, 1] of codes (N, D)."""
    device = next(model.parameters()).device
    pictures: Floats = model.draw(codes.to(device)).sigmoid()[:, 0].double().cpu().numpy()
    return pictures


def moved(code: Tensor, unit: int, values: Sequence[float] | Floats | Tensor) -> Tensor:
    """Codes (N, D): that of one picture (D,), with one unit at each of these values."""
    codes = code.repeat(len(values), 1)
    codes[:, unit] = torch.as_tensor(values, dtype=codes.dtype)
    return codes


def grid(name: str, step: float) -> Floats:
    """The angles, in degrees, at which the renderer is asked."""
    low, high = RANGES[name]
    return np.arange(low - BEYOND, high + BEYOND + step / 2, step)


def _rendered(factors: Factors, name: str, angles: Floats, size: int) -> Floats:
    """The renderer's pictures (M, H, W) in [0, 1] of a solid with one angle at each of these values."""
    pictures = [replace(factors, **{name: float(angle)}).render(size) for angle in angles]  # type: ignore[arg-type]
    return np.stack(pictures) / 255.0


def read_angles(pictures: Floats, factors: Factors, first: str = "azimuth") -> Angles:
    """The angles of pictures (N, H, W) of one solid, by the nearest picture of the renderer.

    The angle named `first` is read with the others as they are in `factors`; each that follows, in the order
    azimuth, elevation, light, with those already read as they were. Grids have a step of `STEP` for the
    first and of twice that for the others, and go `BEYOND` the data.
    """
    size = pictures.shape[-1]
    angles = grid(first, STEP)
    found = {first: angles[nearest_picture(pictures, _rendered(factors, first, angles, size))]}
    for name in [name for name in RANGES if name != first]:
        angles, places = grid(name, 2 * STEP), []
        for number, picture in enumerate(pictures):
            read = {before: float(values[number]) for before, values in found.items()}
            candidates = _rendered(replace(factors, **read), name, angles, size)  # type: ignore[arg-type]
            places.append(int(nearest_picture(picture[None], candidates)[0]))
        found[name] = angles[places]
    return Angles(**found)


def freest_unit(model: InverseGraphics, data: Solids, name: str) -> int:
    """The unit that varies most within sequences of this kind: where to look in a code that has no order."""
    codes = [encode(model, data, sequence) for sequence in sequences(data, name)]
    return int(torch.stack([code.var(dim=0) for code in codes]).mean(dim=0).argmax())


def sequences(data: Solids, name: str) -> list[range]:
    """The pictures of each sequence of this kind."""
    kind = KINDS.index(name)
    return [range(first, first + GROUP) for first in range(0, len(data), GROUP) if data.kind(first) == kind]


def measure_motion(
    model: InverseGraphics,
    data: Solids,
    name: str = "azimuth",
    unit: int | None = None,
    base: int = GROUP // 2,
) -> Motion:
    """What the unit of an angle does, over all sequences of its kind in `data`.

    In each sequence the code of its picture number `base` is taken, and the unit alone set to the values that
    the encoder gives for all of its pictures; or to `SWEEP` values between the 2nd and the 98th percentile of
    what it gives for all sequences. The unit is the angle's own by default. Raises ValueError without a
    sequence of this kind.
    """
    every = sequences(data, name)
    if not every:
        raise ValueError(f"no sequence of kind '{name}'")
    unit = list(RANGES).index(name) if unit is None else unit
    codes = torch.stack([encode(model, data, sequence) for sequence in every])
    encoded = codes[:, :, unit].numpy().astype(np.float64)
    low, high = np.percentile(encoded, [2, 98])
    sweep = np.linspace(low, high, SWEEP)
    truth, read, swept, own = [], [], [], []
    for sequence, code in zip(every, codes, strict=True):
        factors = [data.factors(index) for index in sequence]
        truth.append([getattr(one, name) for one in factors])
        known = factors[base]
        read.append(read_angles(decode(model, moved(code[base], unit, code[:, unit])), known, name))
        swept.append(read_angles(decode(model, moved(code[base], unit, sweep)), known, name))
        own.append(read_angles(decode(model, code), known, name))
    return Motion(name, unit, np.array(truth), encoded, *(_stacked(many) for many in (read, swept, own)))


def _stacked(many: Sequence[Angles]) -> Angles:
    return Angles(*(np.stack([getattr(one, name) for one in many]) for name in RANGES))


def rows_of_units(
    model: InverseGraphics, data: Solids, index: int, units: Sequence[int], reach: Floats, count: int = 11
) -> list[Row]:
    """The picture `index` of the data as the decoder gives it while one unit after another moves.

    `reach` (D, 2): the ends of each unit's motion.
    """
    code = encode(model, data, [index])[0]
    rows = []
    for unit in units:
        low, high = reach[unit]
        values = np.linspace(low, high, count)
        name = list(RANGES)[unit] if unit < len(RANGES) else f"unit {unit + 1}"
        rows.append(Row(name, unit, values, decode(model, moved(code, unit, values))))
    return rows


def reach_of_units(model: InverseGraphics, data: Solids, most: int = 400) -> Floats:
    """(D, 2): the 2nd and 98th percentile of every unit over pictures spread over the data."""
    places = np.linspace(0, len(data) - 1, min(most, len(data))).astype(int)
    codes = encode(model, data, places.tolist()).numpy().astype(np.float64)
    return np.asarray(np.percentile(codes, [2, 98], axis=0).T)


def freest_intrinsic(model: InverseGraphics, data: Solids) -> int:
    """Of the units that stand for the shape, the one that varies most within sequences of that kind."""
    first = len(RANGES)
    codes = [encode(model, data, sequence) for sequence in sequences(data, "shape")[:20]]
    spread = torch.stack([code.var(dim=0) for code in codes]).mean(dim=0)
    return first + int(spread[first:].argmax())
