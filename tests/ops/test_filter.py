"""Filtered images against scipy.ndimage and torch's own convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional as F

from neocog.ops.filter import PADDINGS, Padding, filter_image, passes
from neocog.ops.kernels import read_kernel

SCIPY = {"zero": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}
TORCH = {"zero": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

sides = st.integers(1, 12)
small = st.integers(1, 5)


def spread(kernel: np.ndarray, dilation: int) -> np.ndarray:
    """A dilated kernel by np.insert, one zero at a time."""
    for axis in (0, 1):
        gaps = np.repeat(np.arange(1, kernel.shape[axis]), dilation - 1)
        kernel = np.insert(kernel, gaps, 0, axis=axis)
    return kernel


@settings(max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(sides, sides),
    st.tuples(small, small),
    small,
    st.integers(1, 3),
    st.sampled_from(sorted(SCIPY)),
    st.booleans(),
    st.integers(0, 2),
)
def test_it_is_scipys(
    seed: int,
    size: tuple[int, int],
    shape: tuple[int, int],
    stride: int,
    dilation: int,
    padding: Padding,
    correlate: bool,
    rank: int,
) -> None:
    """Any kernel, odd or even, of rank 1, 2 or full, larger than the image or not."""
    draw = np.random.default_rng(seed)
    image, kernel = draw.normal(size=size), draw.normal(size=shape)
    if rank:
        kernel = draw.normal(size=(shape[0], rank)) @ draw.normal(size=(rank, shape[1]))
    theirs = ndimage.correlate if correlate else ndimage.convolve
    expected = theirs(image, spread(kernel, dilation), mode=SCIPY[padding], cval=0)[::stride, ::stride]
    found = filter_image(
        image, kernel, stride=stride, padding=padding, dilation=dilation, correlate=correlate
    )
    np.testing.assert_allclose(found, expected, atol=1e-12 * (1 + np.abs(kernel).sum()))


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 3, 5]),
    small,
    st.integers(1, 3),
    st.sampled_from([*TORCH, "none"]),
)
def test_correlated_it_is_torchs(
    seed: int, height: int, width: int, stride: int, dilation: int, padding: Padding
) -> None:
    draw = np.random.default_rng(seed)
    image, kernel = draw.normal(size=(17, 19, 3)), draw.normal(size=(height, width))
    maps = torch.from_numpy(image).permute(2, 0, 1)[:, None]
    if padding != "none":
        across, down = dilation * (width - 1) // 2, dilation * (height - 1) // 2
        maps = F.pad(maps, (across, across, down, down), TORCH[padding])
    expected = F.conv2d(maps, torch.from_numpy(kernel)[None, None], stride=stride, dilation=dilation)
    found = filter_image(image, kernel, stride=stride, padding=padding, dilation=dilation, correlate=True)
    np.testing.assert_allclose(found, expected[:, 0].permute(1, 2, 0).numpy(), atol=1e-11)


def test_convolution_flips_and_correlation_does_not() -> None:
    impulse = np.zeros((3, 3))
    impulse[1, 1] = 1
    kernel = np.arange(9.0).reshape(3, 3)
    assert filter_image(impulse, kernel, padding="zero") == pytest.approx(kernel)
    assert filter_image(impulse, kernel, padding="zero", correlate=True) == pytest.approx(kernel[::-1, ::-1])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (bool, np.float32),
        (np.uint8, np.float32),
        (np.int16, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.int32, np.float64),
        (np.int64, np.float64),
        (np.float64, np.float64),
    ],
)
def test_types(dtype: type, expected: type) -> None:
    found = filter_image(np.eye(5, dtype=dtype), "laplacian")
    assert found.dtype == expected
    np.testing.assert_allclose(
        found, ndimage.convolve(np.eye(5), read_kernel("laplacian"), mode="mirror"), atol=1e-5
    )


def test_only_kernels_that_gain_are_taken_apart() -> None:
    assert len(passes(read_kernel("sobel-x"))) == 1
    assert len(passes(read_kernel("gabor 8 45"))) == 2
    assert passes(read_kernel("sharpen")) == []  # rank 2: 12 weights instead of 9


def test_a_large_picture_in_float32_stays_close() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    for kernel in ("laplacian", "gaussian 3", "gabor 12 30"):
        weights = read_kernel(kernel)
        found = filter_image(image, kernel, padding="replicate")
        for channel in range(3):
            exact = ndimage.convolve(image[..., channel].astype(float), weights, mode="nearest")
            np.testing.assert_allclose(found[..., channel], exact, atol=1e-5 * 255 * np.abs(weights).sum())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stride": 0}, "stride must be a whole number"),
        ({"stride": 1.5}, "stride must be a whole number"),
        ({"dilation": -1}, "dilation must be a whole number"),
        ({"padding": "reflct"}, "did you mean 'reflect'"),
        ({"padding": "none"}, "does not fit"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filter_image(np.zeros((4, 9)), "box 5", **options)  # type: ignore[arg-type]


def test_images_that_are_none() -> None:
    for wrong in (np.zeros(3), np.zeros((0, 4)), np.zeros((2, 2, 2, 2)), np.zeros((2, 2), complex), [["a"]]):
        with pytest.raises(ValueError, match="an image is numbers"):
            filter_image(wrong, "box")


def test_every_padding_is_tested() -> None:
    assert {*SCIPY, "none"} == {*PADDINGS}
