"""Picture files to pixels: the one decoder that every command uses.

Allowed are JPEG, PNG, BMP, WebP and TIFF, told by their first bytes and never by the file's name. A picture
comes out as it is meant to be seen: turned as its EXIF orientation says (once; an invalid or damaged
orientation counts as 1), CMYK and YCCK as RGB, 16-bit grey scaled by 1/257, and anything transparent laid on
`BACKGROUND`, white. What cannot be shown whole is refused: a truncated file is never filled with grey.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from neocog.data.files import SUFFIXES, open_regular
from neocog.data.headers import Header, read_header
from neocog.data.jpeg_scans import Scans, walk
from neocog.data.png_chunks import check_chunks

MOST_PIXELS = 50_000_000
BACKGROUND = (255, 255, 255)
_CUT = ("truncated", "not enough image data")  # what Pillow says of a file that ends too early
_END = b"\xff\xd9"
_FILLS = (b"\0", b"\x55", b"\xaa")
LEAST_SUSPECT = 1 << 16
"""Pixels: a smaller JPEG is always held against itself with more bytes."""
MOST_FILLERS = 1 << 20
MOST_SCANNED = 1_000_000_000
"""Pixels times scans of a JPEG: each scan of a progressive one passes over all pixels, however short."""

Taken = TypeVar("Taken")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of a picture file without decoding it."""

    width: int  # as shown, after EXIF rotation
    height: int
    format: str  # JPEG, PNG, BMP, WEBP or TIFF, by content
    fixed: tuple[str, ...] = ()  # what reading changes, such as the scaling of 16-bit grey
    noted: tuple[str, ...] = ()  # oddities that do no harm


def probe_image(path: Path) -> ImageInfo:
    """Size and format from the first and last bytes; decodes only when the end is not where it should be.

    Raises DataError `path: reason` for what `read_image` would refuse and the header or the tail shows.
    """
    with open_regular(path) as file:
        header = checked(read_header(file))
        noted = header.noted
        if not header.complete:
            file.seek(0)
            _decode(file.read(), header)
            noted = (*noted, f"{header.format} without its end marker, or with bytes after it")
    if path.suffix.lower() not in SUFFIXES[header.format]:
        noted = (*noted, f"{header.format} content in a {path.suffix or 'suffix-less'} name")
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    return ImageInfo(width, height, header.format, header.fixed, noted)


def read_image(path: Path) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, upright and opaque.

    Raises DataError `path: reason`: not a picture, a format not allowed, truncated or damaged, more than one
    frame, more than 64 MiB or 50 megapixels, or pixels without an agreed range (float, 32-bit).
    """
    with open_regular(path) as file:
        return decode_image(file.read())


def decode_image(data: bytes) -> np.ndarray:
    """`read_image` of bytes in memory. Raises ValueError with the reason."""
    header = checked(read_header(io.BytesIO(data)))
    if header.format == "PNG":
        check_chunks(data)
    pixels = _decode(data, header)
    # Pillow turns TIFF by itself while loading.
    return pixels if header.format == "TIFF" else turned(pixels, header.orientation)


def checked(header: Header) -> Header:
    """The header, if what it promises may be decoded."""
    pixels = header.width * header.height
    if pixels == 0:
        raise ValueError("picture without pixels")
    if pixels > MOST_PIXELS:
        raise ValueError(f"{pixels / 1e6:.0f} Mpx > {MOST_PIXELS / 1e6:.0f} Mpx limit")
    if header.frames > 1:
        raise ValueError(f"{header.frames} frames (only single pictures are read)")
    return header


def _decode(data: bytes, header: Header) -> np.ndarray:
    """Stored pixels as RGB, not yet turned."""
    return (
        _jpeg(_without(data, header.metadata), header) if header.format == "JPEG" else _pillow(data, header)
    )


def _jpeg(data: bytes, header: Header) -> np.ndarray:
    """The pixels of a JPEG that holds all of them; what libjpeg misses it would fill with grey."""
    scans = walk(data)
    _check_cost(data[: scans.end], header)
    if scans.end is None:
        if not (scans.single and _whole(data, header)):
            raise ValueError("truncated")
        return _pillow(data + _END, header)
    if not scans.complete:
        raise ValueError("truncated")
    pixels = _pillow(data, header)
    if _suspect(pixels, scans) and not _whole(data[: scans.end], header, pixels):
        raise ValueError("truncated")
    return pixels


def _check_cost(data: bytes, header: Header) -> None:
    """Refuse a JPEG with far too few bytes for its pixels, or with far too many passes over them.

    A block of 8 x 8 takes two bits at least, and the component that is stored smallest has a sixteenth of the
    blocks. Fill bytes are passed over one by one, sixteen million a second.
    """
    blocks = -(-header.width // 8) * -(-header.height // 8)
    if header.single_scan and len(data) * 8 < 2 * blocks // 16:
        raise ValueError("truncated")
    scans = data.count(b"\xff\xda")
    if scans * header.width * header.height > MOST_SCANNED:
        raise ValueError(f"damaged JPEG ({scans} scans)")
    if data.count(b"\xff\xff") > MOST_FILLERS:
        raise ValueError("damaged JPEG (endless fill bytes)")


def _without(data: bytes, ranges: tuple[tuple[int, int], ...]) -> bytes:
    """Data with some byte ranges cut out."""
    edges = [0, *(edge for span in ranges for edge in span), len(data)]
    return b"".join(data[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))


def _suspect(pixels: np.ndarray, scans: Scans) -> bool:
    """Whether the last pixels of a JPEG with an end marker may be missing: only then is it decoded again.

    A block that is not there is grey of 128, and the last pixel always lies in the last block. The colour may
    be blended with that of the block before; the brightness is not. Small pictures cost next to nothing, and
    where the last scan holds one component or one bit of each pixel, what misses shows in other ways.
    """
    if scans.arithmetic:
        return False
    small = pixels.size <= 3 * LEAST_SUSPECT
    brightness = float(pixels[-1, -1] @ (0.299, 0.587, 0.114))
    return small or not scans.single or len(scans.factors) > 3 or abs(brightness - 128) < 3


def _whole(data: bytes, header: Header, pixels: np.ndarray | None = None) -> bool:
    """Whether a JPEG without its end marker holds every pixel: then what is appended changes none of them."""
    try:
        first = _pillow(data + _END, header) if pixels is None else pixels
        large = header.width * header.height > LEAST_SUSPECT
        fills = _FILLS[-1:] if large and not header.single_scan else _FILLS  # several scans take their time
        return all(np.array_equal(first, _pillow(data + fill * 64 + _END, header)) for fill in fills)
    except ValueError:
        return False


def _pillow(data: bytes, header: Header) -> np.ndarray:
    """The pixels that Pillow decodes, as RGB."""
    return with_pillow(data, header, _shown)


def with_pillow(data: bytes, header: Header, take: Callable[[Image.Image, Header], Taken]) -> Taken:
    """What `take` makes of a picture that Pillow decodes, which sees only the format that the header showed.

    Raises ValueError with the reason.
    """
    try:
        # TIFF is the only decoder left that warns of harmless tags.
        with warnings.catch_warnings(action="ignore") if header.format == "TIFF" else nullcontext():  # noqa: SIM117
            with Image.open(io.BytesIO(data), formats=[header.format]) as image:
                if image.width * image.height != header.width * header.height:
                    raise ValueError("damaged header (two sizes)")
                image.load()
                return take(image, header)
    except UnidentifiedImageError as error:
        raise ValueError(f"damaged {header.format} header") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders fail in many ways; each means that this file cannot be read
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        cut = any(word in reason.lower() for word in _CUT) or isinstance(error, EOFError)
        if isinstance(error, ValueError) and not cut:
            raise ValueError(reason) from error
        raise ValueError("truncated" if cut else f"damaged {header.format} ({reason})") from error


def _shown(image: Image.Image, header: Header) -> np.ndarray:
    _scale_clear(image, header.depth)
    return _to_rgb(image)


def _scale_clear(image: Image.Image, depth: int) -> None:
    """The transparent colour of a PNG in the eight bits that Pillow gives its pixels, not the file's own.

    Of 16 bits a colour Pillow keeps the upper eight; the lower cannot be told apart any more.
    """
    clear = image.info.get("transparency")
    if depth in (2, 4) and image.mode == "L" and isinstance(clear, int):
        image.info["transparency"] = clear * 255 // ((1 << depth) - 1)
    elif depth == 16 and image.mode == "RGB" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Any mode that Pillow gives for the allowed formats, as (H, W, 3) uint8."""
    if image.mode.startswith("I;16"):
        return _grey16(image)
    if image.mode == "F":
        finite = bool(np.isfinite(np.asarray(image)).all())
        raise ValueError("float pixels (convert to 8 bits first)" if finite else "non-finite pixels")
    if image.mode not in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LA", "PA", "RGBA", "La", "RGBa"):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range (convert to 8 bits first)")
    if image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, BACKGROUND)
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _grey16(image: Image.Image) -> np.ndarray:
    values = np.asarray(image).astype(np.uint16)
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # v / 257 rounded; 257 is odd: no ties
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = BACKGROUND[0]
    return np.repeat(grey[..., None], 3, axis=2)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation (Exif 2.32, table 6): 5 to 8 also swap width and height."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
