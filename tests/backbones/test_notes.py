"""The two nets of the notes: their counts, shapes and the geometries that fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neocog.backbones.notes import NotesDigit, NotesPattern
from neocog.errors import UsageError
from neocog.ops.arithmetic import Field
from neocog.ops.summary import summarize

# Stride and padding of the first convolution; kernel, stride and rounding of the pooling; stride and padding
# of the second convolution. All lead from 28 pixels to 4 cells.
FITTING = [
    (2, 0, 2, 2, False, 1, 0),
    (1, 0, 4, 4, True, 1, 0),
    (1, 0, 4, 2, False, 2, 0),
    (1, 0, 3, 3, False, 2, 1),
    (1, 0, 3, 3, True, 2, 1),
    (2, 0, 3, 2, True, 1, 0),
    (2, 0, 3, 3, False, 1, 1),
]
NAMES = "stride", "padding", "pool", "pool_stride", "ceil_mode", "second_stride", "second_padding"


def geometry(numbers: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(NAMES, numbers, strict=True))


def test_the_digit_net_is_that_of_the_notes() -> None:
    summary = summarize(NotesDigit(), 28)
    rows = {row.name: row for row in summary.rows}
    assert [rows[name].parameters for name in ("conv1", "conv2")] == [180 + 5, 450 + 10]
    assert [rows[name].multiply_adds for name in ("conv1", "conv2")] == [25_920, 7_200]
    assert [rows[name].shape[1:] for name in ("conv1", "pool1", "conv2")] == [
        (5, 12, 12),
        (5, 6, 6),
        (10, 4, 4),
    ]
    fields = [rows[name].field for name in ("conv1", "pool1", "conv2")]
    assert [(field.size, field.jump) for field in fields if field] == [(6, 2), (8, 4), (16, 4)]


def test_the_pattern_net_is_that_of_the_notes() -> None:
    summary = summarize(NotesPattern(), 128)
    convolutions = [row for row in summary.rows if row.kind == "Conv2d"]
    pools = [row for row in summary.rows if row.kind == "MaxPool2d"]
    assert [row.parameters for row in convolutions] == [4_736, 50_208, 50_208]
    assert [row.shape[1:] for row in convolutions] == [(32, 128, 128), (32, 64, 64), (32, 32, 32)]
    assert [row.shape[1:] for row in pools] == [(32, 64, 64), (32, 32, 32), (32, 16, 16)]
    sizes = [row.field.size for row in summary.rows if row.kind != "ReLU" and row.field]
    assert sizes == [7, 8, 20, 22, 46, 50]
    assert pools[-1].field == Field(50, 8, 3.5)


@pytest.mark.parametrize("numbers", FITTING, ids=str)
def test_every_geometry_that_fits_gives_160_numbers(numbers: tuple[Any, ...]) -> None:
    backbone = NotesDigit(**geometry(numbers))
    seen = backbone(torch.rand(2, 3, 28, 28)).maps["conv2"]
    assert seen.flatten(1).shape == (2, 160)
    assert backbone.strides["conv2"] == numbers[0] * numbers[3] * numbers[5]


def test_what_people_try_first_does_not_fit() -> None:
    with pytest.raises(ValueError, match="810 numbers, and the notes' dense layer reads 160"):
        NotesDigit(stride=1)


def test_pooling_before_relu_is_pooling_after_it() -> None:
    backbone = NotesDigit()
    maps = backbone(torch.rand(3, 3, 28, 28)).maps
    assert torch.equal(maps["pool1"], backbone.pool1(maps["conv1"].relu()))


def test_colours_become_the_grey_of_their_mean() -> None:
    images = torch.rand(2, 3, 28, 28)
    alike = images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    backbone = NotesDigit()
    torch.testing.assert_close(backbone(images).maps["conv2"], backbone(alike).maps["conv2"])
    expected = (images.numpy().mean(axis=1) - 0.1307) / 0.3081
    torch.testing.assert_close(backbone.normalise(images)[:, 0], torch.from_numpy(expected))


@pytest.mark.parametrize("build", [NotesDigit, NotesPattern])
def test_maps_are_those_stated_and_computation_stops_where_asked(build: Any) -> None:
    backbone = build()
    maps = backbone(torch.rand(1, 3, 64, 64)).maps
    assert list(maps) == list(backbone.channels)
    assert [value.shape[1] for value in maps.values()] == list(backbone.channels.values())
    for number, name in enumerate(maps, 1):
        assert list(backbone(torch.rand(1, 3, 64, 64), name).maps) == list(maps)[:number]
    with pytest.raises(UsageError, match="no feature map"):
        backbone(torch.rand(1, 3, 64, 64), "conv9")
