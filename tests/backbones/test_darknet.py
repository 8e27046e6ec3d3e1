"""YOLO's Darknet: the layer table of the paper, its counts and its maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.backbones.darknet import LAYERS, Darknet, darknet
from neocog.errors import UsageError

# Figure 3 of the paper, layer by layer: kernel, channels, stride, and the side of its map at 448 pixels.
TABLE = [
    *[(7, 64, 2, 224)],
    *[(3, 192, 1, 112)],
    *[(1, 128, 1, 56), (3, 256, 1, 56), (1, 256, 1, 56), (3, 512, 1, 56)],
    *[(1, 256, 1, 28), (3, 512, 1, 28)] * 4,
    *[(1, 512, 1, 28), (3, 1024, 1, 28)],
    *[(1, 512, 1, 14), (3, 1024, 1, 14)] * 2,
    *[(3, 1024, 1, 14), (3, 1024, 2, 7)],
    *[(3, 1024, 1, 7), (3, 1024, 1, 7)],
]


def test_layers_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        backbone = darknet()
        maps = backbone(torch.zeros(1, 3, 448, 448)).maps
    convolutions = [layer for layer in backbone.features if isinstance(layer, nn.Conv2d)]
    found = [
        (layer.kernel_size[0], layer.out_channels, layer.stride[0], seen.shape[-1])
        for layer, seen in zip(convolutions, maps.values(), strict=True)
    ]
    assert found == TABLE
    assert list(maps) == [f"conv{number}" for number in range(1, 25)]
    assert all(layer.bias is not None for layer in convolutions)
    slopes = {layer.negative_slope for layer in backbone.features if isinstance(layer, nn.LeakyReLU)}
    assert slopes == {0.1}
    assert sum(layer is None for layer in LAYERS) == 4


def test_counts() -> None:
    """The first 20 convolutions, with the 1x1 one to 1,000 classes of their pre-training: 23,428,136."""
    with torch.device("meta"):
        backbone = darknet()
    counts = [
        sum(weight.numel() for weight in layer.parameters())
        for layer in backbone.features
        if isinstance(layer, nn.Conv2d)
    ]
    assert sum(counts) == 60_155_968
    assert sum(counts[:20]) + 1024 * 1000 + 1000 == 23_428_136


@pytest.fixture(scope="module")
def thin() -> Darknet:
    torch.manual_seed(0)
    return Darknet([None if layer is None else (layer[0], layer[1] // 16, layer[2]) for layer in LAYERS])


def test_maps_have_the_stated_channels_and_strides(thin: Darknet) -> None:
    with torch.no_grad():
        maps = thin(torch.rand(1, 3, 128, 192)).maps
    for name, stride in thin.strides.items():
        assert maps[name].shape == (1, thin.channels[name], 128 // stride, 192 // stride)
    assert [thin.strides[name] for name in ("conv1", "conv16", "conv20", "conv21", "conv24")] == [
        *(2, 16, 32, 32, 64)
    ]


def test_it_stops_where_it_is_told(thin: Darknet) -> None:
    with torch.no_grad():
        whole, part = (thin(torch.rand(1, 3, 64, 64), until).maps for until in (None, "conv6"))
    assert list(part) == list(whole)[:6]
    with pytest.raises(UsageError, match="no feature map 'conv25'"):
        thin(torch.rand(1, 3, 64, 64), "conv25")


def test_pixels_go_in_as_they_are(thin: Darknet) -> None:
    pixels = torch.rand(1, 3, 8, 8)
    assert torch.equal(thin.normalise(pixels), pixels)


def test_maps_are_not_overwritten(thin: Darknet) -> None:
    """Every map is the leaky ReLU of its convolution: in place, the next layer would have changed it."""
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        together, alone = thin(images).maps["conv3"], thin(images, "conv3").maps["conv3"]
    assert torch.equal(together, alone)
    assert (together < 0).any()
