"""Colour: brightness, contrast, saturation and hue are all affine in RGB, so the four are one 3 x 4 matrix.

Multiplying the matrices first rounds and clips once, and costs one pass whatever is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from neocog.errors import UsageError
from neocog.ops.rng import generator
from neocog.types import Sample

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B in the grey of a picture (ITU-R BT.601)."""

_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@dataclass(frozen=True, slots=True)
class ColourJitter:
    """Strengths of random colour changes; 0 leaves that property as it is.

    Brightness, contrast and saturation are multiplied by a factor drawn from 1 - s to 1 + s; hue is turned
    by -s to s of a full turn, about the grey axis in YIQ, which keeps the brightness.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.02

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0:
            raise UsageError(f"ColourJitter: strengths must be 0 or more, got {self}")

    def __call__(self, sample: Sample) -> Sample:
        def draw(operation: str, strength: float) -> float:
            return float(generator(sample.key, operation).uniform(-strength, strength)) if strength else 0.0

        image = adjust(
            sample.image,
            brightness=1 + draw("brightness", self.brightness),
            contrast=1 + draw("contrast", self.contrast),
            saturation=1 + draw("saturation", self.saturation),
            hue=draw("hue", self.hue),
        )
        return replace(sample, image=image)


def adjust(
    image: np.ndarray,
    *,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
) -> np.ndarray:
    """The picture (H, W, 3) uint8 with its colours changed, in this order, rounded and clipped once.

    Contrast is about the mean grey of the brightened picture; saturation about each pixel's own grey.
    """
    mix = _turn(hue) @ (saturation * np.eye(3) + (1 - saturation) * LUMA)
    gain = brightness * contrast
    offset = 0.0
    picture = Image.fromarray(image)
    if contrast != 1:
        mean = float(np.asarray(picture.resize((1, 1), Image.Resampling.BOX))[0, 0] @ LUMA)
        offset = (1 - contrast) * brightness * mean
    # Each row of the mix sums to 1, so a grey offset passes through it unchanged.
    rows = [(*(gain * row), offset) for row in mix]
    return np.array(picture.convert("RGB", tuple(float(value) for row in rows for value in row)))


def _turn(hue: float) -> np.ndarray:
    """The 3 x 3 map that turns colours by `hue` of a full turn about the grey axis."""
    cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
    rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    turn: np.ndarray = np.linalg.solve(_YIQ, rotation @ _YIQ)
    return turn
