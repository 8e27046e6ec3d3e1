"""The photographs that figures are computed from."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

Name = Literal["china", "flower"]


@cache
def photograph(name: Name, side: int) -> np.ndarray:
    """The middle square of one of scikit-learn's sample images, (side, side, 3) uint8."""
    from sklearn.datasets import load_sample_image

    whole = Image.fromarray(load_sample_image(f"{name}.jpg"))
    left = (whole.width - whole.height) // 2
    square = whole.crop((left, 0, left + whole.height, whole.height))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def credit(name: Name) -> str:
    """What to write below it."""
    return f"photograph: scikit-learn's sample image {name}.jpg"


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as brightness (H, W) float64 in [0, 1]."""
    mean: np.ndarray = picture.mean(axis=2) / 255
    return mean
