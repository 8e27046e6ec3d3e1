"""Packed layers compute what torch's own do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.packed import MOST_LAYOUTS, MOST_SIZES, SMALLEST, PackedConv, PackedLinear, packed_form, usable

CLOSE = {torch.float32: 1e-5, torch.bfloat16: 0.04}

pytestmark = pytest.mark.skipif(not usable(torch.float32), reason="this torch lacks oneDNN's operators")


@st.composite
def convolutions(draw: Any) -> tuple[nn.Conv2d, Tensor]:
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    inputs, outputs = (groups * draw(st.integers(1, 24)) for _ in range(2))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = (draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (3, 2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [draw(st.integers(low, low + 12)) for low in least]
    bias = draw(st.booleans())
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
    image = torch.randn(draw(st.integers(1, 3)), inputs, *size)
    if draw(st.booleans()):
        image = image.contiguous(memory_format=torch.channels_last)
    return layer, image


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@settings(max_examples=60, deadline=None)
@given(case=convolutions(), relu=st.booleans(), added=st.booleans(), into=st.booleans())
def test_convolutions(
    dtype: torch.dtype, case: tuple[nn.Conv2d, Tensor], relu: bool, added: bool, into: bool
) -> None:
    if not usable(dtype):
        pytest.skip("no such numbers here")
    layer, image = case[0].to(dtype), case[1].to(dtype)
    with torch.inference_mode():
        wanted = layer(image).float()
        other = torch.randn_like(wanted).to(dtype) if added else None
        wanted = wanted if other is None else wanted + other.float()
        given_other = None if other is None else other.clone()
        found = PackedConv(layer)(image, given_other, relu, into and added)
    wanted = F.relu(wanted) if relu else wanted
    assert found.dtype == dtype and found.shape == wanted.shape
    torch.testing.assert_close(found.float(), wanted, rtol=CLOSE[dtype], atol=CLOSE[dtype])
    if given_other is not None and not into:
        assert torch.equal(given_other, other), "what was only to be added has changed"


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 90), inputs=st.integers(1, 300), outputs=st.integers(1, 200), relu=st.booleans())
@example(rows=64, inputs=128, outputs=128, relu=True)  # just large enough
@example(rows=63, inputs=128, outputs=128, relu=True)
def test_linear_layers(rows: int, inputs: int, outputs: int, relu: bool) -> None:
    torch.manual_seed(rows)
    layer, x = nn.Linear(inputs, outputs), torch.randn(rows, inputs)
    with torch.inference_mode():
        own = PackedLinear(layer)
        wanted, found = layer(x), own(x, relu)
    assert ("weight" in vars(own)) == (rows * inputs * outputs >= SMALLEST)
    torch.testing.assert_close(found, F.relu(wanted) if relu else wanted, rtol=1e-4, atol=1e-5)


def test_weights_are_kept_once_for_each_layout() -> None:
    layer = PackedConv(nn.Conv2d(16, 48, 3, 2, 1).requires_grad_(False))
    for side in range(5, 200, 3):
        layer(torch.zeros(1, 16, side, side + 1).contiguous(memory_format=torch.channels_last))
    assert len(layer._by_size) == 65
    assert len(layer._by_layout) <= 4 < MOST_LAYOUTS


def test_sizes_do_not_pile_up() -> None:
    layer = PackedConv(nn.Conv2d(1, 1, 1).requires_grad_(False))
    for side in range(MOST_SIZES + 2):
        layer(torch.zeros(1, 1, 1, side + 1))
    assert 0 < len(layer._by_size) <= 2


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.ConvTranspose2d(2, 2, 3),
        nn.ReLU(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_has_no_packed_form(layer: nn.Module) -> None:
    assert packed_form(layer) is None
