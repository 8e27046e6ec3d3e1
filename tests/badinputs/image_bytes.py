"""Bytes of bad, odd and hostile pictures, made from a good one."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Code = Callable[[Image.Image], bytes]


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def plain_png(width: int, height: int, middle: bytes = b"") -> bytes:
    """A black PNG of one bit a pixel, with chunks between header and pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(b"\0" * ((width + 7) // 8 + 1)) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(image: Image.Image, **options: object) -> bytes:
    return encode(image, "JPEG", quality=90, **options)


def cut(share: float, format: str = "JPEG", end: bytes = b"", **options: object) -> Code:
    """The first part of a file, and what follows it."""

    def code(image: Image.Image) -> bytes:
        data = encode(image, format, **options)
        return data[: int(share * len(data))] + end

    return code


def flipped_checksum(image: Image.Image) -> bytes:
    data = bytearray(encode(image, "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    return bytes(data)


def with_huffman_overflow(image: Image.Image) -> bytes:
    """A JPEG whose first Huffman table claims more codes than a byte can name."""
    data = bytearray(jpeg(image))
    start = data.index(b"\xff\xc4") + 5
    data[start : start + 16] = b"\xff" * 16
    return bytes(data)


def hostile_webp(image: Image.Image) -> bytes:
    """Lossless WebP with nonsense for its code tables, where CVE-2023-4863 lay."""
    size = (image.width - 1) | (image.height - 1) << 14
    body = b"\x2f" + struct.pack("<I", size) + b"\xff" * 45
    part = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(part) + 4) + b"WEBP" + part


def scrambled(image: Image.Image) -> bytes:
    """A JPEG with five bits of its pixels flipped that decodes all the same, as nearly all do."""
    data = jpeg(image)
    start = data.index(b"\xff\xda") + 14
    for seed in range(100):
        spoiled = bytearray(data)
        for at in np.random.default_rng(seed).integers(start * 8, (len(data) - 2) * 8, 5).tolist():
            spoiled[at // 8] ^= 1 << at % 8
        try:
            with Image.open(io.BytesIO(spoiled)) as file:
                file.load()
        except OSError:
            continue
        return bytes(spoiled)
    raise AssertionError("no five bits leave it readable")


def with_exif(damage: bytes) -> Code:
    """A JPEG with an EXIF block of these bytes."""

    def code(image: Image.Image) -> bytes:
        data = jpeg(image)
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(damage)) + b"Exif\0\0" + damage + data[2:]

    return code


def several(format: str) -> Code:
    """A file of three frames."""

    def code(image: Image.Image) -> bytes:
        frames = [image.rotate(90 * turn) for turn in (1, 2)]
        return encode(image, format, save_all=True, append_images=frames)

    return code


def with_middle(*chunks: bytes) -> Code:
    """A small PNG with chunks before its pixels."""
    return lambda image: plain_png(image.width, image.height, b"".join(chunks))


def grey16(image: Image.Image) -> bytes:
    return encode(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


def floats(bad: float) -> Code:
    """A TIFF of float pixels, one of them `bad`."""

    def code(image: Image.Image) -> bytes:
        values = np.asarray(image.convert("L")).astype(np.float32)
        values[0, 0] = bad
        return encode(Image.fromarray(values), "TIFF")

    return code


def transparent(mode: str) -> Code:
    """A PNG that shows the picture where it is opaque: everywhere but in a corner."""

    def code(image: Image.Image) -> bytes:
        alpha = Image.new("L", image.size, 255)
        alpha.paste(0, (0, 0, 4, 4))
        image = image.convert(mode.rstrip("A"))
        image.putalpha(alpha)
        return encode(image, "PNG")

    return code


def clear_palette(image: Image.Image) -> bytes:
    return encode(image.quantize(32), "PNG", transparency=0)


FOREIGN: dict[str, Code] = {
    "GIF": lambda image: encode(image, "GIF")[:-40],  # its last sub-block reaches past the end
    "EPS": lambda image: encode(image, "EPS"),
    "PSD": lambda image: b"8BPS\0\1" + b"\0" * 40,
    "FITS": lambda image: b"SIMPLE  =                    T" + b" " * 80,
    "PDF": lambda image: encode(image, "PDF"),
    "ICO": lambda image: encode(image, "ICO"),
    "SVG": lambda image: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "JPEG 2000": lambda image: encode(image, "JPEG2000"),
    "DDS": lambda image: encode(image, "DDS"),
}

TEXT_CHUNK = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 10_000_000))
PAGE = b"<!DOCTYPE html><html><body>404 not found</body></html>"
EXIF_ENDLESS = b"II*\0\xff\xff\xff\xff"
