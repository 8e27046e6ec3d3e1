"""Learning from regions: the hardest of each image, and shares of a step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.ops.coder import BoxCoder
from neocog.parts.regions import (
    RegionOptions,
    Regions,
    choose_regions,
    region_candidates,
    region_loss,
)
from neocog.testing import FULL, make_batch
from neocog.types import Batch, Proposals

CODER = BoxCoder()


def case(seed: int = 0) -> tuple[Regions, Tensor, Tensor, Batch]:
    """Forty regions of two images, some of them objects of two classes, with random outputs."""
    draw = torch.Generator().manual_seed(seed)
    batch = make_batch([FULL, FULL])
    corner = 50 * torch.rand(40, 2, generator=draw)
    boxes = torch.cat([corner, corner + 10 + 30 * torch.rand(40, 2, generator=draw)], 1)
    labels = torch.randint(0, 3, (40,), generator=draw)
    targets = boxes[labels < 2] + 2 * torch.rand(int((labels < 2).sum()), 4, generator=draw)
    regions = Regions(boxes, (torch.arange(40) >= 25).long(), labels, targets)
    logits, deltas = torch.randn(40, 3, generator=draw), torch.randn(40, 8, generator=draw)
    return regions, logits.requires_grad_(), deltas.requires_grad_(), batch


def slow_losses(regions: Regions, logits: Tensor, deltas: Tensor) -> list[tuple[float, float]]:
    """Cross-entropy and smooth L1 of each region, one at a time."""
    assert regions.labels is not None and regions.targets is not None
    losses, targets = [], list(regions.targets)
    for box, label, scores, offsets in zip(regions.boxes, regions.labels, logits, deltas, strict=True):
        boxes = 0.0
        if label < 2:
            wanted = CODER.encode(targets.pop(0)[None], box[None])[0]
            boxes = float(F.smooth_l1_loss(offsets.view(2, 4)[label], wanted, reduction="sum"))
        losses.append((float(F.cross_entropy(scores, label)), boxes))
    return losses


@pytest.mark.parametrize("most", [1, 7, 30])
def test_only_the_hardest_regions_of_each_image_count(most: int) -> None:
    regions, logits, deltas, batch = case()
    found = region_loss(regions, logits, deltas, CODER, batch, most)
    losses = slow_losses(regions, logits.detach(), deltas.detach())
    kept: list[int] = []
    for image in (0, 1):
        own = [row for row in range(40) if regions.images[row] == image]
        kept += sorted(own, key=lambda row: -sum(losses[row]))[:most]
    for place, name in enumerate(("classes", "boxes")):
        wanted = sum(losses[row][place] for row in kept) / len(kept)
        assert float(found[name].detach()) == pytest.approx(wanted, rel=1e-4)
    (found["classes"] + found["boxes"]).backward()
    assert logits.grad is not None
    assert torch.nonzero(logits.grad.abs().sum(dim=1)).flatten().tolist() == sorted(kept)


def test_more_than_there_are_is_all_of_them() -> None:
    regions, logits, deltas, batch = case()
    plain, hard = (region_loss(regions, logits, deltas, CODER, batch, most) for most in (0, 1000))
    for name, value in plain.items():
        torch.testing.assert_close(hard[name], value)


@pytest.mark.parametrize("most", [0, 5])
def test_the_shares_of_several_processes_add_up_to_the_step(most: int) -> None:
    """Each process takes the hardest of its own images, and divides by the regions of all."""
    regions, logits, deltas, batch = case()
    whole = region_loss(regions, logits, deltas, CODER, batch, most)
    assert regions.labels is not None and regions.targets is not None
    count = 2 * most or 40
    parts = []
    for image in (0, 1):
        own = regions.images == image
        mine = Regions(
            regions.boxes[own],
            torch.zeros(int(own.sum()), dtype=torch.int64),
            regions.labels[own],
            regions.targets[own[regions.labels < 2]],
        )
        one = replace(make_batch([FULL]), total=lambda _: count)
        parts.append(region_loss(mine, logits[own], deltas[own], CODER, one, most))
    for name, value in whole.items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], value)


def test_hard_regions_are_chosen_from_all() -> None:
    """No sample is drawn: all proposals and true boxes, whatever they overlap and their share of objects."""
    batch = make_batch([FULL])
    assert batch.proposals is not None
    options = RegionOptions(samples=4, background=0.1, hard=True)
    regions = choose_regions(batch.proposals, batch, 2, options)
    assert len(regions) == len(batch.proposals[0]) + len(FULL)
    assert options.hardest == 4 and RegionOptions(samples=4).hardest == 0


def test_an_image_without_regions_is_no_obstacle() -> None:
    batch = make_batch([[], FULL])
    none = Proposals(torch.zeros(0, 4), torch.zeros(0))
    assert batch.proposals is not None
    regions = choose_regions([none, batch.proposals[1]], batch, 2, RegionOptions(hard=True))
    rows = len(regions)
    assert rows and (regions.images == 1).all()
    losses = region_loss(regions, torch.zeros(rows, 3), torch.zeros(rows, 8), CODER, batch, 3)
    assert all(bool(value.isfinite()) for value in losses.values())


@pytest.mark.parametrize("width", [8, 4])
def test_without_a_region_nothing_is_found(width: int) -> None:
    """Not even with offsets for any class: a picture in which nothing was proposed."""
    none = Regions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    batch = make_batch([[]]).without_targets()
    found = region_candidates(none, torch.zeros(0, 3), torch.zeros(0, width), CODER, batch, 0.0)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
