"""One resampling: against linear ramps, Pillow, PyTorch, and its two paths against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neocog.transforms.warp import _resample, _warp_along_axes, warp, warp_mask
from neocog.types import Frame, Matrix

FILL = (0, 0, 0)
SCALES = st.floats(0.4, 2.5)
SHIFTS = st.floats(-20, 20)


def inverse(matrix: Matrix) -> Matrix:
    return Frame((1, 1), (1, 1), matrix).inverse


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    """Channel 0 rises with x, channel 1 falls with y, channel 2 rises with both: all linear in position."""
    x, y = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    channels = np.stack([x + 0 * y, 250 - y + 0 * x, x + y], axis=-1)
    return np.round(channels).astype(np.uint8)


def turned(angle: float, scale: float, centre: tuple[float, float]) -> Matrix:
    """Rotation by `angle` radians and scaling by `scale` about a point (x, y)."""
    (x, y), cos, sin = centre, scale * math.cos(angle), scale * math.sin(angle)
    return cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y


def check_ramp(matrix: Matrix, size: tuple[int, int]) -> int:
    """Every new pixel that sees only ramp has the ramp's value at its place; returns how many do."""
    image = ramp(100, 140)
    out = warp(image, matrix, size, FILL).astype(float)
    p, q, r, s, t, u = inverse(matrix)
    x, y = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
    old_x, old_y = p * x + q * y + r, s * x + t * y + u
    margin = max(1, math.hypot(p, q), math.hypot(s, t)) + 1
    inside = (old_x > margin) & (old_x < 140 - margin) & (old_y > margin) & (old_y < 100 - margin)
    want = np.stack([old_x, 250 - old_y, old_x + old_y], axis=-1)
    assert np.abs(out - want)[inside].max(initial=0) <= 1.01
    return int(inside.sum())


@settings(max_examples=60, deadline=None)
@given(SCALES, SCALES, SHIFTS, SHIFTS, st.booleans(), st.booleans())
def test_linear_ramp_is_reproduced_along_axes(
    a: float, e: float, c: float, f: float, mirror: bool, upside_down: bool
) -> None:
    matrix = (-a if mirror else a, 0.0, c + 120 * mirror, 0.0, -e if upside_down else e, f + 80 * upside_down)
    check_ramp(matrix, (90, 130))


@settings(max_examples=60, deadline=None)
@given(st.floats(-3.1, 3.1), SCALES, SHIFTS)
def test_linear_ramp_is_reproduced_under_rotation(angle: float, scale: float, shift: float) -> None:
    matrix = turned(angle, scale, (70, 50))
    check_ramp((*matrix[:2], matrix[2] + shift, *matrix[3:]), (100, 140))


def test_ramp_checks_see_pixels() -> None:
    assert check_ramp((1.3, 0.0, -10.0, 0.0, 0.7, 5.0), (90, 130)) > 5000
    assert check_ramp(turned(0.5, 0.8, (70, 50)), (100, 140)) > 5000


@pytest.mark.parametrize("size", [(48, 64), (13, 17), (61, 83), (120, 50), (200, 300)])
def test_whole_picture_equals_pillow_and_torch(size: tuple[int, int]) -> None:
    image = noise(61, 83)
    got = warp(image, (size[1] / 83, 0.0, 0.0, 0.0, size[0] / 61, 0.0), size)
    np.testing.assert_array_equal(
        got, np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    )
    nchw = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    want = torch.nn.functional.interpolate(nchw, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    # Pillow rounds to 8 bits between its two passes.
    assert np.abs(got - want.numpy()).max() <= 1.01


@settings(max_examples=60, deadline=None)
@given(SCALES, SCALES, SHIFTS, SHIFTS, st.integers(0, 3))
def test_both_paths_agree_along_axes(a: float, e: float, c: float, f: float, flips: int) -> None:
    """The general kernel is a second writing of the same filter, so it must give the fast path's pixels."""
    matrix = (
        -a if flips & 1 else a,
        0.0,
        c + 60 * (flips & 1),
        0.0,
        -e if flips & 2 else e,
        f + 20 * (flips & 2),
    )
    image, size = noise(40, 50), (45, 55)
    general = np.zeros((*size, 3), np.uint8)
    _resample(image, inverse(matrix), general)
    fast = _warp_along_axes(image, matrix, size, FILL)
    # At the picture's outermost pixels the fast path repeats the edge where the kernel leaves it out.
    p, _, r, _, t, u = inverse(matrix)
    x = np.abs(p * (np.arange(size[1]) + 0.5) + r - 25)
    y = np.abs(t * (np.arange(size[0]) + 0.5) + u - 20)
    interior = (y[:, None] < 20 - abs(t) - 1) & (x[None] < 25 - abs(p) - 1)
    outside = (y[:, None] > 20 + 1e-3) | (x[None] > 25 + 1e-3)
    difference = np.abs(fast.astype(int) - general.astype(int)).max(-1)
    assert difference[interior].max(initial=0) <= 1
    assert not fast[outside].any() and not general[outside].any()


def test_rotation_by_quarter_turn_moves_pixels_exactly() -> None:
    image = noise(30, 40)
    got = warp(image, (0.0, -1.0, 30.0, 1.0, 0.0, 0.0), (40, 30))
    np.testing.assert_array_equal(got, np.rot90(image, k=-1))


def test_whole_pixel_crop_flip_and_pad_are_exact() -> None:
    image = noise(30, 40)
    np.testing.assert_array_equal(warp(image, (1, 0, -7, 0, 1, -5), (20, 25)), image[5:25, 7:32])
    np.testing.assert_array_equal(warp(image, (-1, 0, 40, 0, -1, 30), (30, 40)), image[::-1, ::-1])
    padded = warp(image, (1, 0, 3, 0, 1, 2), (40, 50), (1, 2, 3))
    np.testing.assert_array_equal(padded[2:32, 3:43], image)
    padded[2:32, 3:43] = (1, 2, 3)
    assert (padded == (1, 2, 3)).all()


@pytest.mark.parametrize(
    "matrix", [(1, 0, 1000, 0, 1, 0), (1, 0, 0, 0, 1, -1000), (0.9, 0.1, 1000, -0.1, 0.9, 0)]
)
def test_picture_outside_the_canvas_leaves_only_fill(matrix: Matrix) -> None:
    assert (warp(noise(20, 20), matrix, (10, 12), (9, 8, 7)) == (9, 8, 7)).all()
    assert (warp_mask(np.zeros((20, 20), np.uint8), matrix, (10, 12)) == 255).all()


def test_shrinking_does_not_alias() -> None:
    """A checkerboard of single pixels shrunk 5 times is grey; nearest pixels would be black or white."""
    board = np.indices((200, 200)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    for angle in (0.0, 0.3):
        small = warp(board.astype(np.uint8), turned(angle, 0.2, (0, 0)), (30, 30), (128, 128, 128))
        assert np.abs(small[5:25, 5:25].astype(int) - 127).max() < 12


def test_singular_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be inverted"):
        warp(noise(5, 5), (1, 2, 0, 2, 4, 0), (5, 5))


def test_mask_equals_nearest_of_torch() -> None:
    mask = np.random.default_rng(0).integers(0, 5, (37, 53), dtype=np.uint8)
    for size in [(20, 30), (37, 53), (80, 111)]:
        got = warp_mask(mask, (size[1] / 53, 0, 0, 0, size[0] / 37, 0), size)
        want = torch.nn.functional.interpolate(
            torch.from_numpy(mask)[None, None].float(), size, mode="nearest-exact"
        )
        np.testing.assert_array_equal(got, want[0, 0].numpy().astype(np.uint8))


def test_mask_follows_the_picture_under_rotation() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:60] = 1
    image = np.repeat(mask[..., None] * 255, 3, axis=-1)
    matrix = turned(0.4, 1.1, (40, 30))
    labels, picture = warp_mask(mask, matrix, (60, 80)), warp(image, matrix, (60, 80), FILL)[..., 0]
    known = labels != 255
    assert ((labels == 1) == (picture > 127))[known].mean() > 0.97
    assert set(np.unique(labels)) == {0, 1, 255}
