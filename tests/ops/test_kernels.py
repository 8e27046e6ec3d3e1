"""Image kernels against scipy.ndimage and scikit-image, texts of them, and sums of separable kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import ArrayLike
from scipy import ndimage
from skimage.filters import gabor_kernel

from neocog.ops.kernels import (
    FIXED,
    MADE,
    Floats,
    as_kernel,
    box,
    gabor,
    gaussian,
    laplacian_of_gaussian,
    read_kernel,
    separate,
    unsharp,
)

NAMES = [*FIXED, *MADE]


def impulse(radius: int) -> Floats:
    """One in the middle of zeros: what answers to it is the kernel."""
    image = np.zeros((2 * radius + 1, 2 * radius + 1))
    image[radius, radius] = 1
    return image


@pytest.mark.parametrize("sigma", [0.4, 1, 2.3, 5])
def test_gaussians_are_scipys(sigma: float) -> None:
    kernel = gaussian(sigma)
    np.testing.assert_allclose(
        kernel, ndimage.gaussian_filter(impulse(len(kernel) // 2), sigma, mode="constant"), atol=1e-15
    )
    kernel = laplacian_of_gaussian(sigma)
    theirs = ndimage.gaussian_laplace(impulse(len(kernel) // 2), sigma, mode="constant")
    assert abs(kernel.sum()) < 1e-14
    np.testing.assert_allclose(kernel, theirs - theirs.sum() * gaussian(sigma), atol=1e-13)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("sobel", ndimage.sobel), ("prewitt", ndimage.prewitt)],
)
def test_derivatives_are_scipys(name: str, theirs: object) -> None:
    """Convolved with, they grow where the picture grows, along x (axis 1) and along y (axis 0)."""
    image = np.random.default_rng(0).normal(size=(9, 11))
    for axis, letter in enumerate("yx"):
        ours = ndimage.convolve(image, read_kernel(f"{name}-{letter}"))
        np.testing.assert_allclose(ours, theirs(image, axis=axis), atol=1e-12)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt"])
def test_a_ramp_has_a_constant_derivative(name: str) -> None:
    ramp = np.tile(np.arange(8.0), (8, 1))
    x, y = read_kernel(f"{name}-x"), read_kernel(f"{name}-y")
    assert (ndimage.convolve(ramp, x)[1:-1, 1:-1] == np.abs(x).sum()).all()
    assert (ndimage.convolve(ramp, y)[1:-1, 1:-1] == 0).all()
    assert (ndimage.convolve(ramp.T, y)[1:-1, 1:-1] == np.abs(y).sum()).all()


def test_laplacians_are_minus_scipys() -> None:
    image = np.random.default_rng(0).normal(size=(9, 11))
    np.testing.assert_allclose(
        ndimage.convolve(image, read_kernel("laplacian-4")), -ndimage.laplace(image), atol=1e-12
    )
    assert read_kernel("laplacian").sum() == 0 and read_kernel("laplacian")[1, 1] == 8


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
@pytest.mark.parametrize("aspect", [1, 0.5, 2])
def test_gabor_is_scikit_images(angle: float, aspect: float) -> None:
    ours = gabor(6, angle, 25, 2, aspect)
    options = {"sigma_x": 2, "sigma_y": 2 / aspect, "offset": np.radians(25)}
    theirs = gabor_kernel(1 / 6, np.radians(angle), **options).real  # type: ignore[no-untyped-call]
    edges = [(big - small) // 2 for big, small in zip(ours.shape, theirs.shape, strict=True)]
    inner = ours[tuple(slice(edge, edge + size) for edge, size in zip(edges, theirs.shape, strict=True))]
    np.testing.assert_allclose(inner, theirs, atol=1e-15)


def test_gabor_answers_to_its_wave_and_not_to_brightness() -> None:
    assert abs(gabor().sum()) < 0.002
    wave = np.tile(np.cos(2 * np.pi * np.arange(64) / 8), (64, 1))
    along, across = ndimage.convolve(wave, gabor(8, 0)), ndimage.convolve(wave, gabor(8, 90))
    assert along[32, 32] == pytest.approx(0.5, abs=0.01) and abs(across[32, 32]) < 0.01


def test_box_and_unsharp() -> None:
    assert (box(5) == 1 / 25).all() and box(5).shape == (5, 5)
    blurred = gaussian(1.5)
    expected = impulse(len(blurred) // 2) + 0.7 * (impulse(len(blurred) // 2) - blurred)
    np.testing.assert_allclose(unsharp(0.7, 1.5), expected, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_gives_a_kernel_that_its_pairs_add_up_to(name: str) -> None:
    kernel = read_kernel(name)
    pairs = separate(kernel)
    assert kernel.dtype == np.float64 and kernel.ndim == 2
    assert len(pairs) == np.linalg.matrix_rank(kernel)
    whole = sum(np.outer(column, row) for column, row in pairs)
    np.testing.assert_allclose(whole, kernel, rtol=0, atol=1e-12 * np.abs(kernel).max())


@given(
    st.integers(0, 3).flatmap(
        lambda rank: st.tuples(
            *(arrays(np.int8, (6,)) for _ in range(rank)), *(arrays(np.int8, (5,)) for _ in range(rank))
        )
    )
)
def test_as_many_pairs_as_the_rank(vectors: tuple[np.ndarray, ...]) -> None:
    rank = len(vectors) // 2
    pairs = zip(vectors[:rank], vectors[rank:], strict=True)
    kernel = np.zeros((6, 5)) + sum(np.outer(a.astype(float), b.astype(float)) for a, b in pairs)
    found = separate(kernel)
    assert len(found) == np.linalg.matrix_rank(kernel)
    whole = np.zeros((6, 5)) + sum(np.outer(column, row) for column, row in found)
    np.testing.assert_allclose(whole, kernel, rtol=0, atol=1e-12 * np.abs(kernel).max())


def test_pairs_of_whole_numbers_stay_exact() -> None:
    """Not so with singular vectors: a flat picture would not give exactly 0."""
    [(column, row)] = separate(read_kernel("sobel-x"))
    assert (np.outer(column, row) == read_kernel("sobel-x")).all()


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(-1e9, 1e9)))
def test_text_reads_back(kernel: Floats) -> None:
    text = "; ".join(" ".join(repr(float(value)) for value in row) for row in kernel)
    assert (read_kernel(text) == kernel).all()


def test_texts() -> None:
    assert (read_kernel("0 -1 0; -1 5 -1; 0 -1 0") == read_kernel("sharpen")).all()
    assert (read_kernel(" 1 2;3 4 ; ") == [[1, 2], [3, 4]]).all()
    assert (read_kernel("gaussian 2.5") == gaussian(2.5)).all()
    assert (read_kernel("gabor 8 45") == gabor(8, 45)).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a name or weights"),
        ("sobl-x", "unknown kernel 'sobl-x': did you mean 'sobel-x'"),
        ("zzz", "there are identity, laplacian"),
        ("1 2; 3", "equally long, got 2, 1"),
        ("1 2;; 3 4", "equally long, got 2, 0, 2"),
        (";", "1 to 1023 weights a side"),
        ("1 x 1", "'x' is not a number"),
        ("0,-1,0", "'0,-1,0' is not a number"),
        ("1 nan", "must be finite"),
        ("1 1e999", "must be finite"),
        ("1 " * 1024, "1 to 1023 weights a side"),
        ("sharpen 3", "'sharpen' takes no numbers"),
        ("gaussian 1 2", "takes 1 numbers at most: sigma"),
        ("gaussian x", "'x' is not a number"),
        ("gaussian 0", "sigma must be positive"),
        ("gaussian nan", "sigma must be positive"),
        ("gaussian 1e9", "more than 1023"),
        ("gabor 0", "wavelength must be positive"),
        ("gabor 8 0 0 0", "sigma must be positive"),
        ("box 2.5", "whole number"),
        ("box inf", "side must be positive and at most 1023"),
        ("unsharp inf", "amount must be a number"),
    ],
)
def test_what_is_no_kernel(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_kernel(text)


def test_weights_must_be_numbers_in_rows() -> None:
    wrongs: list[ArrayLike] = [[1, 2, 3], [[]], [["a"]], [[1j]], np.zeros((2, 2, 2))]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="kernel"):
            as_kernel(wrong)
