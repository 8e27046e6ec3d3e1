"""Sizes against torch's own layers, receptive fields against gradients and published tables."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from neocog.ops.arithmetic import (
    Field,
    conv_out,
    conv_parameters,
    dense_parameters,
    effective_kernel,
    local_parameters,
    same_padding,
    transposed_out,
)

small = st.integers(1, 6)
unhurried = settings(deadline=None)  # the first call into torch is slow


@unhurried
@given(st.integers(1, 60), small, small, st.integers(0, 5), small)
def test_convolution_has_the_size_torch_gives(size, kernel, stride, padding, dilation):
    assume(size + 2 * padding >= effective_kernel(kernel, dilation))
    x = torch.empty(1, 1, size, device="meta")
    weight = torch.empty(1, 1, kernel, device="meta")
    out = F.conv1d(x, weight, stride=stride, padding=padding, dilation=dilation)
    assert conv_out(size, kernel, stride, padding, dilation) == out.shape[-1]


@unhurried
@given(st.integers(1, 60), small, small, st.integers(0, 3), small, st.booleans())
def test_pooling_has_the_size_torch_gives(size, kernel, stride, padding, dilation, ceil_mode):
    assume(padding <= kernel // 2 and size + 2 * padding >= effective_kernel(kernel, dilation))
    pool = nn.MaxPool2d((1, kernel), (1, stride), (0, padding), (1, dilation), ceil_mode=ceil_mode)
    out = pool(torch.empty(1, 1, 1, size, device="meta"))
    assert conv_out(size, kernel, stride, padding, dilation, ceil_mode) == out.shape[-1]


@unhurried
@given(st.integers(1, 20), small, small, st.integers(0, 5), small, st.integers(0, 5))
def test_transposed_convolution_has_the_size_torch_gives(size, kernel, stride, padding, dilation, extra):
    assume(extra < max(stride, dilation))
    assume((size - 1) * stride + effective_kernel(kernel, dilation) + extra > 2 * padding)
    expected = transposed_out(size, kernel, stride, padding, dilation, extra)
    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, extra, dilation=dilation, device="meta")
    assert layer(torch.empty(1, 1, size, device="meta")).shape[-1] == expected


@given(st.integers(1, 60), small, small, st.integers(0, 5), small)
def test_transposed_convolution_undoes_the_size(size, kernel, stride, padding, dilation):
    assume(size + 2 * padding >= effective_kernel(kernel, dilation))
    lost = (size + 2 * padding - effective_kernel(kernel, dilation)) % stride
    out = conv_out(size, kernel, stride, padding, dilation)
    assert transposed_out(out, kernel, stride, padding, dilation, lost) == size


def test_sizes_of_published_networks():
    assert conv_out(227, 11, 4) == 55  # AlexNet conv1
    assert conv_out(75, 2, 2, ceil_mode=True) == 38  # SSD300, where Caffe's pooling rounds up
    assert conv_out(75, 2, 2) == 37
    assert [transposed_out(5, 64, 32), transposed_out(5, 16, 8, 4), transposed_out(5, 4, 2)] == [192, 40, 12]
    assert [effective_kernel(3, 2), effective_kernel(3, 6)] == [5, 13]


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="kernel of 7 does not fit 4"):
        conv_out(4, 3, padding=1, dilation=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_out(0, 1), "size is 0"),
        (lambda: conv_out(5, 0), "kernel is 0"),
        (lambda: conv_out(5, 3, stride=0), "stride is 0"),
        (lambda: conv_out(5, 3, padding=-1), "padding is -1"),
        (lambda: effective_kernel(3, 0), "dilation is 0"),
        (lambda: transposed_out(5, 3, output_padding=1), "below the stride or the dilation"),
        (lambda: transposed_out(5, 3, padding=4), "leaves nothing of 7 cells"),
        (lambda: conv_parameters(4, 6, 3, groups=4), "4 groups do not divide 4 channels and 6 filters"),
    ],
)
def test_numbers_that_make_no_layer_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(st.integers(1, 30), st.sampled_from([1, 3, 5, 7]), small)
def test_same_padding_keeps_the_size(size, kernel, dilation):
    assert conv_out(size, kernel, padding=same_padding(kernel, dilation), dilation=dilation) == size


def test_an_even_kernel_has_no_same_padding():
    with pytest.raises(ValueError, match="unequal"):
        same_padding(4)


layer = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(layer, min_size=1, max_size=4), st.data())
def test_field_is_where_the_gradient_is_not_zero(layers, data):
    size, field = 80, Field()
    x = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, stride, padding, dilation in layers:
        assume(y.shape[-1] + 2 * padding >= effective_kernel(kernel, dilation))
        weight = torch.ones(1, 1, kernel, dtype=torch.float64)
        y = F.conv1d(y, weight, stride=stride, padding=padding, dilation=dilation)
        field = field.then(kernel, stride, padding, dilation)
    index = data.draw(st.integers(0, y.shape[-1] - 1))
    first, last = field.span(index)
    assume(first >= 0 and last <= size)  # beyond the image the gradient ends early
    y[0, 0, index].backward()
    seen = x.grad[0, 0].nonzero().flatten()
    assert (int(seen[0]), int(seen[-1]) + 1) == (first, last)


def _fields(layers):
    fields, field = {}, Field()
    for name, *options in layers:
        field = fields[name] = field.then(*options)
    return {name: (field.size, field.jump, field.start) for name, field in fields.items()}


@pytest.mark.parametrize(("first_padding", "offset"), [(0, 0), (2, -2)], ids=["caffe", "torchvision"])
def test_fields_of_alexnet(first_padding, offset):
    fields = _fields(
        [
            ("conv1", 11, 4, first_padding),
            ("pool1", 3, 2),
            ("conv2", 5, 1, 2),
            ("pool2", 3, 2),
            ("conv3", 3, 1, 1),
            ("conv4", 3, 1, 1),
            ("conv5", 3, 1, 1),
            ("pool5", 3, 2),
            ("fc6", 6),
        ]
    )
    table = {
        "conv1": (11, 4, 5),
        "pool1": (19, 8, 9),
        "conv2": (51, 8, 9),
        "pool2": (67, 16, 17),
        "conv3": (99, 16, 17),
        "conv4": (131, 16, 17),
        "conv5": (163, 16, 17),
        "pool5": (195, 32, 33),
        "fc6": (355, 32, 113),
    }
    assert fields == {name: (r, j, start + offset) for name, (r, j, start) in table.items()}


def test_fields_of_ssd300():
    conv5_3 = Field(196, 16, 7.5)  # as in VGG-16
    fc7 = conv5_3.then(3, 1, 1).then(3, 1, 6, 6).then(1)
    conv6_2 = fc7.then(1).then(3, 2, 1)
    conv7_2 = conv6_2.then(1).then(3, 2, 1)
    conv8_2 = conv7_2.then(1).then(3)
    conv9_2 = conv8_2.then(1).then(3)
    assert [fc7, conv6_2, conv7_2, conv8_2, conv9_2] == [
        Field(420, 16, 7.5),
        Field(452, 32, 7.5),
        Field(516, 64, 7.5),
        Field(644, 64, 71.5),
        Field(772, 64, 135.5),
    ]


@given(layer, layer, st.integers(-5, 5))
def test_joined_field_covers_both_paths_and_no_more(one, other, index):
    a, b = Field().then(*one), Field().then(*other)
    if a.jump != b.jump:
        with pytest.raises(ValueError, match="cannot meet"):
            a.join(b)
        return
    spans = a.span(index), b.span(index)
    assert a.join(b).span(index) == (min(s[0] for s in spans), max(s[1] for s in spans))


def test_the_lecture_example_of_shared_weights():
    pixels = units = 1000 * 1000
    assert dense_parameters(pixels, units, bias=False) == 10**12
    assert local_parameters(units, 10, bias=False) == 10**8
    assert conv_parameters(1, 1, 10, bias=False) == 100  # for a map of 10^6 units
    assert conv_parameters(1, 100, 10, bias=False) == 10**4


@unhurried
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), small, st.booleans())
def test_counts_are_those_of_torch_layers(ins, outs, groups, kernel, bias):
    conv = nn.Conv2d(ins * groups, outs * groups, kernel, groups=groups, bias=bias, device="meta")
    dense = nn.Linear(ins, outs, bias=bias, device="meta")
    count = [sum(weight.numel() for weight in module.parameters()) for module in (conv, dense)]
    assert conv_parameters(ins * groups, outs * groups, kernel, groups, bias) == count[0]
    assert dense_parameters(ins, outs, bias) == count[1]
    # A locally connected layer with one position is a convolution over a map as large as its kernel.
    if groups == 1:
        assert local_parameters(outs, kernel, ins, bias) == count[0]
