"""AlexNet: published counts, names, maps and receptive fields."""

from __future__ import annotations

import pytest
import torch

from neocog.backbones.alexnet import AlexNet, alexnet
from neocog.ops.arithmetic import Field
from neocog.ops.summary import summarize


def test_counts_and_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        whole, headless = alexnet(1000), alexnet()
    names = [f"features.{place}" for place in (0, 3, 6, 8, 10)] + [f"classifier.{k}" for k in (1, 4, 6)]
    assert list(whole.state_dict()) == [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    assert list(headless.state_dict()) == list(whole.state_dict())[:10]
    summary = summarize(whole, 224, whole.logits)
    assert summary.parameters == 61_100_840
    assert round(summary.gflops, 3) == 0.714  # torchvision's own metadata


def test_fields_are_the_published_ones() -> None:
    with torch.device("meta"):
        rows = {row.name: row.field for row in summarize(alexnet(), 224).rows}
    assert [rows[f"features.{place}"] for place in (0, 2, 3, 5, 6, 8, 10, 12)] == [
        Field(11, 4, 3),
        Field(19, 8, 7),
        Field(51, 8, 7),
        Field(67, 16, 15),
        Field(99, 16, 15),
        Field(131, 16, 15),
        Field(163, 16, 15),
        Field(195, 32, 31),
    ]


def test_maps_are_those_stated() -> None:
    with torch.device("meta"):
        backbone = AlexNet()
        maps = backbone(torch.zeros(1, 3, 224, 224)).maps
        assert list(backbone(torch.zeros(1, 3, 224, 224), "conv3").maps)[-1] == "conv3"
    assert list(maps) == ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
    assert {name: value.shape[1] for name, value in maps.items()} == backbone.channels
    assert [value.shape[-1] for value in maps.values()] == [55, 27, 27, 13, 13, 13, 13, 6]


def test_maps_are_taken_after_the_activation_and_logits_take_any_size() -> None:
    maps = AlexNet()(torch.rand(1, 3, 96, 80)).maps
    assert all(value.min() >= 0 for value in maps.values())
    with torch.device("meta"):
        assert alexnet(7).logits(torch.empty(2, 3, 97, 150)).shape == (2, 7)
        with pytest.raises(ValueError, match="without classes"):
            alexnet().logits(torch.empty(1, 3, 64, 64))


def test_fresh_weights_neither_fade_nor_explode() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        maps = AlexNet()(torch.rand(2, 3, 96, 96)).maps
    power = {name: value.square().mean().sqrt().item() for name, value in maps.items()}
    assert 0.3 < power["conv5"] / power["conv1"] < 3
