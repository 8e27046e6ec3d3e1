"""RoI max-pooling: kernels and plain version against the published rule, torch's pooling and gradients."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.references.regions import slow_roi_pool
from torch import Tensor

from neocog.ops.roi import roi_pool, roi_pool_torch

Pool = Callable[..., Tensor]
BOTH = pytest.mark.parametrize("pool", [roi_pool, roi_pool_torch])
ZERO = torch.zeros(1, dtype=torch.int64)


def picture(b: int, c: int, h: int, w: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Features with many equal values, some of them negative."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, (b, c, h, w), generator=draw).to(dtype) / 2


@st.composite
def regions(draw: st.DrawFn) -> tuple[Tensor, Tensor, tuple[int, int], float]:
    """Boxes in, across and outside a 9 x 7 map, their images of two, an output size and a scale."""
    count = draw(st.integers(0, 4))
    scale = draw(st.sampled_from([1 / 16, 0.25, 1.0]))
    quarters = st.integers(-24, 64).map(lambda v: v / 4 / scale)
    anywhere = st.floats(-8, 20, width=32).map(lambda v: v / scale)
    boxes = draw(hnp.arrays(np.float32, (count, 4), elements=quarters | anywhere))
    index = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 1)))
    size = draw(st.sampled_from([(7, 7), (2, 3), (1, 1)]))
    return torch.from_numpy(boxes), torch.from_numpy(index), size, scale


@settings(max_examples=60, deadline=None)
@given(regions())
def test_equals_the_published_rule(case: tuple[Tensor, Tensor, tuple[int, int], float]) -> None:
    boxes, index, size, scale = case
    features = picture(2, 2, 9, 7)
    want, winners = slow_roi_pool(features.numpy(), boxes.numpy(), index.numpy(), size, scale)
    slope = torch.rand(want.shape, generator=torch.Generator().manual_seed(1))
    grad = torch.zeros(2, 2, 63)
    for r, c, i, j in np.argwhere(winners >= 0):
        grad[index[r], c, winners[r, c, i, j]] += slope[r, c, i, j]
    for pool in (roi_pool, roi_pool_torch):
        assert np.array_equal(pool(features, boxes, index, size, scale).numpy(), want)
        leaf = features.clone().requires_grad_()
        pooled = pool(leaf, boxes, index, size, scale)
        assert np.array_equal(pooled.detach().numpy(), want)
        pooled.backward(slope)
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad.flatten(2), grad)


@BOTH
def test_corners_are_rounded_half_away_from_zero(pool: Pool) -> None:
    features = torch.arange(16.0).view(1, 1, 4, 4)
    # 8 / 16 = 0.5 becomes cell 1, 40 / 16 = 2.5 becomes cell 3, the cell just below a half stays.
    low = float(np.nextafter(np.float32(8), np.float32(0)))
    boxes = torch.tensor([[8.0, 8, 40, 40], [0, 0, low, low], [-8, -8, 0, 0]])
    pooled = pool(features, boxes, ZERO.expand(3), (1, 1), 1 / 16)
    assert pooled.flatten().tolist() == [15, 0, 0]
    first = pool(-features, boxes, ZERO.expand(3), (1, 1), 1 / 16)
    assert first.flatten().tolist() == [-5, 0, 0]


@BOTH
@pytest.mark.parametrize(
    ("bins", "h", "w"), [((7, 7), 14, 21), ((7, 7), 10, 16), ((3, 5), 7, 9), ((4, 4), 3, 2)]
)
def test_the_whole_map_is_torch_adaptive_pooling(pool: Pool, bins: tuple[int, int], h: int, w: int) -> None:
    features = picture(1, 3, h, w)
    box = torch.tensor([[0.0, 0, w - 1, h - 1]])
    assert torch.equal(pool(features, box, ZERO, bins, 1.0), F.adaptive_max_pool2d(features, bins))


@BOTH
def test_outside_the_map_is_zero_and_gives_no_gradient(pool: Pool) -> None:
    features = -1 - picture(1, 2, 5, 5).abs()
    features.requires_grad_()
    boxes = torch.tensor([[100.0, 100, 200, 200], [-90, 0, -50, 4], [0, -50, 4, -9]])
    pooled = pool(features, boxes, ZERO.expand(3), (2, 2), 1.0)
    assert torch.equal(pooled, torch.zeros(3, 2, 2, 2))
    pooled.sum().backward()
    assert features.grad is not None and not features.grad.any()


@BOTH
def test_a_turned_box_is_one_cell(pool: Pool) -> None:
    features = torch.arange(25.0).view(1, 1, 5, 5)
    assert pool(features, torch.tensor([[3.0, 2, 1, 0]]), ZERO, (2, 2), 1.0).flatten().tolist() == [13] * 4


@BOTH
def test_equal_cells_the_first_gets_the_gradient(pool: Pool) -> None:
    features = torch.ones(1, 1, 4, 4, requires_grad=True)
    pool(features, torch.tensor([[0.0, 0, 3, 3]]), ZERO, (2, 2), 1.0).sum().backward()
    assert features.grad is not None
    assert features.grad[0, 0].tolist() == [[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4]


@BOTH
def test_gradient_by_differences(pool: Pool) -> None:
    draw = torch.Generator().manual_seed(0)
    features = torch.randperm(2 * 2 * 5 * 6, generator=draw).double().view(2, 2, 5, 6).requires_grad_()
    boxes = torch.tensor([[0.0, 0, 4, 4], [1, 1, 9, 3], [-3, 2, 2, 2], [0, 0, 5, 4]], dtype=torch.float64)
    index = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda f: pool(f, boxes, index, (2, 3), 1.0), features)


@BOTH
def test_nothing_in_nothing_out(pool: Pool) -> None:
    no_boxes, no_index = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for batch in (0, 2):
        features = torch.zeros(batch, 3, 4, 4, requires_grad=True)
        pooled = pool(features, no_boxes, no_index, (7, 7), 0.5)
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert features.grad is not None and features.grad.shape == features.shape


@BOTH
def test_boxes_that_are_no_numbers_stay_harmless(pool: Pool) -> None:
    nan, inf = float("nan"), float("inf")
    boxes = torch.tensor(
        [[nan] * 4, [0, 0, inf, inf], [-inf, -inf, inf, inf], [1e30, 0, 3e38, 2], [nan, 0, 2, 2]]
    )
    features = torch.ones(1, 2, 4, 4)
    pooled = pool(features, boxes, ZERO.expand(5), (3, 3), 1 / 16)
    assert bool(((pooled == 0) | (pooled == 1)).all())


def test_layouts_and_runs_in_threads_give_the_same_bits() -> None:
    features = torch.randn(2, 8, 12, 13, generator=torch.Generator().manual_seed(0))
    corner = 100 * torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    boxes, index = torch.cat([corner, corner + 60], 1), torch.arange(40) % 2

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        leaf = features.detach().requires_grad_()
        pooled = roi_pool(leaf, boxes, index, (7, 7), 1 / 16)
        (pooled * pooled).sum().backward()
        assert leaf.grad is not None
        return pooled.detach(), leaf.grad

    want = step(features)
    assert torch.equal(roi_pool(features, boxes, index, (7, 7), 1 / 16), want[0])
    strided = torch.cat([features, features], 3)[..., :13]
    layouts = [features.contiguous(memory_format=torch.channels_last), strided]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(step, layouts + [features] * 6))
    assert all(torch.equal(a, b) for got in results for a, b in zip(got, want, strict=True))


def test_half_precision_is_pooled_in_float32_and_gets_its_own_gradient() -> None:
    features = picture(1, 2, 5, 5).bfloat16().requires_grad_()
    pooled = roi_pool(features, torch.tensor([[0.0, 0, 4, 4]]), ZERO, (2, 2), 1.0)
    assert pooled.dtype == torch.float32
    pooled.sum().backward()
    assert features.grad is not None and features.grad.dtype == torch.bfloat16
    assert features.grad.sum() == 8


def test_wrong_arguments_are_refused() -> None:
    features, box = torch.zeros(2, 3, 4, 4), torch.zeros(1, 4)
    for index in (torch.tensor([2]), torch.tensor([-1])):
        with pytest.raises(ValueError, match="batch of 2"):
            roi_pool(features, box, index, (7, 7), 1.0)
    with pytest.raises(ValueError, match="int64"):
        roi_pool(features, box, torch.zeros(1), (7, 7), 1.0)
    with pytest.raises(ValueError, match="boxes"):
        roi_pool(features, torch.zeros(1, 5), ZERO, (7, 7), 1.0)
    with pytest.raises(ValueError, match="at least one bin"):
        roi_pool(features, box, ZERO, (0, 7), 1.0)
