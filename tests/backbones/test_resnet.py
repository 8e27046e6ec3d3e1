"""ResNets: published counts and names, stride placement, maps, and learning from scratch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.backbones.backbone import freeze_batchnorm
from neocog.backbones.resnet import (
    CONV5,
    STRIDE8,
    Bottleneck,
    Dilations,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
)
from neocog.errors import UsageError

PUBLISHED = [  # parameters, elements of buffers, entries of the state dict; torchvision's
    (resnet18, 11_689_512, 9_620, 122),
    (resnet34, 21_797_672, 17_060, 218),
    (resnet50, 25_557_032, 53_173, 320),
    (resnet101, 44_549_160, 105_448, 626),
]


@pytest.mark.parametrize(("build", "parameters", "buffers", "entries"), PUBLISHED)
def test_counts_are_the_published_ones(build, parameters, buffers, entries):
    with torch.device("meta"):
        model, headless = build(1000), build()
    state = model.state_dict()
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    weights = {name for name, _ in model.named_parameters()}
    assert sum(value.numel() for name, value in state.items() if name not in weights) == buffers
    assert len(state) == entries
    assert state.keys() - headless.state_dict().keys() == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("build", "stages"), [(resnet18, (2, 3, 4)), (resnet50, (1, 2, 3, 4))])
def test_only_first_blocks_project_their_shortcut(build, stages):
    with torch.device("meta"):
        names = build().state_dict()
    projected = {name.split(".downsample")[0] for name in names if "downsample" in name}
    assert projected == {f"layer{stage}.0" for stage in stages}


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution():
    block = Bottleneck(256, 128, stride=2)
    assert [conv.stride for conv in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]
    assert block.downsample[0].stride == (2, 2)


@pytest.mark.parametrize(("build", "width"), [(resnet18, 64), (resnet101, 256)])
def test_maps_have_the_stated_channels_and_strides(build, width):
    with torch.device("meta"):
        backbone = build()
        maps = backbone(torch.empty(2, 3, 97, 130)).maps
    assert list(maps) == list(backbone.channels) == ["conv1", "pool1", "layer1", "layer2", "layer3", "layer4"]
    assert list(backbone.channels.values()) == [64, 64, width, 2 * width, 4 * width, 8 * width]
    assert list(backbone.strides.values()) == [2, 4, 4, 8, 16, 32]
    for name, stride in backbone.strides.items():  # every layer of stride 2 rounds up
        assert maps[name].shape == (2, backbone.channels[name], -(-97 // stride), -(-130 // stride))


@pytest.mark.parametrize(("dilations", "stride", "same"), [(CONV5, 16, "layer3"), (STRIDE8, 8, "layer2")])
def test_dilation_keeps_the_stride_and_the_weights_of_the_last_stages(
    dilations: Dilations, stride: int, same: str
) -> None:
    with torch.device("meta"):
        plain, dilated = resnet50(), resnet50(dilations=dilations)
        maps = dilated(torch.empty(1, 3, 97, 130)).maps
    assert dilated.strides["layer4"] == dilated.strides[same] == stride
    assert maps["layer4"].shape == (1, 2048, *maps[same].shape[2:])
    shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in (plain, dilated)]
    assert shapes[0] == shapes[1]


def test_computation_stops_at_the_map_asked_for():
    torch.manual_seed(0)
    backbone = resnet18().eval()
    called = []
    for name, part in backbone.named_children():
        part.register_forward_hook(lambda *_, name=name: called.append(name))
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 64, 64), until="layer2")
        assert "layer2" in called
        assert "layer3" not in called
        whole = backbone(torch.rand(1, 3, 64, 64))
    assert list(features.maps) == ["conv1", "pool1", "layer1", "layer2"]
    assert all(value.min() >= 0 for value in whole.maps.values())
    with pytest.raises(UsageError, match="did you mean 'layer4'"):
        backbone(torch.rand(1, 3, 64, 64), until="layer5")


@pytest.mark.parametrize("build", [resnet18, resnet50])
def test_zero_init_starts_blocks_as_their_shortcuts(build):
    torch.manual_seed(0)
    backbone = build(zero_init=True)
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, 64, 64)).maps
        if build is resnet18:  # its first stage has no projection
            assert torch.equal(maps["layer1"], maps["pool1"])
        stage = backbone.layer4
        assert torch.equal(stage(maps["layer3"]), stage[0](maps["layer3"]))


def test_logits_need_classes():
    with torch.device("meta"):
        assert resnet18(7).logits(torch.empty(2, 3, 65, 40)).shape == (2, 7)
        with pytest.raises(ValueError, match="without classes"):
            resnet18().logits(torch.empty(1, 3, 64, 64))


def test_it_learns_from_scratch_and_frozen_statistics_stay():
    """Two classes of noise, told apart by their colour: a few steps must halve the loss and more."""
    torch.manual_seed(0)
    model = resnet18(2)
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8) % 2
    images[labels == 1, 0] *= 0.3
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for step in range(12):
        if step == 10:
            freeze_batchnorm(model.train())
            frozen = model.bn1.running_mean.clone()
        loss = F.cross_entropy(model.logits(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[9] < 0.5 * losses[0]
    assert torch.equal(model.bn1.running_mean, frozen)
    assert not any(part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d))
