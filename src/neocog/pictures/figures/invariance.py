"""What pooling does not see: which detector answered, and where exactly."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from neocog.data.digits import Digits
from neocog.ops.convolve import correlate
from neocog.ops.pool import max_pool
from neocog.pictures.figure import Still
from neocog.pictures.shapes import arrow, cells, note, number, values_picture, window
from neocog.pictures.svg import Element, pixels, rect, text

ANGLES = (-45, 0, 45)
"""Degrees, against the clock, of the three detectors and of the three pictures."""

_DIGIT, _SHOWN = 5, 2  # which class, and which of its test pictures


def pooling_invariance() -> Still:
    """Three detectors, each for one orientation, and the maximum over them, which answers to all three."""
    test, train = Digits("test"), Digits("train")
    mean = np.mean([_grey(train, i) for i in range(len(train)) if train[i].label == _DIGIT], axis=0)
    which = [i for i in range(len(test)) if test[i].label == _DIGIT][_SHOWN]
    detectors = [_normal(_turned(mean, angle)) for angle in ANGLES]
    shown = [_turned(_grey(test, which), angle) for angle in ANGLES]
    maps = np.array([[correlate(_normal(one), other, "same") for other in detectors] for one in shown])
    peaks = max_pool(torch.from_numpy(maps), maps.shape[-1])[0][..., 0, 0].numpy()
    best = peaks.max(axis=1)
    tile, pitch, left, top = 92.0, 112.0, 178.0, 168.0
    x_best = left + 3 * pitch + 40
    parts: list[Element] = [
        text(0, 20, f"a {_DIGIT}, turned", class_="title"),
        text(left, 20, f"three detectors: the mean {_DIGIT}, turned", class_="title"),
        note(left, top - 14, "how well each fits, at every place, and the best of them"),
        text(x_best, 20, "maximum of all", class_="title"),
        note(0, 40, "by another writer"),
    ]
    for column, detector in enumerate(detectors):
        x = left + column * pitch
        parts.append(values_picture(detector, x, 36, tile, signed=True))
    for row, picture in enumerate(shown):
        y = top + row * (pitch + 14)
        inside = np.round(255 * picture).astype(np.uint8)
        parts += [pixels(0, y, tile, tile, inside, smooth=True)]
        parts.append(arrow((tile + 14, y + tile / 2), (left - 14, y + tile / 2)))
        for column, peak in enumerate(peaks[row]):
            x, strongest = left + column * pitch, peak == best[row]
            parts.append(values_picture(maps[row, column], x, y, tile, limit=1.0))
            if strongest:
                parts.append(window(x, y, 1, 1, side=tile))
            look = None if strongest else "muted"
            parts.append(note(x + tile / 2, y + tile + 17, number(peak, 2), anchor="middle", class_=look))
        parts.append(rect(x_best, y + tile / 2 - 13, 120, 26, style="fill:var(--grid)"))
        parts.append(rect(x_best, y + tile / 2 - 13, 120 * best[row], 26, style="fill:var(--accent)"))
        parts.append(note(x_best + 128, y + tile / 2 + 5, number(best[row], 2), class_="title"))
    alt = (
        f"Three rows: a handwritten {_DIGIT} turned by {', '.join(map(str, ANGLES))} degrees. In "
        "each row another of three detectors answers strongly, and their maximum is strong in all: "
        f"{', '.join(number(one, 2) for one in best)}."
    )
    values = {"detectors": np.array(detectors), "shown": np.array(shown), "peaks": peaks, "best": best}
    return Still("pooling-invariance", alt, 720, top + 3 * (pitch + 14) - 6, parts, values)


def _grey(digits: Digits, index: int) -> np.ndarray:
    """A digit (40, 40) in [0, 1], with room around it to turn in."""
    grey: np.ndarray = np.pad(digits[index].image[..., 0], 6) / 255
    return grey


def _turned(picture: np.ndarray, angle: float) -> np.ndarray:
    turned: np.ndarray = ndimage.rotate(picture, angle, reshape=False, order=1)
    return turned


def _normal(picture: np.ndarray) -> np.ndarray:
    """Without its mean and of length 1, so that a correlation of two is at most 1."""
    level: np.ndarray = picture - picture.mean()
    normal: np.ndarray = level / np.linalg.norm(level)
    return normal


UNITS = np.array([0, 0, 3, 1, 0, 0, 8, 2, 0, 5, 4, 0])
"""What a row of detectors answers."""


def pooling_shift() -> Still:
    """A row of detectors and its pooled row; and both when the input has moved by one to the right."""
    moved = np.concatenate([[0], UNITS[:-1]])
    rows = {
        "units": UNITS,
        "pooled": _pooled_row(UNITS),
        "moved units": moved,
        "moved pooled": _pooled_row(moved),
    }
    side, left = 44.0, 176.0
    heights = (36.0, 98.0, 206.0, 268.0)
    names = ("detectors", "maximum of 3", "detectors", "maximum of 3")
    frame = "var(--series-1)"
    changed = [rows[f"moved {name}"] != rows[name] for name in ("units", "pooled")]
    parts: list[Element] = [
        text(0, 20, "as it is", class_="title"),
        text(0, 190, "the input moved by one", class_="title"),
        note(left + len(UNITS) * side, 190, "framed: changed", anchor="end"),
    ]
    for y, name, (key, shown) in zip(heights, names, rows.items(), strict=True):
        parts += [note(0, y + 27, name, class_=None), cells(shown[None], left, y, side=side, limit=10)]
        if key.startswith("moved"):
            which = changed[key.endswith("pooled")]
            parts += [
                window(left + i * side + 2, y + 2, 1, 1, side=side - 4, colour=frame)
                for i in np.flatnonzero(which)
            ]
            parts.append(note(0, y + 45, f"{which.sum()} of {len(which)} changed"))
    alt = (
        f"A row of {len(UNITS)} detectors and below each the maximum of it and its neighbours. Moved by one "
        f"to the right, {changed[0].sum()} of the detectors' values change, {changed[1].sum()} of the maxima."
    )
    return Still("pooling-shift", alt, 720, 268 + side + 12, parts, rows)


def _pooled_row(values: np.ndarray) -> np.ndarray:
    """The maximum of every value (W,) and its neighbours."""
    row = torch.from_numpy(values.astype(np.float32))[None, None]
    pooled: np.ndarray = max_pool(row, 3, stride=1, padding=1)[0].numpy()[0, 0]
    return pooled
