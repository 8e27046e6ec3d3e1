"""Muon against PyTorch's own, against the singular value decomposition, and beside AdamW."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog.optimizers import SGD, SIZE, AdamW, Muon, orthogonal
from neocog.train import TrainOptions, build_optimizer

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (8, 30), (1, 5), (64, 576)])
def test_orthogonal_keeps_the_singular_vectors_and_levels_the_values(shape: tuple[int, int]) -> None:
    rows, columns = shape
    least = min(shape)
    u, _ = torch.linalg.qr(normal(rows, least, seed=1).double())
    v, _ = torch.linalg.qr(normal(columns, least, seed=2).double())
    values = torch.logspace(0, -1.5, least, dtype=torch.float64)
    made = orthogonal(((u * values) @ v.mT)[None])[0]
    seen = u.mT @ made @ v
    assert (seen.diagonal() > 0.6).all() and (seen.diagonal() < 1.25).all()
    assert torch.allclose(seen, seen.diagonal().diag(), atol=1e-10)


def test_orthogonal_of_nothing_is_nothing_and_scale_does_not_matter() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 3, 5)), torch.zeros(2, 3, 5))
    matrices = normal(2, 3, 5)
    for scale in (1e-30, 1e-3, 1e10):
        assert torch.allclose(orthogonal(scale * matrices), orthogonal(matrices), atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (24, 2, 3, 3), (5, 7, 1, 1)])
def test_steps_equal_pytorchs_muon(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    """PyTorch's, of matrices, multiplies in bfloat16 and always has 0.2 for our SIZE."""
    start = normal(*shape)
    theirs = nn.Parameter(start.flatten(1).clone())
    ours = nn.Parameter(start.clone().contiguous(memory_format=layout))
    reference = torch.optim.Muon(
        [theirs], lr=0.02 * SIZE / 0.2, weight_decay=0.1 * 0.2 / SIZE, adjust_lr_fn="match_rms_adamw"
    )
    muon = Muon([ours], [], lr=0.02, betas=(0.9, 0.99), weight_decay=0.1)
    for step in range(1, 5):
        gradient = normal(*shape, seed=step)
        theirs.grad, ours.grad = gradient.flatten(1), gradient.contiguous(memory_format=layout)
        reference.step()
        muon.step()
    moved = (theirs - start.flatten(1)).norm()
    assert (ours.flatten(1) - theirs).norm() < 0.02 * moved
    assert ours.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_sgd_and_adamw_are_pytorchs_to_the_bit(
    kind: str, momentum: float, layout: torch.memory_format
) -> None:
    shapes = [(16, 12, 3, 3), (5, 7, 1, 1), (1, 4, 3, 3), (33, 7), (5,)]
    start = [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    start = [one.contiguous(memory_format=layout) if one.ndim == 4 else one for one in start]
    ours, theirs = ([nn.Parameter(one.clone()) for one in start] for _ in range(2))
    if kind == "sgd":
        how: dict[str, Any] = {"lr": 0.1, "momentum": momentum, "weight_decay": 0.01, "fused": True}
        both: tuple[Any, Any] = SGD(ours, **how), torch.optim.SGD(theirs, **how)
    else:
        both = AdamW(ours, lr=0.1, fused=True), torch.optim.AdamW(theirs, lr=0.1, fused=True)
    for step in range(3):
        for mine, other in zip(ours[step == 1 :], theirs[step == 1 :], strict=True):
            mine.grad = torch.empty_like(mine).copy_(normal(*mine.shape, seed=step))
            other.grad = mine.grad.clone()
        for optimizer in both:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
        assert mine.stride() == other.stride()
        for name, value in both[1].state[other].items():
            assert (value is None) == (both[0].state.get(mine, {}).get(name) is None)
            assert value is None or torch.equal(value, both[0].state[mine][name])


def test_filters_that_are_multiplied_together_do_not_mix() -> None:
    shapes = [(4, 3, 3, 3), (4, 3, 3, 3), (30, 2, 3, 3), (7, 4, 1, 1), (4, 7, 1, 1)]
    weights = [nn.Parameter(normal(*shape, seed=seed)) for seed, shape in enumerate(shapes)]
    alone = copy.deepcopy(weights)
    for weight, other in zip(weights, alone, strict=True):
        weight.grad = other.grad = weight.detach() ** 3
    Muon(weights, [], 0.1, (0.9, 0.99), 0.0).step()
    for weight, other in zip(weights, alone, strict=True):
        Muon([other], [], 0.1, (0.9, 0.99), 0.0).step()
        assert torch.allclose(weight, other, atol=1e-6)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(8, 2)
    )


def test_everything_but_filters_before_normalisation_is_adamws() -> None:
    ours, theirs = network(), network()
    muon = build_optimizer(ours, TrainOptions(steps=1, lr=0.01))
    adamw = build_optimizer(theirs, TrainOptions(steps=1, lr=0.01, optimizer="adamw", weight_decay=0.5))
    assert isinstance(muon, Muon) and isinstance(adamw, torch.optim.AdamW)
    assert [len(group["params"]) for group in muon.param_groups] == [1, 2, 4]
    assert [len(group["params"]) for group in adamw.param_groups] == [3, 4]
    for model, optimizer in ((ours, muon), (theirs, adamw)):
        model.train()
        model(normal(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other) == (name != "0.weight"), name


def test_what_has_no_gradient_stays() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(model, TrainOptions(steps=1))
    model[4].weight.grad = torch.ones_like(model[4].weight)
    optimizer.step()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["4.weight"]


def test_without_such_filters_it_is_adamw() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    assert isinstance(build_optimizer(model, TrainOptions(steps=1)), torch.optim.AdamW)
