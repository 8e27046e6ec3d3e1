"""What the pages are made of, and a page as one file that needs no server."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from PIL import Image

from neocog.pictures.encode import png_bytes
from neocog.pictures.figures.samples import photograph
from neocog.pictures.maps import PLAIN, SIGNED
from neocog.pictures.theme import FONT, MARK_INK, MARKS, variables

router = APIRouter(tags=["pages"])

STATIC = Path(str(files("neocog.lab") / "static"))
THEME = (
    variables(":root")
    + f":root{{--font:{FONT};--scale-plain:{' '.join(PLAIN)};--scale-signed:{' '.join(SIGNED)};"
    f"--marks:{' '.join(MARKS)};--mark-ink:{MARK_INK}}}"
)
"""The style sheet of colours and type that the page shares with the drawings."""

_IMPORT = re.compile(r'^import (\w+|{[^}]*}) from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (default |(?:async )?function (\w+)|const (\w+))", re.MULTILINE)
_LINKS = re.compile(r"<(link rel=\"stylesheet\"|script type)[^\n]*\n")


@router.get("/photograph", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def grey_photograph() -> Response:
    """scikit-learn's sample image china.jpg (danielbuechele, CC BY 2.0) in grey, 192 pixels wide."""
    return Response(_photograph(), media_type="image/png", headers={"Cache-Control": "max-age=3600"})


@cache
def _photograph() -> bytes:
    return png_bytes(Image.fromarray(photograph("china", 192)).convert("L"))


@router.get("/pages/{page}.html", response_class=Response, responses={200: {"content": {"text/html": {}}}})
def saved(
    page: Literal["line", "plane", "pooling", "sharing", "stack", "questions"],
    state: Annotated[str, Query(max_length=4096)] = "",
) -> Response:
    """A page as one HTML file that works from disk. `state`: what stands behind `?` in the page's address."""
    content = stands_alone(page, f"#/{page}?{state}")
    named = {"Content-Disposition": f'attachment; filename="{page}.html"'}
    return Response(content, media_type="text/html; charset=utf-8", headers=named)


def stands_alone(page: str, address: str) -> str:
    """The HTML of a page with all that it needs; it opens at `address`. Nothing else may run in it."""
    modules: dict[str, str] = {}
    _collect("router.js", modules)
    _collect(f"pages/{page}.js", modules)
    style = THEME + (STATIC / "style.css").read_text(encoding="utf-8")
    script = "\n".join(
        [
            "const modules = {};",
            *(f'modules["{name}"] = (() => {{\n{text}}})();' for name, text in modules.items()),
            f'modules["router.js"].start([modules["pages/{page}.js"].default], modules["api.js"].saved);',
        ]
    )
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    metas = {"neocog-page": address}
    if "photograph.js" in modules:
        metas["neocog-photograph"] = "data:image/png;base64," + base64.b64encode(_photograph()).decode()
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        *(f'<meta name="{name}" content="{escape(content)}">' for name, content in metas.items()),
        f"<style>{style}</style>",
        f'<script type="module">{script}</script>',
    ]
    whole = _LINKS.sub("", (STATIC / "index.html").read_text(encoding="utf-8"))
    return whole.replace('<meta name="viewport"', "\n".join([*head, '<meta name="viewport"']), 1)


def _digest(text: str) -> str:
    """The source that allows an inline script or style of just this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _collect(name: str, modules: dict[str, str]) -> None:
    """Add a module, after those that it imports, as the body of a function that returns its exports."""
    if name in modules:
        return
    text = (STATIC / name).read_text(encoding="utf-8")
    exported = []

    def imports(found: re.Match[str]) -> str:
        what, given = found.groups()
        source = posixpath.normpath(posixpath.join(posixpath.dirname(name), given))
        _collect(source, modules)
        names = what.replace(" as ", ": ") if what.startswith("{") else f"{{ default: {what} }}"
        return f'const {names} = modules["{source}"];\n'

    def exports(found: re.Match[str]) -> str:
        what, function, constant = found.groups()
        exported.append(function or constant or "default: $default")
        return "const $default = " if what == "default " else what

    text = _EXPORT.sub(exports, _IMPORT.sub(imports, text))
    modules[name] = f"{text}return {{ {', '.join(exported)} }};\n"
