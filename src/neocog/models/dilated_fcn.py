"""A segmenter whose backbone stays fine: dilation in place of its last strides, and no maps to be merged.

Chen, Papandreou, Kokkinos, Murphy, Yuille 2015, arXiv:1412.7062, without the random field behind it: a
network made for classification keeps its last maps at stride 8 by the "hole algorithm", and their scores are
enlarged by bilinear interpolation. On a ResNet, with one 3 x 3 convolution before the scores, it is
torchvision's `fcn_resnet50`; the auxiliary scores that this has in training, from `layer3`, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.ops.ranges import check_range
from neocog.parts.pixels import pixel_loss, segmentations
from neocog.types import Batch, Features, Segmentation, Task


@dataclass(frozen=True)
class DilatedFCNOptions:
    """Defaults: torchvision's, on a ResNet of bottlenecks."""

    level: str = "layer4"  # the map that is scored
    hidden: int = 512  # channels of the convolution before the scores
    dropout: float = 0.1  # after it
    shorter: bool = False  # fit a picture's shorter side into the shorter of `size`, not its height

    def __post_init__(self) -> None:
        check_range(self, 1, 65_536, "hidden")
        check_range(self, 0, 0.99, "dropout")


@dataclass(frozen=True, slots=True)
class DilatedFCNOutput:
    features: Features
    hidden: Tensor  # (B, hidden, h, w) what the scores are computed from
    scores: Tensor  # (B, K, h, w)
    logits: Tensor  # (B, K, H, W) float32 at the size of the batch's images


class DilatedFCN(nn.Module):
    """Backbone, a 3 x 3 convolution with BatchNorm, scores, interpolation. K classes, background included."""

    task = Task.SEGMENT
    search = None  # it looks at whole pictures
    padding = 1  # scores are enlarged to any size

    def __init__(self, backbone: Backbone, classes: int, options: DilatedFCNOptions | None = None) -> None:
        """Raises UsageError for a map that there is not."""
        super().__init__()
        self.options = options = options or DilatedFCNOptions()
        backbone.require(options.level)
        self.classes, self.backbone = classes, backbone
        self.conv = nn.Conv2d(backbone.channels[options.level], options.hidden, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(options.hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(options.dropout)
        self.scores = nn.Conv2d(options.hidden, classes, 1)

    def forward(self, batch: Batch) -> DilatedFCNOutput:
        features = self.backbone(batch.images, until=self.options.level)
        hidden = self.relu(self.norm(self.conv(features.maps[self.options.level])))
        scores = self.scores(self.dropout(hidden))
        logits = F.interpolate(scores.float(), batch.images.shape[-2:], mode="bilinear", align_corners=False)
        return DilatedFCNOutput(features, hidden, scores, logits)

    def loss(self, output: DilatedFCNOutput, batch: Batch) -> dict[str, Tensor]:
        return pixel_loss(output.logits, batch)

    def decode(self, output: DilatedFCNOutput, batch: Batch) -> list[Segmentation]:
        """The scores of every pixel of each picture."""
        return segmentations(output.logits, batch)
