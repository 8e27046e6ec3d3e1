"""PNG chunks (ISO/IEC 15948): checksums, and limits that Pillow does not set."""

from __future__ import annotations

import zlib

from neocog.data.binary import MOST_PARTS

MOST_TEXT = 1 << 20  # bytes of one packed or plain text or colour profile, unpacked
MOST_TEXTS = 16 << 20  # of all of them: each is unpacked again by Pillow
UNPACKED = {b"tEXt": "text chunk", b"zTXt": "text chunk", b"iTXt": "text chunk", b"iCCP": "colour profile"}
"""Chunks that hold, or unpack to, as many bytes as they like, and what to call them."""


class Unpacked:
    """Counts what the texts of one file unpack to."""

    def __init__(self) -> None:
        self._total = 0

    def add(self, kind: bytes, length: int, data: bytes) -> None:
        """A chunk of `UNPACKED`: its stated length, what is there of it. Raises ValueError over a limit."""
        if kind != b"tEXt" and length <= MOST_TEXT:
            start = data.find(b"x", data.find(b"\0"))  # a zlib stream begins with 0x78, "x"
            try:
                unpacked = zlib.decompressobj().decompress(data[start:], MOST_TEXT + 1) if start >= 0 else b""
            except zlib.error:
                unpacked = b""
            length = max(length, len(unpacked))
        if length > MOST_TEXT:
            raise ValueError(f"PNG {UNPACKED[kind]} over 1 MiB")
        self._total += length
        if self._total > MOST_TEXTS:
            raise ValueError("PNG text chunks over 16 MiB")


def check_chunks(data: bytes) -> None:
    """Raise ValueError when a checksum is wrong, texts are too long, or there are too many chunks.

    The end is not judged.
    """
    position, unpacked = 8, Unpacked()
    for _ in range(MOST_PARTS):
        if position + 12 > len(data):
            return
        length = int.from_bytes(data[position : position + 4])
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            return
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("damaged PNG (wrong checksum)")
        if kind == b"IEND":
            return
        if kind in UNPACKED:
            unpacked.add(kind, length, data[position + 8 : end - 4])
        position = end
    raise ValueError("damaged PNG (too many chunks)")
