"""Back-projection written out, layer by layer from the last to the first (Zeiler and Fergus 2014)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.ops.pool import max_pool, unpool


@torch.no_grad()
def project(layers: nn.Sequential, images: Tensor, signal: Tensor, rule: str) -> Tensor:
    """What `signal`, of the shape of the last layer's output, becomes on its way back to the images."""
    inputs, switches = [], []
    x = images
    for layer in layers:
        inputs.append(x)
        places = None
        if isinstance(layer, nn.MaxPool2d):
            x, places = max_pool(x, _one(layer.kernel_size), _one(layer.stride), _one(layer.padding))
        else:
            x = layer(x)
        switches.append(places)
    for layer, seen, places in reversed(list(zip(layers, inputs, switches, strict=True))):
        if isinstance(layer, nn.ReLU):
            if rule in ("deconvnet", "guided"):
                signal = signal.clamp(min=0)
            if rule in ("gradient", "guided"):
                signal = signal * (seen > 0)
        elif isinstance(layer, nn.MaxPool2d):
            assert places is not None
            signal = unpool(signal, places, (seen.shape[2], seen.shape[3]))
        elif isinstance(layer, nn.Conv2d):
            stride, padding, kernel = _one(layer.stride), _one(layer.padding), _one(layer.kernel_size)
            rest = [
                seen.shape[axis] - ((signal.shape[axis] - 1) * stride - 2 * padding + kernel)
                for axis in (2, 3)
            ]
            signal = F.conv_transpose2d(signal, layer.weight, None, stride, padding, output_padding=rest)
        else:
            raise TypeError(type(layer))
    return signal


def _one(value: Any) -> int:
    """The number that both axes have."""
    return int(value[0]) if isinstance(value, tuple) else int(value)
