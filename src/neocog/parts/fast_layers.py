"""Layers that for a while compute the same in a faster way; the network they belong to stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neocog.ops import onednn

Swap = tuple[nn.Module, Callable[[Tensor], Tensor]]
"""A layer, and what is to stand in for its `forward`."""


def fast_layers(model: nn.Module) -> list[Swap]:
    """The layers of a float32 network on this machine's CPU that have a faster form, with that form.

    It follows from the machine and torch's number of threads alone: what resumes there has the same bits.
    """
    if not onednn.products_are_slow():
        return []
    swaps: list[Swap] = []
    for layer in model.modules():
        if type(layer) is nn.Linear:
            swaps.append((layer, _linear(layer)))
        elif type(layer) is nn.Conv2d and torch.get_num_threads() == 1 and _is_1x1(layer):
            swaps.append((layer, _convolution(layer)))
    return swaps


@contextmanager
def swapped(swaps: Sequence[Swap]) -> Iterator[None]:
    """Inside, these layers compute by their faster forms."""
    for layer, forward in swaps:
        vars(layer)["forward"] = forward  # of this one layer, in place of its class's
    try:
        yield
    finally:
        for layer, _ in swaps:
            del vars(layer)["forward"]


def _is_1x1(layer: nn.Conv2d) -> bool:
    wide = min(layer.in_channels, layer.out_channels) >= onednn.NARROWEST
    where = layer.kernel_size, layer.stride, layer.padding, layer.groups
    return wide and where == ((1, 1), (1, 1), (0, 0), 1)


def _linear(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    return lambda x: onednn.linear(x, layer.weight, layer.bias)


def _convolution(layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    return lambda x: onednn.convolve_1x1(x, layer.weight, layer.bias)
