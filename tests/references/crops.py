"""R-CNN's crop of one region, pixel by pixel, as the authors' `rcnn_im_crop.m` describes it."""

from __future__ import annotations

import math

import numpy as np


def crop(image: np.ndarray, box: tuple[float, float, float, float], side: int, context: int) -> np.ndarray:
    """Image (H, W, C) and one box -> (side, side, C); NaN outside the picture."""
    height, width = image.shape[:2]
    scale = side / (side - 2 * context)
    edges = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        centre, half = (low + high) / 2, (high - low) / 2 * scale
        first = math.floor(centre - half + 0.5)
        edges.append((first, max(math.floor(centre + half + 0.5), first + 1)))
    (left, right), (top, bottom) = edges
    result = np.full((side, side, image.shape[2]), np.nan)
    for i in range(side):
        y = top + (i + 0.5) / side * (bottom - top)
        for j in range(side):
            x = left + (j + 0.5) / side * (right - left)
            if 0 <= y < height and 0 <= x < width:
                result[i, j] = bilinear(image, y - 0.5, x - 0.5)
    return result


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """The picture between its pixel centres; beyond the outermost ones, those."""
    height, width = image.shape[:2]
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
    lower = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
    value: np.ndarray = upper * (1 - y + top) + lower * (y - top)
    return value
