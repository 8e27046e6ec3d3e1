"""Counts against torch's own counter and published figures, receptive fields against gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from neocog.backbones.resnet import CONV5, resnet18, resnet34, resnet50, resnet101
from neocog.backbones.vgg import vgg16
from neocog.ops.arithmetic import Field
from neocog.ops.summary import summarize
from neocog.ops.tracing import Window
from neocog.types import Batch, Frame, SampleKey

PUBLISHED = [  # torchvision's own metadata: parameters, thousand million multiply-adds at 224 x 224
    (vgg16, 138_357_544, 15.470),
    (resnet18, 11_689_512, 1.814),
    (resnet34, 21_797_672, 3.664),
    (resnet50, 25_557_032, 4.089),
    (resnet101, 44_549_160, 7.801),
]


@pytest.mark.parametrize(("build", "parameters", "gflops"), PUBLISHED)
def test_totals_are_the_published_ones(build, parameters, gflops):
    with torch.device("meta"):
        model = build(1000)
    summary = summarize(model, 224, model.logits)
    assert (summary.parameters, round(summary.gflops, 3)) == (parameters, gflops)
    assert summary.parameter_bytes == 4 * parameters
    assert sum(row.parameters for row in summary.rows) == parameters
    assert sum(row.multiply_adds for row in summary.rows) == summary.multiply_adds


def test_fields_of_vgg16_are_the_published_ones():
    with torch.device("meta"):
        rows = {row.name: row.field for row in summarize(vgg16(), 224).rows}
    assert rows["features.2"] == Field(5, 1, 0)  # conv1_2
    assert rows["features.4"] == Field(6, 2, 0.5)  # pool1
    assert rows["features.9"] == Field(16, 4, 1.5)  # pool2
    assert rows["features.16"] == Field(44, 8, 3.5)  # pool3
    assert rows["features.21"] == Field(92, 8, 3.5)  # conv4_3
    assert rows["features.23"] == Field(100, 16, 7.5)  # pool4
    assert rows["features.28"] == Field(196, 16, 7.5)  # conv5_3
    assert rows["features.30"] == Field(212, 32, 15.5)  # pool5
    assert rows["features.30"].then(7) == Field(404, 32, 111.5)  # fc6


@pytest.mark.parametrize(
    ("build", "sizes"),
    [
        (resnet18, (43, 99, 211, 435)),
        (resnet34, (59, 179, 547, 899)),
        (resnet50, (35, 91, 267, 427)),
        (resnet101, (35, 91, 811, 971)),
    ],
)
def test_fields_of_resnets_are_the_published_ones(build, sizes):
    with torch.device("meta"):
        rows = summarize(build(), (224, 192)).rows
    ends = [
        [row.field for row in rows if row.name.startswith(f"layer{stage}.")][-1] for stage in (1, 2, 3, 4)
    ]
    assert ends == [Field(size, jump, 0) for size, jump in zip(sizes, (4, 8, 16, 32), strict=True)]


def test_dilation_in_the_last_stage_widens_the_field_at_the_same_stride():
    with torch.device("meta"):
        rows = summarize(resnet101(dilations=CONV5), 128).rows
    assert rows[-1].field == Field(811 + 3 * 4 * 16, 16, 0)  # three 3x3 convolutions, dilation 2, jump 16


class Odd(nn.Module):
    """One of everything that counts, in and between leaf modules."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(3, 6, 3, stride=2, groups=3)
        self.up = nn.ConvTranspose2d(6, 4, 4, stride=2, groups=2)
        self.dense = nn.Linear(4, 5)
        self.kernel = nn.Parameter(torch.rand(4, 4, 3, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.up(self.grouped(images))
        x = F.conv2d(x, self.kernel, dilation=2)
        rows = self.dense(x.permute(0, 2, 3, 1)).flatten(1, 2)
        return rows @ rows.transpose(1, 2)


def test_multiply_adds_are_half_of_what_torch_counts():
    model, images = Odd(), torch.rand(2, 3, 21, 18)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    summary = summarize(model, images)
    assert 2 * summary.multiply_adds == counter.get_total_flops()
    assert (
        sum(row.multiply_adds for row in summary.rows) < summary.multiply_adds
    )  # the rest is between layers
    assert [row.name for row in summary.rows] == ["grouped", "up", "dense"]


class Branches(nn.Module):
    """Two paths of different reach that are added, one of them shifted by uneven padding, and a third."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 4, 5, stride=2, padding=2)
        self.narrow = nn.Conv2d(3, 4, 2, stride=2)
        self.norm = nn.LocalResponseNorm(3)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(3, 1, 1)
        self.end = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.wide(images) + self.narrow(images)
        x = self.relu(self.norm(x))
        x = x / x.norm(dim=1, keepdim=True)
        x = torch.cat([self.pool(F.pad(x, (1, 1, 1, 1)))[:, :, :, :], F.pad(x, (1, 1, 1, 1))], dim=1)
        return self.end(x)


def test_fields_of_branches_are_where_the_gradient_is():
    model = Branches()
    for weight in model.parameters():
        nn.init.uniform_(weight, 0.1, 1)  # positive, so that nothing cancels
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    row = summarize(model, images).rows[-1]
    assert row.name == "end"
    model(images)[0, :, 8, 9].sum().backward()
    seen = images.grad[0].abs().sum(0)
    rows, columns = seen.sum(1).nonzero().flatten(), seen.sum(0).nonzero().flatten()
    assert row.field.span(8) == (int(rows[0]), int(rows[-1]) + 1)
    assert row.field.span(9) == (int(columns[0]), int(columns[-1]) + 1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(3, 3, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(3, 3, (1, 3), padding=(0, 1)),
        nn.Flatten(),
        nn.ZeroPad2d((1, 1, 0, 0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_no_field_where_cells_do_not_see_one_square_window(layer):
    assert summarize(nn.Sequential(layer), 8).rows[-1].field is None


def test_fields_and_windows_have_one_to_three_axes():
    line = nn.Sequential(nn.Conv1d(2, 4, 5, stride=2), nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2), nn.ReLU())
    rows = summarize(line, torch.rand(1, 2, 40)).rows
    assert [row.field for row in rows] == [Field(5, 2, 2), Field(9, 4, 2), Field(13, 8, 4), Field(13, 8, 4)]
    assert [row.window and row.window.kernel for row in rows] == [(5,), (3,), (2,), None]
    volume = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.MaxPool3d(2), nn.AvgPool3d(2))
    rows = summarize(volume, torch.rand(1, 1, 8, 8, 8)).rows
    assert [row.field for row in rows] == [Field(3, 1, 0), Field(4, 2, 0.5), Field(6, 4, 1.5)]
    assert rows[1].window == Window((2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1))


def test_windows_have_the_options_of_their_layers():
    layers = nn.Sequential(
        nn.Conv2d(3, 4, (3, 5), stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
        nn.LocalResponseNorm(3),
        nn.MaxPool2d(3, 1, 1, dilation=2, ceil_mode=True),
        nn.ConvTranspose2d(4, 2, 4, 2, 1),
        nn.AdaptiveAvgPool2d(2),
    )
    assert [row.window for row in summarize(layers, 20).rows] == [
        Window((3, 5), (1, 2), (2, 1), (2, 1)),
        None,
        Window((3, 3), (1, 1), (1, 1), (2, 2)),
        Window((4, 4), (2, 2), (1, 1), (1, 1), transposed=True),
        None,
    ]


def test_rows_say_what_they_read():
    summary = summarize(Branches(), 32)
    reads = {
        row.name: {summary.rows[i].name if i >= 0 else "image" for i in row.reads} for row in summary.rows
    }
    assert reads == {
        "wide": {"image"},
        "narrow": {"image"},
        "norm": {"wide", "narrow"},
        "relu": {"norm"},
        "pool": {"relu"},
        "end": {"pool", "relu"},
    }


def test_an_error_names_the_layer():
    with pytest.raises(RuntimeError) as caught:
        summarize(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 5, 3)), 20)
    assert caught.value.__notes__ == ["in layer 1"]


def test_the_module_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model[1].eval()
    images = torch.rand(1, 3, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    summarize(model, images)
    assert [part.training for part in model.modules()] == [True, True, False, True]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert not hasattr(images, "_neocog_trace")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_module_is_left_as_it_was_after_a_failure():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(5, 5))
    with pytest.raises(RuntimeError):
        summarize(model, 20)
    assert model.training
    assert not any(part._forward_hooks for part in model.modules())


def test_a_layer_used_twice_has_two_rows_and_one_set_of_weights():
    conv = nn.Conv2d(3, 3, 3)
    summary = summarize(nn.Sequential(conv, nn.ReLU(), conv), (10, 12))
    assert [row.parameters for row in summary.rows] == [84, 0, 0]
    assert summary.parameters == 84
    assert [row.multiply_adds for row in summary.rows] == [81 * 8 * 10, 0, 81 * 6 * 8]
    assert [row.shape for row in summary.rows] == [(1, 3, 8, 10), (1, 3, 8, 10), (1, 3, 6, 8)]
    assert summary.activation_bytes == 4 * 3 * (80 + 80 + 48)


class OfBatches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.conv(batch.images)


def test_a_model_of_batches_is_traced_from_its_images():
    frame = Frame((6, 7), (6, 7))
    batch = Batch(torch.rand(1, 3, 6, 7), ((6, 7),), None, (frame,), (SampleKey(0, 0, 0),))
    (row,) = summarize(OfBatches(), batch).rows
    assert (row.kind, row.shape, row.field) == ("Conv2d", (1, 2, 4, 5), Field(3, 1, 1.0))
