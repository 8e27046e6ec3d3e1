"""The two recipes: what a picture goes through before training, and before it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from neocog.transforms.colour import ColourJitter
from neocog.transforms.geometry import Affine, Fit, Flip, Geometry, SeeingGeometry, Zoom, compose
from neocog.transforms.patches import Patch, ZoomOut
from neocog.transforms.warp import GREY, Colour, Size
from neocog.types import Sample


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sample -> Sample: geometry in one resampling, then colour. Plain data, so workers can receive it."""

    geometry: tuple[Geometry | SeeingGeometry, ...]
    colour: ColourJitter | None = None
    fill: Colour = GREY
    min_visible: float = 0.3
    centred: bool = False  # whether an object must have its centre in the picture

    def __call__(self, sample: Sample) -> Sample:
        sample = compose(
            self.geometry, sample, fill=self.fill, min_visible=self.min_visible, centred=self.centred
        )
        return sample if self.colour is None else self.colour(sample)


def training_recipe(
    size: Size | Geometry,
    *,
    flip: bool = True,
    vertical_flip: bool = False,
    scale: tuple[float, float] | None = (0.8, 1.35),
    zoom_out: float = 1.0,
    patches: bool = False,
    affine: Affine | None = None,
    colour: ColourJitter | None = ColourJitter(),
    fill: Colour = GREY,
    min_visible: float = 0.3,
) -> Recipe:
    """Resize, flip, turn, zoom on the same canvas, and jitter the colours.

    `size` is (height, width): the picture is fitted into it with its aspect ratio kept, and the sample has
    the fitted size (the batch pads at the right and the bottom). An operation may stand in its place:
    `ShorterSide()`, `Resize(size)` or `Letterbox(size)`. `scale` is drawn log-uniformly; None does without.

    SSD's own way to vary the scale comes before all this: with `zoom_out` above 1, put every second picture
    on a canvas up to so many times larger; with `patches`, learn from a patch. An object whose centre the
    patch leaves out is then neither an object to find nor background. (The authors drop it, and so call what
    is left of it background.)
    """
    steps: list[Geometry | SeeingGeometry] = [ZoomOut(zoom_out)] if zoom_out > 1 else []
    if patches:
        steps.append(Patch())
    steps.append(_resize(size))
    if flip or vertical_flip:
        steps.append(Flip(0.5 if flip else 0.0, 0.5 if vertical_flip else 0.0))
    if affine is not None:
        steps.append(affine)
    if scale is not None:
        steps.append(Zoom(*scale))
    return Recipe(tuple(steps), colour, fill, 0.0 if patches else min_visible, patches)


def evaluation_recipe(size: Size | Geometry, *, fill: Colour = GREY) -> Recipe:
    """Resize only, as `training_recipe` does."""
    return Recipe((_resize(size),), fill=fill, min_visible=0.0)


def _resize(size: Size | Geometry) -> Geometry:
    return Fit(size) if isinstance(size, tuple) else size
