"""VGG-16: published counts and names, maps, switches and a start from which it can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.backbones.vgg import VGG, thin, vgg16
from neocog.errors import UsageError

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture(scope="module")
def backbone() -> VGG:
    torch.manual_seed(0)
    return vgg16(switches=True).eval()


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_counts_and_names_are_the_published_ones():
    with torch.device("meta"):
        whole, headless = vgg16(1000), vgg16()
    names = [f"features.{i}" for i in CONVOLUTIONS] + [f"classifier.{i}" for i in (0, 3, 6)]
    assert list(whole.state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    assert [count(whole), count(headless)] == [138_357_544, 14_714_688]
    assert list(headless.state_dict()) == list(whole.state_dict())[:26]
    assert whole.state_dict()["classifier.0.weight"].shape == (4096, 512 * 7 * 7)


def test_maps_have_the_stated_channels_and_strides(backbone):
    size = (128, 96)
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, *size)).maps
    assert list(maps) == list(backbone.channels) == list(backbone.strides)
    for name, stride in backbone.strides.items():
        assert maps[name].shape == (1, backbone.channels[name], size[0] // stride, size[1] // stride)
    assert [backbone.strides[name] for name in ("conv1_2", "pool3", "conv4_3", "conv5_3", "pool5")] == [
        1,
        8,
        8,
        16,
        32,
    ]


def test_maps_are_taken_after_the_activation(backbone):
    with torch.no_grad():
        images = torch.rand(1, 3, 32, 32)
        maps = backbone(images).maps
        plain = nn.Sequential(*(layer for layer in backbone.features[:4]))(backbone.normalise(images))
    assert torch.equal(maps["conv1_2"], plain)
    assert all(value.min() >= 0 for value in maps.values())


@pytest.mark.parametrize(
    ("ceil_mode", "sizes"), [(False, (150, 75, 37, 18, 9)), (True, (150, 75, 38, 19, 10))]
)
def test_pooling_rounds_as_asked(ceil_mode, sizes):
    with torch.device("meta"):
        maps = vgg16(ceil_mode=ceil_mode)(torch.empty(1, 3, 300, 301)).maps
    assert tuple(maps[f"pool{k}"].shape[2] for k in range(1, 6)) == sizes


def test_computation_stops_at_the_map_asked_for(backbone):
    calls = []
    hooks = [layer.register_forward_hook(lambda *_: calls.append(1)) for layer in backbone.features]
    try:
        with torch.no_grad():
            features = backbone(torch.rand(1, 3, 32, 32), until="conv3_3")
    finally:
        for hook in hooks:
            hook.remove()
    assert list(features.maps) == ["conv1_2", "pool1", "conv2_2", "pool2", "conv3_3"]
    assert len(calls) == 16  # conv3_3 and its ReLU are features.14 and features.15
    with pytest.raises(UsageError, match="conv3_4"):
        backbone(torch.rand(1, 3, 32, 32), until="conv3_4")


def test_switches_put_each_maximum_back_where_it_was(backbone):
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 45, 38))
    for block in range(1, 6):
        before = features.maps[("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")[block - 1]]
        pooled, switches = features.maps[f"pool{block}"], features.switches[f"pool{block}"]
        back = F.max_unpool2d(pooled, switches, 2, 2, output_size=before.shape)
        hit = back != 0
        assert torch.equal(back[hit], before[hit])
        assert torch.equal(before.flatten(2).gather(2, switches.flatten(2)), pooled.flatten(2))


def test_no_switches_unless_asked():
    with torch.device("meta"):
        assert not vgg16()(torch.empty(1, 3, 32, 32)).switches


def test_logits_take_any_size():
    with torch.device("meta"):
        model = vgg16(20)
        assert model.logits(torch.empty(2, 3, 97, 64)).shape == (2, 20)
        with pytest.raises(ValueError, match="without classes"):
            vgg16().logits(torch.empty(1, 3, 64, 64))


def test_fresh_weights_neither_fade_nor_explode(backbone):
    """With the paper's fixed deviation of 0.01 the signal of thirteen layers fades to nothing."""
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, 64, 64)).maps
    power = {name: value.square().mean().sqrt().item() for name, value in maps.items()}
    assert 0.3 < power["conv5_3"] / power["conv1_2"] < 3
    assert all(conv.bias.abs().max() == 0 for conv in backbone.features if isinstance(conv, nn.Conv2d))


def test_with_batchnorm_it_is_vgg16_bn():
    """138,365,992 parameters, 8,461 numbers of statistics, as published by torchvision."""
    with torch.device("meta"):
        model = vgg16(1000, norm=True)
    assert count(model) == 138_365_992
    names = {name for name, _ in model.named_parameters()}
    state = model.state_dict()
    assert sum(value.numel() for name, value in state.items() if name not in names) == 8_461
    assert {"features.0.weight", "features.1.running_mean", "features.40.weight"} <= set(state)


def test_the_thin_one_has_the_same_kinds_of_maps():
    torch.manual_seed(0)
    backbone = thin(switches=True)
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 64, 96))
    assert [name for name in features.maps if name.startswith("pool")] == list(features.switches)
    assert features.maps["pool5"].shape == (2, 192, 2, 3)
    assert list(features.maps) == list(backbone.channels)
    convolutions = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 8 and all(layer.bias is None for layer in convolutions)
    assert 600_000 < count(backbone) < 1_000_000
