"""Layers through oneDNN against torch's own in double precision, and when they stand back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from neocog.ops import onednn

SIDES = st.integers(1, 70)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_alike(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for mine, other in zip(found, wanted, strict=True):
        assert mine.shape == other.shape
        error, size = (mine.double() - other).abs().max(), other.abs().max()
        assert float(error.detach()) <= 1e-6 * max(float(size.detach()), 10.0)


@settings(deadline=None, max_examples=40)
@given(SIDES, SIDES, SIDES, st.booleans(), st.booleans())
def test_a_linear_layer_and_its_gradients(
    rows: int, inputs: int, outputs: int, biased: bool, strided: bool
) -> None:
    values = (
        normal(rows, inputs),
        normal(outputs, inputs, seed=1),
        normal(outputs, seed=2)[: outputs * biased],
    )
    exact = [one.clone().requires_grad_() for one in values]
    single = [one.float().requires_grad_() for one in values]
    slope = normal(rows, outputs, seed=3)

    def run(x: Tensor, weight: Tensor, bias: Tensor, ours: bool) -> tuple[Tensor, ...]:
        x_seen = x.t().contiguous().t() if strided else x
        y = (onednn.linear if ours else F.linear)(x_seen, weight, bias if biased else None)
        learnt = [x, weight, bias] if biased else [x, weight]
        return y, *torch.autograd.grad(y, learnt, slope.to(y.dtype))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onednn, "SMALLEST", 0)
        found = run(single[0], single[1], single[2], True)
        assert type(found[0].grad_fn).__name__ == (
            "_LinearBackward" if onednn._has_product() else "AddmmBackward0"
        )
    assert_alike(found, run(exact[0], exact[1], exact[2], False))


def test_a_gradient_without_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum's gradient is one number, seen as a matrix."""
    monkeypatch.setattr(onednn, "SMALLEST", 0)
    x, weight = normal(20, 30).float(), normal(10, 30, seed=1).float().requires_grad_()
    found = torch.autograd.grad(onednn.linear(x, weight).sum(), [weight])
    assert_alike(found, (x.double().sum(dim=0).expand(10, 30),))


@pytest.mark.parametrize("shape", [(2, 3, 40), (40,), (0, 40)])
def test_what_is_no_large_matrix_is_torchs(shape: tuple[int, ...]) -> None:
    x, weight = normal(*shape).float(), normal(5, 40).float()
    assert torch.equal(onednn.linear(x, weight), F.linear(x, weight))


def test_without_the_operator_it_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "SMALLEST", 0)
    monkeypatch.setattr(onednn, "_has_product", lambda: False)
    x, weight = normal(20, 30).float(), normal(10, 30).float()
    assert torch.equal(onednn.linear(x, weight), F.linear(x, weight))
    assert torch.equal(onednn.linear(x.double(), weight.double()), F.linear(x.double(), weight.double()))


def test_an_operator_that_is_gone_or_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    for product, there in ((gone, False), (lambda x, w, b=None: x @ w.t(), False)):
        monkeypatch.setattr(onednn, "_product", product)
        assert onednn._has_product.__wrapped__() is there


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), SIDES, SIDES, st.integers(1, 9))
def test_a_1x1_convolution_and_its_gradients(batch: int, inputs: int, outputs: int, side: int) -> None:
    values = normal(batch, inputs, side, side), normal(outputs, inputs, 1, 1, seed=1), normal(outputs, seed=2)
    exact = [one.clone().requires_grad_() for one in values]
    single = [one.float().requires_grad_() for one in values]
    y = onednn.convolve_1x1(single[0], single[1], single[2])
    reference = F.conv2d(exact[0], exact[1], exact[2])
    slope = normal(*reference.shape, seed=3)
    found = torch.autograd.grad(y, single, slope.float())
    assert_alike((y, *found), (reference, *torch.autograd.grad(reference, exact, slope)))


def test_processors_of_amd_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "vendor_id : GenuineIntel")
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    assert not onednn._is_amd()
    monkeypatch.setenv("PROCESSOR_IDENTIFIER", "AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD")
    assert onednn._is_amd()
