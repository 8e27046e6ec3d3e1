"""Convolution of tensors: the results of arrays, gradients of any order, and every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import neocog
from neocog.ops.convolve import Method
from neocog.ops.convolve_plan import Mode

MODES: tuple[Mode, ...] = ("full", "same", "valid")
METHODS: tuple[Method, ...] = ("auto", "direct", "fft", "overlap-add")


@st.composite
def shapes(draw: st.DrawFn, most: int = 8) -> tuple[list[int], list[int], Mode]:
    dims = draw(st.integers(1, 4))
    sides = st.lists(st.integers(1, most), min_size=dims, max_size=dims)
    mode = draw(st.sampled_from(MODES))
    pairs = list(zip(draw(sides), draw(sides), strict=True))
    if mode == "valid":
        pairs = [(max(pair), min(pair)) for pair in pairs]
    return [n for n, _ in pairs], [m for _, m in pairs], mode


def numbers(shape: list[int], dtype: torch.dtype, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(
            shape, generator=draw, dtype=torch.complex128 if dtype.is_complex else torch.float64
        ).to(dtype)
    return torch.randint(0, 9, shape, generator=draw).to(dtype)


@given(
    shapes(),
    st.sampled_from(METHODS),
    st.sampled_from(["float32", "float64", "complex64", "complex128"]),
    st.booleans(),
)
@settings(max_examples=300)
def test_equals_scipy_with_and_without_gradients(
    case: tuple[list[int], list[int], Mode], method: Method, dtype: str, graded: bool
) -> None:
    first, second, mode = case
    x, h = (
        numbers(n, getattr(torch, dtype), i).requires_grad_(graded) for i, n in enumerate((first, second))
    )
    arrays = [v.detach().numpy().astype(complex) for v in (x, h)]
    for ours, theirs in ((neocog.convolve, signal.convolve), (neocog.correlate, signal.correlate)):
        result = ours(x, h, mode, method)
        assert result.dtype == x.dtype
        assert result.requires_grad == graded
        tolerance = 1e-4 if dtype.endswith(("t32", "x64")) else 1e-11
        np.testing.assert_allclose(
            result.detach().numpy(), theirs(*arrays, mode, "direct"), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@given(case=shapes(4))
@settings(max_examples=8)
def test_gradients_and_their_gradients(
    case: tuple[list[int], list[int], Mode], method: Method, dtype: torch.dtype
) -> None:
    first, second, mode = case
    x, h = (numbers(n, dtype, i).requires_grad_() for i, n in enumerate((first, second)))

    def convolved(a: Tensor, b: Tensor) -> Tensor:
        return neocog.convolve(a, b, mode, method)

    def correlated(a: Tensor, b: Tensor) -> Tensor:
        return neocog.correlate(a, b, mode, method)

    for function in (convolved, correlated):
        assert gradcheck(function, (x, h), fast_mode=True)
        assert gradgradcheck(function, (x, h), fast_mode=True)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_blocks_and_their_gradients(dims: int) -> None:
    """Inputs so much longer than the kernel that overlap-add has several blocks."""
    x, h = (
        numbers([70] * dims, torch.float64, 0).requires_grad_(),
        numbers([3] * dims, torch.float64, 1).requires_grad_(),
    )
    results = [neocog.convolve(x, h, "same", method) for method in ("direct", "overlap-add")]
    torch.testing.assert_close(*results)
    slope = numbers([70] * dims, torch.float64, 2)
    grads = [torch.autograd.grad(result, (x, h), slope) for result in results]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16]
)
@pytest.mark.parametrize("method", METHODS)
def test_every_type(dtype: torch.dtype, method: Method) -> None:
    x, h = numbers([9, 8], dtype, 0), numbers([3, 2], dtype, 1)
    exact = signal.convolve(x.double().numpy(), h.double().numpy(), "same", "direct")
    result = neocog.convolve(x, h, "same", method)
    assert result.dtype == dtype
    expected = torch.from_numpy(exact)
    torch.testing.assert_close(
        result.double(), (expected != 0).double() if dtype == torch.bool else expected, rtol=0.02, atol=0.05
    )


def test_types_mix_as_torch_mixes_them() -> None:
    assert neocog.convolve(torch.ones(3, dtype=torch.int64), torch.ones(2)).dtype == torch.float32
    assert neocog.convolve(torch.ones(3), np.ones(2)).dtype == torch.float64
    assert neocog.convolve([1, 2], torch.tensor([1, 1])).tolist() == [1, 3, 2]
    assert neocog.convolve(torch.tensor(6), 7).item() == 42


def test_axes_broadcast_with_gradients() -> None:
    """Images under a bank of kernels: as torch's own convolution."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(2, 1, 7, 8, generator=draw, dtype=torch.float64, requires_grad=True)
    bank = torch.randn(1, 3, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.conv2d(images, bank[0, :, None], padding=1)
    for method in METHODS:
        result = neocog.correlate(images, bank, "same", method, axes=(2, 3))
        torch.testing.assert_close(result, expected)
        ours, theirs = (
            torch.autograd.grad(r.square().sum(), (images, bank), retain_graph=True)
            for r in (result, expected)
        )
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)


def test_forward_gradients_are_not_lost() -> None:
    x, h = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 1])
    with forward_ad.dual_level():
        dual: Any = forward_ad.make_dual(x, torch.tensor([1.0, 0, 0]))  # type: ignore[no-untyped-call]
        tangent = forward_ad.unpack_dual(neocog.convolve(dual, h)).tangent  # type: ignore[no-untyped-call]
    assert tangent.tolist() == [1, 1, 0, 0]


def test_views_that_numpy_cannot_see() -> None:
    x = torch.tensor([1 + 1j, 2])
    assert neocog.convolve(x.conj(), torch.tensor([1.0])).tolist() == [1 - 1j, 2]
    assert neocog.convolve(x.conj().imag, torch.tensor([2.0])).tolist() == [-2, 0]


def test_wrong_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="one device"):
        neocog.convolve(torch.ones(2), torch.ones(2, device="meta"))
    with pytest.raises(ValueError, match="method"):
        neocog.convolve(torch.ones(2, requires_grad=True), torch.ones(2), "full", "magic")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not object"):
        neocog.convolve(torch.ones(2), [None, 1])
