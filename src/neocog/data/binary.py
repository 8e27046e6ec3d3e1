"""Binary fields of picture files: read exactly, or ValueError("truncated")."""

from __future__ import annotations

import io
import os
import struct
from typing import Any, BinaryIO

import numpy as np

MOST_PARTS = 20_000  # segments, chunks or pages walked before a file is called hostile
MOST_VALUES = 1 << 20  # of one tag
ORIENTATION = 0x0112

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each type of TIFF 6.0."""


def take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ValueError("truncated")
    return data


def unpack(layout: str, file: BinaryIO) -> tuple[Any, ...]:
    return struct.unpack(layout, take(file, struct.calcsize(layout)))


def read_directory(
    file: BinaryIO, order: str, offset: int, wanted: frozenset[int]
) -> tuple[dict[int, np.ndarray], int]:
    """The wanted integer tags of one TIFF directory, and the offset of the next (0: none, or cut off).

    A tag whose values lie outside the file is left out. Raises ValueError when the directory itself is cut,
    and when tags share their bytes: decoders copy the bytes of every tag, so that a small file could fill
    the memory.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(offset)
    (count,) = unpack(order + "H", file)
    entries = take(file, 12 * count)
    rest = file.read(4)
    tags: dict[int, np.ndarray] = {}
    outside = 0
    for at in range(0, len(entries), 12):
        tag, kind, number, place = struct.unpack_from(order + "HHII", entries, at)
        length = number * _SIZES.get(kind, 0)
        outside += length if length > 4 and place + length <= size else 0
        if outside > size:
            raise ValueError("damaged TIFF (tags share their bytes)")
        dtype = {1: "u1", 3: "u2", 4: "u4"}.get(kind)
        if dtype is None or tag not in wanted or tag in tags:
            continue
        if tag == ORIENTATION and kind == 1:  # a byte is none: Pillow, which turns TIFF, passes over it
            continue
        if number > MOST_VALUES:
            raise ValueError(f"damaged TIFF ({number} values of one tag)")
        if length <= 4:
            data = entries[at + 8 : at + 8 + length]
        elif place + length <= size:
            file.seek(place)
            data = take(file, length)
        else:
            continue
        tags[tag] = np.frombuffer(data, order + dtype).astype(np.int64)
    return tags, struct.unpack(order + "I", rest)[0] if len(rest) == 4 else 0


def next_directory(file: BinaryIO, order: str, offset: int) -> int:
    """The offset of the TIFF directory after the one at `offset`, whose entries are passed over."""
    file.seek(offset)
    (count,) = unpack(order + "H", file)
    file.seek(offset + 2 + 12 * count)
    (following,) = unpack(order + "I", file)
    return int(following)


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block: any number may come, 1 where there is none. ValueError: damaged."""
    file = io.BytesIO(exif)
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        raise ValueError("damaged EXIF block")
    _, offset = unpack(order + "HI", file)
    tags, _ = read_directory(file, order, offset, frozenset([ORIENTATION]))
    values = tags.get(ORIENTATION, np.ones(1, np.int64))
    return int(values[0]) if len(values) else 1
