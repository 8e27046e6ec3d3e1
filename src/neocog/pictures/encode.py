"""Pictures as bytes and as the addresses that pages hold them in."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png_bytes(picture: Image.Image) -> bytes:
    """Of an RGB or grey picture."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg_bytes(picture: Image.Image) -> bytes:
    """Of an RGB or grey picture that may change a little: a photograph takes a fifth of a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, subsampling=0, optimize=True)
    return buffer.getvalue()


def data_url(picture: Image.Image, *, jpeg: bool = False) -> str:
    """An address that holds the whole picture, exactly unless as `jpeg`."""
    kind, content = ("jpeg", jpeg_bytes(picture)) if jpeg else ("png", png_bytes(picture))
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def svg_url(svg: str) -> str:
    """An address that holds a whole SVG document."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def indexed(picture: Image.Image) -> Image.Image:
    """The same pixels by way of a palette, which is smaller, if the picture has few enough colours."""
    if picture.mode != "RGB" or picture.getcolors(256) is None:
        return picture
    colours, places = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_inverse=True)
    small = Image.fromarray(places.reshape(picture.height, picture.width).astype(np.uint8))
    small.putpalette(colours.tobytes())
    return small
