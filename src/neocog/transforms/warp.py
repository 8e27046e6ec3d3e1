"""One resampling of a picture under an affine map, antialiased, with half-pixel centres.

Both paths use the same filter: a triangle whose support is one source pixel when enlarging and grows with
the scale when shrinking (what Pillow calls BILINEAR and PyTorch `bilinear, antialias=True`). A pixel whose
centre maps outside the picture takes the fill; one inside sees only picture, so that edges stay clean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from PIL import Image

from neocog.types import IGNORED_PIXEL, Frame, Matrix

Size = tuple[int, int]
"""(height, width) in pixels."""

Colour = tuple[int, int, int]

GREY: Colour = (114, 114, 114)
"""The usual fill: near the mean of photographs."""

BLACK: Colour = (0, 0, 0)


def warp(image: np.ndarray, matrix: Matrix, size: Size, fill: Colour = GREY) -> np.ndarray:
    """The picture (H, W, 3) uint8 under the map `matrix` (old -> new coordinates), as a new array of `size`.

    Maps that keep the axes (scale, crop, flip, pad) take a fast separable path, any other the general one.
    Raises ValueError for a matrix without inverse.
    """
    a, b, _, d, e, _ = matrix
    if a * e - b * d == 0:
        raise ValueError(f"warp: the matrix {matrix} cannot be inverted")
    if b == 0 and d == 0:
        return _warp_along_axes(image, matrix, size, fill)
    out = _canvas(size, fill)
    _resample(np.ascontiguousarray(image), _inverse(matrix), out)
    return out


def warp_mask(mask: np.ndarray, matrix: Matrix, size: Size, fill: int = IGNORED_PIXEL) -> np.ndarray:
    """The label map (H, W) uint8 under the same map, by nearest neighbour: labels do not mix."""
    p, q, r, s, t, u = _inverse(matrix)
    rows = np.arange(size[0])[:, None] + 0.5
    columns = np.arange(size[1])[None, :] + 0.5
    # Along the axes these stay one row and one column; indexing spreads them.
    x = np.floor(p * columns + r + (q * rows if q else 0)).astype(np.int64)
    y = np.floor(t * rows + u + (s * columns if s else 0)).astype(np.int64)
    height, width = mask.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    nearest = mask[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.where(inside, nearest, np.uint8(fill))


def _inverse(matrix: Matrix) -> Matrix:
    return Frame(original=(0, 0), size=(0, 0), matrix=matrix).inverse


def _canvas(size: Size, fill: Colour) -> np.ndarray:
    return np.array(Image.new("RGB", size[::-1], fill))


class _Span(NamedTuple):
    """Along one axis: the new pixels that see the picture, and what they need of it."""

    first: int  # new pixels first..last
    last: int
    window: slice  # the old pixels that any of them weighs
    before: int  # copies of the outermost old pixel to add on either side
    after: int
    start: float  # where, in the padded window, the new pixels begin and end
    stop: float


def _span(scale: float, shift: float, old: int, new: int) -> _Span:
    """The span of an axis of `old` pixels under x' = scale x + shift, seen through `new` pixels."""
    low, high = sorted((shift, scale * old + shift))
    # A pixel belongs to the picture when its centre does; 1e-6 keeps rounding from moving exact edges.
    first = max(0, math.ceil(low - 0.5 - 1e-6))
    last = max(first, min(new, math.ceil(high - 0.5 - 1e-6)))
    start, stop = sorted(((first - shift) / scale, (last - shift) / scale))
    # The outermost pixel may reach past the picture by up to half of itself.
    before = math.ceil(max(0.0, -start - 1e-6))
    after = math.ceil(max(0.0, stop - old - 1e-6))
    margin = math.ceil(max(1.0, 1 / abs(scale))) + 1
    begin, end = max(0, math.floor(start) - margin), min(old, math.ceil(stop) + margin)
    reach = end - begin + before + after
    offset = before - begin
    start, stop = max(0.0, start + offset), min(float(reach), stop + offset)
    return _Span(first, last, slice(begin, end), before, after, start, stop)


def _warp_along_axes(image: np.ndarray, matrix: Matrix, size: Size, fill: Colour) -> np.ndarray:
    """Scale, crop, flip and pad: Pillow resizes the part that is seen, and puts it in its place."""
    a, _, c, _, e, f = matrix
    x = _span(a, c, image.shape[1], size[1])
    y = _span(e, f, image.shape[0], size[0])
    seen = (y.last - y.first, x.last - x.first)
    if 0 in seen:
        return _canvas(size, fill)
    part = image[y.window, x.window]
    if y.before or y.after or x.before or x.after:
        part = np.pad(part, ((y.before, y.after), (x.before, x.after), (0, 0)), mode="edge")
    box = (x.start, y.start, x.stop, y.stop)
    resized = Image.fromarray(part).resize(seen[::-1], Image.Resampling.BILINEAR, box=box)
    if a < 0:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if e < 0:
        resized = resized.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    canvas = Image.new("RGB", size[::-1], fill)
    canvas.paste(resized, (x.first, y.first))
    return np.array(canvas)


def _resample_general(image: np.ndarray, inverse: Matrix, out: np.ndarray) -> None:
    """Write the picture into `out` wherever its centre maps inside; `inverse` is new -> old."""
    p, q, r, s, t, u = inverse
    height, width = image.shape[:2]
    # Each axis of the source is smoothed by how far one step in the new picture moves along it.
    reach_x = max(1.0, math.hypot(p, q))
    reach_y = max(1.0, math.hypot(s, t))
    weights = np.empty(int(2 * reach_x) + 3, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            x = p * (j + 0.5) + q * (i + 0.5) + r
            y = s * (j + 0.5) + t * (i + 0.5) + u
            if not (0 <= x < width and 0 <= y < height):
                continue
            left = max(0, int(x - reach_x + 0.5))
            right = min(width, int(x + reach_x + 0.5))
            top = max(0, int(y - reach_y + 0.5))
            bottom = min(height, int(y + reach_y + 0.5))
            across = np.float32(0)
            for k in range(left, right):
                weights[k - left] = max(0.0, 1 - abs(k + 0.5 - x) / reach_x)
                across += weights[k - left]
            red = green = blue = down = np.float32(0)
            for m in range(top, bottom):
                weight = np.float32(max(0.0, 1 - abs(m + 0.5 - y) / reach_y))
                row_red = row_green = row_blue = np.float32(0)
                for k in range(left, right):
                    row_red += weights[k - left] * image[m, k, 0]
                    row_green += weights[k - left] * image[m, k, 1]
                    row_blue += weights[k - left] * image[m, k, 2]
                red += weight * row_red
                green += weight * row_green
                blue += weight * row_blue
                down += weight
            norm = 1 / (across * down)
            out[i, j, 0] = int(red * norm + np.float32(0.5))
            out[i, j, 1] = int(green * norm + np.float32(0.5))
            out[i, j, 2] = int(blue * norm + np.float32(0.5))


_resample = numba.njit(cache=True, nogil=True)(_resample_general)
