"""Position-sensitive pooling: kernels and plain version against the published rule, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.references.regions import slow_ps_roi_align, slow_ps_roi_pool
from torch import Tensor

from neocog.ops.roi import (
    ps_roi_align,
    ps_roi_align_torch,
    ps_roi_pool,
    ps_roi_pool_torch,
    roi_align,
)

Pool = Callable[..., Tensor]
ALL = pytest.mark.parametrize("pool", [ps_roi_pool, ps_roi_pool_torch, ps_roi_align, ps_roi_align_torch])
AVERAGE = pytest.mark.parametrize("pool", [ps_roi_pool, ps_roi_pool_torch])
ZERO = torch.zeros(1, dtype=torch.int64)


def by_class(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps of bins that hold classes, as those of classes that hold bins: the authors' order."""
    b, _, h, w = maps.shape
    return maps.view(b, size[0] * size[1], -1, h, w).transpose(1, 2).reshape(b, -1, h, w)


@st.composite
def regions(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, tuple[int, int], float]:
    """Maps of 9 x 7 cells of two pictures, boxes in, across and outside, an output size and a scale."""
    count = draw(st.integers(0, 4))
    scale = draw(st.sampled_from([1 / 16, 0.25, 1.0]))
    quarters = st.integers(-24, 64).map(lambda v: v / 4 / scale)
    anywhere = st.floats(-8, 20, width=32).map(lambda v: v / scale)
    boxes = draw(hnp.arrays(np.float32, (count, 4), elements=quarters | anywhere))
    index = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 1)))
    size = draw(st.sampled_from([(7, 7), (2, 3), (1, 1)]))
    channels = draw(st.sampled_from([1, 3, 8, 11]))  # fewer than eight, eight, and an overlapping rest
    seed = torch.Generator().manual_seed(channels)
    maps = torch.randn(2, size[0] * size[1] * channels, 9, 7, generator=seed)
    return maps, torch.from_numpy(boxes), torch.from_numpy(index), size, scale


@settings(max_examples=25, deadline=None)
@given(regions())
def test_equals_the_published_rule(case: tuple[Tensor, Tensor, Tensor, tuple[int, int], float]) -> None:
    maps, boxes, index, size, scale = case
    want = slow_ps_roi_pool(by_class(maps, size).numpy(), boxes.numpy(), index.numpy(), size, scale)
    for pool in (ps_roi_pool, ps_roi_pool_torch):
        got = pool(maps, boxes, index, size, scale)
        np.testing.assert_allclose(got.numpy(), want, atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(regions(), st.sampled_from([0, 1, 2]))
def test_align_is_roi_align_of_each_bin(
    case: tuple[Tensor, Tensor, Tensor, tuple[int, int], float], samples: int
) -> None:
    maps, boxes, index, size, scale = case
    want = slow_ps_roi_align(by_class(maps, size).numpy(), boxes.numpy(), index.numpy(), size, scale, samples)
    for align in (ps_roi_align, ps_roi_align_torch):
        got = align(maps, boxes, index, size, scale, samples)
        np.testing.assert_allclose(got.numpy(), want, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(regions(), st.sampled_from([(ps_roi_pool, ps_roi_pool_torch), (ps_roi_align, ps_roi_align_torch)]))
def test_both_versions_have_one_gradient(
    case: tuple[Tensor, Tensor, Tensor, tuple[int, int], float], pair: tuple[Pool, Pool]
) -> None:
    maps, boxes, index, size, scale = case
    gradients = []
    for pool in pair:
        leaf = maps.clone().requires_grad_()
        pooled = pool(leaf, boxes, index, size, scale)
        pooled.backward(torch.rand(pooled.shape, generator=torch.Generator().manual_seed(1)))
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


@AVERAGE
def test_a_bin_reads_its_own_maps_and_only_those(pool: Pool) -> None:
    """2 x 3 bins, 2 classes, every map one number: the channel is (i columns + j) C + c."""
    maps = torch.arange(12.0).view(1, 12, 1, 1).expand(1, 12, 6, 6)
    pooled = pool(maps, torch.tensor([[0.0, 0, 5, 5]]), ZERO, (2, 3), 1.0)
    assert pooled[0].permute(1, 2, 0).flatten().tolist() == pytest.approx(list(range(12)))


@AVERAGE
def test_corners_are_rounded_in_pixels_and_the_last_one_counts(pool: Pool) -> None:
    row = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    # 2.5 is pixel 3 and 6.4 is pixel 6; cells of 4 pixels: 3/4 to 7/4 touches cells 0 and 1.
    boxes = torch.tensor([[2.5, 0, 6.4, 3], [4, 0, 7, 3], [-0.5, 0, 3, 3]])
    pooled = pool(row, boxes, ZERO.expand(3), (1, 1), 0.25)
    # The third box begins at pixel -1, in a cell outside the map, which does not count.
    assert pooled.flatten().tolist() == [0.5, 1.0, 0.0]


@ALL
def test_gradient_by_differences(pool: Pool) -> None:
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 12, 5, 6, generator=draw, dtype=torch.float64).requires_grad_()
    boxes = torch.tensor([[0.0, 0, 4, 4], [1, 1, 9, 3], [-3, 2, 2, 2], [0, 0, 5, 4]], dtype=torch.float64)
    index = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda f: pool(f, boxes, index, (2, 3), 0.9), maps)


@ALL
def test_gradient_by_differences_of_many_channels(pool: Pool) -> None:
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 4 * 9, 3, 3, generator=draw, dtype=torch.float64).requires_grad_()
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, -1, 3, 1]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: pool(f, boxes, ZERO.expand(2), (2, 2), 1.0), maps)


def test_align_of_equal_maps_is_roi_align() -> None:
    features = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[3.0, 5, 100, 80], [20, 20, 40, 90]])
    want = roi_align(features, boxes, ZERO.expand(2), (3, 3), 1 / 16)
    got = ps_roi_align(features.repeat(1, 9, 1, 1), boxes, ZERO.expand(2), (3, 3), 1 / 16)
    torch.testing.assert_close(got, want)


@ALL
def test_outside_the_map_is_zero_and_gives_no_gradient(pool: Pool) -> None:
    maps = torch.ones(1, 8, 5, 5, requires_grad=True)
    boxes = torch.tensor([[100.0, 100, 200, 200], [-90, 0, -50, 4], [0, -50, 4, -9]])
    pooled = pool(maps, boxes, ZERO.expand(3), (2, 2), 1.0)
    assert torch.equal(pooled, torch.zeros(3, 2, 2, 2))
    pooled.sum().backward()
    assert maps.grad is not None and not maps.grad.any()


@ALL
def test_nothing_in_nothing_out(pool: Pool) -> None:
    no_boxes, no_index = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for batch in (0, 2):
        maps = torch.zeros(batch, 12, 4, 4, requires_grad=True)
        pooled = pool(maps, no_boxes, no_index, (2, 2), 0.5)
        assert pooled.shape == (0, 3, 2, 2)
        pooled.sum().backward()
        assert maps.grad is not None and maps.grad.shape == maps.shape


@ALL
def test_boxes_that_are_no_numbers_stay_harmless(pool: Pool) -> None:
    nan, inf = float("nan"), float("inf")
    boxes = torch.tensor(
        [[nan] * 4, [0, 0, inf, inf], [-inf, -inf, inf, inf], [1e30, 0, 3e38, 2], [nan, 0, 2, 2]]
    )
    pooled = pool(torch.ones(1, 18, 4, 4), boxes, ZERO.expand(5), (3, 3), 1 / 16)
    assert bool(((pooled >= 0) & (pooled <= 1 + 1e-5)).all())


def test_layouts_and_runs_in_threads_give_the_same_bits() -> None:
    maps = torch.randn(2, 90, 12, 13, generator=torch.Generator().manual_seed(0))
    corner = 100 * torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    boxes, index = torch.cat([corner, corner + 60], 1), torch.arange(40) % 2

    def step(maps: Tensor) -> tuple[Tensor, Tensor]:
        leaf = maps.detach().requires_grad_()
        pooled = ps_roi_pool(leaf, boxes, index, (3, 3), 1 / 16)
        (pooled * pooled).sum().backward()
        assert leaf.grad is not None
        return pooled.detach(), leaf.grad

    want = step(maps)
    layouts = [maps.contiguous(memory_format=torch.channels_last), torch.cat([maps, maps], 3)[..., :13]]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(step, layouts + [maps] * 6))
    assert all(torch.equal(a, b) for got in results for a, b in zip(got, want, strict=True))


@ALL
def test_half_precision_is_pooled_in_float32_and_gets_its_own_gradient(pool: Pool) -> None:
    maps = torch.ones(1, 8, 5, 5).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        pooled = pool(maps, torch.tensor([[0.0, 0, 4, 4]]), ZERO, (2, 2), 1.0)
    assert pooled.dtype == torch.float32
    pooled.sum().backward()
    assert maps.grad is not None and maps.grad.dtype == torch.bfloat16
    assert float(maps.grad.sum()) == pytest.approx(8, abs=0.2)


def test_wrong_arguments_are_refused() -> None:
    maps, box = torch.zeros(2, 12, 4, 4), torch.zeros(1, 4)
    for pool in (ps_roi_pool, ps_roi_align):
        with pytest.raises(ValueError, match="batch of 2"):
            pool(maps, box, torch.tensor([2]), (2, 2), 1.0)
        with pytest.raises(ValueError, match="int64"):
            pool(maps, box, torch.zeros(1), (2, 2), 1.0)
        with pytest.raises(ValueError, match="boxes"):
            pool(maps, torch.zeros(1, 5), ZERO, (2, 2), 1.0)
        with pytest.raises(ValueError, match="12 maps do not divide into 7 x 7 bins"):
            pool(maps, box, ZERO, (7, 7), 1.0)
