"""RoIAlign: kernels and plain version against the definition, torch's own sampling and gradients."""

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
from tests.references.regions import slow_roi_align
from torch import Tensor

from neocog.ops import roi_align as module
from neocog.ops.roi import roi_align, roi_align_maps, roi_align_torch, roi_pool

Align = Callable[..., Tensor]
BOTH = pytest.mark.parametrize("align", [roi_align, roi_align_torch])
ZERO = torch.zeros(1, dtype=torch.int64)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 3), st.just(4)), elements=st.integers(-40, 90)),
    st.sampled_from([1 / 8, 0.5, 1.0]),
    st.sampled_from([(3, 3), (1, 2), (7, 7)]),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
)
def test_equals_the_definition(
    corners: np.ndarray, scale: float, size: tuple[int, int], samples: int, aligned: bool
) -> None:
    features = noise(2, 2, 6, 9)
    boxes = torch.from_numpy(corners.astype(np.float32)) / 4 / scale
    index = torch.arange(len(boxes)) % 2
    want = slow_roi_align(
        features.double().numpy(), boxes.numpy(), index.numpy(), size, scale, samples, aligned
    )
    slope = noise(*want.shape, seed=1)
    grads = []
    for align in (roi_align, roi_align_torch):
        leaf = features.clone().requires_grad_()
        pooled = align(leaf, boxes, index, size, scale, samples, aligned)
        np.testing.assert_allclose(pooled.detach().numpy(), want, atol=2e-5, rtol=1e-5)
        pooled.backward(slope)
        assert leaf.grad is not None
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-4)


@BOTH
@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("aligned", [True, False])
def test_gradient_by_differences(align: Align, samples: int, aligned: bool) -> None:
    features = noise(2, 2, 4, 5, dtype=torch.float64).requires_grad_()
    boxes = torch.tensor(
        [[0.5, 0.25, 4, 3.5], [1, 1, 9, 3], [-3, 2, 2, 2.5], [3, 3, 1, 1]], dtype=torch.float64
    )
    index = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda f: align(f, boxes, index, (2, 3), 1.0, samples, aligned), features)


@BOTH
@pytest.mark.parametrize("samples", [0, 1, 3])
def test_a_ramp_is_sampled_at_bin_centres(align: Align, samples: int) -> None:
    y, x = torch.meshgrid(torch.arange(12.0) + 0.5, torch.arange(15.0) + 0.5, indexing="ij")
    ramp = (3 * x - 2 * y + 1)[None, None]
    box = torch.tensor([[12.0, 8.0, 48.0, 40.0]])  # in cells: 3 to 12, 2 to 10
    pooled = align(ramp, box, ZERO, (4, 3), 1 / 4, samples)
    xs, ys = 3 + 3 * (torch.arange(3) + 0.5), 2 + 2 * (torch.arange(4) + 0.5)
    torch.testing.assert_close(pooled[0, 0], 3 * xs - 2 * ys[:, None] + 1)


@BOTH
def test_one_sample_a_bin_is_torch_grid_sampling(align: Align) -> None:
    features = noise(1, 3, 8, 10)
    x0, y0, x1, y1 = 1.3, 0.4, 8.9, 7.1
    pooled = align(features, torch.tensor([[x0, y0, x1, y1]]), ZERO, (5, 4), 1.0, 1)
    xs = (x0 + (x1 - x0) * (torch.arange(4) + 0.5) / 4) / 10 * 2 - 1
    ys = (y0 + (y1 - y0) * (torch.arange(5) + 0.5) / 5) / 8 * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)[None]
    want = F.grid_sample(features, grid, align_corners=False, padding_mode="border")
    torch.testing.assert_close(pooled, want, atol=1e-5, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, 4, elements=st.floats(0, 1, width=32)), st.sampled_from([0, 2]), st.floats(-8, 8)
)
def test_a_constant_map_stays_constant(corners: np.ndarray, samples: int, level: float) -> None:
    x0, x1 = sorted(corners[:2] * 20)
    y0, y1 = sorted(corners[2:] * 14)
    box = torch.tensor([[x0, y0, x1 + 0.1, y1 + 0.1]])
    features = torch.full((1, 2, 15, 21), level)
    torch.testing.assert_close(
        roi_align(features, box, ZERO, (3, 4), 1.0, samples), torch.full((1, 2, 3, 4), level)
    )
    assert torch.equal(roi_pool(features, box, ZERO, (3, 4), 1.0), torch.full((1, 2, 3, 4), level))


@BOTH
def test_far_outside_is_zero_and_a_turned_adaptive_box_too(align: Align) -> None:
    features = 1 + noise(1, 2, 5, 5).abs()
    boxes = torch.tensor([[100.0, 100, 200, 200], [-90, 0, -50, 4], [0, -50, 4, -9], [4, 4, 1, 1]])
    assert torch.equal(align(features, boxes, ZERO.expand(4), (2, 2), 1.0), torch.zeros(4, 2, 2, 2))


@BOTH
def test_nothing_in_nothing_out(align: Align) -> None:
    no_boxes, no_index = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for batch in (0, 2):
        features = torch.zeros(batch, 3, 4, 4, requires_grad=True)
        pooled = align(features, no_boxes, no_index, (7, 7), 0.5)
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert features.grad is not None and features.grad.shape == features.shape


@BOTH
@pytest.mark.parametrize("samples", [0, 2])
def test_boxes_that_are_no_numbers_stay_harmless(align: Align, samples: int) -> None:
    nan, inf = float("nan"), float("inf")
    rows = [
        [nan] * 4,
        [0, 0, inf, inf],
        [-inf, -inf, inf, inf],
        [1e30, 0, 3e38, 2],
        [-3e38, -3e38, 3e38, 3e38],
    ]
    pooled = align(torch.ones(1, 2, 4, 4), torch.tensor(rows), ZERO.expand(5), (3, 3), 1.0, samples)
    assert torch.equal(pooled, torch.zeros(5, 2, 3, 3))


@BOTH
def test_a_huge_box_sees_the_map_in_its_middle(align: Align) -> None:
    pooled = align(torch.ones(1, 1, 4, 4), torch.tensor([[-4998.0, -498, 5002, 502]]), ZERO, (1, 5), 1.0)
    # In the middle bin, 2000 x 1000 samples, of which the map and a cell around it cover 6 x 6.
    want = torch.tensor([0.0, 0, 36 / (2000 * 1000), 0, 0])
    torch.testing.assert_close(pooled[0, 0, 0], want, rtol=1e-3, atol=1e-9)


def test_layouts_and_runs_in_threads_give_the_same_bits() -> None:
    features = noise(2, 8, 12, 13)
    corner = 100 * torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    boxes, index = torch.cat([corner, corner + 60], 1), torch.arange(40) % 2

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        leaf = features.detach().requires_grad_()
        pooled = roi_align(leaf, boxes, index, (7, 7), 1 / 16)
        (pooled * pooled).sum().backward()
        assert leaf.grad is not None
        return pooled.detach(), leaf.grad

    want = step(features)
    strided = torch.cat([features, features], 3)[..., :13]
    layouts = [features.contiguous(memory_format=torch.channels_last), strided]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(step, layouts + [features] * 6))
    assert all(torch.equal(a, b) for got in results for a, b in zip(got, want, strict=True))


def test_half_precision_is_pooled_in_float32_and_gets_its_own_gradient() -> None:
    features = torch.ones(1, 2, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    pooled = roi_align(features, torch.tensor([[0.0, 0, 4, 4]]), ZERO, (2, 2), 1.0)
    assert pooled.dtype == torch.float32
    pooled.sum().backward()
    assert features.grad is not None and features.grad.dtype == torch.bfloat16
    assert features.grad.sum() == 8


def test_both_poolings_can_be_exported_for_any_number_of_regions() -> None:
    class Regions(torch.nn.Module):
        def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
            aligned = roi_align(features, boxes, index, (2, 2), 1 / 8, 1)
            return aligned, roi_pool(features, boxes, index, (2, 2), 1 / 8)

    count = torch.export.Dim("regions")
    boxes = torch.tensor([[0.0, 0, 60, 40], [9, 9, 33, 21], [20, 20, 90, 50]])
    inputs = noise(2, 3, 6, 9), boxes, torch.tensor([0, 1, 1])
    shapes = ({}, {0: count}, {0: count})
    exported = torch.export.export(Regions(), inputs, dynamic_shapes=shapes).module()
    fewer = inputs[0], boxes[1:], inputs[2][1:]
    torch.testing.assert_close(exported(*inputs), Regions()(*inputs))
    torch.testing.assert_close(exported(*fewer), Regions()(*fewer))


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("which", [[0, 2, 0, 2, 0], [1, 1, 1, 1, 1], []])
def test_regions_of_several_maps_are_those_of_each(
    which: list[int], kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, and with the gradients; a map that no region is read from has none."""
    if not kernels:
        monkeypatch.setattr(module, "use_kernels", lambda _: False)
    maps = [noise(2, 3, 16 // s, 24 // s, seed=s).requires_grad_() for s in (1, 2, 4)]
    again = [one.detach().clone().requires_grad_() for one in maps]
    scales, chosen = (1.0, 0.5, 0.25), torch.tensor(which, dtype=torch.int64)
    start = torch.rand(len(which), 2, generator=torch.Generator().manual_seed(0)) * 10
    boxes, index = torch.cat([start, start + 5], 1), torch.arange(len(which)) % 2
    found = roi_align_maps(maps, chosen, boxes, index, (2, 3), scales, 2)
    assert found.shape == (len(which), 3, 2, 3)
    slope = noise(*found.shape, seed=9)
    wanted = torch.zeros(found.shape)
    for row, place in enumerate(which):
        one = slice(row, row + 1)
        alone = roi_align(again[place], boxes[one], index[one], (2, 3), scales[place], 2)
        wanted[row] = alone[0].detach()
        alone.backward(slope[one])
    torch.testing.assert_close(found, wanted)
    found.backward(slope)
    for mine, other in zip(maps, again, strict=True):
        want = torch.zeros_like(mine) if other.grad is None else other.grad
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, want, atol=1e-5, rtol=1e-5)
