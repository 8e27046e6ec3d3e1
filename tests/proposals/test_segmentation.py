"""Graph segmentation: against its definition, against scikit-image, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.segmentation import felzenszwalb
from tests.references.selective_search import in_reading_order, slow_segment

from neocog.data.scenes import Scenes
from neocog.proposals import _kernels_pixels as pixels
from neocog.proposals import _kernels_segment as kernels
from neocog.proposals.colour import convert
from neocog.proposals.segmentation import segment, segment_scales, smoothed

Picture = NDArray[np.float32]


@st.composite
def pictures(draw: st.DrawFn, few: bool = True) -> Picture:
    """Small pictures; with few colours most edges weigh the same."""
    height, width, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.sampled_from([1, 3]))
    values = st.integers(0, 3 if few else 255).map(float)
    return draw(hnp.arrays(np.float32, (height, width, channels), elements=values))


def scene(index: int) -> NDArray[np.uint8]:
    return Scenes("std", "val", 8, 0, 96)[index].image


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Picture:
    """Colours whose distances are all different."""
    return (255 * np.random.default_rng(seed).random((height, width, channels))).astype(np.float32)


@settings(max_examples=80)
@given(pictures() | pictures(few=False), st.sampled_from([0, 1, 2.5, 20, 400]), st.integers(0, 12))
def test_equals_the_definition(picture: Picture, scale: float, least: int) -> None:
    want = slow_segment(picture, scale, least)
    assert np.array_equal(segment(picture, scale, least, sigma=0), want)


@settings(max_examples=30)
@given(pictures(few=False))
def test_several_scales_are_those_one_by_one(picture: Picture) -> None:
    scales, least = [1.0, 30.0, 200.0], [1, 3, 5]
    together = segment_scales(picture, scales, least)
    for labels, scale, size in zip(together, scales, least, strict=True):
        assert np.array_equal(labels, segment(picture, scale, size))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("scale", "least"), [(100, 20), (800, 5), (3000, 0)])
def test_is_scikit_images_where_no_two_edges_weigh_the_same(seed: int, scale: int, least: int) -> None:
    """It divides the scale by 255 for pictures in [0, 1], and no tie is left to choose."""
    picture = gaussian_filter(noise(40, 50, seed=seed), (2, 2, 0))
    names, weights = kernels.sorted_edges(picture)
    assert len(np.unique(weights)) >= len(weights) - 8  # so few equal ones that none decides
    theirs = felzenszwalb(picture.astype(np.float64) / 255, scale, sigma=0, min_size=least, channel_axis=-1)
    ours = segment(picture, scale, least, sigma=0)
    assert np.array_equal(ours, in_reading_order(theirs))


@pytest.mark.parametrize("index", range(4))
def test_agrees_with_scikit_image_on_pictures(index: int) -> None:
    """8-bit colours give equal edges, which it takes in no stated order, so almost all pairs of pixels must
    agree (Rand index); with a little noise on the colours none are equal, and all labels are the same."""
    picture = scene(index).astype(np.float32)
    theirs = felzenszwalb(picture / 255.0, scale=100, sigma=0.8, min_size=50, channel_axis=-1)
    ours = segment(picture, 100, 50)
    assert rand_index(ours, theirs) > 0.999
    noisy = smoothed(picture + noise(96, 96, seed=index) / 255, 0.8)
    theirs = felzenszwalb(noisy.astype(np.float64) / 255, 100, sigma=0, min_size=50, channel_axis=-1)
    assert np.array_equal(segment(noisy, 100, 50, sigma=0), in_reading_order(theirs))


def rand_index(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """The share of pairs of pixels that both put together, or both apart."""
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first.ravel(), second.ravel()), 1)
    pairs = [float((counts * (counts - 1)).sum() / 2) for counts in (table, table.sum(0), table.sum(1))]
    every = first.size * (first.size - 1) / 2
    return (every + 2 * pairs[0] - pairs[1] - pairs[2]) / every


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (7, 2, 3), (2, 31, 3)])
def test_smoothing_is_scipys(shape: tuple[int, int, int]) -> None:
    picture = noise(*shape)
    want = gaussian_filter(picture.astype(np.float64), (0.8, 0.8, 0))
    assert np.allclose(smoothed(picture, 0.8), want, atol=1e-4)
    across = pixels.filter_columns(pixels.filter_rows(picture, pixels.gaussian(1.0, 1)), pixels.gaussian(1.0))
    # SciPy convolves with the sampled derivative, whose slope on a ramp is not exactly one.
    ramp = gaussian_filter(np.arange(99.0), 1.0, order=1)[50]
    assert np.allclose(
        across, gaussian_filter(picture.astype(float), (1, 1, 0), order=(0, 1, 0)) / ramp, atol=1e-3
    )


def test_edges_are_sorted_and_equal_ones_stay_in_order() -> None:
    picture = np.round(noise(13, 17) / 64)
    names, weights = kernels.sorted_edges(picture)
    assert (np.diff(weights) >= 0).all()
    assert (np.diff(names)[np.diff(weights) == 0] > 0).all()
    assert len(names) == len(np.unique(names)) == 13 * 16 + 12 * 17 + 2 * 12 * 16


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 99), st.sampled_from([0, 60, 500]))
def test_a_mirrored_picture_has_mirrored_regions(height: int, width: int, seed: int, scale: int) -> None:
    picture = noise(height, width, seed=seed)
    straight = segment(picture, scale, 4, sigma=0)
    mirrored = segment(np.ascontiguousarray(picture[:, ::-1]), scale, 4, sigma=0)[:, ::-1]
    assert np.array_equal(straight, in_reading_order(mirrored))


def test_regions_are_connected_and_no_smaller_than_asked() -> None:
    from scipy.ndimage import label

    labels = segment(convert(scene(1), "lab"), 60, 40)
    assert np.array_equal(labels, in_reading_order(labels))
    for region in range(labels.max() + 1):
        assert (labels == region).sum() >= 40
        assert label(labels == region, np.ones((3, 3)))[1] == 1


def test_one_colour_is_one_region_and_scale_zero_joins_equals_only() -> None:
    flat = np.full((5, 8, 3), 7, np.float32)
    assert (segment(flat, 0, 0) == 0).all()
    halves = flat.copy()
    halves[:, 4:] = 9
    assert segment(halves, 0, 0, sigma=0).tolist() == [[0] * 4 + [1] * 4] * 5
    assert (segment(halves, 0, 21, sigma=0) == 0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: segment(np.zeros((4, 4), np.float32), 1, 1),
        lambda: segment(np.zeros((0, 4, 3), np.float32), 1, 1),
        lambda: segment(np.full((4, 4, 1), np.nan, np.float32), 1, 1),
        lambda: segment(np.zeros((4, 4, 1), np.float32), -1, 1),
        lambda: segment(np.zeros((4, 4, 1), np.float32), 1, -1),
        lambda: segment(np.zeros((4, 4, 1), np.float32), 1, 1, sigma=-1),
        lambda: segment_scales(np.zeros((4, 4, 1), np.float32), [1], [1, 2]),
    ],
)
def test_what_cannot_be_segmented_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]
