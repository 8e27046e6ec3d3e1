"""Image kernels, by name or as text.

They are written as one convolves with them. A convolution lays the kernel on the picture flipped, so the 1 at
the left of `sobel-x` meets the pixel at the right: its answer is positive where the picture grows brighter to
the right, as a derivative should be. Who correlates, as CNNs do, uses the flipped kernel for the same answer.

x runs to the right and y downwards. Kernels are float64 (H, W); lengths are in pixels, angles in degrees.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neocog.ops.names import named
from neocog.ops.ranges import positive

Floats = NDArray[np.float64]

MOST_SIDE = 1023
"""Weights along a side: more is a slip of the keyboard, and would fill the memory."""

_REACH = 4.0
"""Standard deviations to the end of a sampled Gaussian, as in scipy.ndimage."""


def box(side: float = 3) -> Floats:
    """The mean of side x side pixels. Raises ValueError unless `side` is a whole number of 1 or more."""
    count = int(positive("side", side, MOST_SIDE))
    if count != side:
        raise ValueError(f"the side of a box must be a whole number, got {side:g}")
    return np.full((count, count), 1 / count**2)


def gaussian(sigma: float = 1) -> Floats:
    """A Gaussian of standard deviation `sigma`, cut off at four of them; sum 1."""
    values = _bell(sigma)
    return np.outer(values, values)


def laplacian_of_gaussian(sigma: float = 1) -> Floats:
    """The Laplacian of a Gaussian (Marr and Hildreth 1980): positive on a dark spot, sum 0."""
    values = _bell(sigma)
    steps = np.arange(len(values)) - len(values) // 2
    second = values * (steps**2 / sigma**4 - 1 / sigma**2)
    second -= values * second.sum()  # sampled and cut off it would answer to even brightness
    return np.outer(second, values) + np.outer(values, second)


def unsharp(amount: float = 1, sigma: float = 1) -> Floats:
    """Unsharp masking: the picture, and `amount` times what a Gaussian of `sigma` takes from it; sum 1."""
    if not math.isfinite(amount):
        raise ValueError(f"amount must be a number, got {amount}")
    kernel = -amount * gaussian(sigma)
    kernel[len(kernel) // 2, len(kernel) // 2] += 1 + amount
    return kernel


def gabor(
    wavelength: float = 8, angle: float = 0, phase: float = 0, sigma: float | None = None, aspect: float = 1
) -> Floats:
    """A wave under a Gaussian (Daugman 1985), the shape that the first layer of a trained network learns.

    The wave runs in the direction `angle`, clockwise from x, and is a cosine at `phase` 0. The Gaussian has
    the standard deviation `sigma` along the wave (None: 0.56 wavelengths, a bandwidth of one octave) and
    `sigma / aspect` across; it sums to about 1 and is cut off at three of the longer.
    """
    positive("wavelength", wavelength)
    along = positive("sigma", 0.56 * wavelength if sigma is None else sigma)
    across = along / positive("aspect", aspect)
    radius = _radius(3 * max(along, across))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    turn = math.radians(angle)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    envelope = np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2) / (2 * math.pi * along * across)
    wave: Floats = envelope * np.cos(2 * math.pi * u / wavelength + math.radians(phase))
    return wave


MADE: dict[str, Callable[..., Floats]] = {
    "box": box,
    "gaussian": gaussian,
    "log": laplacian_of_gaussian,
    "unsharp": unsharp,
    "gabor": gabor,
}
"""Kernels with numbers of their own, in the order of the function's arguments: `gaussian 2.5`."""

FIXED = {
    "identity": "1",
    "laplacian": "-1 -1 -1; -1 8 -1; -1 -1 -1",
    "laplacian-4": "0 -1 0; -1 4 -1; 0 -1 0",
    "sobel-x": "1 0 -1; 2 0 -2; 1 0 -1",
    "sobel-y": "1 2 1; 0 0 0; -1 -2 -1",
    "scharr-x": "3 0 -3; 10 0 -10; 3 0 -3",
    "scharr-y": "3 10 3; 0 0 0; -3 -10 -3",
    "prewitt-x": "1 0 -1; 1 0 -1; 1 0 -1",
    "prewitt-y": "1 1 1; 0 0 0; -1 -1 -1",
    "sharpen": "0 -1 0; -1 5 -1; 0 -1 0",
    "emboss": "2 1 0; 1 1 -1; 0 -1 -2",
}
"""Kernels without numbers of their own. Both Laplacians are positive on a bright spot."""


def read_kernel(text: str) -> Floats:
    """The kernel that a text means: a name, a name and its numbers, or rows of weights.

    `sobel-x`; `gabor 8 45`; `0 -1 0; -1 5 -1; 0 -1 0`. Raises ValueError with what is wrong with it.
    """
    words = text.replace(";", " ; ").split()
    if not words:
        raise ValueError("a kernel needs a name or weights")
    if not words[0][0].isalpha():
        return _rows(text)
    name, numbers = words[0], [_number(word) for word in words[1:]]
    named(dict.fromkeys([*FIXED, *MADE]), name, "kernel")
    takes = list(inspect.signature(MADE[name]).parameters) if name in MADE else []
    if len(numbers) > len(takes):
        most = f"{len(takes)} numbers at most: {', '.join(takes)}" if takes else "no numbers"
        raise ValueError(f"kernel '{name}' takes {most}")
    return MADE[name](*numbers) if name in MADE else _rows(FIXED[name])


def as_kernel(weights: ArrayLike) -> Floats:
    """Weights as a kernel. Raises ValueError unless they are finite numbers in rows, and not too many."""
    kernel = np.asarray(weights)
    if kernel.ndim != 2 or kernel.dtype.kind not in "biuf":
        raise ValueError(f"a kernel is numbers of shape (H, W), got {kernel.dtype} of shape {kernel.shape}")
    if not 1 <= min(kernel.shape) <= max(kernel.shape) <= MOST_SIDE:
        raise ValueError(f"a kernel has 1 to {MOST_SIDE} weights a side, got {kernel.shape}")
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all():
        raise ValueError("the weights of a kernel must be finite")
    return kernel


def separate(kernel: Floats, tolerance: float = 1e-12) -> list[tuple[Floats, Floats]]:
    """The fewest columns (H,) and rows (W,) whose outer products add up to the kernel.

    A kernel is separable if there is one pair: one pass down and one across then do the work of H x W
    weights with H + W. There are as many pairs as the kernel's rank; what is left of any weight is at most
    `tolerance` of the largest. Elimination with complete pivoting finds them. A singular value decomposition
    would too, but the factors of whole numbers would not be whole numbers, or halves, any more.
    """
    rest, pairs = kernel.copy(), []
    for _ in range(min(kernel.shape)):
        i, j = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        if abs(rest[i, j]) <= tolerance * np.abs(kernel).max():
            break
        column, row = rest[:, j] / rest[i, j], rest[i].copy()
        rest -= np.outer(column, row)
        pairs.append((column, row))
    return pairs


def _rows(text: str) -> Floats:
    """Weights in rows that semicolons end."""
    rows = [[_number(word) for word in row.split()] for row in text.strip().rstrip(";").split(";")]
    lengths = [len(row) for row in rows]
    if min(lengths) != max(lengths):
        raise ValueError(f"the rows of a kernel must be equally long, got {', '.join(map(str, lengths))}")
    return as_kernel(rows)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(
            f"'{word}' is not a number (a kernel reads as in '0 -1 0; -1 5 -1; 0 -1 0')"
        ) from None


def _radius(reach: float) -> int:
    """Whole pixels to the end of a kernel."""
    if 2 * reach > MOST_SIDE:
        raise ValueError(f"a kernel of {2 * reach:.0f} weights a side is more than {MOST_SIDE}")
    return int(reach + 0.5)


def _bell(sigma: float) -> Floats:
    """A sampled Gaussian of sum 1, along one axis."""
    radius = _radius(_REACH * positive("sigma", sigma))
    values = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    bell: Floats = values / values.sum()
    return bell
