"""Cells that answer for objects: which one, what others may learn, and what the picture does not reach."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from neocog.parts.cells import Cells, background, hold, inside_pictures, places_of, truth_of
from neocog.testing import make_batch
from neocog.types import Batch


def cells_of(batch: Batch, stride: int, boxes: int = 1) -> Cells:
    shape = batch.images.shape[-2] // stride, batch.images.shape[-1] // stride
    places = places_of(shape, batch.images.device)
    said = torch.zeros(len(batch), len(places), boxes, 4)
    inside = inside_pictures(places, stride, batch)
    return Cells(shape, stride, places, inside, said, said, said[..., 0], said)


def test_places_go_row_by_row() -> None:
    assert places_of((2, 3), torch.device("cpu")).tolist() == [
        *([0, 0], [1, 0], [2, 0]),
        *([0, 1], [1, 1], [2, 1]),
    ]


def test_a_cell_of_which_some_lies_in_the_picture_is_inside() -> None:
    batch = make_batch([[], []])  # 96 pixels wide, and 80
    inside = inside_pictures(places_of((3, 3), torch.device("cpu")), 32, batch)
    assert inside.all()  # the last column of the second begins at 64
    inside = inside_pictures(places_of((6, 6), torch.device("cpu")), 16, batch)
    assert inside[0].all()
    assert inside[1].view(6, 6).all(dim=0).tolist() == [True] * 5 + [False]


def test_the_cell_of_the_centre_answers() -> None:
    batch = make_batch(
        [[(0.0, 0.0, 31.0, 31.0, 0), (32.0, 0.0, 96.0, 64.0, 1)], [(16.0, 48.0, 80.0, 96.0, 2)]]
    )
    held = hold(truth_of(batch), cells_of(batch, 32))
    assert held.images.tolist() == [0, 0, 1]
    assert held.cells.tolist() == [0, 3 + 2, 6 + 1]  # a centre on a border belongs to the cell after it
    assert held.labels.tolist() == [0, 1, 2]
    assert held.boxes[2].tolist() == [16, 48, 80, 96]


def test_of_two_objects_in_one_cell_the_smaller_has_it() -> None:
    large, small = (0.0, 0.0, 64.0, 64.0, 0), (24.0, 24.0, 44.0, 44.0, 1)
    for objects in ([large, small], [small, large]):
        batch = make_batch([objects, objects[:1]])
        held = hold(truth_of(batch), cells_of(batch, 16))
        assert held.images.tolist() == [0, 1] and held.cells.tolist() == [14, 14]
        assert held.labels.tolist() == [1, objects[0][4]]


def test_cells_around_go_to_the_nearest_object_and_end_with_the_map() -> None:
    large, small = (0.0, 0.0, 60.0, 60.0, 0), (20.0, 20.0, 44.0, 44.0, 1)
    beside = (40.0, 20.0, 64.0, 44.0, 2)
    held = hold(truth_of(batch := make_batch([[large, small, beside]])), cells_of(batch, 16), around=1)
    assert held.cells.tolist() == [*(0, 1, 2), *(6, 7, 8, 9, 10), *(12, 13, 14, 15, 16), *(19, 20, 21, 22)]
    given = dict(zip(held.cells.tolist(), held.labels.tolist(), strict=True))
    assert [given[cell] for cell in (7, 14, 15)] == [0, 1, 2]  # their own centres
    assert given[13] == 1 and given[8] == 1  # one step from the large one and from the small one
    assert given[16] == 2 and given[6] == 0  # one step from one of them only
    corners = make_batch([[(0.0, 0.0, 8.0, 8.0, 0)], [(90.0, 90.0, 96.0, 96.0, 1)]])
    held = hold(truth_of(corners), cells_of(corners, 16), around=1)
    assert held.images.tolist() == [0] * 4 + [1] * 4
    assert held.cells.tolist() == [0, 1, 6, 7, 28, 29, 34, 35]


def test_a_centre_beyond_the_map_belongs_to_its_last_cell() -> None:
    batch = make_batch([[(90.0, 94.0, 102.0, 98.0, 0)]])
    assert hold(truth_of(batch), cells_of(batch, 16)).cells.tolist() == [35]


def test_objects_that_want_other_boxes_share_a_cell() -> None:
    batch = make_batch(
        [[(36.0, 36.0, 60.0, 60.0, 0), (34.0, 36.0, 60.0, 60.0, 1), (32.0, 32.0, 64.0, 64.0, 2)]]
    )
    truth = truth_of(batch)
    held = hold(truth, cells_of(batch, 32, 2), who=torch.tensor([0, 0, 1]), each=2)
    assert held.cells.tolist() == [4, 4]
    assert sorted(zip(held.who.tolist(), held.labels.tolist(), strict=True)) == [(0, 0), (1, 2)]


def test_order_is_drawn_from_the_key() -> None:
    batch = make_batch([[(float(x), 0.0, x + 8.0, 8.0, 0) for x in range(0, 80, 8)]])
    assert torch.equal(truth_of(batch, "a").boxes, truth_of(batch, "a").boxes)
    assert not torch.equal(truth_of(batch, "a").boxes, truth_of(batch, "b").boxes)
    other = replace(batch, keys=tuple(replace(key, epoch=7) for key in batch.keys))
    assert not torch.equal(truth_of(batch, "a").boxes, truth_of(other, "a").boxes)


def test_ignored_objects_are_nobodys_and_no_background() -> None:
    batch = make_batch([[(10.0, 10.0, 46.0, 46.0, 0), (50.0, 50.0, 52.0, 52.0, 1)], []])
    assert batch.targets is not None
    hidden = replace(batch.targets[0], ignore=torch.tensor([True, True]))
    batch = replace(batch, targets=(hidden, batch.targets[1]))
    cells = cells_of(batch, 16)
    assert len(hold(truth_of(batch), cells)) == 0
    free = background(cells, batch)
    taken = (~free[0].view(6, 6)).nonzero().tolist()
    # The large one covers half or more of four cells; the tiny one has its centre in the fifth.
    assert taken == [[1, 1], [1, 2], [2, 1], [2, 2], [3, 3]]
    assert free[1].view(6, 6)[:, :5].all() and not free[1].view(6, 6)[:, 5:].any()


def test_targets_are_needed() -> None:
    with pytest.raises(ValueError, match="needs a batch with targets"):
        truth_of(make_batch([[]]).without_targets())
