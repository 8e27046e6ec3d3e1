"""A figure: a still or a moving one, with its numbers. It saves itself, and shows in notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from neocog.files import write_atomic
from neocog.pictures.animate import embedded, gif_bytes, page
from neocog.pictures.axes import STYLE
from neocog.pictures.encode import png_bytes
from neocog.pictures.raster import rasterize
from neocog.pictures.svg import Element, document, group, rect

FORMATS = ("svg", "png", "gif", "html")
MARGIN = 12


@dataclass(frozen=True)
class Still:
    """One picture."""

    name: str
    """Of its file, such as `max-pooling`."""
    alt: str
    """What is to be seen, for who cannot see it."""
    width: float
    height: float
    """In CSS pixels, without the margin around."""
    children: Sequence[Element]
    values: Mapping[str, np.ndarray]
    """The computed numbers that it shows, by name."""

    @property
    def svg(self) -> str:
        """The document, whose colours are light or dark as the reader's system asks."""
        ground = rect(0, 0, *self.size, class_="surface")
        return document(*self.size, [ground, self._drawn], label=self.alt, style=STYLE, class_="chart")

    def image(self, scale: float = 2) -> Image.Image:
        """As pixels, `scale` to a CSS pixel, in light colours."""
        return rasterize([self._drawn], *self.size, scale)

    @property
    def size(self) -> tuple[float, float]:
        """With the margin."""
        return self.width + 2 * MARGIN, self.height + 2 * MARGIN

    @property
    def _drawn(self) -> Element:
        return within_margin(self.children)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
        """Write `folder/name.svg` and `.png`, of those formats that are asked for, and return their paths."""
        makers: dict[str, Callable[[], bytes]] = {
            "svg": lambda: self.svg.encode(),
            "png": lambda: png_bytes(self.image()),
        }
        return _save(self.name, folder, makers, formats)


@dataclass(frozen=True)
class Moving:
    """Pictures of one size in order. The last shows everything."""

    name: str
    alt: str
    width: float
    height: float
    background: Sequence[Element]
    """What all frames share, drawn below them."""
    frames: Sequence[Sequence[Element]]
    captions: Sequence[str]
    """A sentence for each frame."""
    values: Mapping[str, np.ndarray]
    seconds: float = 0.5
    """That a frame stays."""

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.captions):
            raise ValueError(f"{len(self.frames)} frames with {len(self.captions)} captions")

    def frame(self, index: int) -> Still:
        """One of the pictures alone; -1 is the last."""
        children = [*self.background, *self.frames[index]]
        return Still(self.name, self.alt, self.width, self.height, children, self.values)

    @cached_property
    def html(self) -> str:
        """A page of its own that plays, steps and scrubs, and asks for nothing from anywhere."""
        size = self.frame(-1).size
        background = within_margin(self.background)
        frames = [within_margin(frame) for frame in self.frames]
        return page(self.name, self.alt, size, background, frames, self.captions, self.seconds)

    def _repr_html_(self) -> str:
        return embedded(self.html, self.alt, self.height)

    def save(self, folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
        """Write the animation as .gif and .html, and its last frame as .svg and .png, as far as asked for."""
        last = self.frame(-1)
        makers: dict[str, Callable[[], bytes]] = {
            "svg": lambda: last.svg.encode(),
            "png": lambda: png_bytes(last.image()),
            "gif": lambda: gif_bytes([self.frame(i).image(1) for i in range(len(self.frames))], self.seconds),
            "html": lambda: self.html.encode(),
        }
        return _save(self.name, folder, makers, formats)


Figure = Still | Moving


def within_margin(children: Sequence[Element]) -> Element:
    return group(*children, transform=f"translate({MARGIN} {MARGIN})")


def _save(
    name: str, folder: Path, makers: Mapping[str, Callable[[], bytes]], formats: Sequence[str]
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, make in makers.items():
        if kind in formats:
            path = folder / f"{name}.{kind}"
            write_atomic(path, make())
            written.append(path)
    return written
