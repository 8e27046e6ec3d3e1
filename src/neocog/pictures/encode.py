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


def data_url(picture: Image.Image) -> str:
    """An address that holds the whole picture."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode()
