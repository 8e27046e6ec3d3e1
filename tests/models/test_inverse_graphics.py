"""DC-IGN: the paper's table, clamping by hand, losses by torch's distributions, groups that do not mix."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.models.inverse_graphics import (
    SMALL,
    DoublingConv,
    InverseGraphics,
    InverseGraphicsOptions,
    clamp,
    layer_table,
)
from neocog.types import Batch, Frame, SampleKey

TINY = InverseGraphicsOptions(
    side=16,
    encoder=(4, 6),
    encoder_kernels=(3, 3),
    code=7,
    start=5,
    decoder=(6, 1),
    decoder_kernels=(3, 5),
    group=4,
)

PUBLISHED = {
    "conv1": (96, 146, 146),
    "pool1": (96, 73, 73),
    "conv2": (48, 69, 69),
    "pool2": (48, 34, 34),
    "conv3": (24, 30, 30),
    "pool3": (24, 15, 15),
    "mean": (200,),
    "log_variance": (200,),
    "map": (24, 15, 15),
    "double1": (24, 30, 30),
    "deconv1": (48, 24, 24),
    "double2": (48, 48, 48),
    "deconv2": (96, 42, 42),
    "double3": (96, 84, 84),
    "deconv3": (96, 78, 78),
    "double4": (96, 156, 156),
    "deconv4": (1, 150, 150),
}
"""Kulkarni et al. 2015, and `init_network2_150_mv` of its authors' code."""


def groups_of(kinds: list[int], side: int = 16, group: int = 4, first: int = 0) -> Batch:
    """A batch of noise in groups of these kinds."""
    count = len(kinds) * group
    return Batch(
        images=torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(first)),
        sizes=((side, side),) * count,
        targets=None,
        frames=(Frame((side, side), (side, side)),) * count,
        keys=tuple(SampleKey(0, 0, first * group + place) for place in range(count)),
        labels=torch.tensor(kinds).repeat_interleave(group),
    )


def part(batch: Batch, rows: slice, total: int) -> Batch:
    """Some of the pictures, where the whole step has `total` of them."""
    assert batch.labels is not None
    return replace(
        batch,
        images=batch.images[rows],
        sizes=batch.sizes[rows],
        frames=batch.frames[rows],
        keys=batch.keys[rows],
        labels=batch.labels[rows],
        total=lambda count: total,
    )


def tiny(**changes: Any) -> InverseGraphics:
    torch.manual_seed(0)
    return InverseGraphics(4, replace(TINY, **changes))


def backward(model: nn.Module, batch: Batch) -> tuple[Any, dict[str, Tensor]]:
    output = model(batch)
    for name in ("mean", "log_variance", "clamped_mean", "clamped_log_variance"):
        if getattr(output, name).requires_grad:
            getattr(output, name).retain_grad()
    losses = model.loss(output, batch)
    torch.stack(list(losses.values())).sum().backward()
    return output, losses


def test_the_paper_s_table_and_its_4131137_parameters() -> None:
    model = InverseGraphics()
    assert dict(layer_table(model.options)) == PUBLISHED
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_131_137


@pytest.mark.parametrize("options", [SMALL, TINY, replace(SMALL, side=96)])
def test_layers_give_what_the_table_says(options: InverseGraphicsOptions) -> None:
    model, found = InverseGraphics(4, options), {}
    for name, conv in model.backbone.convs.items():
        conv.register_forward_hook(lambda _, __, out, name=name: found.update({"conv" + name[-1]: out}))
    for number, conv in enumerate(model.decoder, 1):
        conv.register_forward_hook(
            lambda _, given, out, number=number: found.update({f"deconv{number}": out})
        )
    output = model(replace(groups_of([0], options.side), labels=None))
    found |= {**output.features.maps, "mean": output.mean, "log_variance": output.log_variance}
    want = dict(layer_table(options))
    assert {name: tuple(out.shape[1:]) for name, out in found.items()} == {
        name: shape for name, shape in want.items() if name in found
    }
    assert set(want) - set(found) == {"map", *(f"double{n + 1}" for n in range(len(options.decoder)))}
    assert output.logits.shape == (4, 1, options.side, options.side)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_doubling_convolutions_are_convolutions_of_doubled_maps(kernel: int) -> None:
    layer = DoublingConv(3, 5, kernel).double()
    cells = torch.randn(2, 3, 9, 7, dtype=torch.float64, requires_grad=True)
    want = F.conv2d(F.interpolate(cells, scale_factor=2, mode="nearest"), layer.weight, layer.bias)
    have = layer(cells)
    torch.testing.assert_close(have, want)
    inputs = (cells, layer.weight, layer.bias)
    weights = torch.randn_like(want)
    for ours, theirs in zip(
        torch.autograd.grad((have * weights).sum(), inputs),
        torch.autograd.grad((want * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("to", ["mean", "first"])
def test_clamping_by_hand(to: str) -> None:
    """Two groups of two, unit 0 free in the first and unit 1 in the second; the groups are interleaved."""
    values = torch.tensor([[1.0, 10.0], [5.0, -2.0], [3.0, 30.0], [7.0, 6.0]], requires_grad=True)
    groups = torch.tensor([0, 1, 0, 1])
    active = torch.tensor([[True, False], [False, True], [True, False], [False, True]])
    clamped = clamp(values, active, groups, 0.1, to)
    want = {
        "mean": [[1.0, 20.0], [6.0, -2.0], [3.0, 20.0], [6.0, 6.0]],
        "first": [[1.0, 10.0], [5.0, -2.0], [3.0, 10.0], [5.0, 6.0]],
    }
    assert clamped.tolist() == want[to]
    (clamped * torch.tensor([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]])).sum().backward()
    assert values.grad is not None  # the loss's where active, else 0.1 times the way from the mean
    torch.testing.assert_close(values.grad, torch.tensor([[2.0, -1.0], [-0.1, 5.0], [6.0, 1.0], [0.1, 9.0]]))


@pytest.mark.parametrize(("kind", "free"), [(0, [0]), (1, [1]), (2, [2]), (3, [3, 4, 5, 6])])
def test_only_what_changes_in_a_group_may_change_in_its_codes(kind: int, free: list[int]) -> None:
    model, batch = tiny(), groups_of([kind])
    output, _ = backward(model, batch)
    fixed = [unit for unit in range(7) if unit not in free]
    for whole, used in (
        (output.mean, output.clamped_mean),
        (output.log_variance, output.clamped_log_variance),
    ):
        assert torch.equal(used[:, free], whole[:, free])
        torch.testing.assert_close(used[:, fixed], whole.mean(dim=0).expand(4, -1)[:, fixed])
        assert torch.equal(whole.grad[:, free], used.grad[:, free]) and used.grad[:, free].any()
        pull = 0.01 / 4 * (whole - whole.mean(dim=0)).detach()
        torch.testing.assert_close(whole.grad[:, fixed], pull[:, fixed])
    assert (np.ptp(output.code[:, fixed].detach().numpy(), axis=0) > 0.1).all()  # noise is not clamped


def test_the_authors_code_gives_fixed_units_no_gradient() -> None:
    output, _ = backward(tiny(clamp="first", invariance=0.0), groups_of([1]))
    fixed = [0, 2, 3, 4, 5, 6]
    assert torch.equal(output.clamped_mean[:, fixed], output.mean[:1, fixed].expand(4, -1))
    assert not output.mean.grad[:, fixed].any() and output.mean.grad[:, 1].any()


def test_entangled_is_the_same_network_without_clamping() -> None:
    output = tiny(entangled=True)(groups_of([0]))
    assert torch.equal(output.clamped_mean, output.mean)
    ours, theirs = tiny().state_dict(), tiny(entangled=True).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_losses_are_those_of_torch_s_distributions() -> None:
    model, batch = tiny(), groups_of([3, 0])
    output, losses = backward(model, batch)
    normal = torch.distributions.Normal
    spread = torch.exp(output.clamped_log_variance / 2)
    apart = torch.distributions.kl_divergence(normal(output.clamped_mean, spread), normal(0.0, 1.0))
    torch.testing.assert_close(losses["kl"], apart.sum() / 8)
    # A grey level between 0 and 1 is a mixture of both ends.
    levels, said = batch.images.mean(dim=1, keepdim=True), torch.distributions.Bernoulli(logits=output.logits)
    ends = [said.log_prob(torch.full_like(levels, end)) for end in (0.0, 1.0)]
    want = -((1 - levels) * ends[0] + levels * ends[1]).sum() / 8
    torch.testing.assert_close(losses["reconstruction"], want)


def test_groups_of_a_batch_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with a group each add up to one with both: losses, and every gradient."""
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    batch = groups_of([3, 1])
    whole = tiny()
    _, together = backward(whole, batch)
    gradients: dict[str, Tensor] = {}
    losses: dict[str, Tensor] = {}
    for rows in (slice(0, 4), slice(4, 8)):
        model = tiny()
        for name, value in backward(model, part(batch, rows, 8))[1].items():
            losses[name] = losses.get(name, 0.0) + value
        for name, parameter in model.named_parameters():
            gradients[name] = gradients.get(name, 0.0) + parameter.grad
    torch.testing.assert_close(losses, together)
    torch.testing.assert_close(gradients, {name: one.grad for name, one in whole.named_parameters()})


def test_the_same_sequence_of_two_epochs_is_two_groups() -> None:
    batch = groups_of([0, 0])
    keys = (*batch.keys[:4], *(replace(key, epoch=1) for key in batch.keys[:4]))
    output = tiny()(replace(batch, keys=keys))
    torch.testing.assert_close(output.clamped_mean[4, 5], output.mean[4:, 5].mean())


def test_without_labels_the_code_is_the_mean() -> None:
    model, batch = tiny().eval(), groups_of([0])
    output = model(batch.without_targets())
    assert torch.equal(output.code, output.mean) and torch.equal(output.clamped_mean, output.mean)
    found = model.decode(output, batch)
    assert len(found) == 4 and found[0].image.shape == (3, 16, 16) and found[0].code.shape == (7,)
    assert torch.equal(found[1].image[0], output.logits[1, 0].sigmoid())
    assert torch.equal(found[1].image[0], found[1].image[2])
    assert found[0].to(torch.device("cpu")).to_original(batch.frames[0]).image.max() < 1


def test_part_of_a_group_and_no_picture_have_losses() -> None:
    """A picture that was lost leaves a smaller group; a process without pictures has a loss of 0."""
    model, batch = tiny(), groups_of([0])
    for count in (1, 0):
        some = part(batch, slice(0, count), 4)
        losses = model.loss(model(some), some)
        assert all(math.isfinite(value.item()) for value in losses.values())
        assert count or not any(losses.values())


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="16x16 px, not 24x24"):
        tiny()(groups_of([0], side=24))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_kernels": (5, 5, 5, 5)}, "do not end in 64 px"),
        ({"decoder_kernels": (5, 5, 7, 4)}, "must be odd"),
        ({"encoder_kernels": (5, 5, 63)}, "leave nothing"),
        ({"encoder_kernels": (5, 5)}, "as many numbers"),
        ({"decoder": (32, 32, 16, 3)}, "1 channel"),
        ({"code": 0}, "code must lie in"),
        ({"invariance": -1.0}, "invariance must lie in"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_every_kind_needs_a_unit() -> None:
    with pytest.raises(UsageError, match="4 kinds"):
        InverseGraphics(4, replace(TINY, code=3))


def test_it_learns_a_batch_by_heart() -> None:
    model, batch = tiny(encoder=(16, 16), decoder=(16, 1), entangled=True), groups_of([0])
    level = torch.linspace(0, 1, 16).expand(16, 16)
    images = torch.stack([level, level.T, level.flip(1), level.T.flip(0)])[:, None].expand(4, 3, 16, 16)
    batch = replace(batch, images=images.contiguous())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for _ in range(120):
        optimizer.zero_grad()
        backward(model, batch)
        optimizer.step()
    with torch.inference_mode():
        found = model.decode(model(batch.without_targets()), batch)
    assert (
        max(float(((one.image - image) ** 2).mean()) for one, image in zip(found, images, strict=True)) < 0.01
    )
