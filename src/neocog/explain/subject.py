"""What every explanation starts from, and what it gives: a model with a picture; pictures with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError
from neocog.models.fcn import FCN
from neocog.models.rcnn import RCNN
from neocog.types import Batch, Features, Frame
from neocog.zoo import known


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained model and one picture of the user's."""

    model: Any
    batch: Batch  # of that picture alone, as the network wants it, on the model's device
    pixels: np.ndarray  # (H, W, 3) uint8: the picture itself
    classes: tuple[str, ...]

    @property
    def frame(self) -> Frame:
        return self.batch.frames[0]

    @property
    def backbone(self) -> Backbone:
        backbone: Backbone = self.model.backbone
        return backbone

    @property
    def seen(self) -> np.ndarray:
        """The picture as the network sees it (h, w, 3) uint8, without the batch's padding."""
        height, width = self.batch.sizes[0]
        pixels: np.ndarray = _as_pixels(self.batch.images[0, :, :height, :width])
        return pixels


@dataclass(frozen=True, slots=True)
class Choices:
    """What of a model is to be explained. None: what says most, see each method."""

    level: str | None = None  # a map of the backbone
    unit: int | None = None  # a channel of it
    label: str | None = None  # a class by name
    conf: float = 0.3  # lowest score, in [0, 1], of what is shown as found


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of an explanation."""

    name: str  # fit for a file's name
    caption: str  # one sentence or two, with units
    picture: Image | str  # a chart is SVG text
    record: Mapping[str, Any] = field(default_factory=dict)  # the same as plain values


class _Predictor(Protocol):
    """What is read of a `neocog.predict.Predictor`."""

    model: Any
    classes: tuple[str, ...]
    device: torch.device

    def prepare(self, image: np.ndarray) -> Batch:
        """One picture as the network wants it."""


def subject_of(predictor: _Predictor, pixels: np.ndarray) -> Subject:
    """A predictor and a picture (H, W, 3) uint8 RGB, of any size, as the start of an explanation."""
    batch = predictor.prepare(pixels).to(predictor.device).without_targets()
    return Subject(predictor.model, batch, pixels, predictor.classes)


def with_images(batch: Batch, images: Tensor) -> Batch:
    """The batch of one picture with other pixels (N, 3, H, W): as many pictures, of the same frame."""
    count = len(images)
    return replace(
        batch,
        images=images,
        sizes=batch.sizes * count,
        frames=batch.frames * count,
        keys=batch.keys * count,
        proposals=None if batch.proposals is None else batch.proposals * count,
    )


def maps_of(model: Any, batch: Batch) -> Features:
    """The maps that the model computes of the pictures, and no others: those were never trained.

    R-CNN's backbone sees crops; here it sees the pictures, up to the same map.
    """
    if isinstance(model, RCNN):
        return model.backbone(batch.images, until=model.options.level)
    features: Features = model(batch).features
    return features


@singledispatch
def margin_of(model: Any) -> int:
    """Pixels that the model puts around its pictures before its backbone sees them, by its type."""
    return 0


@margin_of.register
def _(model: FCN) -> int:
    return max(model.options.pad - 1, 0)  # the first convolution pads by one pixel itself


def chosen_level(backbone: Backbone, level: str | None, levels: Sequence[str]) -> str:
    """`level`, or the last of `levels` that is no pooled copy of the map before it.

    Raises UsageError for a level that is not among them.
    """
    if level is not None:
        return known(level, levels, "feature map")
    names = list(backbone.channels)
    unpooled = [name for name in levels if not _is_pooled(backbone, names, names.index(name))]
    return (unpooled or list(levels))[-1]


def _is_pooled(backbone: Backbone, names: Sequence[str], place: int) -> bool:
    """Whether a map has the channels of the one before it, at a larger stride."""
    if place == 0:
        return False
    before, name = names[place - 1], names[place]
    same = backbone.channels[before] == backbone.channels[name]
    return same and backbone.strides[name] > backbone.strides[before]


def chosen_unit(backbone: Backbone, level: str, unit: int | None) -> int | None:
    """`unit`, if the map has such a channel; UsageError otherwise."""
    if unit is not None and not 0 <= unit < backbone.channels[level]:
        raise UsageError(f"'{level}' has no channel {unit}: they are 0 to {backbone.channels[level] - 1}")
    return unit


def _as_pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] as (H, W, 3) uint8."""
    scaled: np.ndarray = (image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return scaled
