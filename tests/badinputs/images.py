"""Bad pictures: part A of the catalogue, with detection annotations as VOC and YOLO keep them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tests.badinputs import SIDE, BadInput, Command, Expected, Ground
from tests.badinputs.image_bytes import (
    EXIF_ENDLESS,
    FOREIGN,
    PAGE,
    TEXT_CHUNK,
    Code,
    chunk,
    clear_palette,
    cut,
    encode,
    flipped_checksum,
    floats,
    grey16,
    hostile_webp,
    jpeg,
    plain_png,
    scrambled,
    several,
    transparent,
    with_exif,
    with_huffman_overflow,
    with_middle,
)

OPENED: tuple[Command, ...] = ("load", "check", "train", "evaluate")
ALL: tuple[Command, ...] = (*OPENED, "predict")


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


BYTES = [
    skip("01-empty", "no bytes at all", ".jpg", lambda image: b"", "^.*empty file"),
    *(
        skip(f"02-cut-{share}", f"JPEG cut at {share} %", ".jpg", cut(share / 100), "truncated")
        for share in (2, 30, 60, 90, 98)
    ),
    skip("02-progressive", "progressive JPEG cut", ".jpg", cut(0.7, progressive=True), "truncated"),
    skip("02-restarts", "JPEG cut between restarts", ".jpg", cut(0.6, restart_marker_blocks=1), "truncated"),
    skip(
        "02-closed", "JPEG cut, closed again", ".jpg", cut(0.6, end=b"\xff\xd9"), "truncated", decoding=True
    ),
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
