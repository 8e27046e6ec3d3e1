"""The region operators against torchvision's, on many random inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neocog.ops.nms import batched_nms, batched_nms_torch, nms, nms_torch
from neocog.ops.roi import (
    ps_roi_align,
    ps_roi_align_torch,
    ps_roi_pool,
    ps_roi_pool_torch,
    roi_align,
    roi_align_torch,
    roi_pool,
    roi_pool_torch,
)

pytestmark = pytest.mark.oracle
SCALES = pytest.mark.parametrize("scale", [1 / 16, 0.25, 0.3, 1.0])
SIZES = pytest.mark.parametrize("size", [(7, 7), (3, 5), (1, 1)])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("count", [0, 1, 30, 1500])
def test_nms(count: int, threshold: float) -> None:
    ops = pytest.importorskip("torchvision.ops")
    draw = torch.Generator().manual_seed(count)
    corner = 200 * torch.rand(count, 2, generator=draw)
    boxes = torch.cat([corner, corner + 50 * torch.rand(count, 2, generator=draw)], 1)
    scores = (50 * torch.rand(count, generator=draw)).round() / 50
    groups = torch.randint(0, 5, (count,), generator=draw)
    want = ops.nms(boxes, scores, threshold)
    assert torch.equal(nms(boxes, scores, threshold), want)
    assert torch.equal(nms_torch(boxes, scores, threshold), want)
    distinct = torch.randperm(count, generator=draw).float()  # torchvision's groups lose the order of ties
    want = ops.boxes._batched_nms_vanilla(boxes, distinct, groups, threshold)
    assert torch.equal(batched_nms(boxes, distinct, groups, threshold), want)
    assert torch.equal(batched_nms_torch(boxes, distinct, groups, threshold), want)


def regions(scale: float, least: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Features with ties, 60 boxes in and about their map, many on whole and half cells, and their images."""
    draw = torch.Generator().manual_seed(int(100 * scale))
    features = (4 * torch.randn(2, 6, 11, 17, generator=draw)).round() / 4
    corner = 24 * torch.rand(60, 2, generator=draw) - 4
    boxes = torch.cat([corner, corner + least + (14 - least) * torch.rand(60, 2, generator=draw)], 1)
    boxes[:20] = (boxes[:20] * 2).round() / 2
    return features.to(dtype), (boxes / scale).to(dtype), torch.randint(0, 2, (60,), generator=draw)


def both_ways(pool: object, features: Tensor, slope: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled, the gradient of the features, and the slope used."""
    leaf = features.clone().requires_grad_()
    pooled = pool(leaf)  # type: ignore[operator]
    slope = torch.rand_like(pooled) if slope is None else slope
    pooled.backward(slope)
    assert leaf.grad is not None
    return pooled.detach(), leaf.grad, slope


@SCALES
@SIZES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roi_pool(scale: float, size: tuple[int, int], dtype: torch.dtype) -> None:
    ops = pytest.importorskip("torchvision.ops")
    features, boxes, index = regions(scale, -2, dtype)
    rois = torch.cat([index[:, None].to(dtype), boxes], 1)
    want, gradient, slope = both_ways(lambda f: ops.roi_pool(f, rois, size, scale), features, None)
    for pool in (roi_pool, roi_pool_torch):

        def run(f: Tensor, pool: object = pool) -> Tensor:
            return pool(f, boxes, index, size, scale)  # type: ignore[operator,no-any-return]

        got, grad, _ = both_ways(run, features, slope)
        assert torch.equal(got, want)
        assert torch.equal(run(features), want)
        torch.testing.assert_close(grad, gradient)


@SCALES
@SIZES
@pytest.mark.parametrize("samples", [0, 2, 3])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align(scale: float, size: tuple[int, int], samples: int, aligned: bool) -> None:
    ops = pytest.importorskip("torchvision.ops")
    # torchvision cannot allocate the adaptive grid of a turned box, so there the boxes stand upright.
    features, boxes, index = regions(scale, -2 if samples else 0, torch.float32)
    rois = torch.cat([index[:, None].float(), boxes], 1)

    def theirs(f: Tensor) -> Tensor:
        return ops.roi_align(f, rois, size, scale, samples, aligned)  # type: ignore[no-any-return]

    want, gradient, slope = both_ways(theirs, features, None)
    for align in (roi_align, roi_align_torch):

        def run(f: Tensor, align: object = align) -> Tensor:
            return align(f, boxes, index, size, scale, samples, aligned)  # type: ignore[operator,no-any-return]

        got, grad, _ = both_ways(run, features, slope)
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(grad, gradient, atol=1e-4, rtol=1e-4)


def by_bin(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """torchvision's maps, classes that hold bins, as ours: bins that hold classes."""
    b, _, h, w = maps.shape
    return maps.view(b, -1, size[0] * size[1], h, w).transpose(1, 2).reshape(b, -1, h, w)


@pytest.mark.parametrize("stride", [1, 4, 16])
@SIZES
def test_ps_roi_pool(stride: int, size: tuple[int, int]) -> None:
    """Where the two rules agree: torchvision's rounds to cells, and never reads the last row and column."""
    ops = pytest.importorskip("torchvision.ops")
    draw = torch.Generator().manual_seed(stride)
    maps = torch.randn(2, 11 * size[0] * size[1], 12, 16, generator=draw)
    start = torch.randint(0, 6, (40, 2), generator=draw)
    end = start + torch.randint(1, 6, (40, 2), generator=draw)
    index = torch.randint(0, 2, (40,), generator=draw)
    theirs = torch.cat([index[:, None], start * stride, end * stride], 1).float()
    boxes = torch.cat([start * stride, end * stride - 1], 1).float()  # the last pixel of the last cell

    want, gradient, slope = both_ways(lambda f: ops.ps_roi_pool(f, theirs, size, 1 / stride), maps, None)
    for pool in (ps_roi_pool, ps_roi_pool_torch):

        def run(f: Tensor, pool: object = pool) -> Tensor:
            return pool(by_bin(f, size), boxes, index, size, 1 / stride)  # type: ignore[operator,no-any-return]

        got, grad, _ = both_ways(run, maps, slope)
        torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(grad, gradient, atol=1e-5, rtol=1e-4)


@SCALES
@SIZES
@pytest.mark.parametrize("samples", [0, 2, 3])
def test_ps_roi_align(scale: float, size: tuple[int, int], samples: int) -> None:
    ops = pytest.importorskip("torchvision.ops")
    _, boxes, index = regions(scale, -2 if samples else 1, torch.float32)
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 11 * size[0] * size[1], 11, 17, generator=draw)
    rois = torch.cat([index[:, None].float(), boxes], 1)

    want, gradient, slope = both_ways(lambda f: ops.ps_roi_align(f, rois, size, scale, samples), maps, None)
    for align in (ps_roi_align, ps_roi_align_torch):

        def run(f: Tensor, align: object = align) -> Tensor:
            return align(by_bin(f, size), boxes, index, size, scale, samples)  # type: ignore[operator,no-any-return]

        got, grad, _ = both_ways(run, maps, slope)
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(grad, gradient, atol=1e-4, rtol=1e-4)
