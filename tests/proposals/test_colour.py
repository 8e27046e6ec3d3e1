"""Colour spaces against scikit-image and the standard library."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from neocog.proposals.colour import CHANNELS, Space, convert

CORNERS = np.array(
    [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 1], [7, 7, 7]]
)


def colours() -> NDArray[np.uint8]:
    draw = np.random.default_rng(0).integers(0, 256, (193, 3))
    return np.concatenate([CORNERS, draw]).astype(np.uint8).reshape(20, 10, 3)


@pytest.mark.parametrize("space", list(CHANNELS))
def test_channels_lie_in_range(space: Space) -> None:
    out = convert(colours(), space)
    assert out.shape == (20, 10, CHANNELS[space]) and out.dtype == np.float32 and out.flags.c_contiguous
    assert 0 <= out.min() <= out.max() <= 255.001


def test_hsv_is_the_standard_librarys() -> None:
    image = colours()
    out = convert(image, "hsv")
    want = [colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in image.reshape(-1, 3).astype(float)]
    assert np.allclose(out.reshape(-1, 3), 255 * np.array(want), atol=0.01)
    assert np.array_equal(convert(image, "h")[..., 0], out[..., 0])


def test_lab_is_scikit_images() -> None:
    image = colours()
    want = rgb2lab(image) * [2.55, 1, 1] + [0, 128, 128]
    assert np.allclose(convert(image, "lab"), want, atol=0.1)


def test_normalised_colour_does_not_see_brightness() -> None:
    image = np.array([[[40, 20, 10], [80, 40, 20], [0, 0, 0]]], np.uint8)
    out = convert(image, "rgi")[0]
    assert np.allclose(out[0, :2], out[1, :2]) and np.allclose(out[0, 0], 255 * 40 / 70)
    assert np.allclose(out[2], [85, 85, 0])
    assert np.allclose(convert(image, "i")[0, :, 0], out[:, 2])
    assert np.allclose(out[0, 2], 0.299 * 40 + 0.587 * 20 + 0.114 * 10)
