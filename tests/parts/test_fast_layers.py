"""Faster forms of layers: which have one, that they compute the same, and that nothing of them stays."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog import train
from neocog.backbones.resnet import Bottleneck, ResNet
from neocog.models.classifier import Classifier, ClassifierOptions
from neocog.ops import onednn
from neocog.parts.fast_layers import fast_layers, swapped
from neocog.testing import FULL, labelled, make_batch
from neocog.train import Training, TrainOptions, fit
from neocog.zoo import create


@pytest.fixture(autouse=True)
def one_slow_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a processor whose products are slow, with one thread."""
    monkeypatch.setattr(onednn, "products_are_slow", lambda: True)
    monkeypatch.setattr(onednn, "SMALLEST", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 32, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(32, 16, 1),
        nn.Conv2d(16, 16, 1, stride=2),
        nn.Conv2d(16, 16, 1, groups=2),
        nn.Conv2d(16, 16, 1, padding=1),
        nn.Conv2d(16, 8, 1),
        nn.Flatten(),
        nn.Linear(8 * 25, 5),
    )


def gradients(model: nn.Module, images: Tensor) -> list[Tensor]:
    model(images).square().sum().backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    return found


def test_wide_plain_1x1_convolutions_and_linear_layers_have_one() -> None:
    model = network()
    assert [layer for layer, _ in fast_layers(model)] == [model[1], model[3], model[9]]


def test_convolutions_have_none_with_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [layer for layer, _ in fast_layers(model)] == [model[9]]


def test_where_products_are_fast_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "products_are_slow", lambda: False)
    assert fast_layers(network()) == []


def test_inside_the_same_is_computed_and_outside_nothing_is_left() -> None:
    model, images = network(), torch.randn(2, 3, 8, 8)
    before = copy.deepcopy(model.state_dict()), [set(vars(layer)) for layer in model.modules()]
    plain = gradients(model, images)
    seen: list[str] = []
    with pytest.raises(KeyError), swapped(fast_layers(model)):
        for mine, other in zip(gradients(model, images), plain, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6 * float(other.abs().max()))
        seen += ["forward" for layer in model.modules() if "forward" in vars(layer)]
        raise KeyError
    assert len(seen) == 3
    assert [set(vars(layer)) for layer in model.modules()] == before[1]
    assert model.state_dict().keys() == before[0].keys()
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())


def losses(steps: int, patch: pytest.MonkeyPatch, fast: bool) -> list[float]:
    """Of a classifier with bottlenecks that learns from one batch in f32."""
    if not fast:
        patch.setattr(train, "fast_layers", lambda _: [])
    torch.manual_seed(0)
    options = ClassifierOptions(side=64)
    model: Any = Classifier(ResNet(Bottleneck, (1, 1, 1, 1)), 2, options)
    model.to(memory_format=torch.channels_last)
    learning = TrainOptions(steps=steps, precision="f32", optimizer="sgd", lr=2e-3)
    training = Training(model, learning, steps)
    assert bool(training.fast) == fast
    batches = itertools.repeat(labelled(make_batch([FULL] * 6, size=64)))
    return [step.losses["classes"] for step in fit(training, batches)]


def test_a_network_learns_alike_with_and_without() -> None:
    with pytest.MonkeyPatch.context() as patch:
        plain = losses(20, patch, fast=False)
    with pytest.MonkeyPatch.context() as patch:
        fast = losses(20, patch, fast=True)
        again = losses(20, patch, fast=True)
    assert fast == again  # to the bit
    assert fast[0] == pytest.approx(plain[0], rel=1e-5)
    assert fast == pytest.approx(plain, rel=0.01)
    assert fast[-1] < 0.8 * fast[0]


def test_in_bf16_there_is_nothing_to_swap() -> None:
    model = create("faster-rcnn", 2)
    assert Training(model, TrainOptions(steps=1, precision="f32"), 1).fast
    assert not Training(model, TrainOptions(steps=1, precision="bf16"), 1).fast
