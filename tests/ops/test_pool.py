"""Pooling against torch and against windows taken one by one; unpooling as the transpose of pooling."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from neocog.ops.arithmetic import conv_out, effective_kernel
from neocog.ops.pool import max_pool, mean_pool, unpool

TORCH: dict[int, Any] = {
    1: (F.max_pool1d, F.avg_pool1d, F.max_unpool1d),
    2: (F.max_pool2d, F.avg_pool2d, F.max_unpool2d),
    3: (F.max_pool3d, F.avg_pool3d, F.max_unpool3d),
}
unhurried = settings(max_examples=60, deadline=None)


@st.composite
def poolings(draw: st.DrawFn, dilated: bool) -> tuple[torch.Tensor, dict[str, Any]]:
    """Maps of small whole numbers, so that some are equal, and options that fit them."""
    axes = draw(st.integers(1, 3))

    def each(least: int, most: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2) if dilated else (1,) * axes
    padding = tuple(draw(st.integers(0, one // 2)) for one in kernel)
    size = each(2, 7)
    for cells, window, pad, spread in zip(size, kernel, padding, dilation, strict=True):
        assume(cells + 2 * pad >= effective_kernel(window, spread))
    options: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    options |= {"dilation": dilation} if dilated else {}
    seed = draw(st.integers(0, 2**32 - 1))
    maps = torch.from_numpy(np.random.default_rng(seed).integers(-3, 4, (2, 2, *size)).astype(np.float64))
    return maps, options | {"ceil_mode": draw(st.booleans())}


def windows(plane: np.ndarray, options: dict[str, Any]) -> Any:
    """For each window of one map its place in the output, the cells of the map in it, in reading order, and
    how many cells of map and padding it has: slow, and plain to see."""
    kernel, stride, padding = (options[name] for name in ("kernel", "stride", "padding"))
    dilation = options.get("dilation", (1,) * plane.ndim)
    sizes = [
        conv_out(*one, options["ceil_mode"])
        for one in zip(plane.shape, kernel, stride, padding, dilation, strict=True)
    ]
    for place in itertools.product(*map(range, sizes)):
        taps = [
            [index * step - pad + spread * tap for tap in range(window)]
            for index, step, pad, spread, window in zip(place, stride, padding, dilation, kernel, strict=True)
        ]
        cells = [
            cell
            for cell in itertools.product(*taps)
            if all(0 <= at < size for at, size in zip(cell, plane.shape, strict=True))
        ]
        padded = math.prod(
            sum(at < size + pad for at in axis)
            for axis, size, pad in zip(taps, plane.shape, padding, strict=True)
        )
        yield place, cells, padded


@unhurried
@given(poolings(dilated=True))
def test_maxima_and_switches_are_those_of_torch_and_of_plain_windows(case: Any) -> None:
    maps, options = case
    pooled, switches = max_pool(maps, **options)
    names = {"kernel": "kernel_size"}
    given_torch = {names.get(name, name): value for name, value in options.items()}
    expected = TORCH[maps.ndim - 2][0](maps, **given_torch, return_indices=True)
    assert torch.equal(pooled, expected[0]) and torch.equal(switches, expected[1])
    plane = maps[1, 0].numpy()
    for place, cells, _ in windows(plane, options):
        first = max(cells, key=lambda cell: plane[cell])  # the first of equal ones
        assert pooled[1, 0][place] == plane[first]
        assert switches[1, 0][place] == np.ravel_multi_index(first, plane.shape)


@unhurried
@given(poolings(dilated=False), st.booleans())
def test_means_are_those_of_torch_and_of_plain_windows(case: Any, padded_too: bool) -> None:
    maps, options = case
    maps.requires_grad_()
    pooled = mean_pool(maps, **options, count_include_pad=padded_too)
    order = [options[name] for name in ("kernel", "stride", "padding", "ceil_mode")]
    expected = TORCH[maps.ndim - 2][1](maps, *order, padded_too)
    assert torch.equal(pooled, expected)
    values = torch.randn_like(pooled)
    ours, torchs = (torch.autograd.grad(result, maps, values)[0] for result in (pooled, expected))
    assert torch.equal(ours, torchs)
    plane = maps[1, 0].detach().numpy()
    for place, cells, padded in windows(plane, options):
        mean = sum(plane[cell] for cell in cells) / (padded if padded_too else len(cells))
        assert pooled[1, 0][place].item() == pytest.approx(mean)


@unhurried
@given(poolings(dilated=True))
def test_unpooling_is_the_transpose_of_pooling(case: Any) -> None:
    """<pool'(d), v> = <d, unpool(v)>: the gradient of max-pooling says where each value came from."""
    maps, options = case
    maps.requires_grad_()
    pooled, switches = max_pool(maps, **options)
    values = torch.randn_like(pooled, requires_grad=True)
    (gradient,) = torch.autograd.grad(pooled, maps, values)
    back = unpool(values, switches, maps.shape[2:])
    torch.testing.assert_close(back, gradient)
    other = torch.randn_like(maps)
    (taken,) = torch.autograd.grad(back, values, other)
    torch.testing.assert_close(taken, other.flatten(2).gather(2, switches.flatten(2)).view_as(switches))


@pytest.mark.parametrize("size", [(8,), (8, 6), (4, 8, 6)])
def test_without_overlap_it_is_torchs_own_unpooling(size: tuple[int, ...]) -> None:
    maps = torch.randn(2, 4, *size)
    pooled, switches = max_pool(maps, 2)
    assert torch.equal(unpool(pooled, switches, size), TORCH[len(size)][2](pooled, switches, 2))
    assert torch.equal(max_pool(unpool(pooled.abs(), switches, size), 2)[0], pooled.abs())


def test_one_number_holds_for_all_axes_and_the_stride_is_the_kernel() -> None:
    maps = torch.randn(1, 2, 6, 9)
    one, each = max_pool(maps, 3, padding=1), max_pool(maps, (3, 3), (3, 3), (1, 1), dilation=(1, 1))
    assert all(map(torch.equal, one, each))
    assert torch.equal(mean_pool(maps, 3), mean_pool(maps, (3, 3), (3, 3)))
    pooled, switches = max_pool(maps[:, :, 0], 3)
    assert torch.equal(unpool(pooled, switches, 9), unpool(pooled, switches, (9,)))


def test_whole_numbers_have_maxima_but_no_means() -> None:
    maps = torch.arange(12).view(1, 1, 3, 4)
    assert max_pool(maps, 2)[0].tolist() == [[[[5, 7]]]]
    with pytest.raises(TypeError, match=r"torch\.int64, and means need floating point"):
        mean_pool(maps, 2)


MAPS = torch.zeros(1, 1, 6, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: max_pool(torch.zeros(6, 6), 2), r"maps \(6, 6\) are none of \(B, C, L\)"),
        (lambda: mean_pool(torch.zeros(1, 1, 1, 1, 1, 1), 1), "are none of"),
        (lambda: max_pool(torch.zeros(1, 0, 6), 2), r"maps \(1, 0, 6\) are none of"),
        (lambda: max_pool(MAPS, (2, 2, 2)), "one for each of 2 axes"),
        (lambda: max_pool(MAPS, 0), "kernel is 0; give a whole number >= 1"),
        (lambda: max_pool(MAPS, 2.0), r"kernel is 2\.0"),  # type: ignore[arg-type]
        (lambda: mean_pool(MAPS, 2, 0), "stride is 0"),
        (lambda: max_pool(MAPS, 2, 1, -1), "padding is -1; give a whole number >= 0"),
        (lambda: max_pool(MAPS, 2, dilation=0), "dilation is 0"),
        (lambda: max_pool(MAPS, 3, 1, 2), "padding is 2; give at most half the kernel of 3"),
        (lambda: mean_pool(MAPS, (2, 7)), "a kernel of 7 does not fit 6"),
        (lambda: max_pool(MAPS, 3, dilation=3), "a kernel of 7 does not fit 6"),
        (lambda: unpool(MAPS, MAPS, 12), r"switches are torch\.float32 \(1, 1, 6, 6\)"),
        (lambda: unpool(MAPS, MAPS.long()[..., 0], 12), r"the values need int64 \(1, 1, 6, 6\)"),
        (lambda: unpool(MAPS, MAPS.long(), (12, 12, 12)), "size is .* each of 2 axes"),
        (lambda: unpool(MAPS, MAPS.long() + 150, 12), "switches name places beyond maps of 12 x 12"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
