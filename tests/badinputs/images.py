"""Bad pictures: part A of the catalogue, with detection annotations as VOC and YOLO keep them."""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tests.badinputs import SIDE, BadInput, Command, Expected, Ground

OPENED: tuple[Command, ...] = ("load", "check", "train", "evaluate")
ALL: tuple[Command, ...] = (*OPENED, "predict")

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


def replaced(spot: Ground, suffix: str) -> tuple[Path, Image.Image]:
    """A training picture taken out of the data set, and where its successor goes."""
    victim = spot.picture()
    with Image.open(victim) as file:
        image = file.convert("RGB")
    victim.unlink()
    return victim.with_suffix(suffix), image


def recoded(spot: Ground, suffix: str, code: Code) -> str:
    """A training picture coded in another way."""
    path, image = replaced(spot, suffix)
    path.write_bytes(code(image))
    return spot.place(path)


def item(
    id: str,
    title: str,
    suffix: str,
    code: Code,
    expected: Expected,
    pattern: str = "",
    decoding: bool = False,
) -> BadInput:
    """A picture whose bytes are bad."""
    make = partial(recoded, suffix=suffix, code=code)
    return BadInput(id, title, make, expected, pattern, commands=ALL, decoding=decoding)


def skip(id: str, title: str, suffix: str, code: Code, pattern: str, decoding: bool = False) -> BadInput:
    """A picture that is left out."""
    return item(id, title, suffix, code, Expected.SKIP_FILE, pattern, decoding)


def fine(id: str, title: str, suffix: str, code: Code, pattern: str = "") -> BadInput:
    """A picture that is used, whatever looks odd about it."""
    return item(id, title, suffix, code, Expected.OK, pattern)


# Makers of bytes


def jpeg(image: Image.Image, **options: object) -> bytes:
    return encode(image, "JPEG", quality=90, **options)


def cut(share: float, format: str = "JPEG", **options: object) -> Code:
    """The first part of a file."""

    def code(image: Image.Image) -> bytes:
        data = encode(image, format, **options)
        return data[: int(share * len(data))]

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


# Makers of files with other annotations, of links and of what is no file


def annotate(spot: Ground, path: Path, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """Give a picture one object of the first class: x0 y0 x1 y1 in a picture of (width, height)."""
    name = (spot.root / "classes.txt").read_text().split()[0]
    x0, y0, x1, y1 = box
    corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
    thing = f"<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    spot.annotation(path).write_text(f"<annotation>{shape}{thing}</annotation>")


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera held so stores: the inverse of what a viewer must do."""


def turned(spot: Ground, orientation: int) -> str:
    """A wide picture stored as a camera held in that way stores it; its box reaches both far edges."""
    path, image = replaced(spot, ".png")
    image = image.crop((0, 0, SIDE, 40))
    annotate(spot, path, (40, 8, SIDE, 40), image.size)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    path.write_bytes(encode(stored, "PNG", exif=exif))
    return spot.place(path)


def sized(spot: Ground, width: int, height: int) -> str:
    """A picture of that size with one box over all of it."""
    path, image = replaced(spot, ".png")
    path.write_bytes(encode(image.resize((width, height)), "PNG"))
    annotate(spot, path, (0, 0, width, height), (width, height))
    return spot.place(path)


def instead(spot: Ground, make: Callable[[Path], None]) -> str:
    """Something else in the place of a picture."""
    path, _ = replaced(spot, ".png")
    make(path)
    return spot.place(path)


def outside(spot: Ground) -> str:
    """A picture that is a link to a file beside the data set."""
    path, image = replaced(spot, ".png")
    target = spot.root.parent / f"{spot.root.name}-beside.png"
    target.write_bytes(encode(image, "PNG"))
    path.symlink_to(target)
    return spot.place(path)


def unreadable(spot: Ground) -> str:
    path = spot.picture()
    path.chmod(0)
    return spot.place(path)


def make_socket(path: Path) -> None:
    """A socket; its path may be too long to bind, so it is bound beside and moved."""
    short = Path("/tmp") / f"neocog-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(short))
    short.rename(path)


def renamed(spot: Ground, stem: str, listed: str | None = None, suffix: str = ".png") -> str:
    """A picture and its annotations under another name; `listed` is how a split list writes it."""
    old = spot.picture()
    new, annotation = old.with_name(stem + suffix), spot.annotation(old)
    old.rename(new)
    annotation = annotation.rename(annotation.with_name(stem + annotation.suffix))
    if spot.format == "voc":
        annotation.write_text(re.sub("<filename>.*?</filename>", "", annotation.read_text()))
        lists = spot.root / "ImageSets/Main/train.txt"
        lines = lists.read_text(encoding="utf-8").splitlines()
        lines[lines.index(old.stem)] = stem if listed is None else listed
        lists.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return spot.place(new)


def two_cases(spot: Ground) -> str:
    """IMG.PNG and img.png in one folder."""
    renamed(spot, "IMG", suffix=".PNG")
    return renamed(spot, "img")


def case_matters() -> bool:
    """Whether the folder of temporary files tells IMG from img."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").touch()
        return not (Path(folder) / "A").exists()


def takes_bytes() -> bool:
    """Whether the file system takes a name that is no UTF-8."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            (Path(folder) / os.fsdecode(b"caf\xe9")).touch()
        except OSError:
            return False
        return True


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

BYTES = [
    skip("01-empty", "no bytes at all", ".jpg", lambda image: b"", "^.*empty file"),
    *(
        skip(f"02-cut-{share}", f"JPEG cut at {share} %", ".jpg", cut(share / 100), "truncated")
        for share in (2, 30, 60, 90, 98)
    ),
    skip("02-progressive", "progressive JPEG cut", ".jpg", cut(0.7, progressive=True), "truncated"),
    fine(
        "03-no-end", "JPEG without its end marker", ".jpg", lambda i: jpeg(i)[:-2], "without its end marker"
    ),
    fine(
        "04-more",
        "bytes after a JPEG's end",
        ".jpg",
        lambda i: jpeg(i) + b"phone" * 99,
        "or with bytes after",
    ),
    skip(
        "05-checksum", "PNG with a wrong checksum", ".png", flipped_checksum, "wrong checksum", decoding=True
    ),
    skip("05-cut", "PNG cut in its pixels", ".png", cut(0.5, "PNG"), "truncated"),
    skip("06-page", "an error page", ".jpg", lambda image: PAGE, r"not an image \(text\)"),
    skip(
        "06-pointer",
        "a pointer",
        ".png",
        lambda image: b"version https://git-lfs\n",
        r"not an image \(text\)",
    ),
    fine("07-name", "PNG in a .jpg name", ".jpg", lambda i: encode(i, "PNG"), "PNG content in a .jpg name"),
    *(
        skip(f"08-{name.replace(' ', '')}", f"{name} named .jpg", ".jpg", code, rf"not allowed \({name};")
        for name, code in FOREIGN.items()
    ),
    fine("10-cut-exif", "EXIF block cut", ".jpg", with_exif(b"II"), "damaged EXIF block"),
    fine("10-endless", "EXIF offset past the end", ".jpg", with_exif(EXIF_ENDLESS), "damaged EXIF block"),
    fine("11-cmyk", "CMYK JPEG", ".jpg", lambda i: jpeg(i.convert("CMYK"))),
    item("12-grey16", "16-bit grey", ".png", grey16, Expected.FIX, "16-bit grey scaled to 8 bits"),
    fine("13-bits", "one bit a pixel", ".png", lambda i: encode(i.convert("1"), "PNG")),
    fine("13-palette", "palette", ".png", lambda i: encode(i.quantize(32), "PNG")),
    fine("13-clear-palette", "palette with transparency", ".png", clear_palette),
    fine("13-la", "grey with alpha", ".png", transparent("LA")),
    fine("13-rgba", "RGB with alpha", ".png", transparent("RGBA")),
    skip("14-nan", "float TIFF with NaN", ".tif", floats(np.nan), "non-finite pixels", decoding=True),
    skip("14-inf", "float TIFF with infinity", ".tif", floats(np.inf), "non-finite pixels", decoding=True),
    skip("15-webp", "animated WebP", ".webp", several("WEBP"), "3 frames"),
    skip("15-apng", "animated PNG", ".png", several("PNG"), "3 frames"),
    skip("15-tiff", "TIFF of three pages", ".tif", several("TIFF"), "3 frames"),
    skip("15-gif", "animated GIF", ".gif", several("GIF"), r"not allowed \(GIF;"),
    skip("16-none", "0x0", ".png", lambda image: plain_png(0, 0), "without pixels"),
    skip(
        "17-bomb", "169 Mpx in 20 KB", ".png", lambda image: plain_png(13000, 13000), "169 Mpx > 50 Mpx limit"
    ),
    skip("18-text", "PNG text of 10 MB", ".png", with_middle(TEXT_CHUNK), "PNG text chunk over 1 MiB"),
    skip(
        "18-chunks", "a million chunks", ".png", with_middle(chunk(b"tIME", b"") * 10**6), "too many chunks"
    ),
    skip("19-webp", "WebP with hostile code tables", ".webp", hostile_webp, "damaged WEBP", decoding=True),
    skip("19-jpeg", "JPEG with hostile tables", ".jpg", with_huffman_overflow, "damaged JPEG", decoding=True),
    fine("20-bits", "JPEG with five bits flipped", ".jpg", scrambled),
]

SIZES = [
    BadInput(
        f"16-{width}x{height}",
        f"{width}x{height} pixels",
        partial(sized, width=width, height=height),
        Expected.OK,
        commands=ALL,
    )
    for width, height in ((1, 1), (1, 10000), (10000, 1))
]

ORIENTATIONS = [
    BadInput(
        f"09-exif-{orientation}",
        f"EXIF orientation {orientation}",
        partial(turned, orientation=orientation),
        Expected.OK,
        "" if 1 <= orientation <= 8 else f"EXIF orientation {orientation} ",
        commands=ALL,
    )
    for orientation in (*range(10), 65535)
]


def other(id: str, title: str, make: Callable[[Path], None], pattern: str, **more: object) -> BadInput:
    """Something that is no picture file, where one should be."""
    commands = OPENED if "folder" in id else ALL  # a folder is a folder to `predict`, whatever its name
    return BadInput(
        id,
        title,
        partial(instead, make=make),
        Expected.SKIP_FILE,
        pattern,
        commands=commands,
        **more,  # type: ignore[arg-type]
    )


POSIX = {"needs": lambda: hasattr(os, "mkfifo")}

FILES = [
    BadInput(
        "21-mode",
        "no right to read",
        unreadable,
        Expected.SKIP_FILE,
        "permission denied",
        commands=ALL,
        needs=lambda: hasattr(os, "geteuid") and os.geteuid() != 0,
    ),
    other("21-folder", "folder named as a picture", Path.mkdir, "not a regular file"),
    other("21-pipe", "pipe named as a picture", lambda path: os.mkfifo(path), "not a regular file", **POSIX),
    other("21-device", "device", lambda path: path.symlink_to("/dev/zero"), "not a regular file", **POSIX),
    other("21-socket", "socket named as a picture", make_socket, "not a regular file", **POSIX),
    other("22-dangling", "link to nothing", lambda path: path.symlink_to("nowhere"), "no such file"),
    other("22-loop", "link to itself", lambda path: path.symlink_to(path.name), "symbolic links"),
    BadInput(
        "22-outside",
        "link out of the data set",
        outside,
        Expected.OK,
        "link out of the data set",
        commands=OPENED,
    ),
]

LONG = "x" * 251

VOC_NAMES = {
    "space": "two words",
    "column": "cat 1",
    "emoji": "cat \U0001f408",
    "dash": "-rf",
    "percent": "100%d %s",
    "quotes": 'it\'s "quoted" & <b>',
    "long": LONG,
}
YOLO_NAMES = {**VOC_NAMES, "newline": "two\nlines", "bytes": os.fsdecode(b"caf\xe9")}


def name_item(key: str, stem: str, format: str) -> BadInput:
    """A picture of an unusual name."""
    needs = takes_bytes if key == "bytes" else (lambda: True)
    make = partial(renamed, stem=stem)
    return BadInput(
        f"23-{key}", f"name {stem[:20]!a}", make, Expected.OK, format=format, commands=ALL, needs=needs
    )


NAMES = [
    *(name_item(key, stem, "voc") for key, stem in VOC_NAMES.items()),
    BadInput(
        "23-composed",
        "accents composed in the list only",
        partial(renamed, stem="cafe\u0301", listed="caf\u00e9"),
        Expected.OK,
        commands=ALL,
    ),
    BadInput("23-cases", "IMG.PNG beside img.png", two_cases, Expected.OK, commands=ALL, needs=case_matters),
    *(name_item(key, stem, "yolo") for key, stem in YOLO_NAMES.items()),
]

ITEMS = [*BYTES, *SIZES, *ORIENTATIONS, *FILES, *NAMES]
