"""One self-contained HTML page: headings, paragraphs, tables and figures. No scripts, nothing from outside.

Readable on a narrow screen, on paper, in light and dark, and with a screen reader. All text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from neocog.files import write_atomic
from neocog.pictures.encode import data_url
from neocog.pictures.svg import clean
from neocog.pictures.theme import FONT, variables

Cell = str | int | float | None

_STYLE = variables(":root") + (
    "*{box-sizing:border-box}"
    "html{color-scheme:light dark;background:var(--surface);color:var(--ink);-webkit-text-size-adjust:100%}"
    f"body{{margin:0;font:1rem/1.55 {FONT}}}"
    "main{max-width:54rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}"
    "h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .6rem;padding-top:1.2rem}"
    "h2{border-top:1px solid var(--grid)}"
    "h3{font-size:1.05rem;margin:2rem 0 .4rem}p{margin:.6rem 0;max-width:42rem;overflow-wrap:anywhere}"
    ".lead{color:var(--muted);font-size:1.05rem}"
    ".numbers{display:flex;flex-wrap:wrap;gap:1.2rem 2.5rem;margin:1.8rem 0}.numbers div{min-width:6rem}"
    ".numbers dt{color:var(--muted);font-size:.85rem}"
    ".numbers dd{margin:0;font-size:1.7rem;font-weight:600;line-height:1.25}"
    ".scroll{overflow-x:auto}.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:3px}"
    "table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;margin:.4rem 0 1.2rem}"
    "caption{text-align:left;color:var(--muted);padding:.5rem 0}"
    "th,td{padding:.36rem .9rem .36rem 0;text-align:left;vertical-align:baseline}"
    "th:not(:last-child),td:not(:last-child){padding-right:1.6rem}"
    "thead th{font-weight:600;border-bottom:1px solid var(--axis);vertical-align:bottom}"
    "tbody th{font-weight:400}tbody tr+tr>*{border-top:1px solid var(--grid)}"
    ".n{text-align:right;white-space:nowrap}.absent{color:var(--muted)}"
    "figure{margin:1.6rem 0}figure svg{display:block;width:100%;max-width:45rem;min-width:30rem;height:auto}"
    "figure img{display:block;max-width:100%;height:auto}"
    "figcaption{color:var(--muted);font-size:.92rem;margin-top:.5rem;max-width:42rem}"
    "footer{color:var(--muted);font-size:.85rem;margin-top:4rem}"
    "@media print{figure,tr{break-inside:avoid}h2{break-after:avoid}}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page:
    """Collects the parts of a page in order; `render()` gives its HTML. Equal parts give equal bytes."""

    def __init__(self, title: str, lead: str = "") -> None:
        """`lead`: a sentence under the title."""
        self._title = title
        self._parts = [f"<h1>{clean(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{clean(lead)}</p>')

    def heading(self, text: str, level: int = 2) -> Page:
        """A heading of level 2 or 3; level 1 is the title."""
        if level not in (2, 3):
            raise ValueError(f"heading level is {level}; it must be 2 or 3")
        return self._add(f"<h{level}>{clean(text)}</h{level}>")

    def paragraph(self, text: str) -> Page:
        return self._add(f"<p>{clean(text)}</p>")

    def numbers(self, values: Mapping[str, str]) -> Page:
        """The few numbers that matter most, large, each under its name."""
        pairs = "".join(f"<div><dt>{clean(k)}</dt><dd>{clean(v)}</dd></div>" for k, v in values.items())
        return self._add(f'<dl class="numbers">{pairs}</dl>')

    def table(self, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Page:
        """A table whose first column names its rows. Units belong in the headings.

        A column of numbers stands to the right; its fractions have the decimals, at most three, that give
        the smallest of them three digits. None is an absent value. Raises ValueError for a row of another
        length.
        """
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"table '{caption}': {len(columns)} columns, but a row of {len(row)}")
        numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(columns))]
        digits = [_digits([row[i] for row in rows]) for i in range(len(columns))]
        tags = ['th scope="row"', *["td"] * (len(columns) - 1)]
        heads = [f'<th scope="col"{_right(n)}>{clean(c)}</th>' for c, n in zip(columns, numeric, strict=True)]
        lines = "".join(f"<tr>{''.join(map(_cell, row, numeric, digits, tags))}</tr>" for row in rows)
        return self._add(
            f'<div class="scroll" role="region" tabindex="0" aria-label="{clean(caption)}"><table>'
            f"<caption>{clean(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead>"
            f"<tbody>{lines}</tbody></table></div>"
        )

    def figure(self, picture: str | Image.Image, alt: str, caption: str = "") -> Page:
        """A chart (SVG text of this package, put in as it is) or a picture (stored as PNG).

        `alt` says what it shows to those who cannot see it.
        """
        if isinstance(picture, str):
            body = f'<div class="scroll" role="region" tabindex="0" aria-label="{clean(alt)}">{picture}</div>'
        else:
            size = f'width="{picture.width}" height="{picture.height}"'
            body = f'<img src="{data_url(picture.convert("RGB"))}" {size} alt="{clean(alt)}">'
        legend = f"<figcaption>{clean(caption)}</figcaption>" if caption else ""
        return self._add(f"<figure>{body}{legend}</figure>")

    def render(self) -> str:
        """The page as one HTML document."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{clean(self._title)}</title><style>{_STYLE}</style></head><body><main>\n"
            + "\n".join(self._parts)
            + "\n</main></body></html>\n"
        )

    def _add(self, part: str) -> Page:
        self._parts.append(part)
        return self


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all. Raises DiskError when the disk refuses."""
    write_atomic(path, html)


def _is_numeric(cells: Sequence[Cell]) -> bool:
    present = [cell for cell in cells if cell is not None]
    return bool(present) and not any(isinstance(cell, str) for cell in present)


def _digits(cells: Sequence[Cell]) -> int:
    """Decimals of the fractions in a column."""
    sizes = [abs(cell) for cell in cells if isinstance(cell, float) and math.isfinite(cell) and cell != 0]
    return min(max(2 - math.floor(math.log10(min(sizes, default=1.0))), 0), 3)


def _cell(value: Cell, numeric: bool, digits: int, tag: str) -> str:
    if value is None:
        shown = '<span class="absent" role="img" aria-label="absent">–</span>'
    elif isinstance(value, str):
        shown = clean(value)
    else:
        number = f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"
        shown = number.replace("-", "−")
    return f"<{tag}{_right(numeric)}>{shown}</{tag[:2]}>"


def _right(numeric: bool) -> str:
    return ' class="n"' if numeric else ""
