"""What the first and last bytes of a picture say, read without decoding and without trusting them.

One parser for each of the five formats that are read: JPEG (ITU-T T.81), PNG (ISO/IEC 15948), BMP, WebP
(RIFF container) and TIFF 6.0. Every function raises ValueError with a plain reason; nothing here allocates
in proportion to what a header claims.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from neocog.data.binary import (
    MOST_PARTS,
    exif_orientation,
    next_directory,
    read_directory,
    take,
    unpack,
)
from neocog.data.png_chunks import MOST_TEXT, UNPACKED, Unpacked

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
MOST_RUNS = 2_000_000  # pixels of a run-length BMP, which Pillow decodes in Python
MOST_TILE = 1 << 26  # pixels of a TIFF tile: memory is taken for all of one, however small the picture

SCALED = "16-bit grey scaled to 8 bits (value / 257, rounded)"


@dataclass(frozen=True, slots=True)
class Header:
    """A picture as stored, before rotation."""

    format: str  # JPEG, PNG, BMP, WEBP or TIFF
    width: int
    height: int
    orientation: int = 1  # EXIF 1..8
    frames: int = 1
    complete: bool = True  # False: the end is not where it should be, so only decoding can tell
    single_scan: bool = False  # JPEG whose every pixel lies in one sequential scan
    metadata: tuple[tuple[int, int], ...] = ()  # JPEG: byte ranges that no pixel needs
    depth: int = 0  # PNG: bits of a value
    fixed: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()


def read_header(file: BinaryIO) -> Header:
    """The header of a seekable file. Raises ValueError with why it is none, as "not an image (text)"."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise ValueError("empty file")
    file.seek(0)
    head = file.read(512)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(file, size)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(file, size)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp(file, size)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(file, size)
    if head.startswith(b"BM") and b"\0" in head:
        return _bmp(file, size)
    raise ValueError(_refusal(head))


_OTHERS = (
    (b"GIF8", "GIF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "PSD"),
    (b"SIMPLE  =", "FITS"),
    (b"%PDF", "PDF"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"DDS ", "DDS"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
)


def _refusal(head: bytes) -> str:
    """Why bytes that begin like this are not read."""
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return f"format not allowed ({name}; allowed: JPEG, PNG, BMP, WebP, TIFF)"
    if b"<svg" in head.lower():
        return "format not allowed (SVG; allowed: JPEG, PNG, BMP, WebP, TIFF)"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head):
        return "not an image (text)"
    return "format not allowed (unknown; allowed: JPEG, PNG, BMP, WebP, TIFF)"


def _jpeg(file: BinaryIO, size: int) -> Header:
    header = Header("JPEG", 0, 0)
    metadata: list[tuple[int, int]] = []
    position, sequential, components, turned = 2, False, 0, False
    for _ in range(MOST_PARTS):
        file.seek(position)
        mark, kind = unpack(">BB", file)
        if mark != 0xFF:
            raise ValueError("damaged JPEG header")
        if kind == 0xFF:  # a fill byte
            position += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:  # stands alone, has no length
            position += 2
            continue
        (length,) = unpack(">H", file)
        end = position + 2 + length
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            _, height, width, components = unpack(">BHHB", file)
            header, sequential = replace(header, width=width, height=height), kind in (0xC0, 0xC1)
        elif kind in (0xE1, 0xE2, 0xFE):  # EXIF and XMP, ICC and MPF, comments
            metadata.append((position, end))
            if kind == 0xE1 and length >= 8 and not turned and file.read(6) == b"Exif\0\0":
                header, turned = _rotated(header, file.read(length - 8)), True
        elif kind in (0xD9, 0xDA):
            break
        position = end
    else:
        raise ValueError("damaged JPEG header (too many segments)")
    if kind == 0xD9 or not components:
        raise ValueError("damaged JPEG header (no picture)")
    scanned = take(file, 1)[0]
    file.seek(max(size - 2, 0))
    return replace(
        header,
        complete=file.read(2) == b"\xff\xd9",
        single_scan=sequential and scanned == components,
        metadata=tuple(metadata),
    )


def _png(file: BinaryIO, size: int) -> Header:
    file.seek(8)
    length, kind = unpack(">I4s", file)
    if kind != b"IHDR" or length != 13:
        raise ValueError("damaged PNG header")
    width, height, depth, colour = unpack(">IIBB", file)
    header = Header("PNG", width, height, depth=depth, fixed=(SCALED,) if (depth, colour) == (16, 0) else ())
    position, turned, unpacked = 8 + 12 + 13, False, Unpacked()
    for _ in range(MOST_PARTS):
        file.seek(position)
        length, kind = unpack(">I4s", file)
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"acTL":
            header = replace(header, frames=max(unpack(">I", file)[0], 2))
        elif kind == b"eXIf" and not turned:
            header, turned = _rotated(header, file.read(min(length, 1 << 16))), True
        elif kind in UNPACKED:
            unpacked.add(kind, length, file.read(min(length, MOST_TEXT)))
        position += 12 + length
    else:
        raise ValueError("damaged PNG (too many chunks)")
    file.seek(max(size - 12, 0))
    return replace(header, complete=file.read(12) == PNG_END)


def _webp(file: BinaryIO, size: int) -> Header:
    file.seek(4)
    declared = unpack("<I", file)[0] + 8
    header = Header("WEBP", 0, 0, complete=size >= declared)
    position, frames, turned = 12, 0, False
    for _ in range(MOST_PARTS):
        if position + 8 > min(size, declared):
            break
        file.seek(position)
        kind, length = file.read(4), unpack("<I", file)[0]
        if kind == b"VP8X":
            canvas = take(file, 10)
            width, height = int.from_bytes(canvas[4:7], "little"), int.from_bytes(canvas[7:10], "little")
            header = replace(header, width=width + 1, height=height + 1)
        elif kind == b"VP8 " and not header.width:
            _, width, height = struct.unpack("<6sHH", take(file, 10))
            header = replace(header, width=width & 0x3FFF, height=height & 0x3FFF)
        elif kind == b"VP8L" and not header.width:
            bits = int.from_bytes(take(file, 5)[1:], "little")
            header = replace(header, width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF" and not turned:
            exif = file.read(min(length, 1 << 16)).removeprefix(b"Exif\0\0")
            header, turned = _rotated(header, exif), True
        position += 8 + length + length % 2
    else:
        raise ValueError("damaged WebP (too many chunks)")
    return replace(header, frames=max(frames, 1))


def _bmp(file: BinaryIO, size: int) -> Header:
    file.seek(10)
    start, length = unpack("<II", file)
    if length == 12:
        width, height, _, bits = unpack("<HHHH", file)
        compression = 0
    else:
        width, height, _, bits, compression = unpack("<iiHHI", file)
    height = abs(height)
    if compression in (1, 2) and width * height > MOST_RUNS:
        raise ValueError(
            f"run-length BMP of {width * height / 1e6:.0f} Mpx > {MOST_RUNS / 1e6:.0f} Mpx limit"
        )
    plain = compression in (0, 3, 6)  # rows of fixed length
    complete = plain and start + (width * bits + 31) // 32 * 4 * height <= size
    return Header("BMP", max(width, 0), height, complete=complete)


_TIFF_TAGS = frozenset([256, 257, 258, 273, 274, 277, 279, 322, 323, 324, 325, 339])


def _tiff(file: BinaryIO, size: int) -> Header:
    file.seek(0)
    order = "<" if file.read(4).startswith(b"II") else ">"
    (offset,) = unpack(order + "I", file)
    tags, following = read_directory(file, order, offset, _TIFF_TAGS)
    frames, seen = 1, {offset}
    while following and following not in seen and frames < MOST_PARTS:
        seen.add(following)
        frames += 1
        try:
            following = next_directory(file, order, following)
        except ValueError:
            break
    one = {tag: int(values[0]) for tag, values in tags.items() if len(values)}
    none = np.zeros(0, np.int64)
    starts, lengths = tags.get(273, tags.get(324, none)), tags.get(279, tags.get(325, none))
    shared = min(len(starts), len(lengths))
    if not shared or (starts[:shared] + lengths[:shared]).max() > size:
        raise ValueError("truncated")
    if one.get(322, 0) * one.get(323, 0) > MOST_TILE:
        raise ValueError(f"damaged TIFF (a tile of {one[322]}x{one[323]})")
    grey16 = one.get(258) == 16 and one.get(277, 1) == 1 and one.get(339, 1) == 1
    fixed = (SCALED,) if grey16 else ()
    return _oriented(
        Header("TIFF", one.get(256, 0), one.get(257, 0), frames=frames, fixed=fixed), one.get(274, 1)
    )


def _rotated(header: Header, exif: bytes) -> Header:
    """The header turned as its EXIF block says; a damaged block counts as orientation 1."""
    try:
        orientation = exif_orientation(exif)
    except ValueError:
        return replace(header, noted=(*header.noted, "damaged EXIF block (read as orientation 1)"))
    return _oriented(header, orientation)


def _oriented(header: Header, orientation: int) -> Header:
    if 1 <= orientation <= 8:
        return replace(header, orientation=orientation)
    return replace(header, noted=(*header.noted, f"EXIF orientation {orientation} (read as 1)"))
