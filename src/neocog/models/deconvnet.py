"""DeconvNet: a network that names what it sees, and its mirror image, which unfolds that to every pixel.

Noh, Hong, Han 2015, arXiv:1505.04366. VGG-16 with BatchNorm reads the picture down to a single cell; the
mirror image unpools with the switches of its poolings. Otherwise than in the paper:

- a transposed convolution of stride 1 is written as the convolution that it is, which pads by what the other
  would cut off, so that optimizers treat it as one;
- BatchNorm keeps running statistics, with torch's constants, in place of an average over 500 passes after
  training; fresh weights are He's normal ones, not of deviation 0.01: BatchNorm takes their scale out;
- any size of picture: where it gives more than one cell after fc6, each is unfolded, and those overlap;
- prediction looks at the whole picture, and with `proposals` also at the regions that selective search
  proposes (the authors': Edge Boxes) in crops; scores meet in their maximum, as in the authors' code;
- on a backbone other than VGG-16 all layers are as wide and as many as that one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.backbones.vgg import VGG
from neocog.errors import UsageError
from neocog.ops.pool import unpool
from neocog.ops.ranges import check_range
from neocog.parts.object_crops import Draw, crop_batch, crop_images, enlarged, objects, regions
from neocog.parts.pixels import pixel_loss, segmentations
from neocog.parts.stages import Stage
from neocog.proposals.search import SearchOptions
from neocog.types import Batch, Features, Segmentation, Task


@dataclass(frozen=True)
class DeconvNetOptions:
    """Defaults: the paper's network on VGG-16, trained and used on whole pictures."""

    side: int = 224  # pixels a side of a crop, and of the picture that fc6 sees as one cell
    dense: int = 4096  # width of fc6 and fc7
    stages: Literal["pictures", "objects-first"] = "objects-first"
    """Whether crops of single objects are learnt first, as in the paper."""
    crops: int = 1  # crops that a picture gives to a step, in stages that learn from crops
    enlarge: float = 1.2  # how much larger than an object or region its crop is
    proposals: int = 0  # regions used besides the whole picture, and learnt from in its place; paper: 50
    shortest: float = 0.2  # regions with a side below this share of the picture's longer side are not used
    at_once: int = 32  # crops that go through the network together in prediction
    search: SearchOptions = SearchOptions()

    def __post_init__(self) -> None:
        check_range(self, 32, 4096, "side")
        check_range(self, 1, 65_536, "dense", "at_once")
        check_range(self, 1, 256, "crops")
        check_range(self, 1, 4, "enlarge")
        check_range(self, 0, 10_000, "proposals")
        check_range(self, 0, 1, "shortest")
        if self.side % 32:
            raise ValueError(f"side must be a multiple of 32, got {self.side}")
        if self.stages not in ("pictures", "objects-first"):
            raise ValueError(f"stages must be pictures or objects-first, got {self.stages!r}")


@dataclass(frozen=True, slots=True)
class DeconvNetOutput:
    features: Features  # with switches
    code: Tensor  # (B, dense, h, w) fc7; one cell for a picture of `side`
    decoded: Mapping[str, Tensor]  # `deconv_fc6`, then for each block `unpool5` and `deconv5`, to `deconv1`
    whole: Tensor  # (B, K, H, W) scores of whole pictures
    regions: Tensor | None  # (R, 4) what was cropped in prediction, pixels; may leave the picture
    region_images: Tensor | None  # (R,) int64, position in the batch
    region_scores: Tensor | None  # (R, K, side, side)
    logits: Tensor  # (B, K, H, W)


class Layer(nn.Module):
    """A convolution, then BatchNorm and ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.norm = conv, nn.BatchNorm2d(conv.out_channels)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv(maps)
        norm = self.norm
        if self.training and type(norm) is nn.BatchNorm2d and maps.numel() == maps.shape[1]:
            # A single cell of a single picture has no variance: the statistics so far must do.
            assert norm.running_mean is not None and norm.running_var is not None
            maps = F.batch_norm(
                maps, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            maps = norm(maps)
        return F.relu(maps, inplace=True)


class DeconvNet(nn.Module):
    """Encoder with switches, two layers of one cell, mirror image, scores. K classes, background included."""

    task = Task.SEGMENT
    padding = 32  # sides of batches are multiples of this

    def __init__(self, backbone: Backbone, classes: int, options: DeconvNetOptions | None = None) -> None:
        """Raises UsageError for a backbone without poolings whose switches it returns."""
        super().__init__()
        self.options = options = options or DeconvNetOptions()
        if not isinstance(backbone, VGG) or not backbone.switches:
            raise UsageError("DeconvNet needs a backbone that returns switches: vgg16 or thin")
        self.classes, self.backbone = classes, backbone
        self.search = options.search if options.proposals else None
        self.cells = options.side // backbone.strides[f"pool{len(backbone.blocks)}"]
        bias = any(name.endswith("bias") for name, _ in backbone.features[0].named_parameters())
        last = backbone.blocks[-1][0]
        self.fc6 = Layer(nn.Conv2d(last, options.dense, self.cells, bias=bias))
        self.fc7 = Layer(nn.Conv2d(options.dense, options.dense, 1, bias=bias))
        self.deconv_fc6 = Layer(nn.Conv2d(options.dense, last, self.cells, padding=self.cells - 1, bias=bias))
        blocks = zip(backbone.blocks, (backbone.blocks[0], *backbone.blocks[:-1]), strict=True)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    Layer(nn.Conv2d(width, before if number == depth else width, 3, padding=1, bias=bias))
                    for number in range(1, depth + 1)
                )
            )
            for (width, depth), (before, _) in blocks
        )
        self.scores = nn.Conv2d(backbone.blocks[0][0], classes, 1)
        nn.init.normal_(self.scores.weight, std=0.01)
        assert self.scores.bias is not None
        nn.init.zeros_(self.scores.bias)

    def forward(self, batch: Batch) -> DeconvNetOutput:
        """Regions are looked at in prediction alone: a batch with masks is learnt from as it is."""
        features, code, decoded, whole = self.look(batch.images)
        if batch.masks is not None or not self.options.proposals:
            return DeconvNetOutput(features, code, decoded, whole, None, None, None, whole)
        boxes, images = self._proposed(batch)
        fill = self.backbone.mean.flatten()
        crops = crop_images(batch, boxes, images, self.options.side, fill)
        scores = whole.new_zeros(0, self.classes, self.options.side, self.options.side)
        if len(boxes):
            scores = torch.cat([self.look(some)[3] for some in torch.split(crops, self.options.at_once)])
        logits = _pasted(whole, boxes, images, scores)
        return DeconvNetOutput(features, code, decoded, whole, boxes, images, scores, logits)

    def look(self, images: Tensor) -> tuple[Features, Tensor, dict[str, Tensor], Tensor]:
        """Encoder's maps, fc7, the mirror image's maps, and scores (B, K, H, W) of images (B, 3, H, W)."""
        height, width = images.shape[-2:]
        features = self.backbone(self._whole_cells(images))
        maps, depth = features.maps, len(self.blocks)
        code = self.fc7(self.fc6(maps[f"pool{depth}"]))
        x = self.deconv_fc6(code)
        decoded = {"deconv_fc6": x}
        for number, (_, convolutions) in reversed(list(enumerate(self.backbone.blocks, 1))):
            before = maps[f"conv{number}_{convolutions}"]
            size = before.shape[2], before.shape[3]
            x = unpool(x, features.switches[f"pool{number}"], size).contiguous(
                memory_format=torch.channels_last
            )
            decoded[f"unpool{number}"] = x
            x = decoded[f"deconv{number}"] = self.blocks[number - 1](x)
        scores = self.scores(x)[:, :, :height, :width].float()
        return features, code, decoded, scores

    def _whole_cells(self, images: Tensor) -> Tensor:
        """Images padded at the right and the bottom to whole cells of the last map, and enough for fc6."""
        stride = self.options.side // self.cells
        down, right = (max(-side % stride, self.options.side - side) for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, down)) if down or right else images

    def _proposed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The regions (R, 4) to crop, on whole pixels, and the picture (R,) of each."""
        if batch.proposals is None:
            raise ValueError("with proposals this network takes regions from outside: the batch needs them")
        chosen, counts = [batch.images.new_zeros(0, 4)], []
        for proposals, size in zip(batch.proposals, batch.sizes, strict=True):
            sides = proposals.boxes[:, 2:] - proposals.boxes[:, :2]
            large = proposals.boxes[sides.amin(dim=1) >= self.options.shortest * max(size)]
            chosen.append(enlarged(large[: self.options.proposals], self.options.enlarge))
            counts.append(len(chosen[-1]))
        boxes = torch.cat(chosen)
        images = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(counts, dtype=torch.int64))
        return boxes, images.to(boxes.device)

    def loss(self, output: DeconvNetOutput, batch: Batch) -> dict[str, Tensor]:
        return pixel_loss(output.logits, batch)

    def decode(self, output: DeconvNetOutput, batch: Batch) -> list[Segmentation]:
        """The scores of every pixel of each picture."""
        return segmentations(output.logits, batch)


def _pasted(whole: Tensor, boxes: Tensor, images: Tensor, scores: Tensor) -> Tensor:
    """Scores (R, K, s, s) resized to their boxes (R, 4), and the maximum of all that lie on a pixel."""
    logits = whole.clone()
    height, width = whole.shape[-2:]
    for box, image, score in zip(boxes.long().tolist(), images.tolist(), scores, strict=True):
        x0, y0, x1, y1 = box
        large = F.interpolate(score[None], (y1 - y0, x1 - x0), mode="bilinear", align_corners=False)[0]
        inside = large[:, max(-y0, 0) : height - y0, max(-x0, 0) : width - x0]
        there = logits[image, :, max(y0, 0) : y1, max(x0, 0) : x1]
        there.copy_(torch.maximum(there, inside))
    return logits


SHARES = (1 / 3, 2 / 3)
"""Of the budget, for crops of objects and for what follows: two days and four in the paper."""


@dataclass(frozen=True, slots=True)
class CropsOutput:
    crops: Batch
    output: DeconvNetOutput


@dataclass(frozen=True)
class _OnCrops:
    """A stage that learns from crops."""

    model: DeconvNet
    draw: Draw

    def forward(self, batch: Batch) -> CropsOutput:
        options = self.model.options
        fill = self.model.backbone.mean.flatten()
        drawn = self.draw(batch, options.crops)
        crops = crop_batch(batch, drawn, options.side, options.enlarge, fill)
        return CropsOutput(crops, self.model(crops))

    def loss(self, output: CropsOutput, batch: Batch) -> dict[str, Tensor]:
        return self.model.loss(output.output, output.crops)


def deconvnet_stages(model: DeconvNet) -> tuple[tuple[Stage, ...], dict[str, nn.Module]]:
    """Crops of single objects first, then whole pictures, or with `proposals` crops of regions."""
    after = _OnCrops(model, regions) if model.options.proposals else model
    name = "regions" if model.options.proposals else "segment"
    second = Stage(name, 1.0, after.forward, after.loss, (model,))
    if model.options.stages == "pictures":
        return (second,), {}
    first = _OnCrops(model, objects)
    return (
        Stage("objects", SHARES[0], first.forward, first.loss, (model,)),
        Stage(name, SHARES[1], after.forward, after.loss, (model,)),
    ), {}
