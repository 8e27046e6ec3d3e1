"""Linear layers and 1x1 convolutions through oneDNN, where torch would take a slower way.

torch multiplies float32 matrices with MKL, which on AMD's processors has under half of the speed that oneDNN,
a part of torch too, has there. Convolutions go to oneDNN, but not those of 1x1 on one thread and with fewer
than 16 pictures. Both functions equal torch's own up to rounding, and so do their first derivatives.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

SMALLEST = 2**21
"""Multiplications of the smallest product that is worth its overheads."""

NARROWEST = 16
"""Channels in and out from which a 1x1 convolution is, with its gradients, faster in oneDNN."""


@cache
def products_are_slow() -> bool:
    """Whether torch's float32 matrix product is the slow one here, and `linear` can do without it."""
    return torch.backends.mkl.is_available() and _is_amd() and _has_product()  # type: ignore[no-untyped-call]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`: x (R, I), weight (O, I), bias (O,) or None to (R, O), through oneDNN.

    What is small, not a float32 matrix, or not on a CPU, and everything where torch lacks the operator, is
    left to `F.linear`. Autocast does not change what it computes in.
    """
    large = x.ndim == 2 and x.numel() * len(weight) >= SMALLEST
    if not (large and x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and _has_product()):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


def convolve_1x1(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution of x (B, I, H, W) with a weight (O, I, 1, 1), stride 1, and a bias (O,) or None.

    Dilation moves the values of a kernel apart, of which there is only one here; but torch gives every
    dilated convolution to oneDNN.
    """
    return F.conv2d(x, weight, bias, dilation=2)


class _Linear(torch.autograd.Function):
    """A linear layer, and its gradients, as oneDNN's inner products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(grad, weight.t()) if of_x else None,
            _product(grad.t(), x.t()) if of_weight else None,
            grad.sum(dim=0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


@cache
def _has_product() -> bool:
    """Whether this torch has the operator, which is not public, and it gives what it should."""
    draw = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(rows, 40, generator=draw, dtype=torch.float32) for rows in (24, 16))
    try:
        found = _product(x, weight, weight[:, 0].clone()), _product(x.t(), weight[:, :24])
    except (AttributeError, RuntimeError, TypeError):
        return False
    wanted = x @ weight.t() + weight[:, 0], x.t() @ weight[:, :24].t()
    return all(torch.allclose(*pair, rtol=1e-4, atol=1e-4) for pair in zip(found, wanted, strict=True))


def _is_amd() -> bool:
    """Whether the processor is one of AMD's."""
    named = os.environ.get("PROCESSOR_IDENTIFIER", "")  # Windows
    with suppress(OSError):
        named += Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return "AuthenticAMD" in named
