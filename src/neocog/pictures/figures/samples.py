"""The photographs that figures are computed from."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

Name = Literal["china", "flower"]
_AUTHORS = {"china": "danielbuechele", "flower": "vultilion"}  # at flickr.com; scikit-learn brings both


@cache
def photograph(name: Name, width: int) -> np.ndarray:
    """One of scikit-learn's sample images, shrunk: (H, width, 3) uint8."""
    whole = _whole(name)
    size = width, round(width * whole.height / whole.width)
    return np.asarray(whole.resize(size, Image.Resampling.LANCZOS))


@cache
def square(name: Name, side: int) -> np.ndarray:
    """The middle square of one, (side, side, 3) uint8."""
    whole = _whole(name)
    left = (whole.width - whole.height) // 2
    middle = whole.crop((left, 0, left + whole.height, whole.height))
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))


def _whole(name: Name) -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(f"{name}.jpg"))


def credit(name: Name) -> str:
    """What to write below it: whose it is, and that it may be shown."""
    return f"photograph: {name}.jpg by {_AUTHORS[name]}, CC BY 2.0"


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as brightness (H, W) float64 in [0, 1]."""
    mean: np.ndarray = picture.mean(axis=2) / 255
    return mean
