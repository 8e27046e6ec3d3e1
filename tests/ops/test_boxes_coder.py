"""Boxes and their offsets: against plain loops, and as inverses of each other."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neocog.ops.boxes import (
    area,
    clip,
    coverage,
    from_centre,
    iou,
    paired_giou,
    paired_iou,
    shorter_side,
    to_centre,
)
from neocog.ops.coder import BoxCoder, CellCoder, PriorCoder


def boxes(count: int, side: float = 100.0) -> st.SearchStrategy[Tensor]:
    """Boxes with positive sides."""
    numbers = st.floats(0.5, side, width=32)
    rows = st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=count, max_size=count)
    return rows.map(lambda r: from_centre(torch.tensor(r, dtype=torch.float32).reshape(-1, 4)))


def plain_iou(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union if union > 0 else 0.0


@given(boxes(4), boxes(3))
def test_iou_equals_plain_arithmetic(first: Tensor, second: Tensor) -> None:
    expected = [[plain_iou(a, b) for b in second.tolist()] for a in first.tolist()]
    torch.testing.assert_close(iou(first, second), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_iou_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    b = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0], [10.0, 0.0, 20.0, 10.0]])
    torch.testing.assert_close(iou(a, b), torch.tensor([[1.0, 50 / 150, 0.0]]))


def test_boxes_without_area_overlap_nothing() -> None:
    empty = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    assert iou(empty, empty).tolist() == [[0.0]]
    assert coverage(empty, torch.tensor([[0.0, 0.0, 9.0, 9.0]])).tolist() == [[0.0]]


def test_empty_inputs_keep_their_shapes() -> None:
    none, some = torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 2.0, 3.0]])
    assert iou(none, some).shape == (0, 1)
    assert iou(some, none).shape == (1, 0)
    assert area(none).shape == shorter_side(none).shape == (0,)
    assert clip(none, none).shape == BoxCoder().encode(none, none).shape == (0, 4)


def test_coverage_is_the_share_inside() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert coverage(box, torch.tensor([[0.0, 0.0, 5.0, 100.0]])).tolist() == [[0.5]]


def test_clip_knows_height_from_width() -> None:
    limits = torch.tensor([40.0, 30.0, 40.0, 30.0])
    assert clip(torch.tensor([[-5.0, -5.0, 500.0, 500.0]]), limits).tolist() == [[0.0, 0.0, 40.0, 30.0]]


@given(boxes(3))
def test_centre_form_is_an_inverse(some: Tensor) -> None:
    torch.testing.assert_close(from_centre(to_centre(some)), some, rtol=1e-5, atol=1e-4)


@given(boxes(5), boxes(5))
def test_decode_inverts_encode(some: Tensor, references: Tensor) -> None:
    for coder in (BoxCoder(), BoxCoder((1.0, 1.0, 1.0, 1.0))):
        # Widths that differ by more than 1000 / 16 are clamped on purpose.
        back = coder.decode(coder.encode(some, references), references)
        ratio = to_centre(some)[:, 2:] / to_centre(references)[:, 2:]
        near = (ratio < 60).all(dim=1)
        torch.testing.assert_close(back[near], some[near], rtol=1e-3, atol=1e-3)


def test_encode_by_hand() -> None:
    """Appendix C of the R-CNN paper: a box moved by half a width and twice as high."""
    deltas = BoxCoder((1.0, 1.0, 1.0, 1.0)).encode(
        torch.tensor([[5.0, -5.0, 15.0, 15.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    )
    torch.testing.assert_close(deltas, torch.tensor([[0.5, 0.0, 0.0, 0.6931472]]))


def test_decode_survives_an_untrained_network() -> None:
    decoded = BoxCoder().decode(torch.full((1, 4), 1e4), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    assert torch.isfinite(decoded).all()


@given(boxes(6))
def test_paired_iou_is_the_diagonal_of_iou(row: Tensor) -> None:
    first, second = row[:3], row[3:]
    torch.testing.assert_close(paired_iou(first, second), iou(first, second).diagonal())


@given(boxes(2))
def test_giou_equals_plain_arithmetic(row: Tensor) -> None:
    a, b = row.double().tolist()
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union -= w * h
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    expected = w * h / union - (around - union) / around
    assert abs(paired_giou(row[0], row[1]).item() - expected) < 1e-4


def test_giou_tells_boxes_apart_that_do_not_touch() -> None:
    a = torch.tensor([0.0, 0.0, 10.0, 10.0])
    moved = [paired_giou(a, a + shift).item() for shift in (0.0, 10.0, 20.0, 1000.0)]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] == 1.0 and moved[1] < 0 and moved[3] > -1
    assert paired_giou(a[:0].view(0, 4), a[:0].view(0, 4)).shape == (0,)
    assert torch.isfinite(paired_giou(torch.zeros(4), torch.zeros(4)))


@given(boxes(5))
def test_cells_decode_what_they_encode(row: Tensor) -> None:
    cells = (to_centre(row)[:, :2] / 16).floor()
    coder = CellCoder(16, 96)
    offsets = coder.encode(row, cells)
    assert ((offsets[:, :2] >= 0) & (offsets[:, :2] < 1)).all()
    torch.testing.assert_close(coder.decode(offsets, cells), row, rtol=1e-4, atol=1e-3)
    mirrored = offsets * torch.tensor([1, 1, -1, -1])
    torch.testing.assert_close(coder.decode(mirrored, cells), row, rtol=1e-4, atol=1e-3)


def test_a_cell_states_centre_and_roots() -> None:
    """Centre (40, 24) in cell (2, 1) of 16 pixels; a quarter of 144 pixels wide, a ninth high."""
    box = torch.tensor([[22.0, 16.0, 58.0, 32.0]])
    offsets = CellCoder(16, 144).encode(box, torch.tensor([[2.0, 1.0]]))
    torch.testing.assert_close(offsets, torch.tensor([[0.5, 0.5, 1 / 2, 1 / 3]]))


@given(boxes(5))
def test_priors_decode_what_they_encode(row: Tensor) -> None:
    cells, priors = (to_centre(row)[:, :2] / 16).floor(), torch.tensor([30.0, 20.0]).expand(5, 2)
    for coder in (PriorCoder(16), PriorCoder(16, 3.0)):
        offsets = coder.encode(row, cells, priors)
        room = offsets[:, :2].double().clamp(1e-9, 1 - 1e-9).logit()
        found = coder.decode(torch.cat([room, offsets[:, 2:].double()], dim=1), cells, priors)
        torch.testing.assert_close(found.float(), row, rtol=1e-4, atol=1e-2)


def test_a_centre_cannot_leave_its_room() -> None:
    far = torch.tensor([[99.0, -99.0, 0.0, 999.0]])
    cell, prior = torch.tensor([[2.0, 1.0]]), torch.tensor([[30.0, 20.0]])
    centre = to_centre(PriorCoder(16).decode(far, cell, prior))
    assert centre[0, :2].tolist() == [48.0, 16.0] and torch.isfinite(centre).all()
    assert to_centre(PriorCoder(16, 3.0).decode(far, cell, prior))[0, :2].tolist() == [64.0, 0.0]
