"""What SSD adds behind a backbone: more maps, ever coarser, and VGG-16's dense layers as convolutions.

Liu et al. 2016 (SSD), arXiv:1512.02325, section 2.1 and figure 2; `ssd_pascal.py` and `model_libs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone


class L2Norm(nn.Module):
    """Each cell's features divided by their length, then scaled by a learnt number a channel.

    Liu et al. 2015 (ParseNet), arXiv:1506.04579: conv4_3 of VGG-16 has far larger values than later maps.
    """

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; each cell has length `scale` where the scales are equal."""
        return F.normalize(x.float(), dim=1, eps=1e-5) * self.scale[:, None, None]


class DilatedDense(nn.Module):
    """pool5, fc6 and fc7 of VGG-16 on a whole map, at the stride of conv5_3.

    pool5 is 3x3 with stride 1, so fc6, a 3x3 convolution, is dilated by 6 to look as far as before.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.pool5 = nn.MaxPool2d(3, 1, 1)
        self.fc6 = nn.Conv2d(channels, width, 3, padding=6, dilation=6)
        self.fc7 = nn.Conv2d(width, width, 1)
        start_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width, H, W)."""
        return F.relu(self.fc7(F.relu(self.fc6(self.pool5(x)))))

    @torch.no_grad()
    def start_from(self, dense: Mapping[str, Tensor]) -> bool:
        """Take every fourth output of VGG-16's fc6 and fc7 (`classifier.0`, `classifier.3`), as its authors.

        Of fc6's 7 x 7 cells, rows and columns 0, 3 and 6 are kept. False, and nothing is taken, where they
        are not there, are not finite, or this layer is not a quarter as wide.
        """
        names = [f"classifier.{layer}.{part}" for layer in (0, 3) for part in ("weight", "bias")]
        if any(name not in dense for name in names):
            return False
        first, first_bias, second, second_bias = (dense[name] for name in names)
        width, channels = self.fc6.weight.shape[:2]
        if first.shape != (4 * width, 49 * channels) or second.shape != (4 * width, 4 * width):
            return False
        if not all(bool(dense[name].isfinite().all()) for name in names):
            return False
        self.fc6.weight.copy_(first.view(4 * width, channels, 7, 7)[::4, :, ::3, ::3])
        self.fc6.bias.copy_(first_bias[::4])  # type: ignore[union-attr]
        self.fc7.weight.copy_(second[::4, ::4, None, None])
        self.fc7.bias.copy_(second_bias[::4])  # type: ignore[union-attr]
        return True


class ExtraLayer(nn.Module):
    """A 1x1 convolution to half the width, then a 3x3 one to a coarser map.

    The second has stride 2 and padding; a map of 5 or 3 cells goes to 3 or 1 without either, as in SSD300.
    """

    def __init__(self, inputs: int, outputs: int, *, padded: bool) -> None:
        super().__init__()
        self.padded = padded
        self.conv1 = nn.Conv2d(inputs, outputs // 2, 1)
        step = 2 if padded else 1
        self.conv2 = nn.Conv2d(outputs // 2, outputs, 3, step, padding=int(padded))
        start_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, outputs, about h / 2, about w / 2), or (h - 2, w - 2) and never less than 1."""
        x = F.relu(self.conv1(x))
        if not self.padded:  # pictures less wide than they are high may leave less than 3 cells
            x = F.pad(x, (0, max(3 - x.shape[3], 0), 0, max(3 - x.shape[2], 0)))
        return F.relu(self.conv2(x))


def coarser(cells: int) -> int:
    """Cells a side of the map that an extra layer makes of one of `cells` a side."""
    return cells - 2 if cells in (3, 5) else -(-cells // 2)


def extra_layers(inputs: int, cells: int, widths: Sequence[int]) -> nn.ModuleList:
    """A layer for each of `widths`, the first on a map of `inputs` channels and `cells` a side."""
    layers = []
    for width in widths:
        layers.append(ExtraLayer(inputs, width, padded=cells not in (3, 5)))
        inputs, cells = width, coarser(cells)
    return nn.ModuleList(layers)


def start_layers(module: nn.Module) -> None:
    """Caffe's "xavier" for every convolution: uniform, of deviation 1 / sqrt(inputs); biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            reach = (3 / layer.weight[0].numel()) ** 0.5
            nn.init.uniform_(layer.weight, -reach, reach)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def round_up(backbone: Backbone) -> None:
    """Make every max-pooling round sizes up, in place, as Caffe does: 75 cells become 38, not 37."""
    for layer in backbone.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
