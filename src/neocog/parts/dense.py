"""The dense layers of a classifier, and the size of the map that they read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from neocog.backbones.backbone import Backbone
from neocog.backbones.lenet import scaled_tanh
from neocog.backbones.weights import HEADS
from neocog.errors import UsageError

Activation = Literal["relu", "tanh"]


class ScaledTanh(nn.Module):
    """LeNet-5's squashing function."""

    def forward(self, x: Tensor) -> Tensor:
        return scaled_tanh(x)


class DenseHead(nn.Sequential):
    """Hidden layers, each with its nonlinearity and dropout, and a linear layer to the scores.

    (B, inputs) to (B, outputs). Places, and so names in the state dict, are those of torchvision's
    `classifier`: linear, ReLU, dropout (VGG), or with `dropout_first` dropout, linear, ReLU (AlexNet).
    Without hidden layers, dropout comes before the only one.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        dropout: float = 0.0,
        dropout_first: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(*_layers([inputs, *hidden], outputs, dropout, dropout_first, activation))
        *hidden_layers, last = self.linear
        for layer in hidden_layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if activation == "relu" else "linear")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

    @property
    def linear(self) -> list[nn.Linear]:
        """The dense layers in order, the scores' last."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def start_from(self, dense: Mapping[str, Tensor]) -> bool:
        """Take the dense layers of a file of torchvision's, the first to the last that fits.

        With another number of classes that leaves the last as it was. False, and nothing is taken, where not
        even the first fits.
        """
        taken = False
        for layer, prefix in zip(self.linear, _prefixes(dense), strict=False):
            weight, bias = dense[f"{prefix}.weight"], dense.get(f"{prefix}.bias")
            if weight.shape != layer.weight.shape or bias is None or bias.shape != layer.bias.shape:
                break
            if not (weight.isfinite().all() and bias.isfinite().all()):
                break
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
            taken = True
        return taken


def map_size(backbone: Backbone, level: str, side: int) -> tuple[int, int, int]:
    """Channels, rows and columns of a map at pictures of `side` x `side` pixels; nothing is computed.

    Raises UsageError for pictures that are too small for the network.
    """
    images = torch.empty(1, 3, side, side, device="meta")
    try:
        features: Any = functional_call(backbone, shapes_of(backbone), (images,), {"until": level})
    except (RuntimeError, ValueError) as error:
        name = type(backbone).__name__
        raise UsageError(
            f"pictures of {side} x {side} px are too small for {name}'s {level}: give a larger --size"
        ) from error
    _, channels, rows, columns = features.maps[level].shape
    return channels, rows, columns


def shapes_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers without their values: with them its shapes cost nothing to find."""
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    return {name: torch.empty_like(value, device="meta") for name, value in tensors}


def _layers(
    widths: Sequence[int], outputs: int, dropout: float, dropout_first: bool, activation: Activation
) -> Iterator[nn.Module]:
    if len(widths) == 1:
        yield nn.Dropout(dropout)
    for before, after in itertools.pairwise(widths):
        block = [nn.Linear(before, after), nn.ReLU() if activation == "relu" else ScaledTanh()]
        yield from [nn.Dropout(dropout), *block] if dropout_first else [*block, nn.Dropout(dropout)]
    yield nn.Linear(widths[-1], outputs)


def _prefixes(dense: Mapping[str, Tensor]) -> list[str]:
    """`classifier.1`, `classifier.4`, ... or `fc`: the names of dense layers in order."""
    names = [name.removesuffix(".weight") for name in dense if name.endswith(".weight")]
    found = [name for name in names if f"{name}.".startswith(HEADS) and dense[f"{name}.weight"].ndim == 2]
    return sorted(found, key=lambda name: (len(name), name))
