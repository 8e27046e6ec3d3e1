"""Where a classifier sees a class in a picture larger than those it learnt from.

Long, Shelhamer and Darrell 2015, arXiv:1411.4038: its dense layers become convolutions with the same weights,
and it answers for every window of the picture at once. The answers are cells; the first stands at the centre
of the first window, not in the corner of the picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from neocog.explain.receptive import over_pixels
from neocog.explain.subject import Choices, Shown, Subject
from neocog.pictures.maps import coloured, heated, scale_bar, stacked
from neocog.zoo import known


def class_map(logits: Tensor, label: int) -> Tensor:
    """The softmax over classes of logits (K, h, w), and of it the plane of one class (h, w) in [0, 1]."""
    return logits.float().softmax(dim=0)[label]


def log_odds(logits: Tensor, label: int) -> Tensor:
    """ln p / (1 - p) of the probability p of one class, (h, w), from logits (K, h, w) of two or more."""
    others = torch.cat([logits[:label], logits[label + 1 :]]).float()
    return logits[label].float() - others.logsumexp(dim=0)


def peak(logits: Tensor, label: int, stride: float, offset: float) -> tuple[float, float]:
    """x and y, in pixels of the picture, where a class of logits (K, h, w) is most probable.

    `stride`: pixels from cell to cell; `offset`: the centre of the first cell's window, in coordinates where
    pixel c covers [c, c + 1). The peak is the centre of a cell's window.
    """
    odds = log_odds(logits, label)  # in the order of the softmax, which near 1 has only ties
    row, column = divmod(int(odds.argmax()), odds.shape[1])
    return offset + column * stride, offset + row * stride


def heat_over(logits: Tensor, label: int, stride: float, offset: float, size: tuple[int, int]) -> Tensor:
    """The probability of a class at every pixel of a picture of this (height, width): (H, W).

    Bilinear between the centres of the windows; beyond the outer ones it goes on.
    """
    cells = class_map(logits, label)
    return over_pixels(cells[None], (stride, stride), (offset, offset), size)[0]


def heatmap_of(
    logits: Tensor,
    stride: float,
    offset: float,
    pixels: np.ndarray,
    classes: tuple[str, ...],
    label: int | None = None,
) -> list[Shown]:
    """Pictures of logits (K, h, w) over the picture (H, W, 3) uint8 that they were computed of.

    The class is `label`, or that of the single most probable cell.
    """
    shares = logits.float().softmax(dim=0)
    if label is None:
        label = int(shares.flatten(1).amax(dim=1).argmax())
    name, cells = classes[label], shares[label]
    x, y = peak(logits, label, stride, offset)
    heat = heat_over(logits, label, stride, offset, pixels.shape[:2]).clamp(0, 1).cpu().numpy()
    unit = f"probability of '{name}'"
    rows, columns = cells.shape
    odds = log_odds(logits, label).cpu().numpy()
    record = {
        "class": name,
        "highest": float(cells.max()),
        "peak": [x, y],
        "stride": stride,
        "offset": offset,
        "values": cells.tolist(),
    }
    return [
        Shown(
            "overlay",
            f"How probable '{name}' is at each place: {rows} x {columns} windows, {stride:g} pixels apart, "
            f"bilinear between their centres; at most {float(cells.max()):.2f}, at x {x:.0f}, y {y:.0f}.",
            heated(pixels, heat, unit),
        ),
        Shown(
            "cells",
            f"The same {rows} x {columns} windows as the network gives them.",
            _cells(cells.cpu().numpy(), 1.0, unit, signed=False),
            record,
        ),
        Shown(
            "odds",
            "The same as log odds ln p / (1 - p), which tell windows apart that are all about 0 or 1.",
            _cells(odds, float(np.abs(odds).max()), f"log odds of '{name}'", signed=True),
        ),
    ]


def _cells(values: np.ndarray, limit: float, unit: str, *, signed: bool) -> Image.Image:
    """A map (h, w) in large cells over its scale."""
    plain = Image.fromarray(coloured(values, limit, signed=signed))
    scale = max(1, 384 // max(plain.size))
    large = plain.resize((plain.width * scale, plain.height * scale), Resampling.NEAREST)
    return stacked(large, scale_bar(limit, unit, signed=signed, width=large.width))


class Sliding:
    """A trained classifier made convolutional, which answers for every window of a picture at once.

    A window is as large as the pictures that it learnt from; or, where its dense layers read the mean of a
    map, what one cell of that map sees: all windows around an object have about the same mean. `stride` and
    `offset` are of the windows, as `peak` takes them. Raises UsageError for a classifier of one size.
    """

    def __init__(self, model: Any) -> None:
        from neocog.parts.convolutional import convolutionalized

        self.network = convolutionalized(model, averaged=False)
        self.stride, self.offset = self.network.stride, self.network.offset
        side = self.network.side
        one = self._logits(np.zeros((side, side, 3), np.uint8)).shape[1:] == (1, 1)
        self.shorter = 2 * side if one else side

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """The picture (H, W, 3) uint8 as it was looked at, and the logits (K, h, w) of its windows.

        It goes in as it is where it is larger than what the classifier learnt from; otherwise it is enlarged
        first, until its shorter side is as long as that, or twice where that is a single window.
        """
        height, width = pixels.shape[:2]
        if min(height, width) < self.network.side or max(height, width) <= self.network.side:
            scale = self.shorter / min(height, width)
            large = round(width * scale), round(height * scale)
            pixels = np.array(Image.fromarray(pixels).resize(large, Resampling.BICUBIC))
        return pixels, self._logits(pixels)

    @torch.no_grad()
    def _logits(self, pixels: np.ndarray) -> Tensor:
        device = next(self.network.parameters()).device
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device) / 255
        logits: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))[0]
        return logits


def heatmap(subject: Subject, choices: Choices) -> list[Shown]:
    """The heat map of a class over the picture, see `Sliding`; by default of the most probable class."""
    sliding = Sliding(subject.model)
    pixels, logits = sliding(subject.pixels)
    label = (
        None
        if choices.label is None
        else subject.classes.index(known(choices.label, subject.classes, "class"))
    )
    return heatmap_of(logits, sliding.stride, sliding.offset, pixels, subject.classes, label)
