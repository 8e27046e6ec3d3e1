"""What every backbone offers: images in, named feature maps out."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.types import Features

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module, ABC):
    """A network from images to feature maps, from fine to coarse.

    A subclass states its maps in order, with their channels and strides, and implements `forward`. The mean
    and standard deviation its weights were trained with are buffers here, outside the state dict, so that
    whoever calls it hands over plain pixels in [0, 1].
    """

    mean: Tensor  # (1, 3, 1, 1), or (1, 1, 1, 1) of a network of grey pictures
    std: Tensor  # as `mean`
    __call__: Callable[..., Features]

    def __init__(
        self,
        channels: Mapping[str, int],
        strides: Mapping[str, int],
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.channels = dict(channels)  # map name -> C, in the order of computation
        self.strides = dict(strides)  # map name -> pixels of the image per cell
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], shifted and scaled to what the first layer expects."""
        return (images - self.mean).div_(self.std)  # one new tensor, not two

    def require(self, level: str | None) -> None:
        """Raise UsageError unless `level` names one of the maps (None stands for all)."""
        if level is not None and level not in self.channels:
            near = difflib.get_close_matches(level, self.channels, n=1)
            hint = f"did you mean '{near[0]}'" if near else f"it has {', '.join(self.channels)}"
            raise UsageError(f"{type(self).__name__} has no feature map '{level}': {hint}")

    def last(self, levels: Iterable[str]) -> str:
        """Of these maps the one that is computed last. Raises UsageError for one that there is not."""
        levels = list(levels)
        for level in levels:
            self.require(level)
        return max(levels, key=list(self.channels).index)

    @abstractmethod
    def forward(self, images: Tensor, until: str | None = None) -> Features:
        """The maps of images (B, 3, H, W) in [0, 1]; nothing after the map named `until` is computed.

        A map at stride s is (B, channels, about H / s, about W / s): each layer rounds in its own way.
        Raises UsageError when no map has that name.
        """

    def after(self, level: str, cells: Tensor) -> Tensor:
        """What the stages after `level` make of cells of it, such as a region's (R, C, h, w).

        Raises UsageError for a network that is not made of stages.
        """
        raise UsageError(f"{type(self).__name__} is not made of stages")


def grey(images: Tensor) -> Tensor:
    """The mean of the channels: (B, 3, H, W) to (B, 1, H, W)."""
    return images.mean(dim=1, keepdim=True)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that keeps its statistics and its affine map, in training too.

    Detectors see one or two images per step: too few to estimate statistics from. He et al. 2016 and R-FCN
    fix them at the values of pre-training. The state dict is that of BatchNorm2d.
    """

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        super().train(False)
        return self


def freeze_batchnorm(module: nn.Module) -> None:
    """Freeze every BatchNorm2d inside `module`, in place; the tensors stay the same objects."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _frozen(child))


def _frozen(norm: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    frozen = FrozenBatchNorm2d(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta"
    )
    frozen.load_state_dict(norm.state_dict(keep_vars=True), assign=True)
    frozen.requires_grad_(False).train(False)
    return frozen
