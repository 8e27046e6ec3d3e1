"""Crops to learn from: what is labelled in them, where they lie, and that they follow the key alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from neocog.parts.object_crops import Drawn, crop_batch, crop_masks, enlarged, objects, regions
from neocog.testing import make_masked_batch
from neocog.types import Batch, Objects, Proposals

FILL = torch.full((3,), 0.5)


def whole(batch: Batch, only: int = -1) -> Drawn:
    boxes = torch.tensor([[0.0, 0.0, width, height] for height, width in batch.sizes])
    count = len(batch)
    return Drawn(boxes, torch.arange(count), torch.full((count,), only))


def test_a_crop_of_the_whole_picture_is_the_picture() -> None:
    batch = make_masked_batch(1, 4)
    crops = crop_batch(batch, whole(batch), 96, 1.0, FILL)
    torch.testing.assert_close(crops.images, batch.images)
    assert crops.masks is not None and batch.masks is not None
    assert torch.equal(crops.masks, batch.masks)
    assert crops.sizes == ((96, 96),) and crops.targets is None


def test_masks_are_enlarged_as_repeated_pixels() -> None:
    batch = make_masked_batch(2, 4)
    assert batch.masks is not None
    masks = crop_masks(batch, torch.tensor([[16.0, 8.0, 48.0, 40.0]]), torch.tensor([1]), 96)
    expected = np.kron(batch.masks[1, 8:40, 16:48].numpy(), np.ones((3, 3)))
    assert np.array_equal(masks[0].numpy(), expected)


def test_what_lies_outside_is_ignored_and_of_the_colour_given() -> None:
    batch = make_masked_batch(1, 4)
    boxes = torch.tensor([[0.0, 0.0, 96.0, 96.0]])
    drawn = Drawn(boxes, torch.tensor([0]), torch.tensor([-1]))
    crops = crop_batch(batch, drawn, 144, 1.5, FILL)
    assert crops.masks is not None and batch.masks is not None
    assert torch.equal(crops.masks[0, 24:120, 24:120], batch.masks[0])
    assert (crops.masks[0, :24] == 255).all() and (crops.images[0, :, :, :24] == 0.5).all()


def test_only_the_class_of_the_object_is_labelled() -> None:
    batch = make_masked_batch(2, 4)
    drawn = objects(batch, 2)
    assert drawn.images.tolist() == [0, 0, 1, 1] and (drawn.only > 0).all()
    crops = crop_batch(batch, drawn, 64, 1.2, FILL)
    assert crops.masks is not None and batch.targets is not None
    for mask, only in zip(crops.masks, drawn.only.tolist(), strict=True):
        assert set(mask.unique().tolist()) <= {0, only, 255} and (mask == only).any()
    boxes = {tuple(box) for target in batch.targets for box in target.boxes.tolist()}
    assert {tuple(box) for box in drawn.boxes.tolist()} == boxes


def test_boxes_grow_about_their_centres() -> None:
    boxes = torch.tensor([[10.0, 20.0, 20.0, 40.0], [3.0, 3.0, 3.2, 3.2]])
    assert enlarged(boxes, 1.2).tolist() == [[9, 18, 21, 42], [3, 3, 4, 4]]


def test_pictures_without_objects_give_a_part_with_all_its_classes() -> None:
    batch = make_masked_batch(2, 4)
    for targets in (None, (Objects.empty(), Objects.empty())):
        drawn = objects(replace(batch, targets=targets), 3)
        assert drawn.images.tolist() == [0, 1] and drawn.only.tolist() == [-1, -1]
        assert (drawn.boxes >= 0).all() and (drawn.boxes <= batch.limits).all()


def test_ignored_objects_are_not_drawn() -> None:
    batch = make_masked_batch(1, 4)
    assert batch.targets is not None
    target = batch.targets[0]
    first = replace(target, ignore=torch.tensor([True, False]))
    assert torch.equal(objects(replace(batch, targets=(first,)), 2).boxes, target.boxes[1:])


def test_crops_follow_the_key_alone() -> None:
    batch = make_masked_batch(4, 4)
    assert torch.equal(objects(batch, 1).boxes, objects(batch, 1).boxes)
    epochs = [
        objects(replace(batch, keys=tuple(replace(key, epoch=epoch) for key in batch.keys)), 1).boxes
        for epoch in range(4)
    ]
    assert any(not torch.equal(epochs[0], other) for other in epochs[1:])


def test_regions_are_proposals_that_cover_an_object_by_half() -> None:
    batch = make_masked_batch(1, 4)
    assert batch.targets is not None
    near = batch.targets[0].boxes[:1] + 2
    far = torch.tensor([[0.0, 90.0, 6.0, 96.0]])
    given = replace(batch, proposals=(Proposals(torch.cat([far, near]), torch.zeros(2)),))
    drawn = regions(given, 5)
    assert torch.equal(drawn.boxes, near) and drawn.only.tolist() == [-1]
    none = replace(batch, proposals=(Proposals(far, torch.zeros(1)),))
    assert regions(none, 5).boxes.tolist() == [[0, 0, 96, 96]]
    with pytest.raises(ValueError, match="proposals"):
        regions(replace(batch, proposals=None), 1)


def test_a_batch_of_which_nothing_is_left_gives_no_crops() -> None:
    batch = make_masked_batch(1, 4)
    assert batch.masks is not None
    empty = replace(batch, images=batch.images[:0], masks=batch.masks[:0], sizes=(), targets=(), keys=())
    crops = crop_batch(empty, objects(empty, 2), 64, 1.2, FILL)
    assert crops.images.shape == (0, 3, 64, 64) and len(crops) == 0
