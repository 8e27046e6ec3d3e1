"""Back-projection against the way written out, whatever the ReLUs are called by, and on every backbone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from tests.references import deconvnet
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.darknet import Darknet
from neocog.backbones.resnet import resnet18
from neocog.explain.backward import Rectifiers, Rule, back_project
from neocog.fold import fold_batchnorm

RULES = get_args(Rule)


def vgg_like() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 6, 3, padding=1),
        nn.ReLU(),
    )


def overlapping() -> nn.Sequential:
    """Pooling windows of 3 at a stride of 2, and a strided convolution, as in AlexNet."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 5, 2),
        nn.ReLU(),
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("build", [vgg_like, overlapping])
def test_autograd_with_one_rule_changed_is_the_deconvnet(
    build: Callable[[], nn.Sequential], rule: Rule
) -> None:
    torch.manual_seed(0)
    network = build().double()
    images = torch.rand(1, 3, 39, 34, dtype=torch.float64)
    with torch.no_grad():
        last = network(images)[0]
    strongest = last.flatten().argsort(descending=True)[:5]
    values, found = back_project(lambda given: network(given).flatten()[strongest], images, rule)
    assert (values > 0).all() and torch.equal(values, last.flatten()[strongest])
    for place, back in zip(strongest.tolist(), found, strict=True):
        signal = torch.zeros(last.numel(), dtype=torch.float64)
        signal[place] = 1
        wanted = deconvnet.project(network, images, signal.view(1, *last.shape), rule)
        assert wanted.any()
        torch.testing.assert_close(back, wanted)


def test_the_three_rules_differ_and_the_first_is_the_derivative() -> None:
    torch.manual_seed(1)
    network, images = vgg_like(), torch.rand(1, 3, 16, 16)
    found = {rule: back_project(lambda given: network(given).sum()[None], images, rule)[1] for rule in RULES}
    images.requires_grad_()
    (slope,) = torch.autograd.grad(network(images).sum(), images)
    assert torch.equal(found["gradient"][0], slope)
    assert not torch.allclose(found["gradient"], found["deconvnet"])
    assert not torch.allclose(found["guided"], found["deconvnet"])


def _ignoring(change: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """In place, with what it returns thrown away."""

    def act(x: Tensor) -> Tensor:
        y = x * 1
        change(y)
        return y

    return act


@pytest.mark.parametrize(
    "act",
    [
        F.relu,
        torch.relu,
        Tensor.relu,
        nn.ReLU(),
        lambda x: F.relu(x * 1, inplace=True),
        lambda x: nn.ReLU(inplace=True)(x * 1),
        lambda x: torch.relu_(x * 1),
        lambda x: (x * 1).relu_(),
        _ignoring(lambda x: F.relu(x, inplace=True)),
        _ignoring(torch.relu_),
        _ignoring(Tensor.relu_),
        _ignoring(F.relu_),
        lambda x: F.leaky_relu(x, 0.0),
    ],
)
def test_every_way_to_call_a_relu_follows_the_rule(act: Callable[[Tensor], Tensor]) -> None:
    x = torch.tensor([-2.0, -1.0, 1.0, 2.0])
    weights = torch.tensor([-1.0, 1.0, -1.0, 1.0])  # what comes back
    for rule, wanted in (("deconvnet", [0, 1, 0, 1]), ("guided", [0, 0, 0, 1]), ("gradient", [0, 0, -1, 1])):
        values, back = back_project(lambda given: (act(given) * weights).sum()[None], x, rule)  # type: ignore[arg-type]
        assert back[0].tolist() == wanted and values.tolist() == [1.0]


@pytest.mark.parametrize(
    "act",
    [
        nn.LeakyReLU(0.1),
        lambda x: F.leaky_relu(x, negative_slope=0.1),
        _ignoring(lambda x: F.leaky_relu(x, 0.1, True)),
        _ignoring(lambda x: F.leaky_relu_(x, 0.1)),
    ],
)
def test_a_leaky_relu_leaks_backwards_too(act: Callable[[Tensor], Tensor]) -> None:
    x, weights = torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.tensor([-1.0, 1.0, -1.0, 1.0])
    for rule, wanted in (("deconvnet", [-0.1, 1, -0.1, 1]), ("guided", [-0.01, 0.1, -0.1, 1])):
        _, back = back_project(lambda given: (act(given) * weights).sum()[None], x, rule)  # type: ignore[arg-type]
        torch.testing.assert_close(back[0], torch.tensor(wanted))


def test_contrast_normalisation_is_divided_by_its_scale() -> None:
    torch.manual_seed(0)
    x, alpha, beta, k = torch.rand(1, 7, 3, 2) * 9, 0.3, 0.75, 2.0
    norm, plain = nn.LocalResponseNorm(5, alpha, beta, k), norm_scale(x, alpha, beta, k)
    torch.testing.assert_close(norm(x), x / plain)  # torch's own is what it is meant to be
    values, back = back_project(lambda given: norm(given)[0, 3, 1, 1][None], x, "deconvnet")
    assert torch.allclose(values, norm(x)[0, 3, 1, 1])
    assert torch.count_nonzero(back) == 1  # its derivative has more: the neighbours' share of the scale
    torch.testing.assert_close(back[0, 0, 3, 1, 1], 1 / plain[0, 3, 1, 1])


def norm_scale(x: Tensor, alpha: float, beta: float, k: float) -> Tensor:
    scale = torch.zeros_like(x)
    for channel in range(x.shape[1]):
        near = x[:, max(channel - 2, 0) : channel + 3]
        scale[:, channel] = (k + alpha * near.square().sum(dim=1) / 5) ** beta
    return scale


def backbones() -> dict[str, Backbone]:
    torch.manual_seed(0)
    made: dict[str, Backbone] = {
        "compact": compact(),
        "resnet18": resnet18(),
        "darknet": Darknet(((3, 8, 2), None, (3, 12, 1), (3, 12, 2))),
    }
    for network in made.values():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                nn.init.uniform_(module.weight, 0.5, 1.5)
    return made


@pytest.mark.parametrize("name", ["compact", "resnet18", "darknet"])
@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_folding_batchnorm_changes_no_projection(name: str, rule: Rule) -> None:
    network = backbones()[name].double().eval()
    images = torch.rand(1, 3, 48, 48, dtype=torch.float64)
    folded = fold_batchnorm(copy.deepcopy(network), lambda one: one(images))
    level = list(network.channels)[-1]
    found = [
        back_project(lambda given, one=one: one(given).maps[level].amax()[None], images, rule)  # type: ignore[misc]
        for one in (network, folded)
    ]
    assert found[0][1].any()
    torch.testing.assert_close(found[0], found[1])


def test_a_sum_sends_the_signal_to_both_branches() -> None:
    """A residual block by hand: relu(conv2(relu(conv1(x))) + x)."""
    torch.manual_seed(0)
    first, second = (nn.Conv2d(4, 4, 3, padding=1, bias=False).double() for _ in range(2))
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    signal = torch.randn(1, 4, 6, 6, dtype=torch.float64)

    def block(given: Tensor) -> Tensor:
        return (F.relu(second(F.relu(first(given))) + given) * signal).sum()[None]

    _, back = back_project(block, x, "deconvnet")
    top = signal.clamp(min=0)
    inner = F.conv_transpose2d(top, second.weight, padding=1).clamp(min=0)
    torch.testing.assert_close(back[0], top + F.conv_transpose2d(inner, first.weight, padding=1))


def test_no_values_give_no_projections() -> None:
    images = torch.rand(1, 3, 4, 4)
    values, back = back_project(lambda given: given.flatten()[:0], images, "guided")
    assert values.shape == (0,) and back.shape == (0, 1, 3, 4, 4)


def test_outside_the_mode_relus_are_torchs_own() -> None:
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with Rectifiers("deconvnet"):
        pass
    (slope,) = torch.autograd.grad(F.relu(x).sum(), x)
    assert slope.tolist() == [0, 1]
