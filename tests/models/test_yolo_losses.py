"""YOLO's losses: the papers' against plain loops, and what all of them promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.references import yolo as plain
from tests.references.some_cells import as_lists, as_objects, random_cells, some_batch
from torch import Tensor

from neocog.models.yolo_losses import anchor_loss, giou_loss, squared_loss
from neocog.ops.boxes import paired_giou, paired_iou
from neocog.ops.coder import CellCoder, PriorCoder
from neocog.testing import make_batch

TWO = ((30.0, 30.0), (45.0, 60.0))


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("boxes", [1, 2, 3])
@pytest.mark.parametrize("stride", [8, 32])
def test_loss_of_version_1_is_the_papers(stride: int, boxes: int, ignored: bool) -> None:
    batch = some_batch(ignored)
    cells = random_cells(batch, stride, boxes, 3)
    expected = dict.fromkeys(("boxes", "confidence", "background", "classes"), 0.0)
    for image, size in enumerate(batch.sizes):
        objects = as_objects(batch, image)
        sums = plain.loss_v1(as_lists(cells, image), cells.shape, objects, size, stride, 96)
        expected = {name: value + sums[name] / 2 for name, value in expected.items()}
    found = squared_loss(cells, batch, CellCoder(stride, 96))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("stride", [8, 32])
def test_loss_of_version_2_is_the_authors(stride: int, ignored: bool) -> None:
    batch, priors = some_batch(ignored), torch.tensor(TWO)
    cells = random_cells(batch, stride, 2, 3, priors)
    cells.boxes[0, 3] = torch.tensor([5.0, 7.0, 41.0, 30.0])  # near an object that another cell answers for
    offsets = PriorCoder(stride).encode(cells.boxes[0, 3], cells.places[3].expand(2, 2), priors)
    inside = offsets[:, :2].clamp(0.01, 0.99)
    with torch.no_grad():
        cells.offsets[0, 3] = torch.cat([inside.logit(), offsets[:, 2:]], dim=1)
        cells.boxes[0, 3] = PriorCoder(stride).decode(cells.offsets[0, 3], cells.places[3], priors)
    expected = dict.fromkeys(("boxes", "confidence", "background", "classes"), 0.0)
    for image, size in enumerate(batch.sizes):
        objects = as_objects(batch, image)
        sums = plain.loss_v2(as_lists(cells, image), cells.shape, objects, size, stride, TWO)
        expected = {name: value + sums[name] / 2 for name, value in expected.items()}
    found = anchor_loss(cells, batch, PriorCoder(stride), priors)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)


def test_the_iou_that_a_confidence_should_be_has_no_gradient() -> None:
    batch = some_batch()
    cells = random_cells(batch, 8, 2, 3)
    squared_loss(cells, batch, CellCoder(8, 96))["confidence"].backward()  # type: ignore[no-untyped-call]
    assert cells.offsets.grad is None
    assert cells.confidences.grad is not None
    assert (cells.confidences.grad != 0).sum() == 3  # of six objects two are ignored, and two share a cell


def test_losses_are_shares_of_the_whole_step() -> None:
    """With a total of twice as many pictures or boxes, half."""
    batch = some_batch()
    double = replace(batch, total=lambda count: 2 * count)
    cells, priors = random_cells(batch, 8, 2, 3), torch.tensor(TWO)
    with_anchors = random_cells(batch, 8, 2, 3, priors)
    for loss in (
        lambda one: squared_loss(cells, one, CellCoder(8, 96)),
        lambda one: anchor_loss(with_anchors, one, PriorCoder(8), priors),
        lambda one: giou_loss(with_anchors, one, priors),
    ):
        whole, half = loss(batch), loss(double)
        for name, value in whole.items():
            assert half[name].item() == pytest.approx(value.item() / 2)


def test_which_of_several_objects_a_cell_takes_depends_on_the_key_alone() -> None:
    batch = some_batch(ignored=False)
    cells = random_cells(batch, 32, 2, 3)
    coder = CellCoder(32, 96)
    first, again = squared_loss(cells, batch, coder), squared_loss(cells, batch, coder)
    assert all(torch.equal(first[name], again[name]) for name in first)
    values = set()
    for epoch in range(8):
        keys = tuple(replace(key, epoch=epoch) for key in batch.keys)
        values.add(round(squared_loss(cells, replace(batch, keys=keys), coder)["classes"].item(), 4))
    assert len(values) > 1


def test_giou_loss_of_one_object_in_numbers() -> None:
    """Nine boxes answer for it, each with its IoU; every other is no object."""
    target = torch.tensor([16.0, 16.0, 40.0, 48.0])
    batch = make_batch([[(*target.tolist(), 1)]])
    prior = torch.tensor([[32.0, 32.0]])
    cells = random_cells(batch, 8, 1, 3, prior)
    found = giou_loss(cells, batch, prior)
    mine = [row * 12 + column for row in (3, 4, 5) for column in (2, 3, 4)]  # the centre is (28, 32)
    boxes = cells.boxes[0, mine, 0]
    assert found["boxes"].item() == pytest.approx(
        2 * (1 - paired_giou(boxes, target)).mean().item(), rel=1e-5
    )
    scores = cells.logits[0, mine, 0].log_softmax(dim=1)[:, 1]
    assert found["classes"].item() == pytest.approx(-scores.mean().item(), rel=1e-5)
    wanted = torch.zeros(144)
    wanted[mine] = paired_iou(boxes, target)
    said = cells.confidences[0, :, 0].sigmoid().detach()
    objectness = -(wanted * said.log() + (1 - wanted) * (1 - said).log()).sum()
    assert found["objectness"].item() == pytest.approx(objectness.item() / 9, rel=1e-5)


def test_an_ignored_object_is_neither_object_nor_background() -> None:
    """Nothing that is said in its cells changes any loss."""
    batch, priors = some_batch(), torch.tensor(TWO)
    assert batch.targets is not None
    ignored = batch.targets[0].boxes[2]
    own = CellCoder(8, 96)
    for cells in (random_cells(batch, 8, 2, 3), random_cells(batch, 8, 2, 3, priors)):
        centres = (cells.places + 0.5) * 8
        within = ((centres > ignored[:2] + 4) & (centres < ignored[2:] - 4)).all(dim=1)
        assert within.sum() > 8
        changed = cells.confidences.detach().clone()
        changed[0, within] += 5
        other = replace(cells, confidences=changed)
        if cells.logits.shape[2] == 1:
            assert same(squared_loss(cells, batch, own), squared_loss(other, batch, own))
        else:
            coder = PriorCoder(8)
            assert same(anchor_loss(cells, batch, coder, priors), anchor_loss(other, batch, coder, priors))
            assert same(giou_loss(cells, batch, priors), giou_loss(other, batch, priors))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)
