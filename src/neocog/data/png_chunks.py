"""PNG chunks (ISO/IEC 15948): checksums, and limits that Pillow does not set."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from neocog.data.binary import MOST_PARTS

MOST_TEXT = 1 << 20  # bytes of one text chunk, unpacked


def check_text(kind: bytes, length: int, file: BinaryIO) -> None:
    """Raise ValueError when a text chunk is, or unpacks to, more than MOST_TEXT bytes."""
    data = b"" if length > MOST_TEXT else file.read(length)
    if kind != b"tEXt" and data:
        start = data.find(b"x", data.find(b"\0"))  # a zlib stream begins with 0x78, "x"
        try:
            unpacked = zlib.decompressobj().decompress(data[start:], MOST_TEXT + 1) if start >= 0 else b""
        except zlib.error:
            unpacked = b""
        length = max(length, len(unpacked))
    if length > MOST_TEXT:
        raise ValueError("PNG text chunk over 1 MiB")


def check_chunks(data: bytes) -> None:
    """Raise ValueError when a checksum is wrong or there are too many chunks. The end is not judged."""
    position = 8
    for _ in range(MOST_PARTS):
        if position + 12 > len(data):
            return
        length = int.from_bytes(data[position : position + 4])
        end = position + 12 + length
        if end > len(data):
            return
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("damaged PNG (wrong checksum)")
        if data[position + 4 : position + 8] == b"IEND":
            return
        position = end
    raise ValueError("damaged PNG (too many chunks)")
