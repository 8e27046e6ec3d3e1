"""One decoder: right pixels for every kind of file that is allowed, one line for every other."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from neocog.data.images import decode_image, probe_image, read_image
from neocog.errors import DataError

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}


def smooth(width: int = 48, height: int = 36) -> np.ndarray:
    """A picture that survives JPEG nearly unchanged, different in each corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack([x, y, (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    """Why a file is refused: the same by probing and by reading, on one line that names it."""
    with pytest.raises(DataError) as read:
        read_image(path)
    with pytest.raises(DataError) as probed:
        probe_image(path)
    assert str(read.value) == str(probed.value)
    assert str(read.value).startswith(f"{path}: ") and "\n" not in str(read.value)
    return str(read.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("format", FORMATS)
def test_every_allowed_format(format: str, tmp_path: Path) -> None:
    data = encode(Image.fromarray(smooth()), format)
    path = write(tmp_path / f"a{FORMATS[format]}", data)
    info = probe_image(path)
    assert (info.width, info.height, info.format, info.fixed, info.noted) == (48, 36, format, (), ())
    pixels = read_image(path)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [*range(10), 65535])
def test_exif_orientation_is_applied_once(format: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(smooth()), format, exif=exif)
    path = write(tmp_path / f"a{FORMATS[format]}", data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)
    info = probe_image(path)
    assert (info.height, info.width) == expected.shape[:2]
    assert bool(info.noted) == (not 1 <= orientation <= 8)


@pytest.mark.parametrize(
    "damage", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x05", b"nonsense"]
)
def test_damaged_exif_counts_as_upright(damage: bytes, tmp_path: Path) -> None:
    plain = encode(Image.fromarray(smooth()), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 8 + len(damage)) + b"Exif\0\0" + damage
    path = write(tmp_path / "a.jpg", plain[:2] + segment + plain[2:])
    np.testing.assert_array_equal(read_image(path), decode_image(plain))
    assert probe_image(path).noted == ("damaged EXIF block (read as orientation 1)",)


def test_exif_is_read_past_other_damaged_tags(tmp_path: Path) -> None:
    entries = struct.pack("<HHII", 0x0110, 1, 99, 1 << 30) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    block = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + b"\0" * 4
    plain = encode(Image.fromarray(smooth()), "JPEG")
    path = write(
        tmp_path / "a.jpg", plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + plain[2:]
    )
    assert probe_image(path).height == 48
    np.testing.assert_array_equal(read_image(path), np.rot90(decode_image(plain), -1))


def test_zero_bytes(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.jpg", b"")) == "empty file"


@pytest.mark.parametrize("progressive", [False, True])
def test_cut_jpeg_is_never_filled_with_grey(progressive: bool, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", progressive=progressive)
    for share in np.linspace(0.02, 0.99, 50):
        path = write(tmp_path / "a.jpg", data[: int(share * len(data))])
        assert "truncated" in refusal(path)


def test_jpeg_without_end_marker_but_with_all_pixels(tmp_path: Path) -> None:
    data = encode(Image.fromarray(smooth()), "JPEG")
    assert data.endswith(b"\xff\xd9")
    path = write(tmp_path / "a.jpg", data[:-2])
    np.testing.assert_array_equal(read_image(path), decode_image(data))
    assert "end marker" in probe_image(path).noted[0]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_bytes_after_the_end_are_ignored(format: str, tmp_path: Path) -> None:
    data = encode(Image.fromarray(smooth()), format)
    path = write(tmp_path / f"a{FORMATS[format]}", data + b"a phone's own notes" * 50)
    np.testing.assert_array_equal(read_image(path), decode_image(data))
    assert "end marker" in probe_image(path).noted[0]


def test_first_picture_of_a_multi_picture_jpeg(tmp_path: Path) -> None:
    first, second = Image.fromarray(smooth()), Image.fromarray(smooth()[::-1])
    data = encode(first, "MPO", save_all=True, append_images=[second])
    path = write(tmp_path / "a.jpg", data)
    np.testing.assert_array_equal(read_image(path), decode_image(encode(first, "JPEG")))
    assert probe_image(path).format == "JPEG"


def test_png_damage(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "PNG")
    assert refusal(write(tmp_path / "cut.png", data[: len(data) // 2])) == "truncated"
    flipped = bytearray(data)
    flipped[data.index(b"IDAT") + 100] ^= 1
    with pytest.raises(DataError, match="wrong checksum"):
        read_image(write(tmp_path / "flipped.png", bytes(flipped)))


def test_text_and_forbidden_formats(tmp_path: Path) -> None:
    image = Image.fromarray(smooth())
    page = b"<!DOCTYPE html><html><body>404 not found</body></html>"
    assert refusal(write(tmp_path / "a.jpg", page)) == "not an image (text)"
    assert refusal(write(tmp_path / "b.jpg", b"version https://git-lfs\n")) == "not an image (text)"
    heads = {"GIF": encode(image, "GIF"), "EPS": encode(image, "EPS"), "PDF": encode(image, "PDF")}
    heads |= {
        "ICO": encode(image, "ICO"),
        "JPEG 2000": encode(image, "JPEG2000"),
        "DDS": encode(image, "DDS"),
    }
    heads |= {"PSD": b"8BPS\0\1" + b"\0" * 40, "FITS": b"SIMPLE  =                    T" + b" " * 80}
    heads |= {
        "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "unknown": bytes(range(256)),
    }
    for name, data in heads.items():
        reason = refusal(write(tmp_path / "c.jpg", data))
        assert reason == f"format not allowed ({name}; allowed: JPEG, PNG, BMP, WebP, TIFF)"


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", encode(Image.fromarray(smooth()), "PNG"))
    np.testing.assert_array_equal(read_image(path), smooth())
    assert probe_image(path).noted == ("PNG content in a .jpg name",)


def test_cmyk_and_inverted_cmyk(tmp_path: Path) -> None:
    # The textbook formula is the reference: R = 255 (1 - C)(1 - K), and so on.
    cmyk = np.stack([smooth()[..., 0], smooth()[..., 1], smooth()[..., 2], smooth()[..., 0] // 3], axis=-1)
    inks = cmyk.astype(np.float64) / 255
    expected = 255 * (1 - inks[..., :3]) * (1 - inks[..., 3:])
    image = Image.fromarray(cmyk, "CMYK")
    jpeg = encode(image, "JPEG", quality=100, subsampling=0)  # Pillow writes Adobe's inverted form
    assert np.abs(decode_image(jpeg) - expected).max() <= 3
    assert np.abs(decode_image(encode(image, "TIFF")) - expected).max() <= 1


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257], [40000, 65407, 65406, 65535]], np.uint16)
    expected = np.round(values / 257).astype(np.uint8)
    for format in ("PNG", "TIFF"):
        path = write(tmp_path / f"a{FORMATS[format]}", encode(Image.fromarray(values), format))
        np.testing.assert_array_equal(read_image(path), np.repeat(expected[..., None], 3, axis=2))
        assert probe_image(path).fixed == ("16-bit grey scaled to 8 bits (value / 257, rounded)",)


def test_transparency_lies_on_white() -> None:
    red = np.zeros((2, 2, 4), np.uint8)
    red[..., 0] = 255
    red[0, 0, 3], red[0, 1, 3] = 255, 128
    expected = np.full((2, 2, 3), 255, np.uint8)
    expected[0, 0] = (255, 0, 0)
    expected[0, 1] = (255, 127, 127)
    for format in ("PNG", "TIFF"):
        np.testing.assert_allclose(decode_image(encode(Image.fromarray(red), format)), expected, atol=1)
    grey = np.array([[[0, 255], [0, 0]]], np.uint8)
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(grey, "LA"), "PNG"))[0, :, 0], [0, 255])


def test_palettes_and_single_bits() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    np.testing.assert_array_equal(decode_image(encode(palette, "PNG")), [[[255, 0, 0], [0, 0, 255]]])
    clear = encode(palette, "PNG", transparency=b"\0\xff")
    np.testing.assert_array_equal(decode_image(clear), [[[255, 255, 255], [0, 0, 255]]])
    bits = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(decode_image(encode(bits, "PNG"))[0, :, 0], [255, 0])


@pytest.mark.parametrize(
    ("depth", "colour", "row", "clear", "opaque"),
    [
        (1, 0, b"\x40", (0,), 255),
        (2, 0, b"\x4c", (1,), 0),
        (4, 0, b"\x4c", (4,), 204),
        (8, 2, bytes([200, 0, 0, 9, 9, 9]), (200, 0, 0), 9),
        (16, 2, struct.pack(">6H", 40000, 0, 0, 2313, 2313, 2313), (40000, 0, 0), 9),
    ],
)
def test_a_transparent_colour_of_any_depth(
    depth: int, colour: int, row: bytes, clear: tuple[int, ...], opaque: int
) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0))
    middle = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    body = chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    pixels = decode_image(b"\x89PNG\r\n\x1a\n" + head + middle + body)
    np.testing.assert_array_equal(pixels, [[[255] * 3, [opaque] * 3]])


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_probing_and_reading_turn_a_tiff_alike(kind: int, tmp_path: Path) -> None:
    pixels = bytes([10, 20, 30] * 6)
    entries = [(256, 3, 3), (257, 3, 2), (258, 3, 8), (259, 3, 1), (262, 3, 2), (273, 4, 8 + 2 + 120 + 4)]
    entries += [(274, kind, 6), (277, 3, 3), (278, 3, 2), (279, 4, len(pixels))]
    body = b"".join(struct.pack("<HHII", tag, type_, 1, value) for tag, type_, value in entries)
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + bytes(4) + pixels
    path = write(tmp_path / "a.tif", data)
    info = probe_image(path)
    assert (info.height, info.width) == read_image(path).shape[:2] == ((2, 3) if kind == 1 else (3, 2))


def test_float_pixels(tmp_path: Path) -> None:
    values = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"^float pixels"):
        decode_image(encode(Image.fromarray(values), "TIFF"))
    for bad in (np.nan, np.inf):
        values[0, 0] = bad
        with pytest.raises(ValueError, match=r"^non-finite pixels$"):
            decode_image(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_several_frames(format: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(smooth(), shift, axis=0)) for shift in range(3)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    assert refusal(write(tmp_path / "a", data)) == "3 frames (only single pictures are read)"


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_thin_pictures(size: tuple[int, int], tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", encode(Image.new("RGB", size), "PNG"))
    assert read_image(path).shape == (size[1], size[0], 3)
    assert probe_image(path).width == size[0]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, middle: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    row = zlib.compress(b"\0" * min(((width + 7) // 8 + 1) * height, 1 << 25))
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def test_no_pixels(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.png", png(0, 5))) == "picture without pixels"


def test_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", png(13000, 13000))
    assert path.stat().st_size < 50_000
    tracemalloc.start()
    assert refusal(path) == "169 Mpx > 50 Mpx limit"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_hostile_chunks_are_refused_quickly(tmp_path: Path) -> None:
    start = time.perf_counter()
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 10_000_000))
    assert refusal(write(tmp_path / "a.png", png(8, 8, text))) == "PNG text chunk over 1 MiB"
    assert "too many chunks" in refusal(write(tmp_path / "b.png", png(8, 8, chunk(b"tIME", b"") * 1_000_000)))
    assert time.perf_counter() - start < 2


def test_file_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    assert refusal(path) == "65 MiB > 64 MiB limit"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    assert refusal(tmp_path / "folder.jpg") == "not a regular file"
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    assert refusal(tmp_path / "dangling.jpg") == "no such file or directory"
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert "symbolic links" in refusal(tmp_path / "loop.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    reasons: list[str] = []
    reader = threading.Thread(target=lambda: reasons.append(refusal(tmp_path / "pipe.jpg")), daemon=True)
    reader.start()
    reader.join(5)
    assert reasons == ["not a regular file"]


def test_odd_names_stay_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines.jpg"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"two\\nlines.jpg: empty file$"):
        read_image(path)


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    read_image(write(tmp_path / "a.tif", encode(Image.fromarray(smooth()), "TIFF")))
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) and not before[0]


SEEDS = [
    encode(Image.fromarray(smooth()), format, **options)
    for format, options in [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ]
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    st.integers(1, 5000),
)
def test_damage_is_a_reason_and_never_a_crash(seed: bytes, changes: list[tuple[int, int]], keep: int) -> None:
    data = bytearray(seed[:keep])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        pixels = decode_image(bytes(data))
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
