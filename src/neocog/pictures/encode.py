"""Pictures as bytes and as the addresses that pages hold them in."""

from __future__ import annotations

import base64
import io

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
