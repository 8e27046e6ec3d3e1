"""Mask files to class numbers: the index of a palette, the value of a grey, never what they look like.

Palette and grey PNG, BMP and TIFF are read; 16-bit grey where its values are small; RGB through a table of
colours. What was compressed with loss is refused: its edges hold numbers that nobody wrote.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neocog.data.files import open_regular
from neocog.data.headers import Header, read_header
from neocog.data.images import checked, turned, with_pillow
from neocog.data.png_chunks import check_chunks
from neocog.errors import DataError

MOST_TOLD = 10
"""Values outside the classes that a message lists."""

LOSSY = ("JPEG", "WEBP")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
NO_TABLE = (
    "colour-coded mask without a table of its colours (give one in classes.txt: number name red green blue)"
)


class UnusableMask(DataError):
    """A mask that says that the whole data set cannot be read as it is."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The class numbers of one mask."""

    values: NDArray[np.uint8]  # (H, W) as shown
    grey: bool  # numbers are the values of a grey of 8 bits, which may stand for black and white
    outside: tuple[str, ...]  # colours and large values that are no class number; 0 in `values`

    @property
    def digest(self) -> bytes:
        """16 bytes, equal only for equal values."""
        return hashlib.blake2b(self.values.tobytes(), digest_size=16).digest()


def read_numbers(path: Path, colours: Mapping[int, int]) -> Numbers:
    """The class number of each pixel; `colours` is 0xRRGGBB -> number, empty without a table.

    Raises DataError `path: reason` for what cannot be read, UnusableMask where that concerns every mask.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
            header = checked(read_header(io.BytesIO(data)))
            if header.format in LOSSY:
                _refuse_lossy(header.format)
            if header.format == "PNG":
                check_chunks(data)
            stored = with_pillow(data, header, _stored)
            if stored.lossy:
                _refuse_lossy(f"{header.format} of lossy pixels")
            # Pillow turns TIFF by itself while loading.
            values = stored.values if header.format == "TIFF" else turned(stored.values, header.orientation)
            return _numbers(values, stored.grey, colours)
    except DataError as error:
        if isinstance(error.__cause__, _WholeError):
            raise UnusableMask(str(error)) from error
        raise


class _WholeError(ValueError):
    """What concerns every mask."""


def _refuse_lossy(format: str) -> None:
    raise _WholeError(f"lossy mask ({format} changes class numbers; write masks as PNG)")


class _Stored(NamedTuple):
    """What a file holds, before it is turned."""

    values: np.ndarray  # (H, W) numbers, or (H, W, 3) colours
    grey: bool
    lossy: bool = False


def _stored(image: Image.Image, header: Header) -> _Stored:
    """Raises ValueError for pixels that are neither numbers nor colours."""
    lossy = header.format == "TIFF" and image.info.get("compression") in _LOSSY_TIFF
    if image.mode in ("LA", "PA", "RGBA"):
        if image.getchannel("A").getextrema() != (255, 255):
            raise ValueError("mask with transparent pixels (write class numbers as a palette PNG)")
        values = image.convert("RGB") if image.mode == "RGBA" else image.getchannel(0)
        return _Stored(np.asarray(values), image.mode == "LA", lossy)
    if image.mode == "1":
        return _Stored(np.asarray(image).astype(np.uint8), False, lossy)
    if image.mode == "L" and header.depth in (2, 4):  # Pillow spreads them over 0..255
        return _Stored(np.asarray(image) // (255 // ((1 << header.depth) - 1)), False, lossy)
    if image.mode in ("L", "P", "RGB") or image.mode.startswith("I;16"):
        return _Stored(np.asarray(image), image.mode == "L", lossy)
    raise ValueError(f"mask with pixels of mode {image.mode} (write class numbers as a palette PNG)")


def _numbers(values: np.ndarray, grey: bool, colours: Mapping[int, int]) -> Numbers:
    if values.ndim == 3:
        return _by_colour(values, colours)
    if values.dtype == np.uint8:
        return Numbers(np.ascontiguousarray(values), grey, ())
    large = values > 255
    found = tuple(str(value) for value in np.unique(values[large])[:MOST_TOLD].tolist())
    return Numbers(np.where(large, 0, values).astype(np.uint8), False, found)


def _by_colour(values: np.ndarray, colours: Mapping[int, int]) -> Numbers:
    if not colours:
        raise _WholeError(NO_TABLE)
    red, green, blue = np.moveaxis(values.astype(np.int32), 2, 0)
    codes = red << 16 | green << 8 | blue
    known = np.array(sorted(colours), np.int32)
    numbers = np.array([colours[code] for code in known.tolist()], np.uint8)
    places = np.searchsorted(known, codes).clip(max=len(known) - 1)
    strange = known[places] != codes
    found = tuple(f"#{code:06x}" for code in np.unique(codes[strange])[:MOST_TOLD].tolist())
    return Numbers(np.where(strange, 0, numbers[places]).astype(np.uint8), False, found)
