"""What a class is known by besides its pictures: a vector of numbers, such as attributes or a word embedding.

Classes whose vectors are alike should look alike in part: then a network that has learnt to read vectors off
some classes can find others, of which it knows the vector alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neocog.data.files import printable
from neocog.data.json_file import read_json
from neocog.data.render import HELD_OUT, TEXTURES
from neocog.data.shapes import CLASSES
from neocog.errors import DataError

Vector = tuple[float, ...]

PAIRS = tuple(f"{shape}-{texture}" for shape in CLASSES for texture in TEXTURES)
"""The classes of `scenes:pairs`, shape by shape."""


@dataclass(frozen=True, slots=True)
class LabelVectors:
    """The vector of each class, and of words that are no class; and which classes training does not show."""

    vectors: Mapping[str, Vector]  # all of one length
    unseen: tuple[str, ...]


def pair_vectors() -> LabelVectors:
    """Two one-hot parts, of unit length together: which shape (ten, or a blob), and which texture (six).

    The words that are no class are the blobs: what distracts in the pictures.
    """
    rows, columns = np.eye(len(CLASSES) + 1), np.eye(len(TEXTURES))
    vectors = {
        f"{shape}-{texture}": tuple((np.concatenate([row, column]) * math.sqrt(0.5)).tolist())
        for shape, row in zip((*CLASSES, "blob"), rows, strict=True)
        for texture, column in zip(TEXTURES, columns, strict=True)
    }
    return LabelVectors(
        vectors, tuple(f"{CLASSES[shape]}-{TEXTURES[texture]}" for shape, texture in HELD_OUT)
    )


def read_vectors(path: Path) -> dict[str, Vector]:
    """The vectors in a JSON file {name: [numbers]}: all of one length, none of them zero.

    Raises DataError, naming the file and the first name that is at fault.
    """
    document, shown = read_json(path), printable(path)
    if not isinstance(document, dict) or not document:
        raise DataError(f'{shown}: not an object of JSON such as {{"cat": [0.1, 0.2], "dog": [0.3, 0.4]}}')
    vectors: dict[str, Vector] = {}
    length = None
    for name, values in document.items():
        who = f"{shown}: the vector of '{printable(name)}'"
        numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
        if not numbers or not values:
            raise DataError(f"{who} is not a list of numbers")
        length = length or len(values)
        if len(values) != length:
            raise DataError(f"{who} has {len(values)} numbers, the first has {length}")
        try:
            vector = tuple(float(value) for value in values)
        except OverflowError:
            vector = (math.inf,)
        size = math.hypot(*vector)
        if not math.isfinite(size):
            raise DataError(f"{who} is not finite")
        if size < 1e-12:
            raise DataError(f"{who} is zero: it has no direction")
        vectors[name] = vector
    return vectors
