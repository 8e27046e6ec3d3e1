"""Up-sampling against torch's own two ways to do it, grids against the authors' offsets."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from neocog.parts.upsample import Grid, Upsample, bilinear_kernel, bilinear_weight, overlap


@pytest.mark.parametrize("side", [3, 4, 8, 16, 63, 64])
def test_the_kernel_is_the_one_of_the_authors(side: int) -> None:
    """`surgery.py` word by word: a hat about the middle, of twice the factor."""
    factor = (side + 1) // 2
    centre = factor - 1 if side % 2 == 1 else factor - 0.5
    kernel = bilinear_kernel(side)
    for i in range(side):
        for j in range(side):
            expected = (1 - abs(i - centre) / factor) * (1 - abs(j - centre) / factor)
            assert kernel[i, j].item() == pytest.approx(expected, abs=1e-6)


def test_a_constant_stays_constant_and_channels_stay_apart() -> None:
    weight = bilinear_weight(3, 8)
    assert weight.shape == (3, 3, 8, 8) and weight[0, 1].abs().sum() == 0
    maps = torch.ones(1, 3, 6, 6) * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    large = F.conv_transpose2d(maps, weight, stride=4, padding=2)
    torch.testing.assert_close(large[:, :, 2:-2, 2:-2], maps[:, :, :1, :1].expand(1, 3, 20, 20))


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("kind", [{}, {"whole": True}, {"between": False}])
def test_frozen_interpolation_is_the_transposed_convolution_away_from_borders(
    factor: int, kind: dict[str, bool]
) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 5)
    frozen, learned = Upsample(3, factor, **kind), Upsample(3, factor, learned=True, **kind)
    one, other = frozen(maps), learned(maps)
    extra = factor if kind.get("whole") else 0
    assert one.shape == other.shape == (2, 3, 4 * factor + extra, 5 * factor + extra)
    border = factor if kind.get("whole") else factor // 2 if not kind else 0
    inner = (..., slice(border, one.shape[2] - border), slice(border, one.shape[3] - border))
    torch.testing.assert_close(one[inner], other[inner])
    assert [len(list(part.parameters())) for part in (frozen, learned)] == [0, 1]


@pytest.mark.parametrize("kind", [{}, {"whole": True}, {"between": False}])
def test_cells_come_to_lie_where_the_grid_says(kind: dict[str, bool]) -> None:
    """A ramp whose values are the pixel at which each cell is centred is a ramp of pixels afterwards."""
    layer = Upsample(1, 8, **kind)
    grid = Grid(16, 7.5 if layer.between else 0.0)
    ramp = grid.stride * torch.arange(6.0) + grid.first
    large = layer(ramp.expand(1, 1, 6, 6))
    fine = layer.grid(grid)
    expected = fine.stride * torch.arange(large.shape[-1]) + fine.first
    inner = slice(8, 40) if layer.between else slice(0, 40)
    torch.testing.assert_close(large[0, 0, 20, inner], expected[inner])


def test_offsets_are_those_of_the_authors() -> None:
    """With conv1_1 padded by 100 and transposed convolutions not at all: 5, 9, and 19, 27, 31."""
    grid, pools = Grid(1, 0).after(3, padding=100), []
    convolutions = (2, 2, 3, 3, 3)
    for number, depth in enumerate(convolutions):
        for _ in range(depth - (number == 0)):
            grid = grid.after(3, padding=1)
        grid = grid.after(2, stride=2)
        pools.append(grid)
    assert [(pool.stride, pool.first) for pool in pools[2:4]] == [(8, -95.5), (16, -91.5)]
    score = grid.after(7)
    assert (score.stride, score.first) == (32, 12.5)
    picture = Grid(1, 0)
    assert score.enlarged(64, 32).place(picture) == 19
    fused16 = score.enlarged(4, 2)
    assert pools[3].place(fused16) == 5 and fused16.enlarged(32, 16).place(picture) == 27
    fused8 = fused16.enlarged(4, 2)
    assert pools[2].place(fused8) == 9 and fused8.enlarged(16, 8).place(picture) == 31


def test_maps_that_lie_on_no_common_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="not on the grid"):
        Grid(16, 7.5).place(Grid(16, 0))
    with pytest.raises(ValueError, match="not on the grid"):
        Grid(16, 7.5).place(Grid(8, 7.5))
    with pytest.raises(ValueError, match="between pixels"):
        Upsample(2, 4, between=False, whole=True)


def test_overlap_cuts_both_maps() -> None:
    coarse, fine = torch.rand(1, 2, 34, 34), torch.rand(1, 2, 44, 30)
    one, other = overlap(coarse, fine, 5)
    assert one.shape == other.shape == (1, 2, 34, 25)
    assert torch.equal(other, fine[:, :, 5:39, 5:])
