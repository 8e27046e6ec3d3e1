"""FCN: a network made for classification, as convolutions alone, names every pixel.

Long, Shelhamer, Darrell 2015, arXiv:1411.4038. A 1 x 1 convolution scores each cell of the last map (stride
32), and bilinear up-sampling brings the scores to the picture's size: FCN-32s. FCN-16s adds the scores of a
finer map after a first step of up-sampling, FCN-8s those of a third. They differ in `skips` alone.

Otherwise than in the authors' networks pictures are not padded by 100 pixels, which served to keep fc6 on
small ones: fc6 is padded by 3 cells instead, and maps are aligned by where their cells lie (`pad=100` is the
authors' way). On backbones without fully connected layers there are no fc6 and fc7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import Block
from neocog.ops.ranges import check_range
from neocog.parts.convolved import ConvolvedDense
from neocog.parts.extras import round_up
from neocog.parts.pixels import pixel_loss, segmentations
from neocog.parts.stages import Stage
from neocog.parts.upsample import Grid, Upsample, overlap
from neocog.types import Batch, Features, Segmentation, Task

EXTRA = "extra"
"""The map of the block that `FCNOptions.extra` adds, in an output."""


@dataclass(frozen=True)
class FCNOptions:
    """Defaults: FCN-32s on VGG-16."""

    level: str = "pool5"  # the map that is scored first
    skips: tuple[str, ...] = ()  # finer maps whose scores are added, from coarse to fine
    dense: int = 4096  # width of fc6 and fc7, convolutions of 7 x 7 and 1 x 1; 0: without
    dropout: float = 0.5  # after each of them
    extra: int = 0  # width of a residual block that halves `level` first, for a backbone that ends too early
    between: bool = True  # cells lie between pixels, as after poolings of 2 x 2; otherwise on pixels
    learn_upsampling: bool = False  # all but the last step, as in the paper; the authors' code learns none
    scales: tuple[float, ...] = ()
    """Factor of each of `skips` before it is scored: 0.01 and 0.0001 in the authors' FCN-8s at once."""
    stages: Literal["at-once", "staged"] = "at-once"
    """Train the coarse network first, and each finer one from it; or the finest from the start."""
    pad: int = 0  # pixels around the picture: 100 in the authors' networks, whose fc6 has no padding

    def __post_init__(self) -> None:
        check_range(self, 0, 65_536, "dense", "extra")
        check_range(self, 0, 0.99, "dropout")
        check_range(self, 0, 1024, "pad")
        if self.scales and len(self.scales) != len(self.skips):
            raise ValueError(f"scales: {len(self.skips)} skips need as many, got {len(self.scales)}")
        if self.stages not in ("at-once", "staged"):
            raise ValueError(f"stages must be at-once or staged, got {self.stages!r}")
        if self.pad and not (self.between and self.dense):
            raise ValueError("pad: only networks with fc6 and cells between pixels are padded")


@dataclass(frozen=True, slots=True)
class FCNOutput:
    features: Features
    deepest: Tensor  # (B, C, h, w) what the coarsest scores are computed from
    scores: Mapping[str, Tensor]  # of each level alone, (B, K, h, w), from coarse to fine
    fused: Mapping[str, Tensor]  # of each level and all coarser ones, (B, K, h, w)
    logits: Tensor  # (B, K, H, W) at the size of the batch's images


class FCN(nn.Module):
    """Backbone, scores of some of its maps, and what brings them together. K classes, background included."""

    task = Task.SEGMENT
    search = None  # it looks at whole pictures
    padding = 32  # sides of batches are multiples of this

    def __init__(self, backbone: Backbone, classes: int, options: FCNOptions | None = None) -> None:
        """Raises UsageError for maps that there are not, ValueError for maps that do not fit together."""
        super().__init__()
        self.options = options = options or FCNOptions()
        self.classes, self.backbone = classes, backbone
        self.last = backbone.last([options.level, *options.skips])
        if options.between:
            round_up(backbone)
        self.levels = (EXTRA if options.extra else options.level, *options.skips)
        channels = backbone.channels[options.level]
        self.deeper: nn.Module = nn.Identity()
        if options.extra:
            self.deeper = Block(channels, options.extra, 2)
            channels = options.extra
        self.dense: nn.Module = nn.Identity()
        if options.dense:
            self.dense = ConvolvedDense(channels, options.dense, options.dropout, 0 if options.pad else 3)
            channels = options.dense
        widths = [channels, *(backbone.channels[skip] for skip in options.skips)]
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths)
        self._start()
        self._align()

    def _start(self) -> None:
        """Scores begin at 0, as in the authors' code; but the first ones only behind fc7."""
        for number, layer in enumerate(self.scores):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.zeros_(layer.bias)
            if number or self.options.dense:
                nn.init.zeros_(layer.weight)
            else:
                nn.init.normal_(layer.weight, std=0.01)

    def _align(self) -> None:
        """Build the steps of up-sampling, and find where the maps lie on each other."""
        options = self.options
        strides = [self.backbone.strides[level] for level in (options.level, *options.skips)]
        strides[0] *= 2 if options.extra else 1
        grids = [
            Grid(stride, ((stride - 1) / 2 if options.between else 0.0) - max(options.pad - 1, 0))
            for stride in strides
        ]
        if options.pad:
            grids[0] = grids[0].after(ConvolvedDense.KERNEL)
        kind = {"between": options.between, "whole": options.pad > 0}
        self.strides, grid = tuple(strides), grids[0]
        self.steps, self.lasts = nn.ModuleList(), nn.ModuleList()
        self.places: list[int] = []  # of each step: the cell of the finer map that lies on the first
        self.corners: list[int] = []  # the cell of the enlarged scores that lies on the picture's first pixel
        for number, stride in enumerate(strides):
            if number:
                factor = _factor(strides[number - 1], stride)
                step = Upsample(self.classes, factor, learned=options.learn_upsampling, **kind)
                self.steps.append(step)
                grid = step.grid(grid)
                self.places.append(grids[number].place(grid))
            last = Upsample(self.classes, stride, **kind)
            self.lasts.append(last)
            self.corners.append(last.grid(grid).place(Grid(1, 0)))

    def forward(self, batch: Batch) -> FCNOutput:
        return self.look(batch, len(self.options.skips))

    def look(self, batch: Batch, skips: int) -> FCNOutput:
        """With the first so many skips alone: those of a coarser network."""
        options, levels = self.options, self.levels
        features = self.backbone(self._padded(batch.images), until=self.last)
        deepest = self.dense(self.deeper(features.maps[options.level]))
        scores = {levels[0]: self.scores[0](deepest)}
        fused = dict(scores)
        for number, level in enumerate(levels[1 : skips + 1]):
            seen = features.maps[level] * (options.scales[number] if options.scales else 1.0)
            scores[level] = self.scores[number + 1](seen)
            coarse = self.steps[number](fused[levels[number]])
            coarse, fine = overlap(coarse, scores[level], self.places[number])
            fused[level] = coarse + fine
        corner, (height, width) = self.corners[skips], batch.images.shape[-2:]
        logits = self.lasts[skips](fused[levels[skips]].float())  # fewer passes at full size than later
        logits = logits[:, :, corner : corner + height, corner : corner + width]
        return FCNOutput(features, deepest, scores, fused, logits)

    def _padded(self, images: Tensor) -> Tensor:
        """Images with what `pad` asks for around them, in the colour that the backbone takes for 0.

        The first convolution pads by one pixel itself.
        """
        if not self.options.pad:
            return images
        mean = self.backbone.mean
        return F.pad(images - mean, [self.options.pad - 1] * 4) + mean

    def loss(self, output: FCNOutput, batch: Batch) -> dict[str, Tensor]:
        return pixel_loss(output.logits, batch)

    def decode(self, output: FCNOutput, batch: Batch) -> list[Segmentation]:
        """The scores of every pixel of each picture."""
        return segmentations(output.logits, batch)

    @torch.no_grad()
    def start_from(self, coarser: FCN) -> None:
        """Take the weights of a trained network with fewer skips, whose answers are the first of this one.

        Raises ValueError where a weight has another shape.
        """
        own = self.state_dict()
        for name, value in coarser.state_dict().items():
            if name not in own or own[name].shape != value.shape:
                raise ValueError(f"'{name}' of the coarser network does not fit")
            own[name].copy_(value)


def _factor(coarse: int, fine: int) -> int:
    factor, rest = divmod(coarse, fine)
    if rest or factor < 2:
        raise ValueError(f"skips must go from coarse to fine, not from stride {coarse} to {fine}")
    return factor


FIRST_SHARE = 0.5
"""Of the budget, for the coarsest network where training is staged; the others share the rest alike."""


def fcn_stages(model: FCN) -> tuple[tuple[Stage, ...], dict[str, nn.Module]]:
    """One stage, or one for each network from the coarsest on, which learns all that it consists of."""
    skips = len(model.options.skips)
    if model.options.stages == "at-once" or not skips:
        return (Stage("segment", 1.0, model.forward, model.loss, (model,)),), {}
    shares = [FIRST_SHARE, *[(1 - FIRST_SHARE) / skips] * skips]
    stages = []
    for number, share in enumerate(shares):
        network = partial(model.look, skips=number)
        learns = (
            model.backbone,
            model.deeper,
            model.dense,
            *model.scores[: number + 1],
            *model.steps[:number],
        )
        stages.append(Stage(f"{model.strides[number]}s", share, network, model.loss, learns))
    return tuple(stages), {}
