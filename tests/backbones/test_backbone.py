"""The contract of backbones and frozen batch normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neocog.backbones.backbone import Backbone, FrozenBatchNorm2d, freeze_batchnorm
from neocog.errors import UsageError
from neocog.types import Features


class Bare(Backbone):
    """A backbone without layers."""

    def forward(self, images, until=None):
        self.require(until)
        return Features({})


def test_normalise_shifts_and_scales_each_channel():
    backbone = Bare({}, {}, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    images = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    expected = (images - np.float32([0.1, 0.2, 0.3])[:, None, None]) / np.float32([1, 2, 4])[:, None, None]
    np.testing.assert_allclose(backbone.normalise(torch.from_numpy(images)).numpy(), expected, rtol=1e-6)


def test_the_default_is_imagenet():
    backbone = Bare({}, {})
    black = backbone.normalise(torch.zeros(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(black, torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))


def test_mean_and_deviation_move_with_the_module_but_are_not_weights():
    backbone = Bare({}, {}).double()
    assert backbone.mean.dtype == backbone.std.dtype == torch.float64
    assert not backbone.state_dict()


def test_an_unknown_map_is_named_with_the_nearest():
    backbone = Bare({"conv4_3": 512, "conv5_3": 512}, {"conv4_3": 8, "conv5_3": 16})
    backbone.require(None)
    backbone.require("conv4_3")
    with pytest.raises(UsageError, match="no feature map 'conv53': did you mean 'conv5_3'"):
        backbone.require("conv53")
    with pytest.raises(UsageError, match="it has conv4_3, conv5_3"):
        backbone.require("p7")


def normalised_net() -> nn.Sequential:
    """A net whose normalisations have statistics of their own."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3), nn.Sequential(nn.BatchNorm2d(4)))
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                nn.init.uniform_(tensor, 0.5, 2)
    return net


def test_frozen_normalisation_in_training_is_the_evaluated_one():
    net, images = normalised_net().eval(), torch.rand(2, 3, 8, 8)
    expected = net(images)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    freeze_batchnorm(net)
    assert torch.equal(net.train()(images), expected)
    assert net.training
    assert list(net.state_dict()) == list(before)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_normalisation_passes_gradients_and_takes_none():
    net = normalised_net()
    freeze_batchnorm(net)
    net.train()(torch.rand(2, 3, 8, 8)).square().sum().backward()
    assert net[0].weight.grad.abs().sum() > 0
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == [
        "1.weight",
        "1.bias",
        "2.0.weight",
        "2.0.bias",
    ]


def test_freezing_keeps_the_tensors_and_may_be_repeated():
    net = normalised_net()
    weight, statistics = net[1].weight, net[1].running_mean
    freeze_batchnorm(net)
    frozen = net[1]
    freeze_batchnorm(net)
    assert net[1] is frozen
    assert isinstance(frozen, FrozenBatchNorm2d)
    assert frozen.weight is weight
    assert frozen.running_mean is statistics


def test_frozen_and_plain_nets_exchange_weights():
    source, target = normalised_net().eval(), normalised_net()
    freeze_batchnorm(target)
    target.load_state_dict(source.state_dict())
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(target.train()(images), source(images))
