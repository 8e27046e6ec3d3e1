"""Pooling with switches against torch, and unpooling as the transpose of pooling."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from neocog.ops.pool import max_pool, unpool


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.booleans(),
    st.integers(5, 9),
    st.integers(5, 9),
)
def test_unpooling_is_the_transpose_of_pooling(
    kernel: int, stride: int, padding: int, ceil_mode: bool, height: int, width: int
) -> None:
    """<pool'(d), v> = <d, unpool(v)>: the gradient of max-pooling says where each value came from."""
    padding = min(padding, kernel // 2)
    maps = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    pooled, switches = max_pool(maps, kernel, stride, padding, ceil_mode=ceil_mode)
    assert torch.equal(pooled, F.max_pool2d(maps, kernel, stride, padding, ceil_mode=ceil_mode))
    values = torch.randn_like(pooled)
    (gradient,) = torch.autograd.grad(pooled, maps, values)
    torch.testing.assert_close(unpool(values, switches, (height, width)), gradient)


def test_without_overlap_it_is_torchs_own_unpooling() -> None:
    maps = torch.randn(2, 4, 8, 6)
    pooled, switches = max_pool(maps, 2)
    assert torch.equal(unpool(pooled, switches, (8, 6)), F.max_unpool2d(pooled, switches, 2))
    assert torch.equal(max_pool(unpool(pooled.abs(), switches, (8, 6)), 2)[0], pooled.abs())
