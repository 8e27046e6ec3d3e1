"""JPEGs that were cut, with restart markers or closed again, and whole ones that look so."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from neocog.data.images import decode_image
from neocog.data.jpeg_scans import walk

END = b"\xff\xd9"
WAYS: list[dict[str, object]] = [
    {},
    {"subsampling": 0},
    {"optimize": True},
    {"progressive": True},
    {"restart_marker_blocks": 1},
    {"restart_marker_blocks": 4},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3, "progressive": True},
]


def picture(kind: str, width: int, height: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind != "noise":
        noise[height // 2 :] = {"black": 0, "grey": 128, "white": 255}[kind]
    return noise


def encode(pixels: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def reason(data: bytes) -> str:
    try:
        decode_image(data)
    except ValueError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_cut_is_seen_whatever_follows(way: dict[str, object], mode: str) -> None:
    data = encode(picture("noise", 96, 64), mode, **way)
    start = data.index(b"\xff\xda") + 12
    page = b"<html>an error</html>"
    for cut in range(start, len(data) - 8, 97):
        for tail in (b"", END, *((page, page + END) if len(data) - cut > 400 else ())):
            assert reason(data[:cut] + tail) in ("truncated", "damaged JPEG (restart markers missing)")


@pytest.mark.parametrize("way", WAYS[4:7], ids=str)
def test_a_cut_between_two_restarts(way: dict[str, object]) -> None:
    data = encode(picture("noise", 96, 64), **way)
    for number in range(3):
        place = data.index(bytes([0xFF, 0xD0 + number]))
        assert reason(data[:place]) == reason(data[:place] + END) == "truncated"


@pytest.mark.parametrize("size", [(640, 480), (289, 257)])
def test_a_large_picture_closed_again(size: tuple[int, int]) -> None:
    data = encode(picture("noise", *size))
    for share in (0.3, 0.6, 0.9, 0.99):
        assert reason(data[: int(share * len(data))] + END) == "truncated"


def test_a_missing_restart_marker_is_damage() -> None:
    data = encode(picture("noise", 96, 64), restart_marker_blocks=4)
    assert reason(data.replace(b"\xff\xd1", b"", 1)) == "damaged JPEG (restart markers missing)"


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", ["noise", "black", "grey", "white"])
def test_whole_pictures_are_read(way: dict[str, object], mode: str, kind: str) -> None:
    for size in ((1, 1), (17, 17), (33, 16), (289, 257)):
        for quality in (10, 75, 100):
            data = encode(picture(kind, *size), mode, quality=quality, **way)
            expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            np.testing.assert_array_equal(decode_image(data), expected)


def test_a_progressive_picture_without_its_last_scans_is_cut() -> None:
    data = encode(picture("noise", 96, 64), progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    tables = [data.rfind(b"\xff\xc4", 0, at) for at in scans]
    for place in tables[1:]:
        assert reason(data[:place] + END) == "truncated"


def test_the_walk_counts_scans_and_finds_the_end() -> None:
    data = encode(picture("noise", 96, 64))
    scans = walk(data + b"more")
    assert (scans.single, scans.complete, scans.end) == (True, True, len(data) - 2)
    assert walk(data[:-2]).end is None


@pytest.mark.parametrize(
    "filler", [b"\xff", b"\xff" * 999 + b"\0", b"\xff\0", b"\xff\xd0", b"\xff\x01", b"\xff\xda\0\3\1"]
)
def test_endless_markers_take_no_time(filler: bytes) -> None:
    data = encode(picture("noise", 96, 64), restart_marker_blocks=1)
    start = time.perf_counter()
    reason(data[:-40] + filler * ((60 << 20) // len(filler)))
    assert time.perf_counter() - start < 4
