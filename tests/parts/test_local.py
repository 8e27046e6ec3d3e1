"""Locally connected layers: a convolution whose positions share nothing, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neocog.backbones.compact import compact
from neocog.backbones.lenet import LeNet5
from neocog.backbones.notes import NotesDigit
from neocog.errors import UsageError
from neocog.ops.arithmetic import conv_parameters, dense_parameters, local_parameters
from neocog.parts.local import Dense2d, LocallyConnected2d, replace_first


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@given(
    st.integers(5, 9),
    st.integers(5, 9),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.booleans(),
)
def test_with_one_kernel_at_every_position_it_is_a_convolution(
    height: int, width: int, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, kernel, stride, padding, bias=bias)
    local = LocallyConnected2d(
        (height, width), 2, 3, (kernel, kernel), (stride, stride), (padding, padding), bias=bias
    )
    with torch.no_grad():
        local.weight.copy_(conv.weight.flatten(1).expand_as(local.weight))
        if local.bias is not None and conv.bias is not None:
            local.bias.view(3, -1).copy_(conv.bias[:, None].expand(3, len(local.weight)))
    x = torch.randn(2, 2, height, width)
    torch.testing.assert_close(local(x), conv(x), rtol=1e-4, atol=1e-5)


def test_every_position_has_weights_of_its_own() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d((4, 5), 2, 3, (2, 3), (1, 2))
    x = torch.randn(2, 2, 4, 5)
    found = layer(x)
    assert found.shape == (2, 3, 3, 2)
    bias = layer.bias
    assert bias is not None
    for row in range(3):
        for column in range(2):
            window = x[:, :, row : row + 2, 2 * column : 2 * column + 3].flatten(1)
            place = 2 * row + column
            expected = window @ layer.weight[place].T + bias.view(3, 6)[:, place]
            torch.testing.assert_close(found[:, :, row, column], expected)


def test_counts_are_those_of_the_arithmetic() -> None:
    local = LocallyConnected2d((28, 28), 1, 5, (6, 6), (2, 2))
    assert count(local) == local_parameters(5 * 12 * 12, 6)
    assert count(Dense2d((28, 28), 1, 5, (12, 12))) == dense_parameters(28 * 28, 5 * 12 * 12)


def test_the_example_of_the_lecture() -> None:
    """A picture of 1000 x 1000, a million hidden units, windows of 10 x 10, a hundred shared filters."""
    assert dense_parameters(10**6, 10**6, bias=False) == 10**12
    assert local_parameters(10**6, 10, bias=False) == 10**8
    assert conv_parameters(1, 100, 10, bias=False) == 10**4


@pytest.mark.parametrize("build", [NotesDigit, LeNet5, compact])
@pytest.mark.parametrize("first", ["local", "dense"])
def test_the_first_convolution_is_replaced_by_one_of_the_same_sizes(build: Any, first: Any) -> None:
    side = 32
    with torch.device("meta"):
        backbone, plain = build(), build()
        replace_first(backbone, first, side)
        ours, theirs = (one(torch.zeros(2, 3, side, side)).maps for one in (backbone, plain))
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }
    kinds = [type(part) for part in backbone.modules()]
    assert (LocallyConnected2d in kinds) == (first == "local") and (Dense2d in kinds) == (first == "dense")
    convolutions = sum(isinstance(part, nn.Conv2d) for part in plain.modules())
    assert sum(kind is nn.Conv2d for kind in kinds) == convolutions - 1
    assert count(backbone) > count(plain)


def test_a_convolution_stays() -> None:
    backbone = NotesDigit()
    before = backbone.conv1
    replace_first(backbone, "convolution", 28)
    assert backbone.conv1 is before


def test_other_sizes_and_too_many_weights_are_refused() -> None:
    backbone = NotesDigit()
    replace_first(backbone, "local", 28)
    with pytest.raises(UsageError, match="28 x 28 px only, not 32 x 28"):
        backbone(torch.rand(1, 3, 28, 32))
    with pytest.raises(UsageError, match=r"first=dense: the first layer would have [\d,]+ weights at 128"):
        replace_first(compact(), "dense", 128)


def test_gradients_reach_weights_and_input() -> None:
    layer = LocallyConnected2d((3, 3), 1, 2, (2, 2)).double()
    x = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
