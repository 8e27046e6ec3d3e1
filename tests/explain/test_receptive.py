"""Receptive fields against those reckoned by arithmetic, and maps laid over pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.resnet import CONV5, resnet18, resnet50
from neocog.backbones.vgg import vgg16
from neocog.errors import UsageError
from neocog.explain.receptive import Field, field_of, over_pixels, receptive_field
from neocog.ops.summary import summarize

# r_l = r + (k - 1) j, start_l = start + ((k - 1) / 2 - p) j, over the layers of each network; 0.5 is the
# middle of the first pixel.
VGG = {
    "conv1_2": (5, 1, 0.5),
    "pool1": (6, 2, 1.0),
    "pool2": (16, 4, 2.0),
    "pool3": (44, 8, 4.0),
    "conv4_3": (92, 8, 4.0),
    "pool4": (100, 16, 8.0),
    "conv5_3": (196, 16, 8.0),
    "pool5": (212, 32, 16.0),
}
RESNET18 = {"layer1": 43, "layer2": 99, "layer3": 211, "layer4": 435}
RESNET50 = {"layer1": 35, "layer2": 91, "layer3": 267, "layer4": 427}


@pytest.mark.parametrize("level", VGG)
def test_vgg(level: str) -> None:
    size, stride, offset = VGG[level]
    assert receptive_field(vgg16(), level) == Field(stride, offset, size)
    assert receptive_field(vgg16(ceil_mode=True, switches=True), level) == Field(stride, offset, size)


@pytest.mark.parametrize(("build", "sizes"), [(resnet18, RESNET18), (resnet50, RESNET50)])
def test_resnets(build: Callable[[], Backbone], sizes: dict[str, int]) -> None:
    network = build()
    for level, size in sizes.items():
        assert receptive_field(network, level) == Field(network.strides[level], 0.5, size)


def test_the_field_is_what_can_change_the_cell() -> None:
    """Compact's p2 sees its picture through an upsampling: no pixel outside its box has a gradient."""
    torch.manual_seed(0)
    network = compact().eval()
    for level in ("c2", "c3"):
        field = receptive_field(network, level)
        images = torch.rand(1, 3, 128, 128, requires_grad=True)
        row, column = 64 // network.strides[level], 72 // network.strides[level]
        cell = network(images, until=level).maps[level][0, :, row, column].sum()
        (slopes,) = torch.autograd.grad(cell, images)
        lit = torch.nonzero(slopes[0].any(dim=0))
        x0, y0, x1, y1 = field.box(row, column)
        assert y0 <= lit[:, 0].min() and lit[:, 0].max() < y1
        assert x0 <= lit[:, 1].min() and lit[:, 1].max() < x1
        assert len(lit) > 0.5 * (x1 - x0) * (y1 - y0)
    p2 = receptive_field(network, "p2")
    assert p2.stride == 4 and p2.size > receptive_field(network, "p3").size


@pytest.mark.parametrize("build", [vgg16, resnet18, lambda: resnet18(dilations=CONV5)])
def test_it_is_what_arithmetic_finds(build: Callable[[], Backbone]) -> None:
    network = build()
    for level in network.channels:
        images = torch.rand(1, 3, 64, 64)
        rows = summarize(network, images, lambda given, level=level: network(given, until=level).maps).rows  # type: ignore[misc]
        known = [row.field for row in rows if row.field is not None][-1]
        assert receptive_field(network, level) == Field(known.jump, known.start + 0.5, known.size)


def test_a_cell_is_a_stride_wide_about_the_middle() -> None:
    field = Field(8, 4, 44)
    assert field.cell(0, 1) == (8, 0, 16, 8) and field.box(0, 1) == (-10, -18, 34, 26)


class OneSize(Backbone):
    """It takes pictures of 32 pixels alone."""

    def __init__(self) -> None:
        super().__init__({"map": 3}, {"map": 4})

    def forward(self, images: Tensor, until: str | None = None) -> object:  # type: ignore[override]
        raise UsageError("pictures of 32 pixels")


def test_a_network_of_one_size_sees_all_of_it() -> None:
    field = field_of(OneSize(), "map", (32, 32))
    assert field.stride == 4 and field.offset == 2 and field.size >= 2 * 32


def test_no_such_map_is_an_error() -> None:
    with pytest.raises(UsageError, match="no feature map 'c9'"):
        receptive_field(compact(), "c9")


def test_half_pixel_cells_are_laid_as_torch_interpolates() -> None:
    cells = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(cells[None], scale_factor=8, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(over_pixels(cells, (8, 8), (4, 4), (40, 56)), wanted)


def test_a_cells_value_stands_at_its_centre() -> None:
    cells = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    laid = over_pixels(cells, (6, 10), (3.5, 20.5), (30, 50))[0]
    torch.testing.assert_close(laid[3:22:6, 20:41:10], cells[0])
    assert (laid[:4, :21] == laid[0, 0]).all()  # beyond the outer centres they go on
    middle = (cells[0, 0, 0] + cells[0, 1, 0]) / 2
    torch.testing.assert_close(laid[6, 20], middle)


def test_a_single_cell_covers_everything() -> None:
    assert (over_pixels(torch.full((1, 1, 1), 3.0), (32, 32), (113.5, 113.5), (9, 7)) == 3).all()
