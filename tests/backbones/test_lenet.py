"""LeNet-5: published counts of both variants, and the connections of C3."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from neocog.backbones.lenet import TABLE, LeNet5, SparseConvolution, Subsampling, scaled_tanh
from neocog.ops.summary import summarize


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_counts_of_1998_are_the_published_ones() -> None:
    backbone = LeNet5(original=True)
    parts = backbone.conv1, backbone.pool1, backbone.conv2, backbone.pool2
    assert [count(part) for part in parts] == [156, 12, 1_516, 32]


def test_counts_of_the_modern_variant() -> None:
    backbone = LeNet5()
    assert [count(backbone.conv1), count(backbone.conv2)] == [156, 2_416]
    assert count(backbone) == 2_572


@pytest.mark.parametrize("original", [False, True])
def test_shapes_are_those_of_the_paper(original: bool) -> None:
    backbone = LeNet5(original=original)
    maps = backbone(torch.rand(2, 3, 32, 32)).maps
    shapes = {name: tuple(value.shape[1:]) for name, value in maps.items()}
    assert shapes == {"conv1": (6, 28, 28), "pool1": (6, 14, 14), "conv2": (16, 10, 10), "pool2": (16, 5, 5)}
    assert list(backbone(torch.rand(1, 3, 32, 32), "conv2").maps) == ["conv1", "pool1", "conv2"]
    field = summarize(backbone, 32).rows[-1].field
    assert field is not None and (field.size, field.jump) == (16, 4)


def test_c3_reads_the_maps_of_its_table_and_no_others() -> None:
    assert [len(those) for those in TABLE] == [3] * 6 + [4] * 9 + [6]
    layer = SparseConvolution()
    maps = torch.rand(1, 6, 14, 14, requires_grad=True)
    for reader, those in enumerate(TABLE):
        (gradient,) = torch.autograd.grad(layer(maps)[0, reader].sum(), maps)
        assert gradient.abs().sum(dim=(0, 2, 3)).nonzero().flatten().tolist() == list(those)


def test_c3_is_a_sum_of_convolutions_of_one_map_each() -> None:
    layer, maps = SparseConvolution(), torch.rand(2, 6, 9, 9)
    expected = layer.bias.detach().view(1, -1, 1, 1).repeat(2, 1, 5, 5)
    kernels = iter(layer.kernels.detach())
    for reader, those in enumerate(TABLE):
        for read in those:
            expected[:, reader] += F.conv2d(maps[:, read : read + 1], next(kernels)[None, None])[:, 0]
    torch.testing.assert_close(layer(maps).detach(), expected)


def test_subsampling_sums_four_cells() -> None:
    layer = Subsampling(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([0.5, -1.0]))
        layer.bias.copy_(torch.tensor([0.1, 0.2]))
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 2, 2, 2)
    expected = 1.7159 * torch.tanh(torch.tensor([0.5 * 10 + 0.1, -10 + 0.2]) * 2 / 3)
    torch.testing.assert_close(layer(x).flatten(), expected)


def test_the_squashing_leaves_one_in_its_place() -> None:
    torch.testing.assert_close(
        scaled_tanh(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4, rtol=0
    )


def test_ground_and_ink_have_the_values_of_the_paper() -> None:
    pixels = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    seen = LeNet5(original=True).normalise(pixels).flatten()
    torch.testing.assert_close(seen, torch.tensor([-0.1, 1.175]))
