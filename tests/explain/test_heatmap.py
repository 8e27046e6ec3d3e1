"""Heat maps of classifiers: cells laid where their windows are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from neocog.explain.heatmap import Sliding, class_map, heat_over, heatmap_of, log_odds, peak
from neocog.zoo import create


def test_the_class_map_is_the_softmax_over_classes() -> None:
    logits = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    found = class_map(logits, 2)
    torch.testing.assert_close(found[1, 4], logits[:, 1, 4].exp()[2] / logits[:, 1, 4].exp().sum())


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(log_odds(logits, 1), torch.logit(logits.softmax(dim=0)[1]).float())


@given(st.integers(0, 9), st.integers(0, 13), st.integers(1, 7), st.integers(1, 8))
def test_the_peak_is_the_middle_of_the_window_that_scores_most(
    row: int, column: int, kernel: int, stride: int
) -> None:
    """A valid convolution as the classifier: it answers for the window that holds the lit patch."""
    size = 9 * stride + kernel, 13 * stride + kernel
    images = torch.zeros(1, 1, *size)
    top, left = row * stride, column * stride
    images[..., top : top + kernel, left : left + kernel] = 1
    logits = F.conv2d(
        images, torch.ones(2, 1, kernel, kernel) * torch.tensor([1.0, 0])[:, None, None, None], stride=stride
    )
    x, y = peak(logits[0], 0, stride, kernel / 2)
    assert (x, y) == (left + kernel / 2, top + kernel / 2)
    assert heat_over(logits[0], 0, stride, kernel / 2, size).shape == size


def test_the_heat_is_highest_at_the_peak() -> None:
    logits = torch.zeros(2, 8, 8)
    logits[1, 2, 5] = 4
    heat = heat_over(logits, 1, 32, 113.5, (451, 451))
    row, column = divmod(int(heat.argmax()), 451)
    assert (column + 0.5, row + 0.5) == peak(logits, 1, 32, 113.5) == (113.5 + 5 * 32, 113.5 + 2 * 32)


def test_the_picture_names_the_most_probable_class() -> None:
    logits = torch.zeros(3, 4, 6)
    logits[2, 1, 3] = 9
    pixels = np.full((100, 140, 3), 200, np.uint8)
    overlay, cells, odds = heatmap_of(logits, 20, 20, pixels, ("a", "b", "c"))
    assert cells.record["class"] == "c" and cells.record["peak"] == [80, 40]
    assert odds.name == "odds"
    assert "'c'" in overlay.caption and "x 80, y 40" in overlay.caption
    shades = np.asarray(overlay.picture).astype(int)
    scale = 384 // 100 + 1
    blue = shades[..., 2] - shades[..., 0]
    assert blue[40 * scale, 80 * scale] > 100 and blue[90 * scale, 10 * scale] < 60
    chosen, *_ = heatmap_of(logits, 20, 20, pixels, ("a", "b", "c"), label=0)
    assert "'a'" in chosen.caption


def test_a_convolutional_classifier_on_a_shifted_picture() -> None:
    """A shift by the stride moves the heat by as much."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 3, 4, stride=2))
    images = torch.zeros(1, 3, 61, 61)
    images[..., 20:32, 16:28] = torch.rand(3, 12, 12)
    with torch.no_grad():
        first, second = network(images)[0], network(images.roll((4, 8), (2, 3)))[0]
    for label in range(3):
        x, y = peak(first, label, 4, 5.5)
        assert peak(second, label, 4, 5.5) in ((x + 8, y + 4), (x, y))
        torch.testing.assert_close(class_map(second, label)[1:, 2:], class_map(first, label)[:-1, :-2])


def test_a_peak_needs_a_class_that_exists() -> None:
    with pytest.raises(IndexError):
        peak(torch.zeros(2, 3, 3), 5, 1, 0.5)


@pytest.mark.parametrize(
    ("name", "side", "shape", "seen", "windows"),
    [
        ("compact", 64, (32, 48), (64, 96), (4, 6)),  # the cells of the map that it averages
        ("compact", 64, (64, 80), (64, 80), (4, 5)),  # larger already
        ("notes-digit", 28, (28, 28), (56, 56), (8, 8)),  # one window would be no map
    ],
)
def test_small_pictures_are_enlarged_until_there_is_a_map(
    name: str, side: int, shape: tuple[int, int], seen: tuple[int, int], windows: tuple[int, int]
) -> None:
    sliding = Sliding(create(name, 3, side=side))
    pixels, logits = sliding(np.zeros((*shape, 3), np.uint8))
    assert pixels.shape == (*seen, 3) and logits.shape == (3, *windows)
