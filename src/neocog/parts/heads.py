"""What turns the features of a region into class scores and box offsets.

Every head has `features`, the last vector before the scores, and `outputs`, the scores and offsets from it;
calling it does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError


class TwoLayerHead(nn.Module):
    """Two fully connected layers, then K + 1 scores and four offsets a class (Fast R-CNN, figure 1).

    The first layer reads a pooled region row by row, channels innermost, as it lies in memory. Weights made
    for channels outermost (VGG's fc6) are permuted once, by `start_from`.
    """

    def __init__(
        self, channels: int, pool: int, hidden: int, classes: int, dropout: float = 0.0, norm: bool = False
    ) -> None:
        """`norm` puts BatchNorm after both hidden layers: without it they learn slowly from scratch."""
        super().__init__()
        self.channels = channels
        self.fc6: Any = _hidden(channels * pool * pool, hidden, norm)
        self.fc7: Any = _hidden(hidden, hidden, norm)
        self.dropout = nn.Dropout(dropout)
        self.logits, self.deltas = _outputs(hidden, classes)

    def features(self, pooled: Tensor) -> Tensor:
        """Pooled features (R, C, pool, pool) to those of the second layer (R, hidden)."""
        hidden = self.dropout(F.relu(self.fc6(pooled.permute(0, 2, 3, 1).flatten(1))))
        seen: Tensor = self.dropout(F.relu(self.fc7(hidden)))
        return seen

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (R, hidden) to logits (R, K + 1) and deltas (R, 4K), float32."""
        return self.logits(features).float(), self.deltas(features).float()

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.outputs(self.features(pooled))

    @torch.no_grad()
    def start_from(self, dense: Mapping[str, Tensor]) -> bool:
        """Take fc6 and fc7 of VGG-16 from torchvision's weights of it (`classifier.0`, `classifier.3`).

        The three papers start from them. False, and nothing is taken, where they are not there, are not
        finite, or this head has other sizes or BatchNorm.
        """
        names = {"0": self.fc6, "3": self.fc7}
        for name, layer in names.items():
            weight, bias = (dense.get(f"classifier.{name}.{part}") for part in ("weight", "bias"))
            if not isinstance(layer, nn.Linear) or weight is None or bias is None:
                return False
            if weight.shape != layer.weight.shape or not (weight.isfinite().all() and bias.isfinite().all()):
                return False
        rows, channels = len(self.fc6.weight), self.channels
        first = dense["classifier.0.weight"].view(rows, channels, -1)  # a region: channels, then cells
        self.fc6.weight.copy_(first.transpose(1, 2).reshape(rows, -1))
        self.fc6.bias.copy_(dense["classifier.0.bias"])
        self.fc7.weight.copy_(dense["classifier.3.weight"])
        self.fc7.bias.copy_(dense["classifier.3.bias"])
        return True

    @torch.no_grad()
    def truncate(self, ranks: tuple[int, int]) -> None:
        """Replace the two hidden layers by pairs of thin ones, of these ranks, in place: for testing only.

        W (u, v) is about U_t (S_t V_t'), its truncated singular value decomposition; two layers of
        t (u + v) weights take the place of one of u v (Fast R-CNN, section 3.1). The first has no bias, the
        second has the old one. BatchNorm must have been folded. A rank that would not save weights, or is 0,
        leaves its layer.
        """
        self.fc6, self.fc7 = _truncated(self.fc6, ranks[0]), _truncated(self.fc7, ranks[1])


class MeanHead(nn.Module):
    """Scores and offsets straight from the mean over a region's cells (He et al. 2016, appendix A)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.logits, self.deltas = _outputs(channels, classes)

    def features(self, pooled: Tensor) -> Tensor:
        """Features (R, C, h, w) to their means over the cells (R, C)."""
        return pooled.mean(dim=(2, 3))

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (R, C) to logits (R, K + 1) and deltas (R, 4K), float32."""
        return self.logits(features).float(), self.deltas(features).float()

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.outputs(self.features(pooled))


Head = TwoLayerHead | MeanHead


def region_head(
    backbone: Backbone, level: str, classes: int, pool: int, hidden: int, dropout: float, norm: bool
) -> Head:
    """The head of regions pooled from a map: two layers, or with `hidden` 0 the mean of the last stage.

    Raises UsageError for 0 and a network that is not made of stages.
    """
    if not hidden:
        if type(backbone).after is Backbone.after:
            name = type(backbone).__name__
            raise UsageError(
                f"{name} has no last stage for regions to go through: give hidden a width above 0"
            )
        return MeanHead(list(backbone.channels.values())[-1], classes)
    return TwoLayerHead(backbone.channels[level], pool, hidden, classes, dropout, norm)


def _outputs(inputs: int, classes: int) -> tuple[nn.Linear, nn.Linear]:
    """The layers of K + 1 scores and 4K offsets, with Fast R-CNN's small random weights."""
    logits, deltas = nn.Linear(inputs, classes + 1), nn.Linear(inputs, 4 * classes)
    for layer, deviation in ((logits, 0.01), (deltas, 0.001)):
        nn.init.normal_(layer.weight, std=deviation)
        nn.init.zeros_(layer.bias)
    return logits, deltas


def _hidden(inputs: int, outputs: int, norm: bool) -> nn.Module:
    if not norm:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs))


def _truncated(layer: nn.Module, rank: int) -> nn.Module:
    if isinstance(layer, nn.Sequential):  # with its BatchNorm folded
        layer = layer[0]
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"expected a linear layer to truncate, got {type(layer).__name__}")
    inputs, outputs = layer.in_features, layer.out_features
    if not 0 < rank * (inputs + outputs) < inputs * outputs:
        return layer
    # The smaller of W W' and W' W has W's singular vectors, and is far cheaper than W itself.
    weight = layer.weight.double()
    wide = inputs > outputs
    values, vectors = torch.linalg.eigh(weight @ weight.T if wide else weight.T @ weight)
    basis = vectors[:, values.argsort(descending=True)[:rank]]  # (u, t) of U, or (v, t) of V
    first, second = (basis.T @ weight, basis) if wide else (basis.T, weight @ basis)
    thin, wider = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs)
    thin.weight.copy_(first)
    wider.weight.copy_(second)
    wider.bias.copy_(layer.bias)
    return nn.Sequential(thin, wider).to(layer.weight)
