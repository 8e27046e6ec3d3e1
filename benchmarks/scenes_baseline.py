"""How far colour goes on the generated scenes: segment by hue, match rotated templates, learn nothing.

The baseline is given more than a fair share: the eight colours, the ten outlines and the range of sizes. Each
picture is cut into regions of one hue, at several tolerances and closings (both tones of a texture share a
hue, so a region can hold a whole object); each region is centred, scaled to a common area and compared with
every outline in 72 directions. The best overlap names the class and is the score.

    python benchmarks/scenes_baseline.py [--level std] [--images 200] [--pairs]

`--pairs` also joins the regions of every two colours, since a texture has two. Either way it has to stay
below 0.25 on `std`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from neocog.data.render import PALETTE
from neocog.data.scenes import Scenes
from neocog.data.shapes import CLASSES, tables
from neocog.metrics.voc import voc_average_precision
from neocog.types import Detections

GRID = 32  # regions and templates are compared on GRID x GRID points
SPAN = 2.6  # side of that grid, in square roots of the area
DIRECTIONS = 72
TOLERANCES = (0.10, 0.18, 0.30)  # distance in the hue plane from a palette colour, in radians of hue
SIZES = (14, 70)  # longer side in pixels of a region that may be an object
LEAST_AREA = 40

Mask = NDArray[np.bool_]


def sampled(values: NDArray[np.float32], centre: NDArray[np.float64], area: float, angle: float) -> Mask:
    """A mask read on the common grid: about its centre, in units of the root of its area, turned."""
    axis = ((np.arange(GRID) + 0.5) / GRID - 0.5) * SPAN * np.sqrt(area)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    cos, sin = np.cos(angle), np.sin(angle)
    points = np.stack([centre[0] + cos * y - sin * x, centre[1] + sin * y + cos * x])
    return ndimage.map_coordinates(values, points, order=1, cval=0.0).ravel() > 0.5


def templates() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Every outline in every direction, (10 * DIRECTIONS, GRID * GRID), and the class of each."""
    rows, labels = [], []
    for label, table in enumerate(tables("train")[: len(CLASSES)]):
        mask = (table < 0).astype(np.float32)
        inside = np.argwhere(mask > 0)
        for turn in range(DIRECTIONS):
            rows.append(sampled(mask, inside.mean(axis=0), len(inside), turn * 2 * np.pi / DIRECTIONS))
            labels.append(label)
    return np.array(rows, dtype=np.float32), np.array(labels)


def hue(rgb: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Angle and strength of colour in the plane across the grey axis."""
    a = rgb[..., 0] - 0.5 * (rgb[..., 1] + rgb[..., 2])
    b = np.sqrt(0.75) * (rgb[..., 1] - rgb[..., 2])
    return np.arctan2(b, a), np.hypot(a, b) / (rgb.max(axis=-1) + 1)


def hue_masks(image: NDArray[np.uint8], pairs: bool) -> Iterator[Mask]:
    """Where the picture shows each palette hue, at every tolerance and closing; `pairs`: any two hues too."""
    smooth = np.stack([ndimage.median_filter(image[..., c], 3) for c in range(3)], axis=-1).astype(np.float32)
    angle, strength = hue(smooth)
    palette, _ = hue(PALETTE.astype(np.float32))
    away = np.abs((angle - palette[:, None, None] + np.pi) % (2 * np.pi) - np.pi)
    for tolerance in TOLERANCES:
        for mask in (away < tolerance) & (strength > 0.12):
            yield mask
            yield ndimage.binary_closing(mask)
            yield ndimage.binary_closing(mask, iterations=2)
    if pairs:
        for first, second in combinations((away < 0.25) & (strength > 0.1), 2):
            yield ndimage.binary_closing(first | second)


def regions(image: NDArray[np.uint8], pairs: bool) -> list[tuple[Mask, tuple[slice, slice]]]:
    """Connected regions as large as objects are, with their holes and with them filled."""
    found = []
    for mask in hue_masks(image, pairs):
        labelled, _ = ndimage.label(mask)
        for number, window in enumerate(ndimage.find_objects(labelled), start=1):
            region = labelled[window] == number
            if not SIZES[0] <= max(region.shape) <= SIZES[1] or region.sum() < LEAST_AREA:
                continue
            found.append((region, window))
            filled = ndimage.binary_fill_holes(region)
            if filled.sum() > region.sum():
                found.append((filled, window))
    return found


def detect(
    image: NDArray[np.uint8], bank: NDArray[np.float32], labels: NDArray[np.int64], pairs: bool
) -> Detections:
    """The baseline's answer for one picture."""
    found = regions(image, pairs)
    if not found:
        return Detections.empty()
    rows = []
    for region, _ in found:
        inside = np.argwhere(region).mean(axis=0)
        rows.append(sampled(region.astype(np.float32), inside, region.sum(), 0.0))
    those = np.array(rows, dtype=np.float32)
    shared = those @ bank.T
    overlap = shared / (those.sum(axis=1)[:, None] + bank.sum(axis=1)[None] - shared)
    best = overlap.argmax(axis=1)
    boxes = np.array([[w[1].start, w[0].start, w[1].stop, w[0].stop] for _, w in found], dtype=np.float32)
    return suppressed(boxes, overlap.max(axis=1), labels[best])


def suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]
) -> Detections:
    """The best of every heap of boxes that overlap by more than 0.3, whatever their class."""
    kept: list[int] = []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for index in np.argsort(-scores, kind="stable"):
        corner = np.minimum(boxes[kept, 2:], boxes[index, 2:])
        inter = (corner - np.maximum(boxes[kept, :2], boxes[index, :2])).clip(0).prod(axis=1)
        if not (inter / (area[kept] + area[index] - inter) > 0.3).any():
            kept.append(int(index))
    chosen = np.array(kept)
    return Detections(
        torch.from_numpy(boxes[chosen]),
        torch.from_numpy(scores[chosen].copy()),
        torch.from_numpy(labels[chosen]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The no-learning baseline on the generated scenes.")
    parser.add_argument("--level", default="std")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--pairs", action="store_true")
    options = parser.parse_args()
    data = Scenes(options.level, "test")
    bank, labels = templates()
    truths, answers = [], []
    for index in range(options.images):
        sample = data[index]
        truths.append(sample.target)
        answers.append(detect(sample.image, bank, labels, options.pairs))
    result = voc_average_precision(truths, answers, CLASSES)
    for one in result.classes:
        print(f"{one.name:>10}  AP50 {one.voc_ap:.3f}  of {one.positives}")
    print(f"{data.name} test, {options.images} images: AP50 {result.voc_map:.3f}")


if __name__ == "__main__":
    main()
