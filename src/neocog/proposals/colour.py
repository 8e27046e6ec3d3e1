"""The colour spaces of selective search, every channel scaled to 0..255.

Uijlings et al., IJCV 2013, section 3.2, as the authors' program takes them: HSV, Lab, rgI (normalised red and
green, and intensity), H (the hue of HSV) and I (intensity). Hue is an angle, but compared as a plain number.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Space = Literal["hsv", "lab", "rgi", "h", "i"]
Real32 = NDArray[np.float32]

CHANNELS: dict[Space, int] = {"hsv": 3, "lab": 3, "rgi": 3, "h": 1, "i": 1}

_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)  # sRGB primaries, D65
_WHITE = _TO_XYZ.sum(1)


def convert(image: NDArray[np.uint8], space: Space) -> Real32:
    """The picture (H, W, 3) uint8 RGB as (H, W, C) float32 in 0..255.

    Lab: L of 0..100 is stretched to 0..255; a and b are moved by 128. rgI: a black pixel has r = g = 1/3.
    """
    if space == "lab":
        return _lab(image)
    if space == "rgi":
        return _rgi(image)
    if space == "i":
        return _intensity(image)[..., None]
    hsv = _hsv(image)
    return hsv if space == "hsv" else np.ascontiguousarray(hsv[..., :1])


def _intensity(image: NDArray[np.uint8]) -> Real32:
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey: Real32 = image.astype(np.float32) @ weights
    return grey


def _rgi(image: NDArray[np.uint8]) -> Real32:
    total = image.sum(2, dtype=np.int32).astype(np.float32)
    share = np.float32(255) / np.maximum(total, 1)
    out = np.empty(image.shape, np.float32)
    out[..., 0], out[..., 1] = image[..., 0] * share, image[..., 1] * share
    out[total == 0, :2] = 85
    out[..., 2] = _intensity(image)
    return out


def _hsv(image: NDArray[np.uint8]) -> Real32:
    red, green, blue = (image[..., c].astype(np.float32) for c in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    per = np.float32(255 / 6) / np.maximum(spread, 1)
    hue = np.where(
        high == red,
        (green - blue) * per,
        np.where(high == green, (blue - red) * per + np.float32(85), (red - green) * per + np.float32(170)),
    )
    out = np.empty(image.shape, np.float32)
    out[..., 0] = np.where(hue < 0, hue + 255, hue)
    out[..., 1] = spread * (np.float32(255) / np.maximum(high, 1))
    out[..., 2] = high
    return out


def _lab(image: NDArray[np.uint8]) -> Real32:
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92).astype(np.float32)
    matrix = (_TO_XYZ / _WHITE[:, None]).astype(np.float32)
    share = linear[image] @ matrix.T
    bent = np.where(share > 0.008856, np.cbrt(share), np.float32(7.787) * share + np.float32(16 / 116))
    out = np.empty(image.shape, np.float32)
    out[..., 0] = (116 * bent[..., 1] - 16) * np.float32(2.55)
    out[..., 1] = 500 * (bent[..., 0] - bent[..., 1]) + 128
    out[..., 2] = 200 * (bent[..., 1] - bent[..., 2]) + 128
    return np.clip(out, 0, 255)
